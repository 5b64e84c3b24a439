//! Whether the environment's target serves what it should, not yet, or never will.

use domain::{
    evaluation::{GoldenRow, GoldenRows},
    ports::{Answer, Endpoint},
    release::{Manifest, Pointer, Progress, Target},
    rollout::{Deployment, Rollout},
};
use events::announced::{ReleaseFailed, ReleaseVerified};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::Config;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// The release serves, and what it serves was checked: it is known good.
    Verified {
        /// What is announced.
        verified: ReleaseVerified,
    },
    /// The release failed a check for good, or its time is over.
    Failed {
        /// What is announced.
        failed: ReleaseFailed,
    },
    /// A check isn't over.
    NotYet {
        /// Which, with its figures.
        reason: String,
        /// Seconds since the release became the target.
        elapsed_s: i64,
        /// Seconds after which it has failed.
        limit_s: i64,
    },
    /// The release isn't the environment's target, or isn't any more.
    Superseded {
        /// What is.
        reason: String,
    },
    /// The event isn't a deployment's start.
    NotForThisFunction {
        /// Which event is.
        reason: String,
    },
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// What the release should be.
    pub manifest: Manifest,
    /// The generation of the Deployment that carries the release.
    pub generation: i64,
    /// The Deployment; `None` when there is none.
    pub deployment: Option<Deployment>,
    /// The endpoint; `None` when there is none.
    pub endpoint: Option<Endpoint>,
    /// What the API answered; `None` while the rollout isn't over.
    pub answers: Option<Answers>,
    /// Golden rows of the model; `None` when none were kept.
    pub golden: Option<GoldenRows>,
}

/// What the API answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// `GET /health`.
    pub health: Answer,
    /// `POST /predict` with the owner's request.
    pub predict: Answer,
    /// `POST /predict` for each golden row.
    pub golden: Vec<Answer>,
}

/// A check that isn't passed.
struct Open {
    stage: &'static str,
    reason: String,
    /// Whether waiting can help.
    hopeless: bool,
}

impl Open {
    fn waiting(stage: &'static str, reason: impl Into<String>) -> Self {
        Self {
            stage,
            reason: reason.into(),
            hopeless: false,
        }
    }

    fn hopeless(stage: &'static str, reason: impl Into<String>) -> Self {
        Self {
            stage,
            reason: reason.into(),
            hopeless: true,
        }
    }
}

/// The target that a `DeploymentStarted` event speaks of, as long as it has no verdict.
pub fn target<'a>(release: &str, pointer: &'a Pointer) -> Result<&'a Target, String> {
    match &pointer.target {
        Some(target) if target.release == release => Ok(target),
        Some(target) => Err(format!(
            "the environment's target is {} since {}",
            target.release, target.since
        )),
        None => Err("the environment has no target".to_owned()),
    }
}

/// The rule: each check in turn, and the first open one decides.
pub fn decide(target: &Target, facts: &Facts, config: &Config) -> Decision {
    let release = target.release.clone();
    let fail = |stage: &str, reason: String| Decision::Failed {
        failed: ReleaseFailed {
            release: release.clone(),
            stage: stage.to_owned(),
            reason,
        },
    };
    match &target.progress {
        // A crash came between the pointer and the announcement: announce again.
        Progress::Verified => return verified(target, facts, config),
        Progress::Failed { reason } => {
            let (stage, reason) = reason.split_once(": ").unwrap_or(("rollout", reason));
            return fail(stage, reason.to_owned());
        }
        Progress::Deploying => {}
    }
    let elapsed_s = facts.now.as_second() - target.since.as_second();
    let open = rollout(facts)
        .or_else(|| endpoint(facts, config))
        .map(|open| (open, config.rollout_limit_s))
        .or_else(|| {
            api(target, facts, config)
                .map(|open| (open, config.rollout_limit_s + config.health_limit_s))
        });
    match open {
        None => verified(target, facts, config),
        Some((open, limit_s)) if open.hopeless || elapsed_s >= limit_s => {
            let over = if open.hopeless {
                String::new()
            } else {
                format!("after {elapsed_s} s, the limit being {limit_s} s: ")
            };
            fail(open.stage, format!("{over}{}", open.reason))
        }
        Some((open, limit_s)) => Decision::NotYet {
            reason: format!("{}: {}", open.stage, open.reason),
            elapsed_s,
            limit_s,
        },
    }
}

fn rollout(facts: &Facts) -> Option<Open> {
    let Some(deployment) = &facts.deployment else {
        return Some(Open::hopeless(
            "rollout",
            "the Deployment doesn't exist any more",
        ));
    };
    match deployment.rollout(facts.generation) {
        Rollout::Progressing(reason) => return Some(Open::waiting("rollout", reason)),
        Rollout::Stuck(reason) => return Some(Open::hopeless("rollout", reason)),
        Rollout::Complete => {}
    }
    let expected = facts.manifest.image.reference().unwrap_or_default();
    if deployment.image.as_deref() != Some(&expected) {
        let runs = deployment.image.as_deref().unwrap_or("no image");
        return Some(Open::hopeless(
            "rollout",
            format!("the Deployment runs {runs} and not {expected}: somebody else changed it"),
        ));
    }
    None
}

fn endpoint(facts: &Facts, config: &Config) -> Option<Open> {
    let expected = match domain::release::endpoint_config(&facts.manifest) {
        Ok(expected) => expected,
        Err(error) => return Some(Open::hopeless("endpoint", error.chain())),
    };
    let Some(endpoint) = &facts.endpoint else {
        return Some(Open::hopeless(
            "endpoint",
            format!("the endpoint {} doesn't exist", config.endpoint),
        ));
    };
    let reason = endpoint
        .failure_reason
        .as_deref()
        .unwrap_or("no reason given");
    match endpoint.status.as_str() {
        "InService" if endpoint.config == expected => None,
        // A failed update comes back InService, on the configuration that was there before.
        "InService" => Some(Open::hopeless(
            "endpoint",
            format!(
                "the update to {expected} came back on {} ({reason})",
                endpoint.config
            ),
        )),
        "Failed" | "OutOfService" | "UpdateRollbackFailed" => Some(Open::hopeless(
            "endpoint",
            format!("the endpoint is {} ({reason})", endpoint.status),
        )),
        status => Some(Open::waiting(
            "endpoint",
            format!("the endpoint is {status}"),
        )),
    }
}

fn api(target: &Target, facts: &Facts, config: &Config) -> Option<Open> {
    let Some(answers) = &facts.answers else {
        return Some(Open::waiting("health", "not asked yet"));
    };
    health(target, &answers.health)
        .or_else(|| predict(&answers.predict))
        .or_else(|| {
            facts
                .golden
                .as_ref()
                .and_then(|golden| golden_rows(golden, &answers.golden, config.golden_tolerance))
        })
}

fn health(target: &Target, answer: &Answer) -> Option<Open> {
    if answer.status != 200 {
        return Some(Open::waiting(
            "health",
            format!("GET /health: {}", told(answer)),
        ));
    }
    match answer.body["release"].as_str() {
        Some(release) if release == target.release => None,
        other => Some(Open::waiting(
            "health",
            format!("GET /health answers for {}", other.unwrap_or("no release")),
        )),
    }
}

fn predict(answer: &Answer) -> Option<Open> {
    match answer.status {
        200 if answer.body["prediction"].is_number() => None,
        200 => Some(Open::hopeless(
            "predict",
            "POST /predict answered 200 without a `prediction`",
        )),
        400..500 => Some(Open::hopeless(
            "predict",
            format!("POST /predict: {}", told(answer)),
        )),
        _ => Some(Open::waiting(
            "predict",
            format!("POST /predict: {}", told(answer)),
        )),
    }
}

/// The service must predict what the judged model predicted.
fn golden_rows(golden: &GoldenRows, answers: &[Answer], tolerance: f64) -> Option<Open> {
    for (row, answer) in golden.rows.iter().zip(answers) {
        let Some(prediction) = answer.body["prediction"]
            .as_f64()
            .filter(|_| answer.status == 200)
        else {
            return Some(Open::waiting(
                "golden-rows",
                format!("{}: {}", named(row), told(answer)),
            ));
        };
        let difference = relative_difference(row.prediction, prediction);
        if difference.is_nan() || difference > tolerance {
            return Some(Open::hopeless(
                "golden-rows",
                format!(
                    "{}: the service predicts {prediction}, the judged model {} (relative difference {difference:.2e}, tolerance {tolerance:.0e})",
                    named(row),
                    row.prediction
                ),
            ));
        }
    }
    (golden.rows.len() != answers.len()).then(|| {
        Open::waiting(
            "golden-rows",
            format!("{} of {} asked", answers.len(), golden.rows.len()),
        )
    })
}

/// |a − b| / max(|a|, |b|, 1): relative for sales above one unit, absolute below.
fn relative_difference(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(b.abs()).max(1.0)
}

fn named(row: &GoldenRow) -> String {
    format!(
        "store {} item {} on {}",
        row.store_id, row.item_id, row.date
    )
}

fn told(answer: &Answer) -> String {
    match &answer.trouble {
        Some(trouble) => format!("no answer ({trouble})"),
        None => format!("status {}{}", answer.status, reason(&answer.body)),
    }
}

fn reason(body: &Value) -> String {
    body["error"]
        .as_str()
        .map(|error| format!(" ({error})"))
        .unwrap_or_default()
}

fn verified(target: &Target, facts: &Facts, config: &Config) -> Decision {
    let mut checks = vec![];
    if let Some(deployment) = &facts.deployment {
        checks.push(format!(
            "rollout: {} of {} pods updated and available",
            deployment.available, deployment.wanted
        ));
    }
    if let Some(endpoint) = &facts.endpoint {
        checks.push(format!(
            "endpoint {}: {} on {}",
            config.endpoint, endpoint.status, endpoint.config
        ));
    }
    if let Some(answers) = &facts.answers {
        checks.push("GET /health answers 200 for this release".to_owned());
        checks.push(format!(
            "POST /predict answers {}",
            answers.predict.body["prediction"]
        ));
    }
    match &facts.golden {
        Some(golden) => checks.push(format!(
            "{} golden rows answered as the judged model predicted (tolerance {:.0e})",
            golden.rows.len(),
            config.golden_tolerance
        )),
        None => checks.push("golden rows: none were kept with this model's evaluation".to_owned()),
    }
    Decision::Verified {
        verified: ReleaseVerified {
            release: target.release.clone(),
            package_arn: facts.manifest.model.package_arn.clone(),
            image: facts.manifest.image.reference().unwrap_or_default(),
            checks,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use domain::release::{Configuration, Image, Model, SCHEMA};
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn config() -> Config {
        Config {
            environment: "dev".into(),
            artifacts_bucket: "a".into(),
            endpoint: "retail-forecast-dev".into(),
            rollout_limit_s: 300,
            health_limit_s: 300,
            look_again: Duration::from_secs(10),
            golden_tolerance: 1e-6,
        }
    }

    fn ok(body: Value) -> Answer {
        Answer {
            status: 200,
            body,
            trouble: None,
        }
    }

    fn target(progress: Progress) -> Target {
        Target {
            release: "release-a".into(),
            progress,
            since: at(1000),
            caused_at: at(999),
            cause: "test".into(),
        }
    }

    /// Everything as it should be, 20 s after the start.
    fn good() -> Facts {
        let manifest = Manifest {
            schema: SCHEMA,
            environment: "dev".into(),
            model: Model {
                package_arn: "arn/1".into(),
                training_job: "j".into(),
                dataset: "d".into(),
                uri: "u".into(),
                digest: "g".into(),
            },
            image: Image {
                repository: "infer".into(),
                digest: format!("sha256:{}", "1".repeat(64)),
            },
            configuration: Configuration {
                endpoint_instance_type: "ml.t2.medium".into(),
                endpoint_instance_count: 1,
                environment: BTreeMap::new(),
            },
        };
        let row = GoldenRow {
            store_id: 1,
            item_id: 2,
            date: jiff::civil::date(2017, 10, 1),
            prediction: 40.0,
        };
        Facts {
            now: at(1020),
            generation: 4,
            deployment: Some(Deployment {
                generation: 4,
                observed_generation: 4,
                wanted: 2,
                updated: 2,
                replicas: 2,
                available: 2,
                image: Some(manifest.image.reference().unwrap()),
                ..Deployment::default()
            }),
            endpoint: Some(Endpoint {
                config: domain::release::endpoint_config(&manifest).unwrap(),
                status: "InService".into(),
                failure_reason: None,
            }),
            answers: Some(Answers {
                health: ok(json!({"release": "release-a"})),
                predict: ok(json!({"prediction": 12.5})),
                golden: vec![ok(json!({"prediction": 40.000_000_1}))],
            }),
            golden: Some(GoldenRows {
                schema: 1,
                rows: vec![row],
            }),
            manifest,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn the_first_open_check_decides() {
        type Change = fn(&mut Facts);
        let no_answer = |f: &mut Facts| {
            f.answers.as_mut().unwrap().health = Answer {
                status: 0,
                body: Value::Null,
                trouble: Some("connection refused".into()),
            }
        };
        let cases: [(&str, Change, &str, &str); 17] = [
            ("all good", |_| (), "verified", "golden rows"),
            (
                "pods missing",
                |f| f.deployment.as_mut().unwrap().available = 1,
                "not-yet",
                "1 of 2 updated pods available",
            ),
            (
                "pods missing, too late",
                |f| {
                    f.deployment.as_mut().unwrap().available = 1;
                    f.now = at(1300);
                },
                "failed",
                "after 300 s",
            ),
            (
                "progress deadline",
                |f| f.deployment.as_mut().unwrap().deadline_exceeded = true,
                "failed",
                "progress deadline",
            ),
            (
                "paused",
                |f| f.deployment.as_mut().unwrap().paused = true,
                "failed",
                "paused",
            ),
            (
                "Deployment deleted",
                |f| f.deployment = None,
                "failed",
                "doesn't exist",
            ),
            (
                "somebody set another image",
                |f| f.deployment.as_mut().unwrap().image = Some("x".into()),
                "failed",
                "somebody else",
            ),
            (
                "endpoint updating",
                |f| f.endpoint.as_mut().unwrap().status = "Updating".into(),
                "not-yet",
                "Updating",
            ),
            (
                "endpoint came back on the old configuration",
                |f| f.endpoint.as_mut().unwrap().config = "old".into(),
                "failed",
                "came back on old",
            ),
            (
                "endpoint failed",
                |f| f.endpoint.as_mut().unwrap().status = "Failed".into(),
                "failed",
                "Failed",
            ),
            (
                "no endpoint",
                |f| f.endpoint = None,
                "failed",
                "doesn't exist",
            ),
            ("no answer", no_answer, "not-yet", "connection refused"),
            (
                "no answer, within the health limit",
                |f| {
                    f.answers.as_mut().unwrap().health.status = 503;
                    f.now = at(1599);
                },
                "not-yet",
                "503",
            ),
            (
                "no answer, too late",
                |f| {
                    f.answers.as_mut().unwrap().health.status = 503;
                    f.now = at(1600);
                },
                "failed",
                "503",
            ),
            (
                "another release answers",
                |f| f.answers.as_mut().unwrap().health.body = json!({"release": "release-b"}),
                "not-yet",
                "release-b",
            ),
            (
                "no prediction in the answer",
                |f| f.answers.as_mut().unwrap().predict.body = json!({}),
                "failed",
                "without a `prediction`",
            ),
            (
                "another prediction than judged",
                |f| f.answers.as_mut().unwrap().golden[0].body = json!({"prediction": 40.001}),
                "failed",
                "store 1 item 2 on 2017-10-01",
            ),
        ];
        for (name, change, expected, word) in cases {
            let mut facts = good();
            change(&mut facts);
            let decision =
                serde_json::to_value(decide(&target(Progress::Deploying), &facts, &config()))
                    .unwrap();
            assert_eq!(decision["decision"], expected, "{name}: {decision}");
            assert!(decision.to_string().contains(word), "{name}: {decision}");
        }
    }

    #[test]
    fn a_verdict_that_was_given_is_announced_again_as_it_was() {
        let mut facts = good();
        facts.answers = None;
        assert!(matches!(
            decide(&target(Progress::Verified), &facts, &config()),
            Decision::Verified { .. }
        ));
        let failed = target(Progress::Failed {
            reason: "health: after 600 s, the limit being 600 s: status 503".into(),
        });
        let Decision::Failed { failed } = decide(&failed, &good(), &config()) else {
            panic!("expected Failed");
        };
        assert_eq!(
            (failed.stage.as_str(), failed.reason.as_str()),
            ("health", "after 600 s, the limit being 600 s: status 503")
        );
    }

    #[test]
    fn only_the_target_is_verified() {
        let pointer = Pointer::empty("dev").aim("release-b", at(1), at(1), "test");
        assert!(super::target("release-a", &pointer).is_err());
        assert!(super::target("release-b", &pointer).is_ok());
        assert!(super::target("release-b", &Pointer::empty("dev")).is_err());
    }

    #[test]
    fn not_a_number_is_a_difference() {
        let golden = GoldenRows {
            schema: 1,
            rows: vec![GoldenRow {
                store_id: 1,
                item_id: 1,
                date: jiff::civil::date(2020, 1, 1),
                prediction: f64::NAN,
            }],
        };
        assert!(
            golden_rows(&golden, &[ok(json!({"prediction": 1.0}))], 1e-6)
                .is_some_and(|open| open.hopeless)
        );
    }
}
