//! SageMaker: training, batch transforms, the model registry and endpoints.
//!
//! The create calls are made safe to repeat in two ways, because SageMaker answers a used name in two
//! ways. Jobs answer `ResourceInUse`: create first, and describe when the name is used. Models,
//! endpoint configurations and endpoints answer a validation error, like a mistake does: describe
//! first, and again when the creation was refused. Either way, what is there is compared with what
//! was asked for.

mod endpoints;
mod models;
mod registry;
mod training;
mod transforms;

use std::{collections::BTreeMap, error::Error as StdError, fmt::Display};

use aws_sdk_sagemaker::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::Tag,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::{Error, Result, ports::Ensured};

use crate::{Context, failure::failed};

/// `text/csv`, in and out, everywhere.
const CSV: &str = "text/csv";

/// SageMaker.
#[derive(Debug, Clone)]
pub struct SageMaker {
    client: Client,
}

impl SageMaker {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context) -> Self {
        Self {
            client: Client::new(&context.of("SAGEMAKER")),
        }
    }
}

/// The answer of a describe call; `None` when there is no such thing.
fn found<T, E>(
    answer: std::result::Result<T, SdkError<E, HttpResponse>>,
    doing: impl Display,
    action: &str,
) -> Result<Option<T>>
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    match answer {
        Ok(output) => Ok(Some(output)),
        Err(error) if is_missing(error.code(), error.message()) => Ok(None),
        Err(error) => Err(failed(doing, action, error)),
    }
}

/// Most describe calls answer a missing name with a validation error that says so in words:
/// "Requested resource not found.", "Could not find model …", "ModelPackage … does not exist.".
fn is_missing(code: Option<&str>, message: Option<&str>) -> bool {
    match code {
        Some("ResourceNotFound") => true,
        Some("ValidationException") => {
            let message = message.unwrap_or_default().to_lowercase();
            ["not find", "not found", "not exist"]
                .iter()
                .any(|words| message.contains(words))
        }
        _ => false,
    }
}

/// Whether a creation may have been refused because the name is used.
fn may_exist(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("ValidationException" | "ConflictException" | "ResourceInUse")
    )
}

/// What was found under a name must be what was asked for: `(property, found, asked)` each.
fn same(what: &str, properties: &[(&str, String, String)]) -> Result<Ensured> {
    let differences: Vec<String> = properties
        .iter()
        .filter(|(_, found, asked)| found != asked)
        .map(|(property, found, asked)| format!("its {property} is `{found}`, not `{asked}`"))
        .collect();
    if differences.is_empty() {
        Ok(Ensured::AlreadySo)
    } else {
        Err(Error::permanent(format!(
            "{what} exists, but {}",
            differences.join(", and ")
        )))
    }
}

/// `name=value` pairs in order, to compare and to show.
fn pairs<'a>(map: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let map: BTreeMap<_, _> = map.into_iter().collect();
    let pairs: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(name, value)| Tag::builder().key(name).value(value).build())
        .collect()
}

/// The API's numbers are signed.
fn number(name: &str, value: u32) -> Result<i32> {
    i32::try_from(value)
        .map_err(|error| Error::permanent(format!("{name} {value} is too large")).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_absence_mean_absence() {
        for message in [
            "Requested resource not found.",
            "Could not find model \"arn:aws:sagemaker:r:1:model/m\".",
            "ModelPackageGroup arn:aws:sagemaker:r:1:model-package-group/g does not exist.",
        ] {
            assert!(is_missing(Some("ValidationException"), Some(message)));
            assert!(!is_missing(Some("AccessDeniedException"), Some(message)));
        }
        assert!(is_missing(Some("ResourceNotFound"), None));
        assert!(!is_missing(
            Some("ValidationException"),
            Some("1 validation error detected: Value at 'endpointName' failed")
        ));
    }

    #[test]
    fn differences_are_named() {
        let property = |found: &str, asked: &str| ("image", found.to_owned(), asked.to_owned());
        assert_eq!(
            same("model m", &[property("a", "a")]).unwrap(),
            Ensured::AlreadySo
        );
        let error = same("model m", &[property("a", "b")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "model m exists, but its image is `a`, not `b`"
        );
    }
}
