//! How an update shifts traffic to the new containers: `DeploymentConfig`, read and checked.

use std::time::Duration;

use serde_json::Value;

use super::configs::VariantPlan;
use crate::error::ApiError;

/// SageMaker's limit of a deployment that names none.
const LONGEST: Duration = Duration::from_hours(8);

/// The steps of an update, and what ends it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shift {
    /// Shares of the calls (0 to 1) for the new containers, one after the other; the last is 1.
    pub(super) shares: Vec<f64>,
    /// How long the alarms are watched after each.
    pub(super) bake: Duration,
    /// How long the old containers stay after the last, with the alarms watched as well.
    pub(super) keep_old: Duration,
    /// How long all of it may take.
    pub(super) limit: Duration,
    /// Names of the alarms that end it.
    pub(super) alarms: Vec<String>,
    /// The role that the alarms are looked at with.
    pub(super) role: Option<String>,
}

impl Shift {
    /// All at once, and done.
    pub(super) fn none() -> Self {
        Self {
            shares: vec![1.0],
            bake: Duration::ZERO,
            keep_old: Duration::ZERO,
            limit: LONGEST,
            alarms: Vec::new(),
            role: None,
        }
    }

    /// Reads a `DeploymentConfig` for an update to these variants.
    pub(super) fn read(
        config: Option<&Value>,
        variants: &[VariantPlan],
        role: Option<String>,
    ) -> Result<Self, ApiError> {
        let Some(config) = config else {
            return Ok(Self::none());
        };
        if !config["RollingUpdatePolicy"].is_null() {
            return Err(ApiError::left_out("RollingUpdatePolicy"));
        }
        let policy = &config["BlueGreenUpdatePolicy"];
        let traffic = &policy["TrafficRoutingConfiguration"];
        let seconds = |of: &Value, member: &str, least: u64, most: u64| match &of[member] {
            Value::Null => Ok(None),
            value => match value.as_u64().filter(|n| (least..=most).contains(n)) {
                Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
                None => Err(invalid(
                    value,
                    member,
                    &format!("have a value of {least} to {most}"),
                )),
            },
        };
        let bake = seconds(traffic, "WaitIntervalInSeconds", 0, 3600)?;
        let keep_old = seconds(policy, "TerminationWaitInSeconds", 0, 3600)?;
        let limit = seconds(policy, "MaximumExecutionTimeoutInSeconds", 600, 28_800)?;
        let shift = Self {
            shares: shares(traffic, variants)?,
            bake: bake.unwrap_or_default(),
            keep_old: keep_old.unwrap_or_default(),
            limit: limit.unwrap_or(LONGEST),
            alarms: alarms(&config["AutoRollbackConfiguration"])?,
            role,
        };
        let steps = u32::try_from(shift.shares.len()).unwrap_or(u32::MAX);
        if shift.limit <= shift.bake.saturating_mul(steps) + shift.keep_old {
            return Err(ApiError::validation(
                "MaximumExecutionTimeoutInSeconds must be larger than the total waiting time specified \
                 in TerminationWaitInSeconds and WaitIntervalInSeconds.",
            ));
        }
        Ok(shift)
    }
}

fn shares(traffic: &Value, variants: &[VariantPlan]) -> Result<Vec<f64>, ApiError> {
    let (member, least) = match traffic["Type"].as_str() {
        Some("ALL_AT_ONCE") => return Ok(vec![1.0]),
        Some("CANARY") => ("CanarySize", 0.0),
        Some("LINEAR") => ("LinearStepSize", 0.1),
        _ => {
            let rule = "satisfy enum value set: [ALL_AT_ONCE, CANARY, LINEAR]";
            return Err(invalid(&traffic["Type"], "Type", rule));
        }
    };
    let size = &traffic[member];
    let instances: u64 = variants.iter().map(|variant| variant.count).sum();
    let value = size["Value"].as_f64().unwrap_or_default();
    let share = match size["Type"].as_str() {
        Some("INSTANCE_COUNT") => value / instances as f64,
        Some("CAPACITY_PERCENT") => value / 100.0,
        _ => 0.0,
    };
    // Half of one instance is none.
    if share <= 0.0 || share < least || share > 0.5 || instances < 2 {
        let rule = format!(
            "be at most 50% of the variant's {instances} instance(s){}",
            if least > 0.0 {
                ", and at least 10%"
            } else {
                ""
            }
        );
        return Err(invalid(size, member, &rule));
    }
    if member == "CanarySize" {
        return Ok(vec![share, 1.0]);
    }
    let steps = std::iter::successors(Some(share), |shifted| Some(shifted + share));
    let steps = steps.take_while(|shifted| *shifted < 0.999_999);
    Ok(steps.chain([1.0]).collect())
}

fn alarms(undo: &Value) -> Result<Vec<String>, ApiError> {
    let listed = undo["Alarms"].as_array().map_or(&[][..], Vec::as_slice);
    if listed.len() > 10 {
        let rule = "have length less than or equal to 10";
        return Err(invalid(&undo["Alarms"], "Alarms", rule));
    }
    let name = |alarm: &Value| alarm["AlarmName"].as_str().map(str::to_owned);
    let names: Option<Vec<String>> = listed.iter().map(name).collect();
    names.ok_or_else(|| invalid(&undo["Alarms"], "AlarmName", "not be null"))
}

fn invalid(value: &Value, member: &str, rule: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value '{value}' at 'deploymentConfig.{member}' failed to satisfy \
         constraint: Member must {rule}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(traffic: &Value, instances: u64) -> Result<Shift, ApiError> {
        let variant = VariantPlan {
            name: "default".to_owned(),
            model: "m".to_owned(),
            count: instances,
            weight: 1.0,
            start_limit: Duration::ZERO,
        };
        let config = json!({
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": traffic,
                "TerminationWaitInSeconds": 60,
                "MaximumExecutionTimeoutInSeconds": 1800,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]},
        });
        Shift::read(Some(&config), &[variant], Some("role".to_owned()))
    }

    fn canary(kind: &str, value: u32) -> Value {
        json!({"Type": "CANARY", "WaitIntervalInSeconds": 300,
            "CanarySize": {"Type": kind, "Value": value}})
    }

    #[test]
    fn each_kind_has_its_steps() {
        let at_once = json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300});
        let shift = read(&at_once, 1).expect("valid");
        assert_eq!(shift.shares, [1.0]);
        assert_eq!(shift.bake, Duration::from_mins(5));
        assert_eq!(shift.keep_old, Duration::from_mins(1));
        assert_eq!(shift.alarms, ["a"]);
        let shares = |traffic, instances| read(&traffic, instances).expect("valid").shares;
        assert_eq!(shares(canary("INSTANCE_COUNT", 1), 4), [0.25, 1.0]);
        assert_eq!(shares(canary("CAPACITY_PERCENT", 30), 4), [0.3, 1.0]);
        let linear = json!({"Type": "LINEAR", "WaitIntervalInSeconds": 60,
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 40}});
        assert_eq!(shares(linear, 4), [0.4, 0.8, 1.0]);
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        for (traffic, instances, word) in [
            (json!({"Type": "SLOWLY"}), 1, "ALL_AT_ONCE, CANARY, LINEAR"),
            (canary("CAPACITY_PERCENT", 51), 4, "at most 50%"),
            (canary("INSTANCE_COUNT", 1), 1, "1 instance(s)"),
            (
                json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 3601}),
                1,
                "0 to 3600",
            ),
            (
                json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 1750}),
                1,
                "total waiting time",
            ),
        ] {
            let refusal = read(&traffic, instances).expect_err(word);
            assert!(refusal.message.contains(word), "{}", refusal.message);
        }
        let rolling = json!({"RollingUpdatePolicy": {}});
        assert!(Shift::read(Some(&rolling), &[], None).is_err());
        assert_eq!(Shift::read(None, &[], None), Ok(Shift::none()));
    }
}
