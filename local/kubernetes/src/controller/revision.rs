//! Revisions: which ReplicaSet carries the Deployment's template, and under which number.

use serde_json::{Map, Value, json};

use super::{
    MANAGER, conditions,
    conditions::{Condition, PROGRESSING},
    deployment::{Rollout, annotate},
    owner_reference, scaling,
};
use crate::{
    catalog::{DEPLOYMENTS, REPLICA_SETS},
    error::Status,
    json::{object_at, strings, text},
    names,
    registry::{Part, Writer},
    store::Key,
};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const HASH: &str = "pod-template-hash";

/// Annotations of a Deployment that its ReplicaSets don't inherit.
const NOT_INHERITED: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    scaling::DESIRED,
    scaling::MAXIMUM,
];

pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["annotations"][name]
        .as_str()
        .unwrap_or_default()
}

/// The revision number of a ReplicaSet or Deployment; 0 before it has one.
pub(super) fn of(object: &Value) -> i64 {
    annotation(object, REVISION).parse().unwrap_or_default()
}

/// The template of a ReplicaSet as its Deployment has it: without the hash label.
pub(super) fn template_of(replica_set: &Value) -> Value {
    let mut template = replica_set["spec"]["template"].clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels")
        && let Some(labels) = labels.as_object_mut()
    {
        labels.remove(HASH);
    }
    template
}

/// Makes sure that the template has its ReplicaSet (with `create`), that this ReplicaSet has the
/// newest number, and that the Deployment shows it. Whether the rest has to wait for the next pass.
pub(super) fn record(rollout: &Rollout<'_>, create: bool) -> Result<bool, Status> {
    let newest = rollout.old.iter().map(|rs| of(rs)).max().unwrap_or(0) + 1;
    let Some(new) = &rollout.new else {
        if create {
            create_replica_set(rollout, newest)?;
        }
        return Ok(create);
    };
    let deployment = &rollout.deployment;
    let annotations = annotations(deployment, new, newest);
    let min_ready = deployment["spec"].get("minReadySeconds").cloned();
    let current = new["metadata"]["annotations"].as_object();
    if current != Some(&annotations) || new["spec"].get("minReadySeconds") != min_ready.as_ref() {
        let key = Key::of(&REPLICA_SETS, new);
        rollout
            .registry
            .modify(&key, Part::Whole, MANAGER, |replica_set| {
                replica_set["metadata"]["annotations"] = Value::Object(annotations);
                let spec = object_at(replica_set, &["spec"]);
                crate::json::set_or_remove(spec, "minReadySeconds", min_ready);
            })?;
        return Ok(true);
    }
    let found = Condition {
        kind: PROGRESSING,
        status: "True",
        reason: "FoundNewReplicaSet",
        message: format!("Found new replica set {}", new["metadata"]["name"]),
    };
    let unknown = conditions::find(&deployment["status"], PROGRESSING).is_none();
    show(rollout, of(new), unknown.then_some(&found))?;
    Ok(false)
}

/// Shows the revision and a condition on the Deployment.
fn show(rollout: &Rollout<'_>, revision: i64, condition: Option<&Condition>) -> Result<(), Status> {
    if of(&rollout.deployment) == revision && condition.is_none() {
        return Ok(());
    }
    rollout.write_status(|deployment| {
        annotate(deployment, [(REVISION, revision.to_string())]);
        if let Some(condition) = condition {
            conditions::set(&mut deployment["status"], condition, rollout.now);
        }
    })
}

/// A new ReplicaSet, already as large as the surge allows.
fn create_replica_set(rollout: &Rollout<'_>, revision: i64) -> Result<(), Status> {
    let deployment = &rollout.deployment;
    let mut template = deployment["spec"]["template"].clone();
    let hash = names::template_hash(&template);
    let with_hash = |labels: &mut Map<String, Value>| {
        labels.insert(HASH.to_owned(), json!(hash));
    };
    with_hash(object_at(&mut template, &["metadata", "labels"]));
    let mut selector = deployment["spec"]["selector"].clone();
    with_hash(object_at(&mut selector, &["matchLabels"]));

    let name = format!("{}-{hash}", text(deployment, "/metadata/name"));
    let mut replica_set = json!({
        "metadata": {
            "name": name,
            "labels": template["metadata"]["labels"],
            "annotations": annotations(deployment, &Value::Null, revision),
            "ownerReferences": [owner_reference(&DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": scaling::new_size(rollout, 0),
            "selector": selector,
            "template": template,
        },
    });
    annotate(&mut replica_set, scaling::annotations(rollout));
    if let Some(seconds) = deployment["spec"].get("minReadySeconds") {
        replica_set["spec"]["minReadySeconds"] = seconds.clone();
    }
    let namespace = text(deployment, "/metadata/namespace");
    let writer = Writer::named(MANAGER);
    rollout
        .registry
        .create(&REPLICA_SETS, namespace, replica_set, writer)?;
    let created = Condition {
        kind: PROGRESSING,
        status: "True",
        reason: "NewReplicaSetCreated",
        message: format!("Created new replica set {name:?}"),
    };
    show(rollout, revision, Some(&created))
}

/// Annotations of the new ReplicaSet: its own, the Deployment's over them, and the revision. A
/// template that comes back gets a new number and remembers the ones it had.
fn annotations(deployment: &Value, replica_set: &Value, newest: i64) -> Map<String, Value> {
    let mut annotations = replica_set["metadata"]["annotations"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (name, value) in strings(deployment, "/metadata/annotations") {
        if !NOT_INHERITED.contains(&name) {
            annotations.insert(name.to_owned(), json!(value));
        }
    }
    let known = of(replica_set);
    if known < newest {
        annotations.insert(REVISION.to_owned(), json!(newest.to_string()));
        if known > 0 {
            let history = match annotation(replica_set, HISTORY) {
                "" => known.to_string(),
                earlier => format!("{earlier},{known}"),
            };
            annotations.insert(HISTORY.to_owned(), json!(history));
        }
    }
    annotations
}
