//! From parts to a release, and from a release to what EKS and SageMaker are given.

use std::collections::BTreeMap;

use domain::{
    Result,
    ports::{DeploymentPatch, EndpointSpec, Package},
    release::{Image, Manifest, Model, SCHEMA},
};

use crate::Config;

/// Our name as a Kubernetes field manager. One manager, one way of writing: server-side apply.
pub const FIELD_MANAGER: &str = "retail-forecast";

/// The model part of a package; the name of the metadata that is missing otherwise.
pub fn model(package: &Package) -> std::result::Result<Model, &'static str> {
    let metadata = |name: &'static str| package.metadata.get(name).cloned().ok_or(name);
    Ok(Model {
        package_arn: package.arn.clone(),
        training_job: metadata("training_job")?,
        dataset: metadata("dataset")?,
        uri: package.model_uri.clone(),
        digest: metadata("model_digest")?,
    })
}

/// The version number at the end of a package ARN.
pub fn version(package_arn: &str) -> Option<u32> {
    package_arn.rsplit('/').next()?.parse().ok()
}

/// The release of a model, an image and the settings' configuration.
pub fn manifest(config: &Config, model: Model, image: Image) -> Manifest {
    Manifest {
        schema: SCHEMA,
        environment: config.environment.clone(),
        model,
        image,
        configuration: config.configuration.clone(),
    }
}

/// What the Deployment is given. The pod template carries the model's place and digest, so that
/// going back to a release takes its model along.
pub fn patch(release: &str, manifest: &Manifest, reason: &str) -> Result<DeploymentPatch> {
    let mut environment = manifest.configuration.environment.clone();
    environment.extend([
        ("DEPLOYMENT_ID".to_owned(), release.to_owned()),
        ("MODEL_DIGEST".to_owned(), manifest.model.digest.clone()),
        ("MODEL_URI".to_owned(), manifest.model.uri.clone()),
    ]);
    Ok(DeploymentPatch {
        image: manifest.image.reference()?,
        environment,
        annotations: BTreeMap::from([
            (
                "kubernetes.io/change-cause".to_owned(),
                format!("{release}: {reason}"),
            ),
            ("retail-forecast/release".to_owned(), release.to_owned()),
            (
                "retail-forecast/model-package".to_owned(),
                manifest.model.package_arn.clone(),
            ),
        ]),
    })
}

/// What the SageMaker endpoint is given. The configuration's name is computed from what it serves.
pub fn endpoint(config: &Config, manifest: &Manifest) -> Result<EndpointSpec> {
    let configuration = &manifest.configuration;
    Ok(EndpointSpec {
        endpoint: config.endpoint.clone(),
        config: domain::release::endpoint_config(manifest)?,
        package_arn: manifest.model.package_arn.clone(),
        role_arn: config.role_arn.clone(),
        instance_type: configuration.endpoint_instance_type.clone(),
        instance_count: configuration.endpoint_instance_count,
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("Environment".to_owned(), config.environment.clone()),
        ]),
    })
}

/// Whether a name is a burstable instance type, which SageMaker doesn't autoscale.
pub fn is_burstable(instance_type: &str) -> bool {
    instance_type.starts_with("ml.t2.") || instance_type.starts_with("ml.t3.")
}
