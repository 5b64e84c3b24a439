//! Settings from environment variables: read once at start, and every error names the variable.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use crate::{Error, Result};

/// The variables of one function.
#[derive(Debug, Clone)]
pub struct Settings {
    variables: BTreeMap<String, String>,
}

impl Settings {
    /// Takes the variables, usually `std::env::vars()`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }

    /// A variable that must be set and not empty.
    pub fn text(&self, name: &str) -> Result<String> {
        match self.variables.get(name) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            Some(_) => Err(Error::permanent(format!(
                "the environment variable {name} is empty"
            ))),
            None => Err(Error::permanent(format!(
                "the environment variable {name} is not set"
            ))),
        }
    }

    /// A variable that may be absent or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.variables
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }

    /// A variable of a type that reads from text: a number, a duration in seconds, `true`.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T> {
        let value = self.text(name)?;
        value.trim().parse().map_err(|error| {
            Error::permanent(format!(
                "the environment variable {name} is `{value}`: {error}"
            ))
        })
    }

    /// A variable that holds JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.text(name)?;
        serde_json::from_str(&value).map_err(|error| {
            Error::permanent(format!(
                "the environment variable {name} is not the JSON expected: {error}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_variable() {
        let settings = Settings::new([
            ("A".to_owned(), "x".to_owned()),
            ("B".to_owned(), String::new()),
        ]);
        assert_eq!(settings.text("A").unwrap(), "x");
        assert_eq!(settings.optional("B"), None);
        for (error, name) in [
            (settings.text("B").unwrap_err(), "B"),
            (settings.text("C").unwrap_err(), "C"),
            (settings.parsed::<f64>("A").unwrap_err(), "A"),
            (settings.json::<Vec<u32>>("A").unwrap_err(), "A"),
        ] {
            assert!(
                error.to_string().contains(&format!("variable {name} ")),
                "{error}"
            );
        }
    }
}
