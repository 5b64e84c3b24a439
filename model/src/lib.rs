//! The retail demand forecasting model: training and serving.
//!
//! Two commands stand on this library, both following SageMaker's container contract below
//! `ML_ROOT` (`/opt/ml` by default):
//!
//! - `train` reads sales records and hyperparameters and writes a model, or the reason why not;
//! - `serve` answers forecasts over HTTP: SageMaker's `/ping` and `/invocations`, and the API's
//!   `/health` and `/predict`.
//!
//! A forecast is a seasonal base times what boosted trees learnt about its errors. The base comes
//! from factors common to all series ([`season`]) and from the series' own recent level; the trees
//! ([`learn`]) see the features of [`features`]. None of it reads records newer than 92 days before
//! the forecast day, so that a model answers for three months ahead as well as its score promises.

pub mod calendar;
pub mod features;
pub mod forecast;
mod forest;
pub mod generate;
pub mod hyperparameters;
pub mod learn;
mod panel;
pub mod process;
pub mod sales;
pub mod score;
pub mod season;
pub mod serve;
pub mod train;
