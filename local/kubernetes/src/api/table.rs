//! Tables: what `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Call;
use crate::{
    catalog::Resource,
    clock,
    json::{items, number, strings, text},
    pods,
};

/// How a client wants its tables.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    /// Whole objects beside the cells, instead of their metadata.
    whole: bool,
}

/// A column: its name, its type, and whether only `-o wide` shows it.
type Column = (&'static str, &'static str, bool);

impl Tables {
    /// `None` when the client wants objects.
    pub(super) fn asked(call: &Call) -> Option<Self> {
        let accepts = call.header(axum::http::header::ACCEPT);
        let first = accepts.split(',').next().unwrap_or_default();
        first.contains("as=Table").then(|| Self {
            whole: call.query("includeObject") == "Object",
        })
    }

    /// A table of objects of one type.
    pub(super) fn of<'a>(
        &self,
        resource: &Resource,
        objects: impl IntoIterator<Item = &'a Value>,
        version: &Value,
    ) -> Value {
        let columns: Vec<Value> = columns(resource)
            .iter()
            .map(|(name, kind, wide)| {
                json!({
                    "name": name,
                    "type": kind,
                    "format": if *name == "Name" { "name" } else { "" },
                    "description": "",
                    "priority": i32::from(*wide),
                })
            })
            .collect();
        let now = Timestamp::now();
        let rows: Vec<Value> = objects
            .into_iter()
            .map(|object| {
                let shown = if self.whole {
                    object.clone()
                } else {
                    json!({
                        "kind": "PartialObjectMetadata",
                        "apiVersion": "meta.k8s.io/v1",
                        "metadata": object["metadata"],
                    })
                };
                json!({"cells": cells(resource, object, now), "object": shown})
            })
            .collect();
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": version},
            "columnDefinitions": columns,
            "rows": rows,
        })
    }
}

fn columns(resource: &Resource) -> &'static [Column] {
    match resource.plural {
        "deployments" => &[
            ("Name", "string", false),
            ("Ready", "string", false),
            ("Up-to-date", "integer", false),
            ("Available", "integer", false),
            ("Age", "string", false),
            ("Containers", "string", true),
            ("Images", "string", true),
        ],
        "replicasets" => &[
            ("Name", "string", false),
            ("Desired", "integer", false),
            ("Current", "integer", false),
            ("Ready", "integer", false),
            ("Age", "string", false),
            ("Containers", "string", true),
            ("Images", "string", true),
        ],
        "pods" => &[
            ("Name", "string", false),
            ("Ready", "string", false),
            ("Status", "string", false),
            ("Restarts", "integer", false),
            ("Age", "string", false),
            ("Node", "string", true),
        ],
        "services" => &[
            ("Name", "string", false),
            ("Type", "string", false),
            ("Cluster-IP", "string", false),
            ("Port(s)", "string", false),
            ("Age", "string", false),
            ("Selector", "string", true),
        ],
        "namespaces" => &[
            ("Name", "string", false),
            ("Status", "string", false),
            ("Age", "string", false),
        ],
        _ => &[("Name", "string", false), ("Age", "string", false)],
    }
}

fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Value {
    let name = text(object, "/metadata/name");
    let age = age(object, now);
    let count = |pointer: &str| number(object, pointer);
    let of_containers = |field: &str| {
        let containers = items(object, "/spec/template/spec/containers");
        let values: Vec<&str> = containers.iter().map(|one| text(one, field)).collect();
        values.join(",")
    };
    match resource.plural {
        "deployments" => json!([
            name,
            format!(
                "{}/{}",
                count("/status/readyReplicas"),
                count("/spec/replicas")
            ),
            count("/status/updatedReplicas"),
            count("/status/availableReplicas"),
            age,
            of_containers("/name"),
            of_containers("/image"),
        ]),
        "replicasets" => json!([
            name,
            count("/spec/replicas"),
            count("/status/replicas"),
            count("/status/readyReplicas"),
            age,
            of_containers("/name"),
            of_containers("/image"),
        ]),
        "pods" => {
            let statuses = items(object, "/status/containerStatuses");
            let ready = statuses.iter().filter(|one| one["ready"] == true).count();
            let restarts: i64 = statuses
                .iter()
                .map(|one| number(one, "/restartCount"))
                .sum();
            let containers = items(object, "/spec/containers").len();
            json!([
                name,
                format!("{ready}/{containers}"),
                pod_status(object),
                restarts,
                age,
                text(object, "/spec/nodeName"),
            ])
        }
        "services" => {
            let ports: Vec<String> = items(object, "/spec/ports")
                .iter()
                .map(|port| format!("{}/{}", number(port, "/port"), text(port, "/protocol")))
                .collect();
            let selector: Vec<String> = strings(object, "/spec/selector")
                .map(|(label, value)| format!("{label}={value}"))
                .collect();
            json!([
                name,
                text(object, "/spec/type"),
                text(object, "/spec/clusterIP"),
                ports.join(","),
                age,
                selector.join(","),
            ])
        }
        "namespaces" => json!([name, text(object, "/status/phase"), age]),
        _ => json!([name, age]),
    }
}

/// The most telling word about a pod: why a container waits or ended, else the phase.
fn pod_status(pod: &Value) -> String {
    if pods::is_terminating(pod) {
        return "Terminating".to_owned();
    }
    let reason = items(pod, "/status/containerStatuses")
        .iter()
        .find_map(|status| {
            let waiting = text(status, "/state/waiting/reason");
            let ended = text(status, "/state/terminated/reason");
            [waiting, ended]
                .into_iter()
                .find(|reason| !reason.is_empty())
        });
    reason
        .unwrap_or_else(|| text(pod, "/status/phase"))
        .to_owned()
}

/// `7s`, `12m`, `3h`, `4d`: the age of an object.
fn age(object: &Value, now: Timestamp) -> String {
    let Some(created) = clock::parse(&object["metadata"]["creationTimestamp"]) else {
        return "<unknown>".to_owned();
    };
    let seconds = now.duration_since(created).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::DEPLOYMENTS;

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let recorded: Value = serde_json::from_str(include_str!(
            "../../tests/fixtures/deployment-complete.json"
        ))
        .unwrap();
        let table = Tables { whole: false }.of(&DEPLOYMENTS, [&recorded], &json!("1"));
        let cells = items(&table, "/rows/0/cells");
        assert_eq!(cells.len(), items(&table, "/columnDefinitions").len());
        assert_eq!(cells[1], "3/3");
        for resource in crate::catalog::RESOURCES {
            let table = Tables { whole: false }.of(resource, [&json!({})], &json!("1"));
            assert_eq!(
                items(&table, "/rows/0/cells").len(),
                items(&table, "/columnDefinitions").len(),
                "{}",
                resource.plural
            );
        }
    }
}
