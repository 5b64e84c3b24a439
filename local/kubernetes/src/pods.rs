//! What the parts of the cluster read from a pod.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    clock,
    json::{items, text},
};

/// Annotation of a running pod: where on this machine container NAME is reached. A real pod has an
/// address of its own instead.
pub(crate) const PORT_ANNOTATION: &str = "serve-port.local/";

/// The condition of a type.
pub(crate) fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    items(pod, "/status/conditions")
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Since when the pod is ready, if it is.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let ready = condition(pod, "Ready")?;
    if ready["status"] != "True" {
        return None;
    }
    clock::parse(&ready["lastTransitionTime"])
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    ready_since(pod).is_some()
}

/// Whether the pod was told to end.
pub(crate) fn is_terminating(pod: &Value) -> bool {
    !text(pod, "/metadata/deletionTimestamp").is_empty()
}

/// The local port on which the container with this `containerPort` (a number or a name) answers;
/// the first container's when no container lists it.
pub(crate) fn local_port(pod: &Value, target: &Value) -> Option<u16> {
    let containers = items(pod, "/spec/containers");
    let lists = |container: &&Value| {
        items(container, "/ports")
            .iter()
            .any(|port| port["containerPort"] == *target || port["name"] == *target)
    };
    let container = containers.iter().find(lists).or(containers.first())?;
    let annotation = format!("{PORT_ANNOTATION}{}", text(container, "/name"));
    let port = pod["metadata"]["annotations"].get(annotation)?;
    port.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_port_names_its_container() {
        let pod = json!({
            "metadata": {"annotations": {"serve-port.local/api": "1001", "serve-port.local/side": "1002"}},
            "spec": {"containers": [
                {"name": "api", "ports": [{"containerPort": 8080, "name": "http"}]},
                {"name": "side", "ports": [{"containerPort": 9090}]}
            ]}
        });
        assert_eq!(local_port(&pod, &json!("http")), Some(1001));
        assert_eq!(local_port(&pod, &json!(9090)), Some(1002));
        assert_eq!(local_port(&pod, &json!(80)), Some(1001));
        assert_eq!(local_port(&json!({}), &json!(80)), None);
    }
}
