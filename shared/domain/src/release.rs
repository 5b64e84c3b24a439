//! A release is one manifest of identities; an environment's pointer says which release it runs.
//!
//! The manifest is stored once under its own digest. The pointer moves by compare-and-swap, and only
//! a verified release becomes known good. EKS and the SageMaker endpoint converge on the pointer.

mod pointer;
mod target;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, names};

pub use pointer::Pointer;
pub use target::{Held, KnownGood, Progress, Restore, Target};

/// Version of the stored shape of manifests and pointers.
pub const SCHEMA: u32 = 1;

/// The model of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// ARN of the model package version.
    pub package_arn: String,
    /// Training job that made the model.
    pub training_job: String,
    /// Data set (digest) that the model learned from.
    pub dataset: String,
    /// `s3://…/model.tar.gz`.
    pub uri: String,
    /// SHA-256 of that file, hex; a pod refuses to start on another.
    pub digest: String,
}

/// The image of a release, by digest and never by tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `{account}.dkr.ecr.{region}.amazonaws.com/{repository}`.
    pub repository: String,
    /// `sha256:{64 hex}`.
    pub digest: String,
}

impl Image {
    /// `{repository}@{digest}`. The API server accepts malformed digests, so they are refused here.
    pub fn reference(&self) -> Result<String> {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            Ok(format!("{}@{}", self.repository, self.digest))
        } else {
            Err(Error::malformed(format!(
                "image digest `{}`: `sha256:` and 64 hexadecimal digits expected",
                self.digest
            )))
        }
    }
}

/// What a release sets beside model and image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Instance type of the SageMaker endpoint.
    pub endpoint_instance_type: String,
    /// Instances the endpoint starts with; autoscaling owns the count afterwards.
    pub endpoint_instance_count: u32,
    /// Variables of the API container beside those that name the release.
    pub environment: BTreeMap<String, String>,
}

/// Everything that a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// The model part.
    pub model: Model,
    /// The image part.
    pub image: Image,
    /// The configuration part.
    pub configuration: Configuration,
}

impl Manifest {
    /// `release-{12 hex}`: the digest of the identities. The same parts are the same release.
    pub fn id(&self) -> Result<String> {
        let bytes = serde_json::to_vec(self).map_err(|error| {
            Error::permanent("a release manifest can't be written as JSON").because(error)
        })?;
        Ok(format!(
            "release-{}",
            names::short(&names::digest_bytes(&bytes))
        ))
    }
}

/// Name of the endpoint configuration that serves a release's model. The same package on the same
/// instances has the same configuration, so a release that changes only the image keeps it.
pub fn endpoint_config(manifest: &Manifest) -> Result<String> {
    let settings = format!(
        "{} x {}",
        manifest.configuration.endpoint_instance_type,
        manifest.configuration.endpoint_instance_count
    );
    names::endpoint_config(
        &manifest.environment,
        &manifest.model.package_arn,
        &settings,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA,
            environment: "dev".to_owned(),
            model: Model {
                package_arn: "arn:aws:sagemaker:r:1:model-package/retail-forecast-models/1"
                    .to_owned(),
                training_job: "retail-forecast-build-1".to_owned(),
                dataset: "0a".to_owned(),
                uri: "s3://a/models/x".to_owned(),
                digest: "ab".to_owned(),
            },
            image: Image {
                repository: "1.dkr.ecr.r.amazonaws.com/retail-forecast-infer".to_owned(),
                digest: format!("sha256:{}", "0".repeat(64)),
            },
            configuration: Configuration {
                endpoint_instance_type: "ml.t2.medium".to_owned(),
                endpoint_instance_count: 1,
                environment: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn a_release_is_its_parts() {
        let first = manifest();
        let mut second = manifest();
        assert_eq!(first.id().unwrap(), second.id().unwrap());
        second
            .configuration
            .environment
            .insert("A".to_owned(), "1".to_owned());
        assert_ne!(first.id().unwrap(), second.id().unwrap());
    }

    #[test]
    fn malformed_digests_are_refused() {
        let mut image = manifest().image;
        assert!(image.reference().unwrap().ends_with(&"0".repeat(64)));
        image.digest = "sha256:zz".to_owned();
        assert!(image.reference().is_err());
    }
}
