//! Whether the environment goes back to what is known good, and whether that is tried again.

use domain::{
    Result, converge,
    ports::Endpoint,
    quarantine::{Difference, Entry, Part, Quarantine, differences, guilty},
    release::{Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::RollbackFailed;
use jiff::Timestamp;
use serde::Serialize;

use crate::Config;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Go back to what is known good; or finish what was begun.
    RollBack(Box<Rollback>),
    /// There is no way back, or it was tried often enough: a person has to act.
    GiveUp {
        /// The release that went wrong.
        from: String,
        /// What asked for the rollback.
        cause: String,
        /// Why it can't be done.
        reason: String,
        /// What a person must do.
        advice: String,
        /// When what asked for it spoke.
        caused_at: Timestamp,
    },
    /// The environment is on its way back already, or is back.
    AlreadyThere {
        /// Since when, and from what.
        reason: String,
    },
    /// The endpoint is as the release expects it, or on its way.
    NothingWrong {
        /// How it is.
        reason: String,
    },
    /// What spoke isn't about what is live.
    NotLive {
        /// What is live.
        reason: String,
    },
    /// A quarantined part may be deployed again.
    Lift {
        /// What names the part.
        identity: String,
        /// Who answers for it, and why.
        reason: String,
    },
    /// There is nothing of that name to let go.
    NotQuarantined {
        /// What was asked for.
        reason: String,
    },
    /// The event has nothing to do with this environment's releases.
    NotForThisFunction {
        /// Why.
        reason: String,
    },
}

/// A way back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollback {
    /// The release that went wrong.
    pub from: String,
    /// What is known good.
    pub release: String,
    /// What that is.
    pub manifest: Manifest,
    /// What spoke, in words.
    pub reason: String,
    /// When it spoke.
    pub caused_at: Timestamp,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// In what the two differ.
    pub differences: Vec<Difference>,
    /// What isn't deployed again.
    pub guilty: Entry,
    /// Whether the pointer is there already, and only the effects are repeated.
    pub resumes: bool,
    /// The Deployment's generation when it carries the good release already, as beside a canary: it
    /// isn't written, and its pods go on.
    pub untouched: Option<i64>,
}

/// What speaks against a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The release; `None` when it can't say which, and means what is live.
    pub release: Option<String>,
    /// When.
    pub at: Timestamp,
    /// For a failed release: when the cause of its deployment happened. That names the deployment, however
    /// often and late the failure is announced.
    pub deployed_for: Option<Timestamp>,
    /// In words.
    pub words: String,
    /// Whether it is an alarm, or the endpoint's state: what counts within the guarded time only.
    pub is_alarm: bool,
    /// Whether it speaks of what the release did. A canary that couldn't be judged is taken away
    /// without laying it to one of its parts.
    pub is_evidence: bool,
}

impl Trigger {
    /// Whether it is what made this the target: a repeat.
    fn is_cause_of(&self, target: &Target) -> bool {
        target.caused_at == self.at && target.cause == self.words
    }
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// The environment's pointer.
    pub pointer: Pointer,
    /// The release that is gone away from; `None` when nothing is live.
    pub bad: Option<Manifest>,
    /// Where the way back may lead, the best first.
    pub refuges: Vec<(String, Manifest)>,
    /// What isn't deployed.
    pub quarantine: Quarantine,
    /// The Deployment; `None` when there is none.
    pub deployment: Option<Deployment>,
    /// The endpoint as it is now; `None` when there is none.
    pub endpoint: Option<Endpoint>,
}

/// The release that a trigger speaks against, as far as the pointer tells.
pub fn suspect<'a>(trigger: &'a Trigger, pointer: &'a Pointer) -> Option<&'a str> {
    let target = pointer.target.as_ref()?;
    Some(match (&trigger.release, &target.progress) {
        (_, Progress::Restoring { from, .. }) if trigger.is_cause_of(target) => from,
        (Some(release), Progress::Canary { .. }) if is_live(release, pointer) => &target.release,
        (Some(release), _) => release,
        (None, Progress::Restoring { from, .. }) => from,
        (None, _) => &target.release,
    })
}

/// Whether a release is what is live beside a canary.
fn is_live(release: &str, pointer: &Pointer) -> bool {
    pointer
        .known_good
        .as_ref()
        .is_some_and(|good| good.release == release)
}

/// The rule for what speaks against a release. What speaks against the live one while a canary is out takes
/// the canary away: it is what changed.
pub fn decide(trigger: &Trigger, facts: &Facts, config: &Config) -> Result<Decision> {
    let Some((target, from)) = facts
        .pointer
        .target
        .as_ref()
        .zip(suspect(trigger, &facts.pointer))
    else {
        return Ok(Decision::NotLive {
            reason: format!("nothing is live in {}", config.environment),
        });
    };
    let since = format!(
        "{} is the target since {}, caused by: {}",
        target.release, target.since, target.cause
    );
    if let Progress::Restoring { from: bad, attempt } = &target.progress
        && bad == from
    {
        return if trigger.is_cause_of(target) {
            roll_back(trigger, facts, target, from, *attempt, config)
        } else {
            Ok(Decision::AlreadyThere { reason: since })
        };
    }
    if trigger.is_cause_of(target) {
        return Ok(Decision::AlreadyThere { reason: since });
    }
    if target.release != from {
        return Ok(if target.caused_at == trigger.at {
            Decision::AlreadyThere { reason: since }
        } else {
            Decision::NotLive {
                reason: format!("{from} isn't live: {since}"),
            }
        });
    }
    if trigger.at < target.since {
        return Ok(Decision::NotLive {
            reason: format!("it spoke at {}, before that: {since}", trigger.at),
        });
    }
    if let Some(reason) = unguarded(trigger, target, config) {
        return Ok(Decision::NotLive { reason });
    }
    roll_back(trigger, facts, target, from, 1, config)
}

/// The rule for a way back that didn't lead to a healthy service.
pub fn again(failed: &RollbackFailed, facts: &Facts, config: &Config) -> Result<Decision> {
    let Some(target) = &facts.pointer.target else {
        return Ok(Decision::NotLive {
            reason: format!("nothing is live in {}", config.environment),
        });
    };
    let attempt = match &target.progress {
        Progress::Restoring { from, attempt } if *from == failed.from => *attempt,
        // A crash came between the pointer and the announcement.
        Progress::Failed { .. } if target.caused_at == failed.caused_at => {
            return Ok(given_up(failed, config));
        }
        _ => {
            return Ok(Decision::NotLive {
                reason: format!(
                    "{} is the target since {}: this try is over",
                    target.release, target.since
                ),
            });
        }
    };
    if attempt == failed.attempt && attempt >= config.max_attempts {
        return Ok(given_up(failed, config));
    }
    if attempt > failed.attempt + 1 {
        return Ok(Decision::AlreadyThere {
            reason: format!("try {attempt} is under way"),
        });
    }
    let trigger = Trigger {
        release: Some(failed.from.clone()),
        at: target.caused_at,
        deployed_for: None,
        words: target.cause.clone(),
        is_alarm: false,
        is_evidence: true,
    };
    roll_back(
        &trigger,
        facts,
        target,
        &failed.from,
        failed.attempt + 1,
        config,
    )
}

/// Why an alarm doesn't lead to a rollback any more; `None` when it does.
pub(crate) fn unguarded(trigger: &Trigger, target: &Target, config: &Config) -> Option<String> {
    let judged = target
        .judged_at
        .filter(|_| target.progress == Progress::Verified)?;
    let seconds = trigger.at.as_second() - judged.as_second();
    (trigger.is_alarm && seconds > config.guard_s).then(|| {
        format!(
            "{} was verified {seconds} s before, and alarms lead to a rollback for {} s: what changed isn't the release; ask for a rollback if you know better",
            target.release, config.guard_s
        )
    })
}

fn roll_back(
    trigger: &Trigger,
    facts: &Facts,
    target: &Target,
    from: &str,
    attempt: u32,
    config: &Config,
) -> Result<Decision> {
    let give_up = |reason: String, advice: &str| Decision::GiveUp {
        from: from.to_owned(),
        cause: trigger.words.clone(),
        reason,
        advice: advice.to_owned(),
        caused_at: trigger.deployed_for.unwrap_or(trigger.at),
    };
    let Some(bad) = &facts.bad else {
        return Ok(give_up(
            format!("{from} has no manifest"),
            "deploy a release that is known to work",
        ));
    };
    let Some((release, manifest)) = refuge(facts)? else {
        return Ok(give_up(
            "no release is known good but the one that went wrong, or what is is quarantined"
                .to_owned(),
            "deploy a model and an image that are known to work: approve another package, or push another image",
        ));
    };
    let strangers = facts
        .deployment
        .as_ref()
        .map(|deployment| converge::strangers(deployment, &config.first_manager));
    match strangers {
        None => {
            return Ok(give_up(
                "the Deployment doesn't exist".to_owned(),
                "apply the Kubernetes manifests, then ask for the rollback again",
            ));
        }
        Some(strangers) if !strangers.is_empty() => {
            return Ok(give_up(
                format!(
                    "the Deployment's image belongs to the field manager {}",
                    strangers.join(", ")
                ),
                "roll back with that tool, or take the image out of what it applies and ask for the rollback again",
            ));
        }
        Some(_) => {}
    }
    let differences = differences(bad, manifest)?;
    let speaks_of_it =
        trigger.is_evidence && trigger.release.as_deref().is_none_or(|of| of == from);
    let part = if speaks_of_it {
        guilty(&differences)
    } else {
        Part::Release
    };
    let patch = converge::deployment(release, manifest, "")?;
    let carried = facts.deployment.as_ref();
    let carried = carried.filter(|deployment| converge::carries(deployment, &patch));
    // A further try blames what the first one did.
    let blamed = facts.quarantine.entries.iter();
    let blamed = blamed
        .filter(|entry| entry.release == from && entry.since == trigger.at)
        .find(|entry| entry.lifted.is_none());
    let guilty = match blamed {
        Some(entry) => entry.clone(),
        None => Entry {
            part,
            identity: part.of(bad)?,
            release: from.to_owned(),
            reason: if speaks_of_it {
                blame(&trigger.words, part, &differences)
            } else {
                format!(
                    "{}; none of the release's parts is blamed for it",
                    trigger.words
                )
            },
            since: trigger.at,
            lifted: None,
        },
    };
    Ok(Decision::RollBack(Box::new(Rollback {
        guilty,
        from: from.to_owned(),
        release: release.clone(),
        manifest: manifest.clone(),
        reason: trigger.words.clone(),
        caused_at: trigger.at,
        attempt,
        differences,
        untouched: carried.map(|deployment| deployment.generation),
        resumes: matches!(&target.progress, Progress::Restoring { from: bad, attempt: now } if bad == from && *now == attempt),
    })))
}

/// The first release on the way back that nothing forbids; what the way leads to already, if it does.
pub(crate) fn refuge(facts: &Facts) -> Result<Option<&(String, Manifest)>> {
    for refuge in &facts.refuges {
        if facts.quarantine.forbids(&refuge.1)?.is_none() {
            return Ok(Some(refuge));
        }
    }
    Ok(None)
}

fn blame(words: &str, part: Part, differences: &[Difference]) -> String {
    let differ: Vec<&str> = differences
        .iter()
        .map(|difference| difference.what.as_str())
        .collect();
    match part {
        Part::Release => format!(
            "{words}; {} differed from what is known good, and which of them is guilty can't be told",
            if differ.is_empty() {
                "nothing".to_owned()
            } else {
                differ.join(", ")
            }
        ),
        _ => format!(
            "{words}; only {} differed from what is known good",
            differ.join(" and ")
        ),
    }
}

fn given_up(failed: &RollbackFailed, config: &Config) -> Decision {
    Decision::GiveUp {
        from: failed.from.clone(),
        cause: format!("the way back to {}", failed.release),
        reason: format!(
            "{} tries failed, the last at {}: {}",
            config.max_attempts, failed.stage, failed.reason
        ),
        advice: format!(
            "the Deployment and the endpoint were set to {}: see what holds it up (`kubectl describe`, the endpoint's failure reason), then ask for the rollback again",
            failed.release
        ),
        caused_at: failed.caused_at,
    }
}

#[cfg(test)]
pub(crate) mod tests;
