//! The stand-in over its wire: real HTTP, real processes, a folder for S3.

mod access;
mod blue_green;
mod hosting;
mod protocol;
mod registry;
mod support;
mod training;
mod training_refused;
mod transform;
