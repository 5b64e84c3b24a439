//! What is read from a Deployment, and the part of it that we own.

use std::collections::BTreeMap;

use domain::{ports::DeploymentPatch, rollout::Deployment};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment as KubeDeployment, DeploymentSpec, DeploymentStatus},
        core::v1::Container,
    },
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use serde_json::{Value, json};

/// The field manager of everything we apply: one, always the same, or we conflict with ourselves.
pub(super) const MANAGER: &str = domain::names::PROJECT;

/// Reads a Deployment with an eye on one of its containers.
pub(super) fn read(found: KubeDeployment, container: &str) -> Deployment {
    let spec = found.spec.unwrap_or_default();
    let status = found.status.unwrap_or_default();
    let managers = found.metadata.managed_fields.unwrap_or_default();
    let containers = containers(&spec);
    let ours = containers.iter().find(|found| found.name == container);
    Deployment {
        generation: found.metadata.generation.unwrap_or_default(),
        observed_generation: status.observed_generation.unwrap_or_default(),
        // The API server's default.
        wanted: spec.replicas.unwrap_or(1),
        updated: status.updated_replicas.unwrap_or_default(),
        replicas: status.replicas.unwrap_or_default(),
        available: status.available_replicas.unwrap_or_default(),
        paused: spec.paused.unwrap_or_default(),
        deadline_exceeded: deadline_exceeded(&status),
        containers: containers.iter().map(|found| found.name.clone()).collect(),
        image: ours.and_then(|found| found.image.clone()),
        environment: ours.map(environment).unwrap_or_default(),
        annotations: spec
            .template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.annotations.clone())
            .unwrap_or_default(),
        image_managers: image_managers(&managers, container),
    }
}

fn containers(spec: &DeploymentSpec) -> &[Container] {
    spec.template
        .spec
        .as_ref()
        .map_or(&[], |pod| pod.containers.as_slice())
}

/// Variables with a value of their own; those taken from secrets and the like aren't ours to restore.
fn environment(container: &Container) -> BTreeMap<String, String> {
    container
        .env
        .iter()
        .flatten()
        .filter(|variable| variable.value_from.is_none())
        .map(|variable| {
            (
                variable.name.clone(),
                variable.value.clone().unwrap_or_default(),
            )
        })
        .collect()
}

fn deadline_exceeded(status: &DeploymentStatus) -> bool {
    status.conditions.iter().flatten().any(|condition| {
        condition.type_ == "Progressing"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })
}

/// Managers that own the image of a container, in the order of the API.
fn image_managers(managers: &[ManagedFieldsEntry], container: &str) -> Vec<String> {
    let key = format!("k:{}", json!({ "name": container }));
    let path = [
        "f:spec",
        "f:template",
        "f:spec",
        "f:containers",
        key.as_str(),
        "f:image",
    ];
    let owns = |fields: &Value| {
        path.iter()
            .try_fold(fields, |fields, step| fields.get(step))
            .is_some()
    };
    managers
        .iter()
        .filter(|entry| {
            entry
                .fields_v1
                .as_ref()
                .is_some_and(|fields| owns(&fields.0))
        })
        .filter_map(|entry| entry.manager.clone())
        .collect()
}

/// The fields that we own, for server-side apply; what was ours and isn't here is removed. Without
/// replicas, which autoscalers own.
pub(super) fn partial(name: &str, container: &str, patch: &DeploymentPatch) -> Value {
    let environment: Vec<Value> = patch
        .environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": patch.annotations},
        "spec": {"template": {
            "metadata": {"annotations": patch.annotations},
            "spec": {"containers": [{
                "name": container,
                "image": patch.image,
                "env": environment
            }]}
        }}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> KubeDeployment {
        let text = include_str!("../../fixtures/deployment-deadline-exceeded.json");
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_deployment_is_read_as_the_api_records_it() {
        let read = read(fixture(), "api");
        assert!(read.deadline_exceeded);
        assert!(!read.paused);
        assert_eq!(read.generation, read.observed_generation);
        assert_eq!((read.wanted, read.containers), (3, vec!["api".to_owned()]));
        assert!(read.image.unwrap().contains("@sha256:"));
        assert_eq!(read.image_managers, ["retail-forecast-deployer"]);
    }

    #[test]
    fn another_container_s_image_is_none_of_ours() {
        let read = read(fixture(), "sidecar");
        assert_eq!(read.image, None);
        assert!(read.image_managers.is_empty());
    }

    #[test]
    fn variables_from_elsewhere_are_left_out() {
        let container: Container = serde_json::from_value(json!({
            "name": "api",
            "env": [
                {"name": "MODEL_URI", "value": "s3://a/m"},
                {"name": "EMPTY"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
            ]
        }))
        .unwrap();
        let environment: Vec<_> = environment(&container).into_iter().collect();
        assert_eq!(
            environment,
            [
                ("EMPTY".to_owned(), String::new()),
                ("MODEL_URI".to_owned(), "s3://a/m".to_owned())
            ]
        );
    }
}
