//! What will be deployed, worked out from the settings before anything is: resources, their names,
//! and the policies between them. [`crate::refusal`] judges it, [`crate::deploy`] makes it so.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    names::{Names, Place},
    settings::{FunctionSettings, Limits, Settings, SettingsError, Trigger},
};

/// AWS's advice: a queue's messages stay invisible for six times the function's timeout (a batch
/// may be throttled and tried again within it), plus the batching window.
const VISIBILITY_TIMEOUTS: u32 = 6;

/// How long a dead letter is kept: the most SQS allows, 14 days.
pub const DEAD_LETTER_RETENTION_S: u32 = 1_209_600;

/// A function and all that belongs to it.
#[derive(Debug, Clone)]
pub struct FunctionPlan {
    /// Its name in the project (`validate-dataset`): crate, binary, policy and pattern file.
    pub key: String,
    /// Its name once deployed, and its role's.
    pub name: String,
    /// Its role.
    pub role_arn: String,
    /// The role's inline policy.
    pub policy: Value,
    /// How it runs; `limits.environment` is complete.
    pub limits: Limits,
    /// What its messages come from.
    pub queue: QueuePlan,
    /// Where messages go that it can't handle.
    pub dead_letters: QueuePlan,
    /// What fills the queue.
    pub rules: Vec<RulePlan>,
    /// ARNs, with `*`, of the alarms whose action may invoke it past its queue.
    pub alarms: Vec<String>,
    /// Where it is deployed.
    pub place: Place,
}

/// A queue.
#[derive(Debug, Clone)]
pub struct QueuePlan {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// How long a received message is hidden from others, seconds.
    pub visibility_timeout_s: u32,
    /// The queue's own policy; `None` where only this account's roles use it.
    pub policy: Option<Value>,
}

/// A rule whose one target is its function's queue.
#[derive(Debug, Clone)]
pub struct RulePlan {
    /// Name once deployed.
    pub name: String,
    /// ARN, the source that the queue's policy names.
    pub arn: String,
    /// What it is for.
    pub description: String,
    /// When it fires.
    pub trigger: Trigger,
    /// ARN of the queue.
    pub target: String,
}

impl RulePlan {
    /// The bus it is on: a schedule's events are AWS's own.
    pub fn bus(&self) -> &str {
        match &self.trigger {
            Trigger::Pattern { bus, .. } => bus,
            Trigger::Schedule(_) => "default",
        }
    }
}

/// Plans all functions. `endpoint` is the emulator's, `shared` the names' values, and `environment`
/// what each function gets besides its own variables (the addresses of this cloud's services).
pub fn plan(
    settings: &Settings,
    place: &Place,
    endpoint: &str,
    shared: &Names,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<FunctionPlan>, SettingsError> {
    let mut plans = Vec::new();
    for key in settings.functions() {
        let (queue, dead_letters) = queue_names(place, key);
        let url = |queue: &str| format!("{endpoint}/{}/{queue}", place.account);
        let names = shared.clone().with([
            ("function", key.to_owned()),
            ("queue_url", url(&queue)),
            ("queue_arn", place.arn("sqs", &queue)),
            ("dlq_url", url(&dead_letters)),
            ("dlq_arn", place.arn("sqs", &dead_letters)),
        ]);
        let mut function = settings.function(key, &names)?;
        function.limits.environment.extend(environment.clone());
        plans.push(plan_function(key, function, place));
    }
    Ok(plans)
}

/// Names of a function's queue and dead-letter queue.
fn queue_names(place: &Place, key: &str) -> (String, String) {
    let name = place.function_name(key);
    let dead_letters = format!("{name}-dead-letters");
    (name, dead_letters)
}

/// Plans one function.
pub(crate) fn plan_function(key: &str, settings: FunctionSettings, place: &Place) -> FunctionPlan {
    let name = place.function_name(key);
    let (queue_name, dead_letter_name) = queue_names(place, key);
    let queue_arn = place.arn("sqs", &queue_name);
    let rules: Vec<_> = settings
        .rules
        .into_iter()
        .map(|(rule, (description, trigger))| {
            let rule_name = format!("{name}-{rule}");
            let path = match &trigger {
                Trigger::Pattern { bus, .. } if bus != "default" => format!("{bus}/{rule_name}"),
                Trigger::Pattern { .. } | Trigger::Schedule(_) => rule_name.clone(),
            };
            RulePlan {
                arn: place.arn("events", &format!("rule/{path}")),
                name: rule_name,
                description,
                trigger,
                target: queue_arn.clone(),
            }
        })
        .collect();
    let limits = settings.limits;
    let alarms = settings.invoked_by_alarms.iter();
    let alarms = alarms.map(|name| place.arn("cloudwatch", &format!("alarm:{name}")));
    FunctionPlan {
        alarms: alarms.collect(),
        place: place.clone(),
        key: key.to_owned(),
        role_arn: place.role_arn(&name),
        name,
        policy: settings.policy,
        queue: QueuePlan {
            name: queue_name,
            visibility_timeout_s: VISIBILITY_TIMEOUTS * limits.timeout_s + limits.batching_window_s,
            policy: Some(queue_policy(&queue_arn, &rules)),
            arn: queue_arn,
        },
        dead_letters: QueuePlan {
            arn: place.arn("sqs", &dead_letter_name),
            name: dead_letter_name,
            visibility_timeout_s: 30,
            policy: None,
        },
        limits,
        rules,
    }
}

/// Lets EventBridge send on behalf of these rules and no other.
fn queue_policy(queue_arn: &str, rules: &[RulePlan]) -> Value {
    let sources: Vec<_> = rules.iter().map(|rule| rule.arn.as_str()).collect();
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Rules",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": sources}},
        }],
    })
}

/// Lets a service assume a role.
pub fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
        }],
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::plan;
    use crate::{names::Place, refusal::refusals, settings::Settings};

    #[test]
    fn the_projects_own_files_would_be_deployed_in_each_environment() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let settings = Settings::read(&root).unwrap();
        for environment in ["dev", "staging", "prod"] {
            let place = Place {
                environment: environment.to_owned(),
                region: "ap-southeast-1".to_owned(),
                account: "123456789012".to_owned(),
            };
            let names = place.names("http://service");
            let plans = plan(
                &settings,
                &place,
                "http://emulator",
                &names,
                &BTreeMap::new(),
            );
            assert_eq!(refusals(&plans.unwrap()), []);
        }
    }
}
