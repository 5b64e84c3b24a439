//! How far a rollout may go above and below the wanted number of pods.

use serde_json::Value;

use crate::json::{number, text};

/// `maxSurge` and `maxUnavailable` in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) max_surge: i64,
    pub(super) max_unavailable: i64,
}

impl Limits {
    /// The limits of a Deployment. A share of the pods is rounded up for the surge and down for
    /// unavailability; when both come to nothing one pod may be unavailable, or nothing would move.
    pub(super) fn of(deployment: &Value) -> Self {
        let replicas = number(deployment, "/spec/replicas");
        if text(deployment, "/spec/strategy/type") != "RollingUpdate" {
            return Self {
                max_surge: 0,
                max_unavailable: 0,
            };
        }
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        let max_surge = amount(&rolling["maxSurge"], replicas).unwrap_or_default();
        let max_unavailable = if rolling["maxUnavailable"].is_string() {
            share(&rolling["maxUnavailable"], replicas)
                .map(|(whole, _)| whole)
                .unwrap_or_default()
        } else {
            amount(&rolling["maxUnavailable"], replicas).unwrap_or_default()
        };
        let max_unavailable = if max_surge == 0 && max_unavailable == 0 {
            1
        } else {
            max_unavailable
        };
        Self {
            max_surge,
            max_unavailable: max_unavailable.min(replicas),
        }
    }
}

/// A count, or a share of `total` rounded up; `None` when `limit` is neither.
pub(crate) fn amount(limit: &Value, total: i64) -> Option<i64> {
    if limit.is_string() {
        return share(limit, total).map(|(whole, exact)| whole + i64::from(!exact));
    }
    limit.as_i64().filter(|count| *count >= 0)
}

/// A percentage of `total` rounded down, and whether that was exact.
fn share(limit: &Value, total: i64) -> Option<(i64, bool)> {
    let percent: u16 = limit.as_str()?.strip_suffix('%')?.parse().ok()?;
    let hundredths = i64::from(percent) * total;
    Some((hundredths / 100, hundredths % 100 == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limits(replicas: i64, surge: &Value, unavailable: &Value) -> (i64, i64) {
        let limits = Limits::of(&json!({"spec": {
            "replicas": replicas,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}
            }
        }}));
        (limits.max_surge, limits.max_unavailable)
    }

    #[test]
    fn the_surge_rounds_up_and_unavailability_down() {
        assert_eq!(limits(3, &json!("25%"), &json!("25%")), (1, 0));
        assert_eq!(limits(10, &json!("25%"), &json!("25%")), (3, 2));
        assert_eq!(limits(4, &json!("25%"), &json!("25%")), (1, 1));
        assert_eq!(limits(3, &json!(2), &json!(1)), (2, 1));
    }

    #[test]
    fn something_always_moves_and_never_more_than_there_is() {
        assert_eq!(limits(3, &json!("0%"), &json!("1%")), (0, 1));
        assert_eq!(limits(2, &json!(0), &json!(5)), (0, 2));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for limit in [json!("3"), json!("x%"), json!(-1), json!(null), json!(1.5)] {
            assert_eq!(amount(&limit, 100), None, "{limit}");
        }
    }
}
