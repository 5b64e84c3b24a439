//! The function's settings.

use dataset::Contract;
use domain::{Error, Result, layout::Artifacts, settings::Settings};
use jiff::SignedDuration;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bucket of uploads.
    pub data_bucket: String,
    /// Where accepted data goes.
    pub artifacts: Artifacts,
    /// Days held out of a training file that has no validation file.
    pub holdout_days: u32,
    /// The data contract of training files.
    pub contract: Contract,
    /// How long a validation file waits for its training file before people are told.
    pub await_training: SignedDuration,
}

impl Config {
    /// Reads `DATA_BUCKET`, `ARTIFACTS_BUCKET`, `HOLDOUT_DAYS`, `AWAIT_TRAINING_S` (seconds), and of
    /// the contract `MIN_ROWS`, `MAX_SALES` (units), `MIN_HISTORY_DAYS`, `MAX_BYTES` (of both files
    /// together, as uploaded and unpacked), `MAX_MEMORY_MIB`, `MAX_SERIES` and `MAX_AGE_DAYS` (no limit when
    /// empty).
    pub fn read(settings: &Settings) -> Result<Self> {
        let max_age_days = match settings.optional("MAX_AGE_DAYS") {
            Some(_) => Some(settings.parsed("MAX_AGE_DAYS")?),
            None => None,
        };
        let contract = Contract {
            min_rows: settings.parsed("MIN_ROWS")?,
            max_sales: settings.parsed("MAX_SALES")?,
            min_history_days: settings.parsed("MIN_HISTORY_DAYS")?,
            max_age_days,
            max_bytes: settings.parsed("MAX_BYTES")?,
            max_series: Some(settings.parsed("MAX_SERIES")?),
            max_memory_mib: settings.parsed("MAX_MEMORY_MIB")?,
            ..Contract::default()
        };
        let holdout_days = settings.parsed("HOLDOUT_DAYS")?;
        if holdout_days == 0 || holdout_days >= contract.min_history_days {
            return Err(Error::permanent(format!(
                "HOLDOUT_DAYS is {holdout_days}: from 1 to less than MIN_HISTORY_DAYS ({}) expected, so that \
                 something is left to learn from",
                contract.min_history_days
            )));
        }
        let await_training: u32 = settings.parsed("AWAIT_TRAINING_S")?;
        Ok(Self {
            data_bucket: settings.text("DATA_BUCKET")?,
            artifacts: Artifacts::new(settings.text("ARTIFACTS_BUCKET")?),
            holdout_days,
            contract,
            await_training: SignedDuration::from_secs(await_training.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config> {
        let defaults = [
            ("MAX_AGE_DAYS", "92"),
            ("DATA_BUCKET", "data"),
            ("ARTIFACTS_BUCKET", "artifacts"),
            ("HOLDOUT_DAYS", "92"),
            ("MIN_ROWS", "100"),
            ("MAX_SALES", "100000"),
            ("MIN_HISTORY_DAYS", "120"),
            ("MAX_BYTES", "536870912"),
            ("MAX_MEMORY_MIB", "128"),
            ("MAX_SERIES", "10000"),
            ("AWAIT_TRAINING_S", "900"),
        ];
        let all = defaults.iter().chain(changes);
        Config::read(&Settings::new(
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    #[test]
    fn an_age_is_limited_where_one_is_set() {
        for (limit, expected) in [("92", Some(92)), ("0", Some(0)), ("", None)] {
            let config = read(&[("MAX_AGE_DAYS", limit)]).unwrap();
            assert_eq!(config.contract.max_age_days, expected, "{limit}");
        }
        let error = read(&[("MAX_AGE_DAYS", "a month")]).unwrap_err();
        assert!(error.to_string().contains("MAX_AGE_DAYS"), "{error}");
    }

    #[test]
    fn a_holdout_must_leave_something_to_learn_from() {
        for days in ["0", "120", "365"] {
            let error = read(&[("HOLDOUT_DAYS", days)]).unwrap_err();
            assert!(error.to_string().contains("HOLDOUT_DAYS"), "{error}");
        }
    }
}
