//! What `serve` is told by its environment.

use std::time::Duration;

/// Settings of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `SERVE_PORT`: the port listened on, 8080 by default; 0 takes any free one.
    pub port: u16,
    /// `MODEL_URI`: `s3://bucket/key` or the path of a `model.tar.gz`.
    pub model_uri: Option<String>,
    /// `MODEL_DIGEST`: the SHA-256 the `model.tar.gz` must have, lower-case hexadecimal.
    pub model_digest: Option<String>,
    /// `DEPLOYMENT_ID`: the release served.
    pub release: Option<String>,
    /// `NAMESPACE`: metrics are published in `RetailForecast/{NAMESPACE}`, and only if it is set.
    pub namespace: Option<String>,
    /// `METRICS_PERIOD_S`: seconds between publications of metrics, 60 by default.
    pub metrics_period: Duration,
    /// `DRAIN_S`: seconds between the signal to stop, from which on the service says that it isn't
    /// ready, and the moment it takes no more connections; 5 by default.
    pub drain: Duration,
}

/// A variable that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: `{value}` is not {wanted}")]
pub struct SettingError {
    name: &'static str,
    value: String,
    wanted: &'static str,
}

impl Settings {
    /// Reads the settings through `variable`, which gives a variable's value. Empty values count as
    /// not set.
    ///
    /// # Errors
    ///
    /// The first variable that can't be used.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let get = |name| variable(name).filter(|value| !value.is_empty());
        let number = |name, default: u64, wanted, valid: fn(u64) -> bool| match get(name) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .ok()
                .filter(|n| valid(*n))
                .ok_or(SettingError {
                    name,
                    value,
                    wanted,
                }),
        };
        let port = number("SERVE_PORT", 8080, "a port", |n| u16::try_from(n).is_ok())?;
        let digest = match get("MODEL_DIGEST") {
            None => None,
            Some(value) => {
                let hex = value.trim_start_matches("sha256:").to_ascii_lowercase();
                let valid = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
                let wanted = "a SHA-256 in hexadecimal";
                Some(valid.then_some(hex).ok_or(SettingError {
                    name: "MODEL_DIGEST",
                    value,
                    wanted,
                })?)
            }
        };
        let seconds = "a whole number of seconds";
        Ok(Self {
            port: u16::try_from(port).unwrap_or_default(),
            model_uri: get("MODEL_URI"),
            model_digest: digest,
            release: get("DEPLOYMENT_ID"),
            namespace: get("NAMESPACE"),
            metrics_period: Duration::from_secs(number(
                "METRICS_PERIOD_S",
                60,
                "a whole number of seconds above 0",
                |n| n > 0,
            )?),
            drain: Duration::from_secs(number("DRAIN_S", 5, seconds, |_| true)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingError> {
        Settings::read(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_hold_where_nothing_is_said() {
        let settings = read(&[("DEPLOYMENT_ID", "")]).unwrap();
        assert_eq!(settings.port, 8080);
        assert_eq!(settings.metrics_period, Duration::from_mins(1));
        assert_eq!(settings.release, None);
    }

    #[test]
    fn an_error_names_the_variable() {
        for (name, value) in [
            ("SERVE_PORT", "70000"),
            ("METRICS_PERIOD_S", "0"),
            ("DRAIN_S", "5s"),
            ("MODEL_DIGEST", "abc"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: `{value}`")), "{error}");
        }
        let digest = format!("sha256:{}", "AB".repeat(32));
        let settings = read(&[("MODEL_DIGEST", &digest)]).unwrap();
        assert_eq!(settings.model_digest, Some("ab".repeat(32)));
    }
}
