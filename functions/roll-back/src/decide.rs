//! Whether the environment goes back to what is known good, and whether that is tried again.

mod again;
mod guard;
mod way;

use domain::{
    Result,
    ports::Endpoint,
    quarantine::{Difference, Entry, Quarantine},
    release::{Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::announced::Parts;
use jiff::Timestamp;
use serde::Serialize;

use crate::Config;
pub use again::{again, untold};
pub use guard::canary_instead;
pub(crate) use guard::{beside, live_beside, of_live, unguarded};
use guard::{call_people, on_its_way, past_guard, stays, verified};
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
    GiveUp(Box<GiveUp>),
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

/// A way back that isn't gone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GiveUp {
    /// The release that went wrong.
    pub from: String,
    /// What asked for the rollback.
    pub cause: String,
    /// Why it can't be done.
    pub reason: String,
    /// What a person must do.
    pub advice: String,
    /// When what asked for it spoke.
    pub caused_at: Timestamp,
    /// What isn't deployed again all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guilty: Option<Entry>,
    /// What the releases are made of.
    #[serde(flatten)]
    pub sides: Sides,
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
    /// Field managers whose fields of the Deployment a person lets us take over, with commas between them.
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
    /// The canary's Deployment; `None` when there is none.
    pub canary: Option<Deployment>,
    /// The endpoint as it is now; `None` when there is none.
    pub endpoint: Option<Endpoint>,
}

impl Facts {
    /// Whether a release is tried out: so says the pointer, or pods are left of it after it failed.
    fn is_canary(&self, target: &Target, release: &str) -> bool {
        let is_out = |canary: &Deployment| {
            let carried = canary.environment.get("DEPLOYMENT_ID");
            canary.wanted > 0 && carried.is_some_and(|carried| carried == release)
        };
        target.release == release
            && (matches!(target.progress, Progress::Canary { .. })
                || self.canary.as_ref().is_some_and(is_out))
    }

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
        (Some(release), _) => release,
        (None, Progress::Restoring { from, .. }) => from,
        (None, _) => &target.release,
    })
}

/// The rule for what speaks against a release. An alarm of the live one leads back from it within its
/// guarded time, whatever is on its way; else it takes a canary away. A person's word has no such time.
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
            // A request that is sent twice says another time, and is the same way back.
            let trigger = Trigger {
                at: target.caused_at,
                ..trigger.clone()
            };
            roll_back(&trigger, facts, target, from, *attempt, config)
        } else {
            Ok(Decision::AlreadyThere { reason: since })
        };
    }
    if let Some(there) = on_its_way(trigger, facts, target, from, config)? {
        return Ok(there);
    }
    let was_given_up = matches!(target.progress, Progress::Failed { .. });
    if trigger.is_request && was_given_up && target.gone_from.as_deref() == Some(from) {
        let once_more = roll_back(trigger, facts, target, from, 1, config)?;
        // The very request whose way back was given up, sent twice; its give-up may be yet to be told.
        let is_repeat = trigger.is_cause_of(target) && trigger.at == target.caused_at;
        return Ok(match once_more {
            Decision::RollBack(_) if is_repeat => Decision::AlreadyThere {
                reason: format!("its way back was given up; {since}"),
            },
            other => other,
        });
    }
    if trigger.is_cause_of(target) {
        return Ok(Decision::AlreadyThere { reason: since });
    }
    if let Some(good) = live_beside(trigger, &facts.pointer) {
        let reason = stays(trigger, good, config);
        if good.release != from {
            // The canary goes instead.
            return against_the_target(trigger, facts, target, from, config);
        }
        if trigger.at.as_second() < good.since.as_second() {
            return Ok(Decision::NotLive {
                reason: format!("it spoke at {}, before {from} was verified", trigger.at),
            });
        }
        return match reason {
            Some(reason) => Ok(Decision::NothingWrong { reason }),
            None => roll_back(trigger, facts, target, from, 1, config),
        };
    }
    if target.release != from {
        return Ok(if target.caused_at == trigger.at {
            Decision::AlreadyThere { reason: since }
        } else {
            Decision::NotLive {
                reason: not_live(from, facts, target, &since),
            }
        });
    }
    against_the_target(trigger, facts, target, from, config)
}

/// Why nothing is gone away from: in words that say what is.
fn not_live(from: &str, facts: &Facts, target: &Target, since: &str) -> String {
    let good = facts.pointer.known_good.as_ref();
    match &target.progress {
        Progress::Failed { reason } if good.is_some_and(|good| good.release == from) => format!(
            "{} failed ({reason}), and has to be gone away from before {from}: ask for a rollback of {} first",
            target.release, target.release
        ),
        _ => format!("{from} isn't live: {since}"),
    }
}

/// The rule for what speaks against the pointer's target.
fn against_the_target(
    trigger: &Trigger,
    facts: &Facts,
    target: &Target,
    from: &str,
    config: &Config,
) -> Result<Decision> {
    let not_live = |reason| Ok(Decision::NotLive { reason });
    if trigger.is_older_than(target) {
        let Target { release, since, .. } = target;
        return not_live(format!(
            "it spoke at {}, before that: {release} is the target since {since}, caused by: {}",
            trigger.at, target.cause
        ));
    }
    if let Some(good) = verified(target, &facts.pointer) {
        if let Some(reason) = past_guard(trigger, good, config) {
            return not_live(reason);
        }
        match (stays(trigger, good, config), &target.progress) {
            (Some(reason), Progress::Verified) => {
                return Ok(call_people(reason, facts, target, from));
            }
            (Some(reason), _) => return not_live(reason),
            (None, _) => {}
        }
    }
    if let (true, None, Progress::Verified, Some(gone)) = (
        trigger.is_request,
        &trigger.release,
        &target.progress,
        &target.gone_from,
    ) {
        return not_live(format!(
            "{from} was brought back already, in place of {gone}, caused by: {}; to go back from {from} as well, name it in the request",
            target.cause
        ));
    }
    roll_back(trigger, facts, target, from, 1, config)
}

#[cfg(test)]
pub(crate) mod tests;
