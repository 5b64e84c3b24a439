//! Requests for model packages.

use serde_json::{Map, Value, json};

use crate::{
    error::ApiError,
    input::Input,
    names::{PLAIN, is_plain},
};

/// The statuses a person or a gate gives a version.
pub(super) const APPROVALS: [&str; 3] = ["Approved", "Rejected", "PendingManualApproval"];
/// Metadata properties a package may have.
pub(super) const METADATA_LIMIT: usize = 50;
/// Members that are described back as they came.
const ECHOED: [&str; 17] = [
    "ModelPackageDescription",
    "ModelPackageRegistrationType",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "MetadataProperties",
    "ModelMetrics",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelLifeCycle",
];

/// Refuses what is wrong with a new package, and what is left out.
pub(super) fn check(input: &Input) -> Result<(), ApiError> {
    input
        .checks()
        .name("ModelPackageName")
        .length("ModelPackageDescription", 1_024)
        .one_line("ModelPackageDescription")
        .one_of("ModelApprovalStatus", &APPROVALS)
        .length("CustomerMetadataProperties", METADATA_LIMIT)
        .length("ClientToken", 36)
        .length("Tags", 50)
        .finish()?;
    input.without(&[
        "ValidationSpecification",
        "AdditionalInferenceSpecifications",
        "ModelCard",
        "ManagedStorageType",
    ])?;
    check_metadata(input)?;
    let containers = input.list("InferenceSpecification.Containers");
    if containers.len() > 1 {
        return Err(ApiError::left_out("packages of more than one container"));
    }
    if containers.iter().any(|c| c["Image"].as_str().is_none()) {
        return Err(ApiError::left_out("a container without an Image"));
    }
    if containers.is_empty() && input.at("SourceAlgorithmSpecification").is_none() {
        return Err(ApiError::validation(
            "One of InferenceSpecification or SourceAlgorithmSpecification must be provided.",
        ));
    }
    Ok(())
}

/// Keys of 128, values of 256 characters at most, both of the characters that tags may have.
pub(super) fn check_metadata(input: &Input) -> Result<(), ApiError> {
    let wrong = |(key, value): &(String, String)| {
        key.is_empty()
            || key.chars().count() > 128
            || value.chars().count() > 256
            || !is_plain(key)
            || !is_plain(value)
    };
    let properties = input.texts("CustomerMetadataProperties");
    properties.iter().find(|p| wrong(p)).map_or(Ok(()), |(key, value)| {
        Err(ApiError::validation(format!(
            "1 validation error detected: Value '{value}' at 'customerMetadataProperties.{key}' failed to \
             satisfy constraint: keys have 1 to 128 characters, values 256 at most, and both satisfy \
             regular expression pattern: {PLAIN}"
        )))
    })
}

/// What a new package holds: what the request says, and what is known without it.
pub(super) fn content(input: &Input, versioned: bool) -> Map<String, Value> {
    let mut content = input.keep(&ECHOED);
    if versioned {
        content
            .entry("ModelApprovalStatus")
            .or_insert_with(|| json!("PendingManualApproval"));
    }
    let containers = content
        .get_mut("InferenceSpecification")
        .and_then(|specification| specification.get_mut("Containers"))
        .and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let digest = container["Image"]
            .as_str()
            .and_then(|image| image.split_once('@'))
            .map(|(_, digest)| json!(digest));
        if let Some(digest) = digest {
            container["ImageDigest"] = digest;
        }
    }
    content
}
