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

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const RELEASE: &str = "retail-forecast/release";
const MODEL_PACKAGE: &str = "retail-forecast/model-package";

/// Variables of the API's container that name a release.
pub const VARIABLES: [&str; 3] = ["DEPLOYMENT_ID", "MODEL_DIGEST", "MODEL_URI"];

/// Annotations of the Deployment and of its pods that name a release.
pub const ANNOTATIONS: [&str; 3] = [CHANGE_CAUSE, RELEASE, MODEL_PACKAGE];

/// Field managers that own what names a release, beside us and those that are `taken_over`.
pub fn strangers<'a>(deployment: &'a Deployment, taken_over: &str) -> Vec<&'a str> {
    let managers = deployment.image_managers.iter().map(String::as_str);
    managers
        .filter(|manager| *manager != FIELD_MANAGER && !is_named(manager, taken_over))
        .collect()
}

/// Whether one of those that are `taken_over` owns what names a release.
pub fn is_taken_over(deployment: &Deployment, taken_over: &str) -> bool {
    let mut managers = deployment.image_managers.iter();
    managers.any(|manager| is_named(manager, taken_over))
}

/// Whether a field manager is among these names: one, or several with commas between them, as people are told
/// them.
pub fn is_named(manager: &str, names: &str) -> bool {
    names.split(',').any(|name| name.trim() == manager)
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
            (CHANGE_CAUSE.to_owned(), format!("{release}: {reason}")),
            (RELEASE.to_owned(), release.to_owned()),
            (MODEL_PACKAGE.to_owned(), manifest.model.package_arn.clone()),
        ]),
    })
}

/// Whether the Deployment carries all of a patch but its change-cause. A release's id stands for its
/// variables: they are written together.
pub fn carries(deployment: &Deployment, patch: &DeploymentPatch) -> bool {
    let told = |(name, value): (&String, &String)| {
        name == CHANGE_CAUSE || deployment.annotations.get(name) == Some(value)
    };
    deployment.image.as_ref() == Some(&patch.image)
        && patch
            .environment
            .iter()
            .all(|(name, value)| deployment.environment.get(name) == Some(value))
        && patch.annotations.iter().all(told)
}

/// How many pods a canary has beside `live` ones, so that it gets about `share_percent` of the requests:
/// the Service spreads them evenly over the pods. At least one.
pub fn canary_pods(live: u32, share_percent: u32) -> u32 {
    let share = share_percent.clamp(1, 99);
    // canary / (live + canary) = share / 100
    let rest = 100 - share;
    ((live * share + rest / 2) / rest).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_has_its_share_of_the_pods_and_at_least_one() {
        let cases = [
            ((2, 20), 1),
            ((8, 20), 2),
            ((10, 10), 1),
            ((1, 1), 1),
            ((0, 50), 1),
            ((3, 50), 3),
        ];
        for ((live, share), pods) in cases {
            assert_eq!(canary_pods(live, share), pods, "{share} % beside {live}");
        }
    }

    #[test]
    fn what_a_deployment_carries_is_told_by_image_variables_and_annotations() {
        let map = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        let patch = DeploymentPatch {
            image: "infer@a".to_owned(),
            environment: map(&[("DEPLOYMENT_ID", "release-a")]),
            annotations: map(&[
                (CHANGE_CAUSE, "now"),
                ("retail-forecast/release", "release-a"),
            ]),
        };
        let runs = Deployment {
            image: Some("infer@a".to_owned()),
            environment: map(&[("DEPLOYMENT_ID", "release-a"), ("NAMESPACE", "dev")]),
            annotations: map(&[
                (CHANGE_CAUSE, "then"),
                ("retail-forecast/release", "release-a"),
            ]),
            ..Deployment::default()
        };
        assert!(carries(&runs, &patch));
        let mut other = runs.clone();
        other.image = Some("infer@b".to_owned());
        assert!(!carries(&other, &patch));
        let mut other = runs.clone();
        other.environment = map(&[("DEPLOYMENT_ID", "release-b")]);
        assert!(!carries(&other, &patch));
    }
}
