//! Whether a canary passed, failed, or has to bake on.

use domain::{
    release::{Pointer, Progress},
    rollout::{Deployment, Rollout},
};
use events::announced::{CANARY_NO_DATA, CLUSTER, CanaryPassed, CanaryStarted, ReleaseFailed};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Config,
    compare::{Periods, Verdict, compare},
};

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Its pods are up: from now on they are measured.
    Bake {
        /// Which share it has.
        reason: String,
    },
    /// It did no worse than what is live.
    Pass {
        /// What is announced.
        passed: CanaryPassed,
    },
    /// It did worse, didn't come up, or couldn't be judged in time.
    Fail {
        /// What is announced.
        failed: ReleaseFailed,
    },
    /// It isn't over.
    NotYet {
        /// What is waited for, with its figures.
        reason: String,
        /// Seconds until there can be something new.
        remaining_s: i64,
    },
    /// The release isn't tried out, or isn't any more.
    Superseded {
        /// What is.
        reason: String,
    },
    /// The event isn't a canary's start.
    NotForThisFunction {
        /// Which event is.
        reason: String,
    },
}

/// The release that is tried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its id.
    pub release: String,
    /// The live release that it is compared with.
    pub live: String,
    /// How far it has come.
    pub progress: Progress,
    /// When it became the environment's target.
    pub since: Timestamp,
    /// When the cause of its deployment happened.
    pub caused_at: Timestamp,
    /// The build that caused it.
    pub build: Option<String>,
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// The canary's Deployment; `None` when there is none.
    pub canary: Option<Deployment>,
    /// What both releases measured since the canary bakes; `None` before.
    pub periods: Option<Periods>,
}

/// The canary that the event speaks of; otherwise what is the target.
pub fn target(started: &CanaryStarted, pointer: &Pointer) -> Result<Target, String> {
    let (Some(target), Some(live)) = (&pointer.target, &pointer.known_good) else {
        return Err("the environment has no target, or nothing is live beside it".to_owned());
    };
    let told = matches!(&target.progress, Progress::Failed { reason } if stage(reason).is_some());
    let is_canary = matches!(target.progress, Progress::Canary { .. }) || told;
    if target.release != started.release || target.caused_at != started.caused_at || !is_canary {
        return Err(format!(
            "{} isn't tried out: the environment's target is {} since {}, caused by: {}",
            started.release,
            target.release,
            target.rolling_since(),
            target.cause
        ));
    }
    Ok(Target {
        release: target.release.clone(),
        live: live.release.clone(),
        progress: target.progress.clone(),
        since: target.since,
        caused_at: target.caused_at,
        build: target.build.clone(),
    })
}

/// The stage of a canary that failed, and why, as the pointer keeps it.
fn stage(reason: &str) -> Option<(&str, &str)> {
    let (stage, reason) = reason.split_once(": ")?;
    [CANARY, CANARY_NO_DATA, CLUSTER]
        .contains(&stage)
        .then_some((stage, reason))
}

const CANARY: &str = "canary";

/// The rule.
pub fn decide(
    started: &CanaryStarted,
    target: &Target,
    facts: &Facts,
    config: &Config,
) -> Decision {
    let share = format!("{} of {} pods", started.pods, started.of);
    let announce = |stage: &str, reason: String| Decision::Fail {
        failed: ReleaseFailed {
            release: target.release.clone(),
            stage: stage.to_owned(),
            reason,
            build: target.build.clone(),
            caused_at: target.caused_at,
        },
    };
    let fail = |stage: &str, reason: String| announce(stage, format!("on {share}: {reason}"));
    let baking_since = match &target.progress {
        Progress::Canary { baking_since, .. } => *baking_since,
        // A crash came between the pointer and the announcement: announce again.
        Progress::Failed { reason } => {
            let (stage, reason) = stage(reason).unwrap_or((CANARY, reason));
            return announce(stage, reason.to_owned());
        }
        _ => None,
    };
    let since = |moment: Timestamp| facts.now.as_second() - moment.as_second();
    // Its pods have as long to come up as to come back.
    let (elapsed_s, pods_limit_s) = match baking_since {
        None => (since(target.since), config.rollout_limit_s),
        Some(baking) => (since(baking), config.bake_s + config.rollout_limit_s),
    };
    let limit_s = config.limit_s;
    let pods = pods(started, facts);
    let is_baked = baking_since.is_some() && elapsed_s >= config.bake_s;
    if let Err(open) = pods {
        // What crashes under its requests is judged by them as well: of a canary that did worse its figures tell.
        let verdict = facts
            .periods
            .as_ref()
            .filter(|_| is_baked && open.stage == CANARY);
        let verdict = verdict.map(|periods| compare(periods, &config.limits));
        if let Some(Verdict::Fail(mut checks)) = verdict {
            checks.push(open.reason);
            return fail(CANARY, checks.join("; "));
        }
        if open.hopeless {
            return fail(open.stage, open.reason);
        }
        if elapsed_s >= pods_limit_s {
            let after = format!("after {elapsed_s} s, the limit being {pods_limit_s} s");
            return fail(open.stage, format!("{after}: {}", open.reason));
        }
        return Decision::NotYet {
            reason: open.reason,
            remaining_s: 0,
        };
    }
    let (Some(_), Some(periods)) = (baking_since, &facts.periods) else {
        return Decision::Bake {
            reason: format!("{share} are the canary's, and available"),
        };
    };
    if !is_baked {
        return Decision::NotYet {
            reason: format!("it bakes for {elapsed_s} s of {} s", config.bake_s),
            remaining_s: config.bake_s - elapsed_s,
        };
    }
    match compare(periods, &config.limits) {
        Verdict::Pass(checks) => Decision::Pass {
            passed: CanaryPassed {
                release: target.release.clone(),
                live: target.live.clone(),
                checks: std::iter::once(share).chain(checks).collect(),
                since: target.since,
                caused_at: target.caused_at,
            },
        },
        Verdict::Fail(checks) => fail(CANARY, checks.join("; ")),
        Verdict::NoData(reason) if elapsed_s >= limit_s => fail(
            CANARY_NO_DATA,
            format!("after {elapsed_s} s, the limit being {limit_s} s: {reason}"),
        ),
        Verdict::NoData(reason) => Decision::NotYet {
            reason,
            remaining_s: i64::from(config.period_s),
        },
    }
}

/// Why the canary's pods aren't what they should be.
struct Open {
    /// [`CLUSTER`] where it isn't the release's doing.
    stage: &'static str,
    reason: String,
    /// Whether waiting can't help.
    hopeless: bool,
}

impl Open {
    fn waiting(stage: &'static str, reason: String) -> Self {
        Self {
            stage,
            reason,
            hopeless: false,
        }
    }

    fn hopeless(stage: &'static str, reason: String) -> Self {
        Self {
            stage,
            reason,
            hopeless: true,
        }
    }
}

fn pods(started: &CanaryStarted, facts: &Facts) -> Result<(), Open> {
    let Some(canary) = &facts.canary else {
        let reason = "the canary's Deployment doesn't exist any more";
        return Err(Open::hopeless(CLUSTER, reason.to_owned()));
    };
    let carried = canary.environment.get("DEPLOYMENT_ID");
    if carried != Some(&started.release) {
        let carried = carried.map_or("no release", String::as_str);
        let reason = format!("the canary carries {carried}: somebody else changed it");
        return Err(Open::hopeless(CLUSTER, reason));
    }
    match canary.rollout(started.generation) {
        Rollout::Complete if u32::try_from(canary.wanted) != Ok(started.pods) => {
            let (wanted, pods) = (canary.wanted, started.pods);
            let reason = format!("{wanted} pods are wanted instead of {pods}");
            Err(Open::waiting(CLUSTER, reason))
        }
        Rollout::Complete => Ok(()),
        Rollout::Stuck(reason) if canary.paused => Err(Open::hopeless(CLUSTER, reason)),
        Rollout::Stuck(reason) => Err(Open::hopeless(CANARY, reason)),
        Rollout::Progressing(reason) => Err(Open::waiting(CANARY, reason)),
    }
}

#[cfg(test)]
mod tests;
