//! What the kubelet writes into a pod's status.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    catalog::PODS,
    clock,
    json::{items, object_at, text},
    pods,
    registry::{Part, Registry},
    store::Key,
};

/// Writes the status of one pod.
#[derive(Clone)]
pub(super) struct Report {
    registry: Arc<Registry>,
    key: Key,
    uid: String,
}

impl Report {
    pub(super) fn new(registry: Arc<Registry>, pod: &Value) -> Self {
        Self {
            registry,
            key: Key::of(&PODS, pod),
            uid: text(pod, "/metadata/uid").to_owned(),
        }
    }

    /// The pod is here, and none of its containers has started.
    pub(super) fn scheduled(&self) {
        self.write(|pod| {
            let containers: Vec<Value> = items(pod, "/spec/containers")
                .iter()
                .map(|container| {
                    json!({
                        "name": container["name"],
                        "image": container["image"],
                        "imageID": "",
                        "ready": false,
                        "started": false,
                        "restartCount": 0,
                        "state": {"waiting": {"reason": "ContainerCreating"}},
                        "lastState": {},
                    })
                })
                .collect();
            let status = object_at(pod, &["status"]);
            status.insert("containerStatuses".to_owned(), json!(containers));
            for field in ["hostIP", "podIP"] {
                status.insert(field.to_owned(), json!("127.0.0.1"));
            }
            for field in ["hostIPs", "podIPs"] {
                status.insert(field.to_owned(), json!([{"ip": "127.0.0.1"}]));
            }
            status.insert(
                "startTime".to_owned(),
                json!(clock::rfc3339(Timestamp::now())),
            );
        });
    }

    /// Changes the status of a container, and what follows from it for the pod.
    pub(super) fn container(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.write(|pod| {
            let statuses = pod.pointer_mut("/status/containerStatuses");
            let mut statuses = statuses.and_then(Value::as_array_mut).into_iter().flatten();
            if let Some(status) = statuses.find(|status| status["name"] == name) {
                change(status);
            }
        });
    }

    /// A container that doesn't run, and why.
    pub(super) fn waiting(&self, name: &str, reason: &str, message: &str) {
        self.container(name, |status| {
            status["ready"] = json!(false);
            status["started"] = json!(false);
            status["state"] = json!({"waiting": {"reason": reason, "message": message}});
        });
    }

    /// A container that runs, reached on `port`.
    pub(super) fn running(&self, name: &str, image: &str, port: u16) {
        let annotation = format!("{}{name}", pods::PORT_ANNOTATION);
        self.write(|pod| {
            object_at(pod, &["metadata", "annotations"])
                .insert(annotation, json!(port.to_string()));
        });
        let started = clock::rfc3339(Timestamp::now());
        self.container(name, |status| {
            status["imageID"] = json!(image);
            status["containerID"] = json!(format!("process://{}", uuid::Uuid::new_v4()));
            status["state"] = json!({"running": {"startedAt": started}});
        });
    }

    /// A container that has ended. With `again` it will be started once more.
    pub(super) fn ended(&self, name: &str, exit: Exit, started: Timestamp, again: bool) {
        let mut terminated = json!({
            "exitCode": exit.code,
            "reason": if exit.code == 0 { "Completed" } else { "Error" },
            "startedAt": clock::rfc3339(started),
            "finishedAt": clock::rfc3339(Timestamp::now()),
        });
        if exit.signal != 0 {
            terminated["signal"] = json!(exit.signal);
        }
        let state = json!({ "terminated": terminated });
        self.container(name, |status| {
            status["ready"] = json!(false);
            status["started"] = json!(false);
            if again {
                status["restartCount"] =
                    json!(status["restartCount"].as_i64().unwrap_or_default() + 1);
                status["lastState"] = state.clone();
            }
            status["state"] = state;
        });
    }

    /// `started` once the container's startup probe, if any, has passed; `ready` as its readiness
    /// probe says.
    pub(super) fn health(&self, name: &str, field: &'static str, value: bool) {
        self.container(name, |status| status[field] = json!(value));
    }

    fn write(&self, change: impl FnOnce(&mut Value)) {
        let written = self
            .registry
            .modify(&self.key, Part::Status, "kubelet", |pod| {
                // Another pod may have taken the name.
                if text(pod, "/metadata/uid") == self.uid {
                    change(pod);
                    conclude(pod, Timestamp::now());
                }
            });
        if let Err(refused) = written
            && refused.code != 404
        {
            tracing::warn!(pod = self.key.name, %refused, "status not written");
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    /// 128 + signal for a process that was killed, as in a container.
    pub(super) code: i32,
    /// 0 when there was none.
    pub(super) signal: i32,
}

/// Phase and conditions, from the containers' states.
fn conclude(pod: &mut Value, now: Timestamp) {
    let statuses = items(pod, "/status/containerStatuses");
    let unready: Vec<&str> = statuses
        .iter()
        .filter(|status| status["ready"] != true)
        .map(|status| text(status, "/name"))
        .collect();
    let has_run = |status: &Value| status["containerID"].is_string() || status["restartCount"] != 0;
    let code = |status: &Value| {
        let code = status.pointer("/state/terminated/exitCode");
        code.and_then(Value::as_i64)
    };
    let restarts = text(pod, "/spec/restartPolicy") == "Always";
    let phase = if !restarts && !statuses.is_empty() && statuses.iter().all(|s| code(s).is_some()) {
        let failed = statuses.iter().any(|s| code(s) != Some(0));
        if failed { "Failed" } else { "Succeeded" }
    } else if statuses.iter().all(has_run) && !statuses.is_empty() {
        "Running"
    } else {
        "Pending"
    };
    let ready = unready.is_empty() && !statuses.is_empty();
    let why = format!("containers with unready status: [{}]", unready.join(" "));
    let mut conditions = Vec::new();
    for (kind, holds) in [
        ("PodReadyToStartContainers", true),
        ("Initialized", true),
        ("Ready", ready),
        ("ContainersReady", ready),
        ("PodScheduled", true),
    ] {
        let status = if holds { "True" } else { "False" };
        let transition = pods::condition(pod, kind)
            .filter(|current| current["status"] == status)
            .map_or_else(
                || json!(clock::rfc3339(now)),
                |current| current["lastTransitionTime"].clone(),
            );
        let mut condition = json!({
            "type": kind,
            "status": status,
            "lastProbeTime": null,
            "lastTransitionTime": transition,
        });
        if !holds {
            condition["reason"] = json!("ContainersNotReady");
            condition["message"] = json!(why);
        }
        conditions.push(condition);
    }
    let status = object_at(pod, &["status"]);
    status.insert("phase".to_owned(), json!(phase));
    status.insert("conditions".to_owned(), json!(conditions));
}
