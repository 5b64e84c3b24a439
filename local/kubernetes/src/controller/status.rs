//! The status of a Deployment: counts, `Available`, `Progressing`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    conditions,
    conditions::{AVAILABLE, Condition, PROGRESSING},
    deployment::Rollout,
};
use crate::{
    clock,
    error::Status,
    json::{number, text},
};

/// Counts and availability; `Progressing` is left as it is.
fn counted(rollout: &Rollout<'_>) -> Value {
    let sum = |pointer: &str| rollout.all().map(|rs| number(rs, pointer)).sum::<i64>();
    let available = sum("/status/availableReplicas");
    let updated = rollout
        .new
        .as_ref()
        .map_or(0, |new| number(new, "/status/replicas"));
    let mut counts = Map::new();
    for (field, count) in [
        (
            "observedGeneration",
            number(&rollout.deployment, "/metadata/generation"),
        ),
        ("replicas", sum("/status/replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("/status/readyReplicas")),
        ("availableReplicas", available),
        (
            "unavailableReplicas",
            (sum("/spec/replicas") - available).max(0),
        ),
    ] {
        // Absent is zero: that is how these counts are written.
        if count != 0 {
            counts.insert(field.to_owned(), json!(count));
        }
    }
    let terminating = sum("/status/terminatingReplicas");
    counts.insert("terminatingReplicas".to_owned(), json!(terminating));
    if let Some(conditions) = rollout.deployment["status"].get("conditions") {
        counts.insert("conditions".to_owned(), conditions.clone());
    }
    let mut status = Value::Object(counts);
    let least = rollout.replicas() - rollout.limits.max_unavailable;
    let (value, reason, message) = if available >= least {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let condition = Condition {
        kind: AVAILABLE,
        status: value,
        reason,
        message: message.to_owned(),
    };
    conditions::set(&mut status, &condition, rollout.now);
    status
}

/// Writes counts and availability alone, as for a Deployment that is paused or being scaled.
pub(super) fn write(rollout: &Rollout<'_>) -> Result<(), Status> {
    put(rollout, counted(rollout))
}

fn put(rollout: &Rollout<'_>, status: Value) -> Result<(), Status> {
    if rollout.deployment["status"] == status {
        return Ok(());
    }
    rollout.write_status(|deployment| deployment["status"] = status)
}

/// Whether all wanted pods are new and available, and nothing else runs.
pub(super) fn is_complete(rollout: &Rollout<'_>, status: &Value) -> bool {
    let wanted = rollout.replicas();
    number(status, "/updatedReplicas") == wanted
        && number(status, "/replicas") == wanted
        && number(status, "/availableReplicas") == wanted
        && number(status, "/observedGeneration")
            >= number(&rollout.deployment, "/metadata/generation")
}

/// Whether more is done now than `before`.
fn has_progressed(before: &Value, status: &Value) -> bool {
    let count = |status: &Value, field: &str| number(status, field);
    let old = |status: &Value| count(status, "/replicas") - count(status, "/updatedReplicas");
    old(status) < old(before)
        || ["/updatedReplicas", "/readyReplicas", "/availableReplicas"]
            .iter()
            .any(|field| count(status, field) > count(before, field))
}

/// Writes the whole status of a rollout; when its progress deadline runs out.
pub(super) fn write_progress(rollout: &Rollout<'_>) -> Result<Option<Timestamp>, Status> {
    let before = &rollout.deployment["status"];
    let mut status = counted(rollout);
    let progress = |status, reason, message: &str| Condition {
        kind: PROGRESSING,
        status,
        reason,
        message: match &rollout.new {
            Some(new) => format!("ReplicaSet {:?} {message}", text(new, "/metadata/name")),
            None => format!(
                "Deployment {:?} {message}",
                text(&rollout.deployment, "/metadata/name")
            ),
        },
    };
    let done = number(&status, "/replicas") == number(&status, "/updatedReplicas")
        && conditions::has_reason(before, PROGRESSING, "NewReplicaSetAvailable");
    let mut deadline = None;
    if !done {
        if is_complete(rollout, &status) {
            let condition = progress(
                "True",
                "NewReplicaSetAvailable",
                "has successfully progressed.",
            );
            conditions::set(&mut status, &condition, rollout.now);
        } else if has_progressed(before, &status) {
            let condition = progress("True", "ReplicaSetUpdated", "is progressing.");
            conditions::renew(&mut status, &condition, rollout.now);
        } else if deadline_of(rollout, before).is_some_and(|deadline| deadline <= rollout.now) {
            let condition = progress(
                "False",
                "ProgressDeadlineExceeded",
                "has timed out progressing.",
            );
            conditions::set(&mut status, &condition, rollout.now);
        }
        deadline = deadline_of(rollout, &status).filter(|deadline| *deadline > rollout.now);
    }
    put(rollout, status)?;
    Ok(deadline)
}

/// When a rollout that shows no progress has failed; `None` when it can't any more.
fn deadline_of(rollout: &Rollout<'_>, status: &Value) -> Option<Timestamp> {
    let condition = conditions::find(status, PROGRESSING)?;
    if matches!(
        text(condition, "/reason"),
        "NewReplicaSetAvailable" | "ProgressDeadlineExceeded"
    ) {
        return None;
    }
    let since = clock::parse(&condition["lastUpdateTime"])?;
    let seconds = number(&rollout.deployment, "/spec/progressDeadlineSeconds");
    Some(clock::after(since, seconds))
}
