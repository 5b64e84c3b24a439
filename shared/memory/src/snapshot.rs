//! The world as a value that two runs can be compared by.

use std::collections::{BTreeMap, BTreeSet};

use domain::names;
use serde_json::{Map, Value, json};

use crate::{World, state::State};

/// What is in a world, as JSON, without what differs between two runs that did the same: entity
/// tags, versions, event ids, generations, times of creation, and how often the same announcement,
/// notice or dead letter was sent.
#[derive(Clone, PartialEq)]
pub struct Snapshot(Value);

impl Snapshot {
    /// The world as JSON: `objects`, `training_jobs`, `transform_jobs`, `models`, `groups`,
    /// `packages`, `endpoint_configs`, `endpoints`, `alarms`, `deployment`, `canary`, `announcements`, `notices`,
    /// `buried`.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// One line for each place where the two differ: path, this value, the other value.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        compare("", &self.0, &other.0, &mut lines);
        lines
    }
}

impl std::fmt::Display for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// As it is displayed, so that a failed `assert_eq!` can be read.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

fn compare(path: &str, one: &Value, other: &Value, lines: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => compare(&path, one, other, lines),
                    (Some(one), None) => lines.push(format!("{path}: {one} | nothing")),
                    (None, Some(other)) => lines.push(format!("{path}: nothing | {other}")),
                    (None, None) => (),
                }
            }
        }
        _ if one == other => (),
        _ => lines.push(format!("{path}: {one} | {other}")),
    }
}

/// Content as readable as it is: JSON, short text, or a digest.
fn content(bytes: &[u8]) -> Value {
    if let Ok(json) = serde_json::from_slice(bytes) {
        return json;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= 1000 => json!(text),
        _ => json!(format!(
            "{} bytes, sha256 {}",
            bytes.len(),
            names::digest_bytes(bytes)
        )),
    }
}

/// The different messages, in the order of their text: neither repeats nor order are the state's.
fn set(messages: impl Iterator<Item = Value>) -> Vec<Value> {
    let by_text: BTreeMap<String, Value> = messages
        .map(|message| (message.to_string(), message))
        .collect();
    by_text.into_values().collect()
}

fn by_name<'a, T: 'a>(
    things: impl IntoIterator<Item = (&'a String, &'a T)>,
    show: impl Fn(&T) -> Value,
) -> Value {
    let shown = things
        .into_iter()
        .map(|(name, thing)| (name.clone(), show(thing)));
    Value::Object(shown.collect::<Map<_, _>>())
}

fn snapshot(state: &State) -> Value {
    let objects = state.objects.all();
    let objects = objects.map(|(at, bytes)| (at.to_string(), content(bytes)));
    let packages = state.packages.iter().map(|package| (&package.arn, package));
    let deployment = state.api.as_ref().map(|api| {
        let now = &api.deployment;
        json!({
            "rollout": format!("{:?}", now.rollout(now.generation)),
            "wanted": now.wanted,
            "image": now.image,
            "environment": now.environment,
            "annotations": now.annotations,
            "image_managers": now.image_managers,
            "serving": api.serving,
        })
    });
    let messages = &state.messages;
    json!({
        "objects": Value::Object(objects.collect::<Map<_, _>>()),
        "training_jobs": by_name(&state.training_jobs, |job| {
            json!({ "status": job.status, "failure_reason": job.failure_reason, "spec": job.spec })
        }),
        "transform_jobs": by_name(&state.transform_jobs, |job| {
            json!({ "status": job.status, "failure_reason": job.failure_reason, "spec": job.spec })
        }),
        "models": by_name(&state.models, |model| {
            json!({ "image": model.image, "model_uri": model.model_uri, "environment": model.environment })
        }),
        "groups": state.groups,
        "packages": by_name(packages, |package| {
            json!({
                "approval": package.approval,
                "approval_description": package.approval_description,
                "spec": package.spec,
            })
        }),
        "endpoint_configs": by_name(&state.endpoint_configs, |config| json!(config)),
        "endpoints": by_name(&state.endpoints, |served| {
            json!({
                "config": served.config,
                "status": served.status,
                "failure_reason": served.failure_reason,
            })
        }),
        "alarms": by_name(&state.alarms, |alarm| json!(alarm)),
        "deployment": deployment,
        "canary": { "wanted": state.canary.deployment.wanted },
        "announcements": set(messages.announcements.iter().map(|said| json!(said))),
        "notices": set(messages.notices.iter().map(|notice| json!(notice))),
        "buried": set(messages.buried.iter().map(|letter| json!(letter))),
    })
}

impl World {
    /// The world as it is now, to compare with another's.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(snapshot(&self.state.borrow()))
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        layout::Location,
        ports::{Announcement, Bus as _, ObjectStore as _},
    };

    use super::*;
    use crate::{CrashPoint, When, ready};

    /// A function of two effects.
    async fn invoke(world: &World) -> domain::Result<()> {
        let at = Location::new("a", "decision.json");
        world
            .put(&at, br#"{"verdict":"pass"}"#.to_vec(), "application/json")
            .await?;
        let announcement = Announcement {
            detail_type: "ModelJudged".to_owned(),
            detail: json!({ "id": "cause" }),
        };
        world.announce(&announcement).await
    }

    #[test]
    fn a_crash_anywhere_and_a_repeat_leave_the_same_world() {
        let straight = World::new();
        ready(invoke(&straight)).unwrap();
        let effects = straight.effects().len();
        assert_eq!(effects, 2);
        for effect in 1..=effects {
            for when in [When::Before, When::After] {
                let world = World::new();
                world.crash_at(Some(CrashPoint { effect, when }));
                ready(invoke(&world)).unwrap_err();
                world.revive();
                ready(invoke(&world)).unwrap();
                assert_eq!(world.snapshot(), straight.snapshot());
            }
        }
    }

    #[test]
    fn differences_name_the_place() {
        let (one, other) = (World::new(), World::new());
        assert_eq!(one.snapshot().differences(&other.snapshot()), [""; 0]);
        let at = Location::new("a", "decision.json");
        one.write(&at, r#"{"verdict":"pass"}"#);
        other.write(&at, r#"{"verdict":"fail"}"#);
        one.write(&Location::new("a", "more"), vec![0xff]);
        let differences = one.snapshot().differences(&other.snapshot());
        assert_eq!(
            differences[0],
            r#"/objects/s3://a/decision.json/verdict: "pass" | "fail""#
        );
        assert!(differences[1].ends_with("| nothing"), "{differences:?}");
        assert!(one.snapshot().to_string().contains("decision.json"));
    }
}
