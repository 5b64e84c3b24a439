//! The function's settings.

use std::time::Duration;

use domain::{Error, Result, layout::Artifacts, settings::Settings};

use crate::decide::Policy;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where plans, data sets, predictions and judgements are.
    pub artifacts: Artifacts,
    /// The gates' limits.
    pub policy: Policy,
    /// Longest wait for the other side after one side's end.
    pub max_wait: Duration,
}

impl Config {
    /// Reads `ARTIFACTS_BUCKET`, `MIN_ACCURACY` (0 to 1), `TOLERANCE` (share by which an error may
    /// exceed the baseline's), `MIN_ROWS`, `BEAT_NAIVE` (`true` or `false`) and `MAX_WAIT_S` (seconds).
    pub fn read(settings: &Settings) -> Result<Self> {
        let policy = Policy {
            min_accuracy: settings.parsed("MIN_ACCURACY")?,
            tolerance: settings.parsed("TOLERANCE")?,
            min_rows: settings.parsed("MIN_ROWS")?,
            beat_naive: settings.parsed("BEAT_NAIVE")?,
        };
        // `NaN` reads as a number, and every comparison with it fails.
        if !(0.0..=1.0).contains(&policy.min_accuracy) {
            return Err(Error::permanent(format!(
                "MIN_ACCURACY is {}: from 0 to 1 expected",
                policy.min_accuracy
            )));
        }
        if !(policy.tolerance >= 0.0 && policy.tolerance.is_finite()) {
            return Err(Error::permanent(format!(
                "TOLERANCE is {}: 0 or more expected",
                policy.tolerance
            )));
        }
        Ok(Self {
            artifacts: Artifacts::new(settings.text("ARTIFACTS_BUCKET")?),
            policy,
            max_wait: Duration::from_secs(settings.parsed("MAX_WAIT_S")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        let read = |changes: &[(&str, &str)]| {
            let defaults = [
                ("ARTIFACTS_BUCKET", "artifacts"),
                ("MIN_ACCURACY", "0.85"),
                ("TOLERANCE", "0.10"),
                ("MIN_ROWS", "100"),
                ("BEAT_NAIVE", "true"),
                ("MAX_WAIT_S", "3600"),
            ];
            let all = defaults.iter().chain(changes);
            Config::read(&Settings::new(
                all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            ))
        };
        assert_eq!(read(&[]).unwrap().policy.min_rows, 100);
        for (name, value) in [
            ("MIN_ACCURACY", "85"),
            ("MIN_ACCURACY", "NaN"),
            ("TOLERANCE", "-0.1"),
            ("TOLERANCE", "NaN"),
            ("BEAT_NAIVE", "yes"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
