//! What a check found: the contents of `validation_report.json`.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::error::Error;
use crate::finding::Finding;
use crate::profile::Profile;

/// Version of the report's shape; a reader refuses versions it does not know.
pub const SCHEMA_VERSION: u32 = 1;

/// Whether a data set may be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has no findings.
    Accepted,
    /// It has findings; no part of it is used.
    Rejected,
}

/// The outcome of a check: same content, contract and day, same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of this library.
    pub schema_version: u32,
    /// Whether the data set may be trained on.
    pub verdict: Verdict,
    /// Lower-case hex SHA-256 of the content, after decompression: a file and its gzip have the same
    /// identity. None when the content could not be read to its end, and so has none.
    pub digest: Option<String>,
    /// Size of the content read, after decompression.
    pub bytes: u64,
    /// Whether the file was gzip-compressed.
    pub gzip: bool,
    /// The day of the check, on which dates in the future and ages depend.
    pub as_of: Date,
    /// Rows in the file, without the header and empty lines.
    pub rows: u64,
    /// Rows without findings. The figures below are about these.
    pub accepted_rows: u64,
    /// Distinct stores.
    pub stores: u64,
    /// Distinct items.
    pub items: u64,
    /// Distinct pairs of store and item.
    pub series: u64,
    /// First date.
    pub from: Option<Date>,
    /// Last date.
    pub to: Option<Date>,
    /// Days from first to last date, both included.
    pub history_days: u32,
    /// Days from the last date to the day of the check.
    pub age_days: Option<u32>,
    /// Distribution of the sales.
    pub sales: Option<Profile>,
    /// Columns that the contract does not name; they are ignored.
    pub extra_columns: Vec<String>,
    /// What is wrong, in the order of the rules.
    pub findings: Vec<Finding>,
    /// The contract that the file was held against.
    pub contract: Contract,
}

impl Report {
    /// Whether the data set may be trained on.
    pub fn is_accepted(&self) -> bool {
        self.verdict == Verdict::Accepted
    }

    /// The bytes of `validation_report.json`: indented JSON that ends with a line end.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}
