//! Hyperparameters, which SageMaker hands over as a JSON object of strings.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What training can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Trees at most; fewer where days held out of the training data show no further gain.
    pub n_estimators: usize,
    /// Splits at most from a tree's root to a leaf.
    pub max_depth: usize,
    /// Leaves at most in a tree.
    pub max_leaves: usize,
    /// Seed of everything random: equal seeds and data give the same model, byte for byte.
    pub random_state: u64,
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self {
            n_estimators: 200,
            max_depth: 10,
            max_leaves: 31,
            random_state: 42,
        }
    }
}

/// Why hyperparameters can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HyperparameterError {
    /// Nobody reads a parameter of this name.
    #[error(
        "hyperparameter `{0}` is unknown (known: n_estimators, max_depth, max_leaves, random_state)"
    )]
    Unknown(String),
    /// The text is no such number, or outside the range.
    #[error("hyperparameter `{name}`: `{value}` is not a whole number from {low} to {high}")]
    Invalid {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
        /// The smallest value taken.
        low: String,
        /// The largest value taken.
        high: String,
    },
}

impl Hyperparameters {
    /// Reads SageMaker's map of names to text; what isn't named keeps its default. Names beginning
    /// with `_` or `sagemaker_` are SageMaker's own (tuning jobs add them) and passed over.
    ///
    /// # Errors
    ///
    /// An unknown name, or a value that can't be used.
    pub fn parse(given: &BTreeMap<String, String>) -> Result<Self, HyperparameterError> {
        let mut parameters = Self::default();
        for (name, value) in given {
            match name.as_str() {
                "n_estimators" => parameters.n_estimators = number(name, value, 1..=10_000)?,
                "max_depth" => parameters.max_depth = number(name, value, 1..=64)?,
                "max_leaves" => parameters.max_leaves = number(name, value, 2..=4_096)?,
                "random_state" => parameters.random_state = number(name, value, 0..=u64::MAX)?,
                own if own.starts_with('_') || own.starts_with("sagemaker_") => {}
                _ => return Err(HyperparameterError::Unknown(name.clone())),
            }
        }
        Ok(parameters)
    }
}

fn number<T: FromStr + PartialOrd + Display>(
    name: &str,
    value: &str,
    range: RangeInclusive<T>,
) -> Result<T, HyperparameterError> {
    // SageMaker's SDK encodes values as JSON, so that text may come with quotes of its own.
    let text = value.trim().trim_matches('"');
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| HyperparameterError::Invalid {
            name: name.to_owned(),
            value: value.to_owned(),
            low: range.start().to_string(),
            high: range.end().to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Hyperparameters, HyperparameterError> {
        let given = pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Hyperparameters::parse(&given)
    }

    #[test]
    fn what_is_not_named_keeps_its_default() {
        assert_eq!(parse(&[]).unwrap(), Hyperparameters::default());
        let some = parse(&[
            ("n_estimators", "50"),
            ("random_state", "\"7\""),
            ("_tuning_objective_metric", "x"),
        ]);
        let wanted = Hyperparameters {
            n_estimators: 50,
            random_state: 7,
            ..Hyperparameters::default()
        };
        assert_eq!(some.unwrap(), wanted);
    }

    #[test]
    fn an_error_names_the_parameter() {
        for (name, value) in [
            ("n_estimator", "50"),
            ("n_estimators", "fifty"),
            ("n_estimators", "0"),
            ("max_depth", "-1"),
            ("max_depth", "1e2"),
            ("max_leaves", "1"),
            ("random_state", ""),
        ] {
            let error = parse(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}
