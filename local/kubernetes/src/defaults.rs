//! The fields that an API server fills in.
//!
//! They matter: a pod template's hash, and whether a patch changes anything, are both seen after
//! defaulting.

use serde_json::{Map, Value, json};

use crate::{
    catalog::{DEPLOYMENTS, PODS, REPLICA_SETS, Resource, SERVICES},
    json::{default, object, object_at},
};

/// Name of the one node of a cluster of ours.
pub(crate) const NODE: &str = "local";
/// The scheduler of pods that name none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// Fills in what `object` leaves open.
pub(crate) fn fill(resource: &Resource, value: &mut Value) {
    if *resource == DEPLOYMENTS {
        deployment(object_at(value, &["spec"]));
    } else if *resource == REPLICA_SETS {
        let spec = object_at(value, &["spec"]);
        default(spec, "replicas", 1);
        template(spec);
    } else if *resource == PODS {
        let spec = object_at(value, &["spec"]);
        pod(spec);
        // There is one node, so the default scheduler has nothing to weigh; others bind by themselves.
        if spec
            .get("schedulerName")
            .is_some_and(|name| name == DEFAULT_SCHEDULER)
        {
            default(spec, "nodeName", NODE);
        }
    } else if *resource == SERVICES {
        service(object_at(value, &["spec"]));
        let status = object_at(value, &["status"]);
        default(status, "loadBalancer", json!({}));
    } else if resource.plural == "namespaces" {
        let status = object_at(value, &["status"]);
        default(status, "phase", "Active");
    }
}

fn deployment(spec: &mut Map<String, Value>) {
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    default(spec, "strategy", json!({}));
    if let Some(strategy) = spec.get_mut("strategy").map(object) {
        default(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            default(strategy, "rollingUpdate", json!({}));
            if let Some(rolling) = strategy.get_mut("rollingUpdate").map(object) {
                default(rolling, "maxUnavailable", "25%");
                default(rolling, "maxSurge", "25%");
            }
        }
    }
    template(spec);
    // `false` and 0 are what an absent field means; a real server's types don't write them.
    if spec.get("paused") == Some(&json!(false)) {
        spec.remove("paused");
    }
    if spec.get("minReadySeconds") == Some(&json!(0)) {
        spec.remove("minReadySeconds");
    }
}

fn template(spec: &mut Map<String, Value>) {
    if let Some(template) = spec.get_mut("template") {
        if let Some(metadata) = template.get_mut("metadata").map(object) {
            // Typed clients send an explicit null.
            metadata.retain(|_, value| !value.is_null());
        }
        pod(object_at(template, &["spec"]));
    }
}

fn pod(spec: &mut Map<String, Value>) {
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", DEFAULT_SCHEDULER);
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        // The old name of the field is kept in step.
        spec.insert("serviceAccount".to_owned(), account);
    }
    for field in ["containers", "initContainers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        containers
            .into_iter()
            .flatten()
            .for_each(|one| container(object(one)));
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        for source in ["configMap", "secret"] {
            if let Some(source) = volume.get_mut(source).map(object) {
                default(source, "defaultMode", 420);
            }
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str);
    let policy = if image.is_some_and(is_latest) {
        "Always"
    } else {
        "IfNotPresent"
    };
    default(container, "imagePullPolicy", policy);
    default(container, "resources", json!({}));
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    ports(container);
    for field in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(field).map(object) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                default(probe, field, value);
            }
            if let Some(get) = probe.get_mut("httpGet").map(object) {
                default(get, "path", "/");
                default(get, "scheme", "HTTP");
            }
        }
    }
    let environment = container.get_mut("env").and_then(Value::as_array_mut);
    for variable in environment.into_iter().flatten() {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef").map(object) {
            default(field, "apiVersion", "v1");
        }
    }
}

fn ports(map: &mut Map<String, Value>) {
    let ports = map.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        default(object(port), "protocol", "TCP");
    }
}

/// Whether an image reference means "the newest": the tag `latest`, or neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && (!name.contains(':') || name.ends_with(":latest"))
}

fn service(spec: &mut Map<String, Value>) {
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    default(spec, "internalTrafficPolicy", "Cluster");
    // Every pod and every Service of this cluster is a port of this machine.
    default(spec, "clusterIP", "127.0.0.1");
    default(spec, "clusterIPs", json!(["127.0.0.1"]));
    ports(spec);
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let number = port.get("port").cloned().unwrap_or_default();
        default(object(port), "targetPort", number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recorded object was sent by its last-applied annotation: defaulting what was sent must
    /// give what was recorded.
    #[test]
    fn a_deployment_is_filled_in_as_recorded() {
        let recorded: Value =
            serde_json::from_str(include_str!("../tests/fixtures/deployment-complete.json"))
                .unwrap();
        let sent =
            recorded["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
                .as_str()
                .unwrap();
        let mut sent: Value = serde_json::from_str(sent).unwrap();
        fill(&DEPLOYMENTS, &mut sent);
        assert_eq!(sent["spec"], recorded["spec"]);
    }

    #[test]
    fn only_moving_tags_are_always_pulled() {
        assert!(is_latest("registry:5000/api"));
        assert!(is_latest("api:latest"));
        assert!(!is_latest("registry:5000/api:v1"));
        assert!(!is_latest("api@sha256:00"));
    }
}
