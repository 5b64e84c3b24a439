//! Whether the environment's target serves what it should, not yet, or never will.

use domain::{
    evaluation::GoldenRows,
    ports::Endpoint,
    release::{Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::{ReleaseFailed, ReleaseVerified, RollbackFailed, RollbackSucceeded};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Config,
    checks::{Open, api, canary, endpoint, rollout},
    questions::Answers,
    started::Started,
};

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What was known good serves again, and what it serves was checked.
    Restored {
        /// What is announced.
        restored: RollbackSucceeded,
    },
    /// What was known good doesn't serve, or not in time.
    NotRestored {
        /// What is announced.
        failed: RollbackFailed,
    },
    /// A check isn't over.
    NotYet {
        /// Which, with its figures.
        reason: String,
        /// Seconds since the release became the target.
        elapsed_s: i64,
        /// Seconds after which it has failed.
        limit_s: i64,
        /// Whether the API serves already, and only the endpoint is waited for.
        api_serves: bool,
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
    /// The canary's Deployment; `None` when there is none.
    pub canary: Option<Deployment>,
    /// The endpoint; `None` when there is none.
    pub endpoint: Option<Endpoint>,
    /// What the API answered; `None` while the rollout isn't over.
    pub answers: Option<Answers>,
    /// Golden rows of the model; `None` when none were kept.
    pub golden: Option<GoldenRows>,
}

/// The target that the event speaks of; otherwise what is the target.
pub fn target<'a>(started: &Started, pointer: &'a Pointer) -> Result<&'a Target, String> {
    match &pointer.target {
        Some(target) if target.release == started.release() && started.is_of(target) => Ok(target),
        Some(target) => Err(format!(
            "the environment's target is {} since {}, caused by: {}",
            target.release, target.since, target.cause
        )),
        None => Err("the environment has no target".to_owned()),
    }
}

/// The rule: the first check that is lost decides, else the first that is open.
pub fn decide(started: &Started, target: &Target, facts: &Facts, config: &Config) -> Decision {
    let fail = |stage: &str, reason: String| failed(started, target, stage, reason);
    match &target.progress {
        // A crash came between the pointer and the announcement: announce again.
        Progress::Verified => return verified(started, target, facts, config),
        Progress::Failed { reason } => {
            let (stage, reason) = reason.split_once(": ").unwrap_or(("rollout", reason));
            return fail(stage, reason.to_owned());
        }
        Progress::Canary { .. } | Progress::Deploying | Progress::Restoring { .. } => {}
    }
    let elapsed_s = facts.now.as_second() - target.rolling_since().as_second();
    let open = open(target, facts, config);
    // A baking endpoint doesn't hold up what is plain already.
    let is_lost = |(open, limit_s): &&(Open, i64)| open.hopeless || elapsed_s >= *limit_s;
    if let Some((lost, limit_s)) = open.iter().find(is_lost) {
        let over = if lost.hopeless {
            String::new()
        } else {
            format!("after {elapsed_s} s, the limit being {limit_s} s: ")
        };
        return fail(lost.stage, format!("{over}{}", lost.reason));
    }
    let api_serves = open.iter().all(|(open, _)| open.stage == "endpoint");
    match open.into_iter().next() {
        None => verified(started, target, facts, config),
        Some((open, limit_s)) => Decision::NotYet {
            reason: format!("{}: {}", open.stage, open.reason),
            elapsed_s,
            limit_s,
            api_serves,
        },
    }
}

/// The checks that aren't passed, each with its limit. The API is asked once the rollout is over.
fn open(target: &Target, facts: &Facts, config: &Config) -> Vec<(Open, i64)> {
    let rollout = rollout(target, facts).or_else(|| canary(target, facts));
    let api = match rollout {
        Some(_) => None,
        None => api(target, facts, config),
    };
    let healthy_by = config.rollout_limit_s + config.health_limit_s;
    [
        (rollout, config.rollout_limit_s),
        (endpoint(target, facts, config), config.endpoint_limit_s),
        (api, healthy_by),
    ]
    .into_iter()
    .filter_map(|(open, limit_s)| Some((open?, limit_s)))
    .collect()
}

fn failed(started: &Started, target: &Target, stage: &str, reason: String) -> Decision {
    let stage = stage.to_owned();
    match started {
        Started::Deployment(started) => Decision::Failed {
            failed: ReleaseFailed {
                release: started.release.clone(),
                stage,
                reason,
                build: target.build.clone(),
                caused_at: target.caused_at,
            },
        },
        Started::Rollback(started) => Decision::NotRestored {
            failed: RollbackFailed {
                release: started.release.clone(),
                from: started.from.clone(),
                attempt: started.attempt,
                stage,
                reason,
                caused_at: started.caused_at,
            },
        },
    }
}

fn verified(started: &Started, target: &Target, facts: &Facts, config: &Config) -> Decision {
    let checks = passed(facts, config);
    match started {
        Started::Deployment(_) => Decision::Verified {
            verified: ReleaseVerified {
                release: target.release.clone(),
                package_arn: facts.manifest.model.package_arn.clone(),
                image: facts.manifest.image.reference().unwrap_or_default(),
                build: target.build.clone(),
                checks,
                caused_at: target.caused_at,
            },
        },
        Started::Rollback(started) => {
            let restored_at = target.judged_at.unwrap_or(facts.now);
            let api_since = target.api_serves_since.unwrap_or(restored_at);
            Decision::Restored {
                restored: RollbackSucceeded {
                    release: target.release.clone(),
                    from: started.from.clone(),
                    seconds: restored_at.as_second() - target.caused_at.as_second(),
                    api_seconds: Some(api_since.as_second() - target.caused_at.as_second()),
                    checks,
                    quarantined: started.quarantined.clone(),
                    caused_at: target.caused_at,
                    bad: started.bad.clone(),
                    good: started.good.clone(),
                    by_hand: started.by_hand.clone(),
                },
            }
        }
    }
}

/// What was checked, with figures.
fn passed(facts: &Facts, config: &Config) -> Vec<String> {
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
        if let Some(predict) = &answers.predict {
            checks.push(format!(
                "POST /predict answers {}",
                predict.body["prediction"]
            ));
        }
    }
    match &facts.golden {
        Some(golden) => checks.push(format!(
            "{} golden rows answered as the judged model predicted (tolerance {:.0e})",
            golden.rows.len(),
            config.golden_tolerance
        )),
        None => checks.push("golden rows: none were kept with this model's evaluation".to_owned()),
    }
    checks
}

#[cfg(test)]
mod tests;
