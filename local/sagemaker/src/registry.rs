//! The model registry: package groups and their versions.

pub(crate) mod groups;
pub(crate) mod packages;
mod request;
mod update;
