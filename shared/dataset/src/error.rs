//! What can go wrong besides the data being bad, which is a finding and no error.

use std::io;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source failed: nothing is known about the data, and a repeat may succeed.
    #[error("reading failed")]
    Read(#[source] io::Error),
    /// An output failed; what was written is incomplete.
    #[error("writing failed")]
    Write(#[source] io::Error),
    /// A file that should hold checked data does not.
    #[error("line {line}: {problem}")]
    Line {
        /// Line in the file, counted from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// A rejected data set can't become a snapshot.
    #[error("the data set was rejected")]
    Rejected,
    /// The content is not what the report is about; what was written must be thrown away.
    #[error("the content changed after its check: expected digest {expected}, found {found}")]
    Changed {
        /// SHA-256 in the report.
        expected: String,
        /// SHA-256 of the content read.
        found: String,
    },
    /// The holdout would leave nothing to train on.
    #[error("a holdout of {holdout_days} days leaves nothing of a history of {history_days} days")]
    NothingLeft {
        /// Days to hold out.
        holdout_days: u32,
        /// Days from the first to the last date.
        history_days: u32,
    },
    /// A truth or a prediction is NaN or infinite.
    #[error("{what} is {value}, not a finite number")]
    NotFinite {
        /// "the truth" or "the prediction".
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// A report can't be written as JSON.
    #[error("encoding the report failed")]
    Encode(#[from] serde_json::Error),
}
