//! What EKS and SageMaker are given so that they serve a release: the same for a deployment and for the
//! way back.

use std::collections::BTreeMap;

use crate::{
    Result,
    ports::{DeploymentPatch, EndpointSpec},
    release::{Manifest, endpoint_config},
    rollout::Deployment,
};

/// Our name as a Kubernetes field manager. One manager, one way of writing: server-side apply.
pub const FIELD_MANAGER: &str = "retail-forecast";

/// Field managers that own the image beside us and `first_manager`, whose first manifests we take over.
pub fn strangers<'a>(deployment: &'a Deployment, first_manager: &str) -> Vec<&'a str> {
    let managers = deployment.image_managers.iter().map(String::as_str);
    managers
        .filter(|manager| *manager != FIELD_MANAGER && *manager != first_manager)
        .collect()
}

/// What the Deployment is given. The pod template carries the model's place and digest, so that
/// going back to a release takes its model along.
pub fn deployment(release: &str, manifest: &Manifest, reason: &str) -> Result<DeploymentPatch> {
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

/// What the SageMaker endpoint is given, without a word on how it changes over. The configuration's name
/// is computed from what it serves.
pub fn endpoint(name: &str, role_arn: &str, manifest: &Manifest) -> Result<EndpointSpec> {
    let configuration = &manifest.configuration;
    Ok(EndpointSpec {
        endpoint: name.to_owned(),
        config: endpoint_config(manifest)?,
        package_arn: manifest.model.package_arn.clone(),
        role_arn: role_arn.to_owned(),
        instance_type: configuration.endpoint_instance_type.clone(),
        instance_count: configuration.endpoint_instance_count,
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("Environment".to_owned(), manifest.environment.clone()),
        ]),
        update: None,
    })
}
