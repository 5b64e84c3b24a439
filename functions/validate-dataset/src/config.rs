//! The function's settings.

use dataset::Contract;
use domain::{Error, Result, layout::Artifacts, settings::Settings};

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
}

impl Config {
    /// Reads `DATA_BUCKET`, `ARTIFACTS_BUCKET`, `HOLDOUT_DAYS`, and of the contract `MIN_ROWS`,
    /// `MAX_SALES` (units), `MIN_HISTORY_DAYS` and, if ages are to be limited, `MAX_AGE_DAYS`.
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
        Ok(Self {
            data_bucket: settings.text("DATA_BUCKET")?,
            artifacts: Artifacts::new(settings.text("ARTIFACTS_BUCKET")?),
            holdout_days,
            contract,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config> {
        let defaults = [
            ("DATA_BUCKET", "data"),
            ("ARTIFACTS_BUCKET", "artifacts"),
            ("HOLDOUT_DAYS", "92"),
            ("MIN_ROWS", "100"),
            ("MAX_SALES", "100000"),
            ("MIN_HISTORY_DAYS", "120"),
        ];
        let all = defaults.iter().chain(changes);
        Config::read(&Settings::new(
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    #[test]
    fn ages_are_limited_only_when_asked_for() {
        assert_eq!(read(&[]).unwrap().contract.max_age_days, None);
        let limited = read(&[("MAX_AGE_DAYS", "30")]).unwrap();
        assert_eq!(limited.contract.max_age_days, Some(30));
        assert!(read(&[("MAX_AGE_DAYS", "a month")]).is_err());
    }

    #[test]
    fn a_holdout_must_leave_something_to_learn_from() {
        for days in ["0", "120", "365"] {
            let error = read(&[("HOLDOUT_DAYS", days)]).unwrap_err();
            assert!(error.to_string().contains("HOLDOUT_DAYS"), "{error}");
        }
    }
}
