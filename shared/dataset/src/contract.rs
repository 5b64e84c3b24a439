//! What a sales data set must look like to be trained on.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The data contract. Every field has a default, so that settings name only what differs.
///
/// A file is comma-separated UTF-8 text with a header line, plain or gzip-compressed. Columns may
/// stand in any order; further columns are allowed, reported and ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contract {
    /// The accepted names of each required column.
    pub columns: Columns,
    /// Largest sales of one item in one store on one day, in units. Default 100,000.
    pub max_sales: f64,
    /// Earliest date allowed. Default 2000-01-01.
    pub min_date: Date,
    /// Latest date allowed, besides never being later than the day of the check. Default: none.
    pub max_date: Option<Date>,
    /// Fewest rows that are a data set and not an accident. Default 100: less than one series over
    /// `min_history_days`, so it stops an empty or cut-off export and no real, sparse data set.
    pub min_rows: u64,
    /// Fewest days from the first date to the last. Default 120: a holdout of 92 days then leaves
    /// four weeks to learn from.
    pub min_history_days: u32,
    /// How old the newest date may be, in days. Default: no limit, because training on a historic
    /// data set is legitimate; the age is reported always.
    pub max_age_days: Option<u32>,
    /// Largest content, in bytes after decompression: the guard against gzip bombs. Default 2 GiB.
    pub max_bytes: u64,
    /// Memory that the exact check for duplicates may take, in MiB. Default 256, which holds
    /// about 2 million blocks of one series and 512 days, or 500,000 series over five years.
    pub max_memory_mib: u32,
    /// Most series (store and item together): what reads the data set later keeps a history of each in
    /// memory. Default: no limit.
    pub max_series: Option<u32>,
    /// Offending rows shown for each rule. Default 5.
    pub max_examples: usize,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            columns: Columns::default(),
            max_sales: 100_000.0,
            min_date: Date::constant(2000, 1, 1),
            max_date: None,
            min_rows: 100,
            min_history_days: 120,
            max_age_days: None,
            max_bytes: 2 << 30,
            max_memory_mib: 256,
            max_series: None,
            max_examples: 5,
        }
    }
}

impl Contract {
    /// The contract for a validation file that accompanies a training file: the same columns and
    /// ranges, but it may be short, since nothing is held out of it.
    #[must_use]
    pub fn for_validation(&self) -> Self {
        Self {
            min_rows: 1,
            min_history_days: 1,
            ..self.clone()
        }
    }
}

/// The accepted names of each required column; case and surrounding spaces don't matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The day of the sales. Default `date`.
    pub date: Vec<String>,
    /// The store's number. Default `store`, `store_id`.
    pub store: Vec<String>,
    /// The item's number. Default `item`, `item_id`.
    pub item: Vec<String>,
    /// The units sold, which is what the model forecasts. Default `sales`, `target`.
    pub sales: Vec<String>,
}

impl Default for Columns {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            date: names(&["date"]),
            store: names(&["store", "store_id"]),
            item: names(&["item", "item_id"]),
            sales: names(&["sales", "target"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_only_what_differs() {
        let contract: Contract =
            serde_json::from_str(r#"{"max_age_days": 30, "columns": {"sales": ["units"]}}"#)
                .unwrap();
        assert_eq!(contract.max_age_days, Some(30));
        assert_eq!(contract.columns.sales, ["units"]);
        assert_eq!(contract.columns.store, ["store", "store_id"]);
        assert_eq!(contract.min_history_days, 120);
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        assert!(serde_json::from_str::<Contract>(r#"{"max_age": 30}"#).is_err());
    }
}
