//! One pass over a ReplicaSet: as many pods as it wants, and what they come to.

use std::{cmp::Reverse, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{MANAGER, controlled_by, owner_reference};
use crate::{
    catalog::{PODS, REPLICA_SETS},
    clock,
    error::Status,
    json::{number, text},
    pods,
    registry::{DeleteOptions, Part, Registry, Writer},
    store::Key,
};

/// Makes or deletes pods and writes the status; when the next pod becomes available by waiting.
pub(super) fn sync(
    registry: &Registry,
    replica_set: &Arc<Value>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Status> {
    let (mut active, _) = pods_of(registry, replica_set);
    let wanted = usize::try_from(number(replica_set, "/spec/replicas")).unwrap_or_default();
    for _ in active.len()..wanted {
        create_pod(registry, replica_set)?;
    }
    // Those that serve nobody go first, then the youngest.
    active.sort_by_key(|pod| {
        let created = text(pod, "/metadata/creationTimestamp").to_owned();
        (pods::is_ready(pod), Reverse(created))
    });
    for pod in active.iter().take(active.len().saturating_sub(wanted)) {
        registry.delete(&Key::of(&PODS, pod), &DeleteOptions::default())?;
    }
    write_status(registry, replica_set, now)
}

/// Pods that count, and pods that are on their way out.
fn pods_of(registry: &Registry, replica_set: &Value) -> (Vec<Arc<Value>>, Vec<Arc<Value>>) {
    let mut pods = controlled_by(registry, &PODS, replica_set);
    pods.retain(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"));
    pods.into_iter().partition(|pod| !pods::is_terminating(pod))
}

fn create_pod(registry: &Registry, replica_set: &Value) -> Result<(), Status> {
    let template = &replica_set["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    let name = text(replica_set, "/metadata/name");
    metadata["generateName"] = json!(format!("{name}-"));
    metadata["ownerReferences"] = json!([owner_reference(&REPLICA_SETS, replica_set)]);
    let pod = json!({"metadata": metadata, "spec": template["spec"]});
    let namespace = text(replica_set, "/metadata/namespace");
    registry.create(&PODS, namespace, pod, Writer::named(MANAGER))?;
    Ok(())
}

fn write_status(
    registry: &Registry,
    replica_set: &Value,
    now: Timestamp,
) -> Result<Option<Timestamp>, Status> {
    let (active, terminating) = pods_of(registry, replica_set);
    let min_ready = number(replica_set, "/spec/minReadySeconds");
    let ready: Vec<Timestamp> = active
        .iter()
        .filter_map(|pod| pods::ready_since(pod))
        .collect();
    let (available, waiting): (Vec<Timestamp>, Vec<Timestamp>) = ready
        .iter()
        .map(|since| clock::after(*since, min_ready))
        .partition(|at| min_ready == 0 || *at <= now);

    let mut status = Map::new();
    status.insert("replicas".to_owned(), json!(active.len()));
    status.insert("terminatingReplicas".to_owned(), json!(terminating.len()));
    for (field, count) in [
        ("fullyLabeledReplicas", active.len()),
        ("readyReplicas", ready.len()),
        ("availableReplicas", available.len()),
    ] {
        if count > 0 {
            status.insert(field.to_owned(), json!(count));
        }
    }
    let generation = replica_set["metadata"]["generation"].clone();
    status.insert("observedGeneration".to_owned(), generation);
    let status = Value::Object(status);
    if replica_set["status"] != status {
        let key = Key::of(&REPLICA_SETS, replica_set);
        registry.modify(&key, Part::Status, MANAGER, |replica_set| {
            replica_set["status"] = status;
        })?;
    }
    Ok(waiting.into_iter().min())
}
