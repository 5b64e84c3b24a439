//! Conditions of a Deployment's status.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::rfc3339;

/// `Progressing` says how a rollout goes, `Available` whether enough pods are.
pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const AVAILABLE: &str = "Available";

/// One condition, before it has times.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The condition of a type in `status`.
pub(super) fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Whether a condition of a type is there for this reason.
pub(super) fn has_reason(status: &Value, kind: &str, reason: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition["reason"] == reason)
}

/// Puts a condition last, in the place of its predecessor. The same status and reason again changes
/// nothing, not even the times; the same status for another reason keeps the time of transition.
pub(super) fn set(status: &mut Value, condition: &Condition, now: Timestamp) {
    let current = find(status, condition.kind);
    if current.is_some_and(|current| {
        current["status"] == condition.status && current["reason"] == condition.reason
    }) {
        return;
    }
    renew(status, condition, now);
}

/// Like [`set`], and the time of update moves even when nothing else does: a sign of life.
pub(super) fn renew(status: &mut Value, condition: &Condition, now: Timestamp) {
    let now = rfc3339(now);
    let transition = find(status, condition.kind)
        .filter(|current| current["status"] == condition.status)
        .map_or_else(
            || json!(now),
            |current| current["lastTransitionTime"].clone(),
        );
    remove(status, condition.kind);
    let condition = json!({
        "type": condition.kind,
        "status": condition.status,
        "lastUpdateTime": now,
        "lastTransitionTime": transition,
        "reason": condition.reason,
        "message": condition.message,
    });
    match status["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => status["conditions"] = json!([condition]),
    }
}

/// Removes the condition of a type.
pub(super) fn remove(status: &mut Value, kind: &str) {
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|condition| condition["type"] != kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progressing(status: &'static str, reason: &'static str) -> Condition {
        Condition {
            kind: PROGRESSING,
            status,
            reason,
            message: String::new(),
        }
    }

    #[test]
    fn times_move_only_with_what_they_tell() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (one, two, three) = (
            at("2026-01-01T00:00:01Z"),
            at("2026-01-01T00:00:02Z"),
            at("2026-01-01T00:00:03Z"),
        );
        let mut status = json!({});
        set(&mut status, &progressing("True", "A"), one);
        set(&mut status, &progressing("True", "A"), two);
        assert_eq!(
            status["conditions"][0]["lastUpdateTime"],
            "2026-01-01T00:00:01Z"
        );
        set(&mut status, &progressing("True", "B"), two);
        assert_eq!(
            status["conditions"][0]["lastUpdateTime"],
            "2026-01-01T00:00:02Z"
        );
        assert_eq!(
            status["conditions"][0]["lastTransitionTime"],
            "2026-01-01T00:00:01Z"
        );
        set(&mut status, &progressing("False", "B"), three);
        assert_eq!(
            status["conditions"][0]["lastTransitionTime"],
            "2026-01-01T00:00:03Z"
        );
        assert_eq!(status["conditions"].as_array().map(Vec::len), Some(1));
    }
}
