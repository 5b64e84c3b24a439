//! What is read from a Deployment, and the part of it that we own.

use std::collections::BTreeMap;

use domain::{converge, ports::DeploymentPatch, rollout::Deployment};
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
        image_managers: self::managers(&managers, container),
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

/// Managers that own what names a release: a container's image, its variables of ours, or our annotations;
/// in the order of the API.
fn managers(managers: &[ManagedFieldsEntry], container: &str) -> Vec<String> {
    let owners = managers.iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| owns(&fields.0, container))
    });
    let mut names: Vec<String> = vec![];
    for name in owners.filter_map(|entry| entry.manager.as_ref()) {
        // One manager has an entry for each way in which it wrote: by apply and by update.
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn owns(fields: &Value, container: &str) -> bool {
    let under = |path: &[&str]| {
        path.iter()
            .try_fold(fields, |fields, step| fields.get(step))
    };
    let named = |name: &str| format!("k:{}", json!({ "name": name }));
    let key = named(container);
    let pod = ["f:spec", "f:template", "f:spec", "f:containers", &key];
    let of_pod = under(&pod);
    let image = of_pod.and_then(|pod| pod.get("f:image"));
    let variables = of_pod.and_then(|pod| pod.get("f:env"));
    let annotations = [
        under(&["f:metadata", "f:annotations"]),
        under(&["f:spec", "f:template", "f:metadata", "f:annotations"]),
    ];
    let has = |map: Option<&Value>, key: String| map.is_some_and(|map| map.get(key).is_some());
    image.is_some()
        || converge::VARIABLES
            .iter()
            .any(|name| has(variables, named(name)))
        || converge::ANNOTATIONS
            .iter()
            .any(|name| annotations.iter().any(|map| has(*map, format!("f:{name}"))))
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
        let mut found = fixture();
        for entry in found.metadata.managed_fields.iter_mut().flatten() {
            // Annotations are the whole Deployment's, whatever the container.
            if let Some(fields) = entry.fields_v1.as_mut() {
                fields.0["f:metadata"] = Value::Null;
                fields.0["f:spec"]["f:template"]["f:metadata"] = Value::Null;
            }
        }
        let read = read(found, "sidecar");
        assert_eq!(read.image, None);
        assert!(read.image_managers.is_empty());
    }

    #[test]
    fn who_owns_a_variable_or_an_annotation_of_a_release_is_named_too() {
        let of = |fields: Value| {
            let entry = json!({"manager": "helm", "fieldsV1": fields});
            managers(&[serde_json::from_value(entry).unwrap()], "api")
        };
        let container = |fields: Value| {
            let key = r#"k:{"name":"api"}"#;
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {key: fields}}}}})
        };
        let variable = |name: &str| {
            let key = format!("k:{}", json!({ "name": name }));
            container(json!({"f:env": {".": {}, key: {".": {}, "f:name": {}, "f:value": {}}}}))
        };
        for name in ["MODEL_URI", "MODEL_DIGEST", "DEPLOYMENT_ID"] {
            assert_eq!(of(variable(name)), ["helm"], "{name}");
        }
        assert!(of(variable("LOG_LEVEL")).is_empty());
        let annotated = |name: &str| json!({"f:annotations": {format!("f:{name}"): {}}});
        for name in ["kubernetes.io/change-cause", "retail-forecast/release"] {
            assert_eq!(
                of(json!({"f:metadata": annotated(name)})),
                ["helm"],
                "{name}"
            );
            let pod = json!({"f:spec": {"f:template": {"f:metadata": annotated(name)}}});
            assert_eq!(of(pod), ["helm"], "{name}");
        }
        let other = annotated("deployment.kubernetes.io/revision");
        assert!(of(json!({"f:metadata": other})).is_empty());
        assert_eq!(of(container(json!({"f:image": {}}))), ["helm"]);
    }

    #[test]
    fn a_manager_that_wrote_in_two_ways_is_named_once() {
        let key = r#"k:{"name":"api"}"#;
        let image =
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {key: {"f:image": {}}}}}}});
        let entries = [
            ("helm", "Apply"),
            ("retail-forecast", "Apply"),
            ("helm", "Update"),
        ];
        let entries = entries.map(|(manager, operation)| {
            let entry = json!({"manager": manager, "operation": operation, "fieldsV1": image});
            serde_json::from_value(entry).unwrap()
        });
        assert_eq!(managers(&entries, "api"), ["helm", "retail-forecast"]);
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
