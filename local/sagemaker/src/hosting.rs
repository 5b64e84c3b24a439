//! Hosting: endpoint configurations, endpoints, and the processes behind them.

mod api;
pub(crate) mod configs;
mod deploy;
pub(crate) mod endpoint;
mod fleet;
mod invoke;
pub(crate) mod meter;
mod shift;
