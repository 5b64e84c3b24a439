//! The function's settings.

use domain::{Error, Result, layout::Artifacts, settings::Settings};

use crate::decide::Policy;

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Where releases, data sets, predictions and judgements are.
    pub artifacts: Artifacts,
    /// When a model is trained anew.
    pub policy: Policy,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// KMS key of what the jobs write; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Instance type of the transforms.
    pub instance_type: String,
}

impl Config {
    /// Reads `ENVIRONMENT`, `ARTIFACTS_BUCKET`, `EXECUTION_ROLE_ARN`, `DATA_KEY_ARN` (may be empty),
    /// `TRANSFORM_INSTANCE_TYPE`, `MIN_ROWS`, `MIN_ACCURACY` and `MAX_ACCURACY_DROP` (both from 0 to 1).
    pub fn read(settings: &Settings) -> Result<Self> {
        let policy = Policy {
            min_rows: settings.parsed("MIN_ROWS")?,
            min_accuracy: settings.parsed("MIN_ACCURACY")?,
            max_accuracy_drop: settings.parsed("MAX_ACCURACY_DROP")?,
        };
        for (name, share) in [
            ("MIN_ACCURACY", policy.min_accuracy),
            ("MAX_ACCURACY_DROP", policy.max_accuracy_drop),
        ] {
            // `NaN` reads as a number, and every comparison with it fails.
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::permanent(format!(
                    "{name} is {share}: from 0 to 1 expected"
                )));
            }
        }
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts: Artifacts::new(settings.text("ARTIFACTS_BUCKET")?),
            policy,
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            key_arn: settings.optional("DATA_KEY_ARN"),
            instance_type: settings.text("TRANSFORM_INSTANCE_TYPE")?,
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
                ("ENVIRONMENT", "dev"),
                ("ARTIFACTS_BUCKET", "artifacts"),
                ("EXECUTION_ROLE_ARN", "role"),
                ("TRANSFORM_INSTANCE_TYPE", "ml.m5.large"),
                ("MIN_ROWS", "100"),
                ("MIN_ACCURACY", "0.85"),
                ("MAX_ACCURACY_DROP", "0.05"),
            ];
            let all = defaults.iter().chain(changes);
            Config::read(&Settings::new(
                all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            ))
        };
        assert_eq!(read(&[]).unwrap().policy.min_rows, 100);
        for (name, value) in [
            ("MIN_ACCURACY", "85"),
            ("MAX_ACCURACY_DROP", "NaN"),
            ("MAX_ACCURACY_DROP", "5 %"),
            ("MIN_ROWS", "-1"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
