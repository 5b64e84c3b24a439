//! What a deployment's end says of the pipeline itself, for the dashboard's fourth widget.
//!
//! It is written to the log as an embedded metric (CloudWatch's embedded metric format): CloudWatch Logs makes
//! metrics of the line, so that the function needs no grant for it. Namespace `RetailForecast/Pipeline`, dimension
//! `Environment`:
//!
//! | metric | value of one deployment | read as |
//! |---|---|---|
//! | `DeploymentCount`, `DeploymentFrequency` | 1 | sum; over a day it is the frequency |
//! | `DeploymentSuccess` | 1 when it was verified, 0 when it failed; −1 once it is rolled back after that | sum |
//! | `FailureRate` | 0 when it was verified, 100 when it failed, 100 once it is rolled back after that | its sum by that of `DeploymentCount`: percent |
//! | `LeadTimeMinutes`, `LeadTime` | from its cause (approval, scan, request) to its verification; none when it failed | average, minutes |
//!
//! `FailureRate` is DORA's change failure rate: the share of deployments that had to be remedied. That is one which
//! failed before it was verified, and one that was rolled back at any time after it, by an alarm or by a person,
//! whoever was to blame. A deployment counts once, as a success or as a failure: what was verified and is rolled
//! back is taken out of the successes, with the time of its verification (CloudWatch takes values of two weeks), so
//! that the figures of any period are those of the deployments in it. How each was counted is kept under
//! `notifications/deployments/`. A way back is no deployment, and neither is a canary that nobody asked anything:
//! a newer event tries it again.

use events::{Announced, announced::CANARY_NO_DATA};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const NAMESPACE: &str = "RetailForecast/Pipeline";
/// CloudWatch takes no older values.
const OLDEST: SignedDuration = SignedDuration::from_hours(13 * 24);

/// What is added to the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kpi {
    /// When it counts.
    pub at: Timestamp,
    /// How a deployment ended.
    pub outcome: Outcome,
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was verified.
    Verified {
        /// Minutes from its cause to that.
        lead_time_minutes: f64,
    },
    /// It failed, or was rolled back before it was verified.
    Failed,
    /// It counts as verified, and was rolled back.
    RolledBack,
}

/// How the last deployment of a release was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// As what.
    pub counts: Counts,
    /// When what said so was said.
    pub at: Timestamp,
    /// Id of the fact that said so.
    pub fact: String,
}

/// What a deployment counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// A success.
    Success,
    /// A failure.
    Failure,
    /// Nothing.
    Nothing,
}

/// The release whose deployment an event ends; `None` where it ends none.
pub fn release(event: &Announced) -> Option<&str> {
    match event {
        Announced::ReleaseVerified(verified) => Some(&verified.release),
        Announced::ReleaseFailed(failed) => Some(&failed.release),
        // The failure that it follows is counted itself.
        Announced::RollbackStarted(started) if !started.follows_a_failure() => Some(&started.from),
        _ => None,
    }
}

/// What an event that was announced then adds, and as what its release's deployment counts from now on; `None`
/// where something later has said that, or it is a repeat.
pub fn count(
    event: &Announced,
    at: Timestamp,
    known: Option<&Counted>,
) -> Option<(Counts, Option<Kpi>)> {
    let kpi = |at, outcome| Some(Kpi { at, outcome });
    match event {
        // Events come in any order: it was rolled back by then.
        Announced::ReleaseVerified(_) | Announced::ReleaseFailed(_)
            if known.is_some_and(|known| known.at >= at) =>
        {
            None
        }
        Announced::ReleaseVerified(verified) => {
            let lead = at.duration_since(verified.caused_at).as_secs_f64() / 60.0;
            let lead_time_minutes = lead.max(0.0);
            let outcome = Outcome::Verified { lead_time_minutes };
            Some((Counts::Success, kpi(at, outcome)))
        }
        Announced::ReleaseFailed(failed) if failed.stage == CANARY_NO_DATA => {
            Some((Counts::Nothing, None))
        }
        Announced::ReleaseFailed(_) => Some((Counts::Failure, kpi(at, Outcome::Failed))),
        Announced::RollbackStarted(_) => match known {
            None => Some((Counts::Failure, kpi(at, Outcome::Failed))),
            Some(known) if known.counts == Counts::Success => {
                let is_old = at.duration_since(known.at) > OLDEST;
                let counts_at = if is_old { at } else { known.at };
                Some((Counts::Failure, kpi(counts_at, Outcome::RolledBack)))
            }
            Some(_) => None,
        },
        _ => None,
    }
}

impl Kpi {
    /// The line that CloudWatch Logs makes metrics of.
    pub fn embedded(&self, environment: &str) -> Value {
        let deployment = [
            ("DeploymentCount", "Count", 1.0),
            ("DeploymentFrequency", "Count", 1.0),
        ];
        let ended = |success, failure| {
            [
                ("DeploymentSuccess", "Count", success),
                ("FailureRate", "Percent", failure),
            ]
        };
        let values: Vec<(&str, &str, f64)> = match self.outcome {
            Outcome::Verified { lead_time_minutes } => {
                let lead = ["LeadTimeMinutes", "LeadTime"];
                let lead = lead.map(|name| (name, "None", lead_time_minutes));
                [deployment, ended(1.0, 0.0), lead].concat()
            }
            Outcome::Failed => [deployment, ended(0.0, 100.0)].concat(),
            Outcome::RolledBack => ended(-1.0, 100.0).to_vec(),
        };
        let metrics = values
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}));
        let mut line = json!({
            "_aws": {
                "Timestamp": self.at.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Environment"]],
                    "Metrics": metrics.collect::<Vec<_>>(),
                }],
            },
            "Environment": environment,
        });
        for (name, _, value) in values {
            line[name] = value.into();
        }
        line
    }
}

#[cfg(test)]
mod tests;
