//! Terraform and the local cloud make the same of the functions' files: settings, policies and patterns.
//!
//! `make infra-check` writes what Terraform makes of them, for a fixed place, to `infra/check/plan.json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{collections::BTreeMap, fs, path::Path};

use local_cloud::{
    names::Place,
    plan::{FunctionPlan, plan},
    settings::{Settings, Trigger},
};
use serde_json::{Value, json};

/// The plan of a function as Terraform writes it. Policies and patterns are JSON in strings there.
fn written(plan: &FunctionPlan) -> Value {
    let limits = &plan.limits;
    let rules: BTreeMap<_, _> = plan
        .rules
        .iter()
        .map(|rule| {
            let key = rule.name[plan.name.len() + 1..].to_owned();
            let (pattern, schedule) = match &rule.trigger {
                Trigger::Pattern { pattern, .. } => (pattern.clone(), Value::Null),
                Trigger::Schedule(schedule) => (Value::Null, json!(schedule)),
            };
            let written = json!({
                "name": rule.name,
                "arn": rule.arn,
                "description": rule.description,
                "bus": rule.bus(),
                "pattern": pattern,
                "schedule": schedule,
            });
            (key, written)
        })
        .collect();
    json!({
        "name": plan.name,
        "role_arn": plan.role_arn,
        "limits": {
            "memory_mb": limits.memory_mb,
            "timeout_s": limits.timeout_s,
            "batch_size": limits.batch_size,
            "batching_window_s": limits.batching_window_s,
            "max_receive_count": limits.max_receive_count,
            "concurrency": limits.concurrency,
            "vpc": limits.vpc,
            "ephemeral_storage_mb": limits.ephemeral_storage_mb,
            "oldest_message_s": limits.oldest_message_s,
        },
        "environment": limits.environment,
        "policy": plan.policy,
        "queue": {
            "name": plan.queue.name,
            "arn": plan.queue.arn,
            "visibility_timeout_s": plan.queue.visibility_timeout_s,
        },
        "dead_letters": {"name": plan.dead_letters.name, "arn": plan.dead_letters.arn},
        "rules": rules,
        "alarms": plan.alarms,
    })
}

/// JSON in a string becomes JSON, so that the order of fields doesn't matter.
fn unfold(function: &mut Value) {
    let unfolded = |text: &mut Value| {
        if let Some(json) = text.as_str() {
            *text = serde_json::from_str(json).unwrap();
        }
    };
    unfolded(&mut function["policy"]);
    for rule in function["rules"].as_object_mut().unwrap().values_mut() {
        unfolded(&mut rule["pattern"]);
    }
}

#[test]
fn terraform_and_the_local_cloud_make_the_same_of_the_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = fs::read(root.join("infra/check/plan.json")).unwrap();
    let mut terraforms: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&file).unwrap();
    for environment in ["dev", "staging", "prod"] {
        let mut settings = Settings::read(&root).unwrap();
        settings.set_environment(environment).unwrap();
        let place = Place {
            environment: environment.to_owned(),
            region: "ap-southeast-1".to_owned(),
            account: "123456789012".to_owned(),
        };
        let names = place.names("http://service");
        let queues = "https://sqs.ap-southeast-1.amazonaws.com";
        let ours = plan(&settings, &place, queues, &names, &BTreeMap::new()).unwrap();
        let mut theirs = terraforms.remove(environment).unwrap();
        for plan in ours {
            let mut function = theirs
                .remove(&plan.key)
                .unwrap_or_else(|| panic!("Terraform doesn't know {}", plan.key));
            unfold(&mut function);
            assert_eq!(
                function,
                written(&plan),
                "{environment}: {}: run `make infra-check`, which says what Terraform makes of the files now",
                plan.key
            );
        }
        assert!(
            theirs.is_empty(),
            "only Terraform knows {:?}",
            theirs.keys()
        );
    }
}
