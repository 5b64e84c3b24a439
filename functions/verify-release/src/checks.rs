//! What is looked at, each in turn: the rollout, the endpoint, the API.

use domain::{
    evaluation::{GoldenRow, GoldenRows},
    ports::Answer,
    release::{Progress, Target},
    rollout::Rollout,
};
use events::announced::CLUSTER;
use serde_json::Value;

use crate::{Config, decide::Facts};

/// A check that isn't passed.
pub(crate) struct Open {
    pub(crate) stage: &'static str,
    pub(crate) reason: String,
    /// Whether waiting can't help.
    pub(crate) hopeless: bool,
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

/// The rollout by kubectl's counts, and whether it is of what was written.
pub(crate) fn rollout(target: &Target, facts: &Facts) -> Option<Open> {
    let Some(deployment) = &facts.deployment else {
        return Some(Open::hopeless(
            CLUSTER,
            "the Deployment doesn't exist any more",
        ));
    };
    match deployment.rollout(facts.generation) {
        Rollout::Progressing(reason) => return Some(Open::waiting("rollout", reason)),
        // The release didn't pause it.
        Rollout::Stuck(reason) if deployment.paused => {
            return Some(Open::hopeless(CLUSTER, reason));
        }
        Rollout::Stuck(reason) => return Some(Open::hopeless("rollout", reason)),
        Rollout::Complete => {}
    }
    let expected = facts.manifest.image.reference().unwrap_or_default();
    if deployment.image.as_deref() != Some(&expected) {
        let runs = deployment.image.as_deref().unwrap_or("no image");
        return Some(Open::hopeless(
            CLUSTER,
            format!("the Deployment runs {runs} and not {expected}: somebody else changed it"),
        ));
    }
    let carried = deployment.environment.get("DEPLOYMENT_ID");
    if carried != Some(&target.release) {
        let carried = carried.map_or("no release", String::as_str);
        return Some(Open::hopeless(
            CLUSTER,
            format!("the Deployment carries {carried}: somebody else changed it"),
        ));
    }
    None
}

/// What is brought back serves alone: no pod of a canary that was taken away answers any more.
pub(crate) fn canary(target: &Target, facts: &Facts) -> Option<Open> {
    let canary = facts.canary.as_ref()?;
    let is_out = matches!(target.progress, Progress::Restoring { .. }) && canary.replicas > 0;
    is_out.then(|| {
        let reason = format!("{} pods of the canary still running", canary.replicas);
        Open::waiting("rollout", reason)
    })
}

/// The endpoint on the configuration that serves the release.
pub(crate) fn endpoint(target: &Target, facts: &Facts, config: &Config) -> Option<Open> {
    let expected = match domain::release::endpoint_config(&facts.manifest) {
        Ok(expected) => expected,
        Err(error) => return Some(Open::hopeless("endpoint", error.chain())),
    };
    let Some(endpoint) = &facts.endpoint else {
        return Some(Open::hopeless(
            CLUSTER,
            format!("the endpoint {} doesn't exist", config.endpoint),
        ));
    };
    let reason = endpoint
        .failure_reason
        .as_deref()
        .unwrap_or("no reason given");
    match endpoint.status.as_str() {
        "InService" if endpoint.config == expected => None,
        // The way back is announced as soon as the pods are told; an update of the endpoint that still bakes
        // has to end before the endpoint takes ours.
        "InService" if matches!(target.progress, Progress::Restoring { .. }) => {
            Some(Open::waiting(
                "endpoint",
                format!(
                    "the endpoint is InService on {}, and {expected} is yet to come ({reason})",
                    endpoint.config
                ),
            ))
        }
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

/// What the API answered.
pub(crate) fn api(target: &Target, facts: &Facts, config: &Config) -> Option<Open> {
    let Some(answers) = &facts.answers else {
        return Some(Open::waiting("health", "not asked yet"));
    };
    health(target, &answers.health)
        .or_else(|| predict(answers.predict.as_ref()))
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

fn predict(answer: Option<&Answer>) -> Option<Open> {
    let Some(answer) = answer else {
        return Some(Open::waiting("predict", "not asked"));
    };
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
pub(crate) fn golden_rows(golden: &GoldenRows, answers: &[Answer], tolerance: f64) -> Option<Open> {
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
        let difference = row.deviation(prediction);
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
