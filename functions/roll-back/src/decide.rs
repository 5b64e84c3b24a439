//! Whether the environment goes back to what is known good, and whether that is tried again.

mod again;
mod way;

use domain::{
    Result,
    ports::Endpoint,
    quarantine::{Difference, Entry, Quarantine},
    release::{KnownGood, Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::Parts;
use jiff::Timestamp;
use serde::Serialize;

use crate::Config;
pub use again::again;
pub(crate) use way::refuge;
use way::roll_back;

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
        /// What the releases are made of.
        #[serde(flatten)]
        sides: Box<Sides>,
    },
    /// The next try isn't due yet.
    Later {
        /// After which try, and why.
        reason: String,
        /// Seconds until then.
        after_s: u64,
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

/// What the releases of a way back are made of, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sides {
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad: Option<Parts>,
    /// What should serve instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<Parts>,
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
    /// What isn't deployed again; `None` where nothing speaks against the release itself.
    pub guilty: Option<Entry>,
    /// Another release that was on its way, and whose alarms go.
    pub abandoned: Option<String>,
    /// A release that the one that went wrong took the place of, and whose alarms go as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_over: Option<String>,
    /// What both releases are made of.
    #[serde(flatten)]
    pub sides: Sides,
    /// What a person has to do besides, since it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// Whether fields of the Deployment are taken from the manager that applied the first manifests, or
    /// that a person named.
    pub take_over: bool,
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
    /// Whether it is a person's request: it counts after a way back that failed, too.
    pub is_request: bool,
    /// Whether it speaks of what the release did. Circumstances lead back as well, and nothing is
    /// quarantined for them.
    pub is_evidence: bool,
    /// A field manager whose fields of the Deployment a person lets us take over.
    pub take_over: Option<String>,
}

impl Trigger {
    /// Whether it is what made this the target: a repeat. A request has an id among its words, and may be
    /// sent twice.
    fn is_cause_of(&self, target: &Target) -> bool {
        (self.is_request || target.caused_at == self.at) && target.cause == self.words
    }

    /// Whether it spoke before this became the target. Times of events are whole seconds; a failure says
    /// which deployment it is of.
    pub(crate) fn is_older_than(&self, target: &Target) -> bool {
        match self.deployed_for {
            Some(deployed_for) => deployed_for != target.caused_at,
            None => self.at.as_second() < target.since.as_second(),
        }
    }
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// The environment's pointer.
    pub pointer: Pointer,
    /// The release that is gone away from, as [`suspect`] has it; `None` when nothing is live.
    pub from: Option<String>,
    /// What that is; `None` when it has no manifest.
    pub bad: Option<Manifest>,
    /// Where the way back may lead, the best first, up to the first that nothing forbids.
    pub refuges: Vec<(String, Manifest)>,
    /// What isn't deployed.
    pub quarantine: Quarantine,
    /// The Deployment; `None` when there is none.
    pub deployment: Option<Deployment>,
    /// The endpoint as it is now; `None` when there is none.
    pub endpoint: Option<Endpoint>,
}

impl Facts {
    /// What both releases are made of.
    pub(crate) fn sides(&self, good: Option<&str>) -> Sides {
        Sides {
            bad: self.parts_of_bad(),
            good: good.and_then(|good| self.parts_of(good)),
        }
    }

    fn parts_of_bad(&self) -> Option<Parts> {
        let (from, bad) = (self.from.as_deref()?, self.bad.as_ref()?);
        Parts::of(bad, self.pointer.build_of(from)).ok()
    }

    fn parts_of(&self, release: &str) -> Option<Parts> {
        let mut refuges = self.refuges.iter();
        let (_, manifest) = refuges.find(|(refuge, _)| refuge == release)?;
        Parts::of(manifest, self.pointer.build_of(release)).ok()
    }
}

/// The release that a trigger speaks against, as far as the pointer tells.
pub fn suspect<'a>(trigger: &'a Trigger, pointer: &'a Pointer) -> Option<&'a str> {
    let target = pointer.target.as_ref()?;
    Some(match (&trigger.release, &target.progress) {
        (_, Progress::Restoring { from, .. }) if trigger.is_cause_of(target) => from,
        (named, Progress::Failed { .. }) if trigger.is_request => match &target.gone_from {
            // What is known good was brought back, and didn't come up: it isn't what is to be gone from.
            Some(from) if named.as_ref().is_none_or(|named| named == from) => from,
            _ => named.as_ref().unwrap_or(&target.release),
        },
        (Some(release), Progress::Canary { .. })
            if !trigger.is_alarm && is_live(release, pointer) =>
        {
            &target.release
        }
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

/// What is live while another release is on its way, when an alarm speaks against it.
fn live_beside<'a>(trigger: &Trigger, pointer: &'a Pointer) -> Option<&'a KnownGood> {
    let (target, good) = (pointer.target.as_ref()?, pointer.known_good.as_ref()?);
    let on_its_way = matches!(
        target.progress,
        Progress::Canary { .. } | Progress::Deploying
    );
    let of_the_live = trigger.is_alarm && trigger.release.as_ref() == Some(&good.release);
    (on_its_way && of_the_live && target.release != good.release).then_some(good)
}

/// The canary that an alarm of the live release takes away: it is what changed, where there is nothing
/// that the live release itself could go back to.
pub fn canary_instead<'a>(
    trigger: &Trigger,
    facts: &Facts,
    pointer: &'a Pointer,
) -> Result<Option<&'a str>> {
    if live_beside(trigger, pointer).is_none() || refuge(facts)?.is_some() {
        return Ok(None);
    }
    let target = pointer.target.as_ref();
    let canary = target.filter(|target| matches!(target.progress, Progress::Canary { .. }));
    Ok(canary.map(|target| target.release.as_str()))
}

/// The rule for what speaks against a release. An alarm of the live one leads back from it within its
/// guarded time, whatever is on its way; where there is no way back, it takes a canary away.
pub fn decide(trigger: &Trigger, facts: &Facts, config: &Config) -> Result<Decision> {
    let Some((target, from)) = facts.pointer.target.as_ref().zip(facts.from.as_deref()) else {
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
    let was_given_up = matches!(target.progress, Progress::Failed { .. });
    if trigger.is_request && was_given_up && target.gone_from.as_deref() == Some(from) {
        return roll_back(trigger, facts, target, from, 1, config);
    }
    if trigger.is_cause_of(target) {
        return Ok(Decision::AlreadyThere { reason: since });
    }
    if let Some(good) = live_beside(trigger, &facts.pointer) {
        if let Some(reason) = past_guard(trigger, &good.release, good.since, config) {
            return Ok(Decision::NothingWrong { reason });
        }
        if good.release == from && refuge(facts)?.is_some() {
            return if trigger.at.as_second() < good.since.as_second() {
                Ok(Decision::NotLive {
                    reason: format!("it spoke at {}, before {from} was verified", trigger.at),
                })
            } else {
                roll_back(trigger, facts, target, from, 1, config)
            };
        }
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
    if trigger.is_older_than(target) {
        return Ok(Decision::NotLive {
            reason: format!("it spoke at {}, before that: {since}", trigger.at),
        });
    }
    if let Some(reason) = unguarded(trigger, target, config) {
        return Ok(Decision::NotLive { reason });
    }
    roll_back(trigger, facts, target, from, 1, config)
}

/// Why an alarm doesn't lead to a rollback any more; `None` when it does.
pub(crate) fn unguarded(trigger: &Trigger, target: &Target, config: &Config) -> Option<String> {
    let judged = target
        .judged_at
        .filter(|_| target.progress == Progress::Verified)?;
    past_guard(trigger, &target.release, judged, config)
}

/// The same for a release that was verified then.
fn past_guard(
    trigger: &Trigger,
    release: &str,
    verified: Timestamp,
    config: &Config,
) -> Option<String> {
    let seconds = trigger.at.as_second() - verified.as_second();
    (trigger.is_alarm && seconds > config.guard_s).then(|| {
        format!(
            "{release} was verified {seconds} s before, and alarms lead to a rollback for {} s: what changed isn't the release; ask for a rollback if you know better",
            config.guard_s
        )
    })
}

#[cfg(test)]
pub(crate) mod tests;
