//! How many pods each ReplicaSet of a Deployment should have now.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    MANAGER,
    deployment::{Rollout, annotate},
    revision::annotation,
};
use crate::{
    catalog::REPLICA_SETS,
    error::Status,
    json::{number, object_at},
    registry::Part,
    store::Key,
};

/// What the Deployment wanted when the ReplicaSet was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// That plus the surge.
pub(super) const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

fn size(replica_set: &Value) -> i64 {
    number(replica_set, "/spec/replicas")
}

fn available(replica_set: &Value) -> i64 {
    number(replica_set, "/status/availableReplicas")
}

fn total(rollout: &Rollout<'_>) -> i64 {
    rollout.all().map(|rs| size(rs)).sum()
}

/// Annotations that a scaled ReplicaSet gets.
pub(super) fn annotations(rollout: &Rollout<'_>) -> [(&'static str, String); 2] {
    let replicas = rollout.replicas();
    let maximum = replicas + rollout.limits.max_surge;
    [
        (DESIRED, replicas.to_string()),
        (MAXIMUM, maximum.to_string()),
    ]
}

/// Sets the size of a ReplicaSet; whether it had another one.
pub(super) fn resize(rollout: &Rollout<'_>, rs: &Value, to: i64) -> Result<bool, Status> {
    if size(rs) == to {
        return Ok(false);
    }
    write(rollout, rs, to)?;
    Ok(true)
}

fn write(rollout: &Rollout<'_>, rs: &Value, to: i64) -> Result<(), Status> {
    let key = Key::of(&REPLICA_SETS, rs);
    rollout.registry.modify(&key, Part::Whole, MANAGER, |rs| {
        object_at(rs, &["spec"]).insert("replicas".to_owned(), json!(to));
        annotate(rs, annotations(rollout));
    })?;
    Ok(())
}

/// The size for the new ReplicaSet, which has `current` pods: all it may have under the surge.
pub(super) fn new_size(rollout: &Rollout<'_>, current: i64) -> i64 {
    let wanted = rollout.replicas();
    let room = wanted + rollout.limits.max_surge - total(rollout);
    let rolling = rollout.deployment["spec"]["strategy"]["type"] == "RollingUpdate";
    if !rolling {
        return wanted;
    }
    current + room.clamp(0, (wanted - current).max(0))
}

/// Scales the new ReplicaSet towards the wanted size; whether it was scaled.
pub(super) fn grow_new(rollout: &Rollout<'_>) -> Result<bool, Status> {
    let Some(new) = &rollout.new else {
        return Ok(false);
    };
    let to = if size(new) > rollout.replicas() {
        rollout.replicas()
    } else {
        new_size(rollout, size(new))
    };
    resize(rollout, new, to)
}

/// Scales old ReplicaSets down as far as availability allows; whether any was scaled.
///
/// Pods that aren't available go first: they serve nobody, and they may be what is stuck.
pub(super) fn shrink_old(rollout: &Rollout<'_>) -> Result<bool, Status> {
    let least = rollout.replicas() - rollout.limits.max_unavailable;
    let coming = rollout
        .new
        .as_ref()
        .map_or(0, |new| size(new) - available(new));
    let mut room = total(rollout) - least - coming;
    if room <= 0 {
        return Ok(false);
    }
    let mut sizes: Vec<i64> = rollout.old.iter().map(|rs| size(rs)).collect();
    for (rs, size) in rollout.old.iter().zip(&mut sizes) {
        let unavailable = (*size - available(rs)).clamp(0, room);
        *size -= unavailable;
        room -= unavailable;
    }
    let mut spare = rollout.all().map(|rs| available(rs)).sum::<i64>() - least;
    let mut scaled = false;
    for (rs, size) in rollout.old.iter().zip(sizes) {
        let surplus = spare.clamp(0, size);
        spare -= surplus;
        scaled |= resize(rollout, rs, size - surplus)?;
    }
    Ok(scaled)
}

/// Whether the Deployment wants another number than its ReplicaSets were last scaled for.
pub(super) fn is_asked(rollout: &Rollout<'_>) -> bool {
    rollout
        .all()
        .filter(|rs| size(rs) > 0)
        .filter_map(|rs| annotation(rs, DESIRED).parse::<i64>().ok())
        .any(|desired| desired != rollout.replicas())
}

/// Scales without rolling out: one ReplicaSet takes it all, several share it in proportion.
pub(super) fn scale(rollout: &Rollout<'_>) -> Result<(), Status> {
    let active: Vec<&Arc<Value>> = rollout.all().filter(|rs| size(rs) > 0).collect();
    let only = match active.as_slice() {
        [] => rollout.new.as_ref().or(rollout.old.last()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(only) = only {
        resize(rollout, only, rollout.replicas())?;
        return Ok(());
    }
    if rollout
        .new
        .as_ref()
        .is_some_and(|new| is_saturated(rollout, new))
    {
        for rs in &rollout.old {
            resize(rollout, rs, 0)?;
        }
        return Ok(());
    }
    for (rs, to) in proportions(rollout, active) {
        write(rollout, rs, to)?;
    }
    Ok(())
}

fn is_saturated(rollout: &Rollout<'_>, new: &Value) -> bool {
    let wanted = rollout.replicas();
    annotation(new, DESIRED) == wanted.to_string()
        && size(new) == wanted
        && available(new) == wanted
}

/// New sizes of several active ReplicaSets, so that none carries the whole risk of a scaling in the
/// middle of a rollout.
fn proportions<'a>(
    rollout: &Rollout<'_>,
    mut active: Vec<&'a Arc<Value>>,
) -> Vec<(&'a Arc<Value>, i64)> {
    let wanted = rollout.replicas();
    let allowed = if wanted > 0 {
        wanted + rollout.limits.max_surge
    } else {
        0
    };
    let to_add = allowed - active.iter().map(|rs| size(rs)).sum::<i64>();
    // The largest first: the newer of two when growing, the older when shrinking.
    if to_add > 0 {
        active.reverse();
    }
    active.sort_by_key(|rs| -size(rs));
    let mut left = to_add;
    let mut sizes: Vec<(&Arc<Value>, i64)> = active
        .into_iter()
        .map(|rs| {
            let before = annotation(rs, MAXIMUM).parse().unwrap_or(allowed).max(1);
            // Rounded half up, in whole numbers.
            let share = (2 * size(rs) * allowed + before) / (2 * before) - size(rs);
            let part = if to_add > 0 {
                share.clamp(0, left)
            } else {
                share.clamp(left, 0)
            };
            left -= part;
            (rs, size(rs) + part)
        })
        .collect();
    if let Some((_, largest)) = sizes.first_mut() {
        *largest = (*largest + left).max(0);
    }
    sizes
}
