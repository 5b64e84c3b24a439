//! Sales data sets as streams: the data contract, the check of a file against it, the snapshot that
//! an accepted file becomes, and the measure of forecasts on it.
//!
//! A file is read through [`std::io::Read`], never as a whole. [`check`] judges, profiles and digests
//! it in one pass and answers a [`Report`]; bad data is a [`Finding`] there, and an [`Error`] means
//! that nothing is known. [`split`] reads an accepted file again and writes what training and
//! evaluation read. [`rows`] and [`predictions`] read that back, [`MetricsAccumulator`] compares the
//! two, and [`SeasonalNaive`] is the forecast that a model must beat.

mod check;
mod content;
mod contract;
mod day;
mod error;
mod finding;
mod header;
mod identity;
mod metrics;
mod profile;
mod read;
mod report;
mod row;
mod seasonal;
mod series;
mod snapshot;
mod table;
mod window;

pub use check::check;
pub use contract::{Columns, Contract};
pub use day::Day;
pub use error::Error;
pub use finding::{Example, Finding, Rule};
pub use identity::dataset_id;
pub use metrics::{Metrics, MetricsAccumulator};
pub use profile::{Profile, Quantiles};
pub use read::{Prediction, Predictions, Rows, predictions, rows, with_predictions};
pub use report::{Report, SCHEMA_VERSION, Verdict};
pub use row::Row;
pub use seasonal::{HISTORY_DAYS, NaiveScore, SeasonalNaive};
pub use snapshot::{HEADER, Holdout, Outputs, RowWriter, Split, split};
