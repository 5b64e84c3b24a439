//! From parts to a release.

use domain::{
    ports::Package,
    release::{Image, Manifest, Model, SCHEMA},
};

use crate::Config;

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

/// Whether a name is a burstable instance type, which SageMaker doesn't autoscale.
pub fn is_burstable(instance_type: &str) -> bool {
    instance_type.starts_with("ml.t2.") || instance_type.starts_with("ml.t3.")
}
