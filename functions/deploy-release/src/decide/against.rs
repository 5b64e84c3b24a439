//! What the pointer says about a release that may be deployed.

use domain::release::{Progress, Target};
use events::announced::{DeploymentWaits, WRITE};

use super::{Decision, Facts, Half, cause};
use crate::{Config, begun::failed};

/// Seconds after which people are told that a deployment waits for what only they may be able to end.
const TOLD_AFTER_S: i64 = 60;
/// Seconds until a busy environment is looked at again.
const BUSY_S: u64 = 15;
/// The same behind a canary, which bakes for long.
const BEHIND_A_CANARY_S: u64 = 60;

/// What the pointer says about the release; `None` when it may be rolled out.
pub(super) fn against_pointer(
    release: &str,
    half: &Half,
    subject: &str,
    facts: &Facts,
    config: &Config,
) -> Option<Decision> {
    let target = facts.pointer.target.as_ref()?;
    if target.release == release {
        return match &target.progress {
            // Each resumes what it began: two events that go on with one rollout would verify it twice.
            Progress::Deploying | Progress::Canary { .. }
                if begun_by_another(target, half, subject, facts) =>
            {
                Some(Decision::AlreadyBegun {
                    release: release.to_owned(),
                    reason: format!("begun at {}, caused by {}", target.since, target.cause),
                })
            }
            Progress::Deploying | Progress::Canary { .. } => None,
            Progress::Restoring { .. } => busy(target, subject, facts, config),
            Progress::Verified => Some(Decision::AlreadyLive {
                release: release.to_owned(),
                reason: format!("live since {}, caused by {}", target.since, target.cause),
            }),
            Progress::Failed { reason } => against_failed(target, reason, subject, facts),
        };
    }
    if target.gone_from.as_deref() == Some(release) && is_repeat(release, target, facts) {
        return Some(Decision::AlreadyFailed {
            release: release.to_owned(),
            reason: format!(
                "it was gone away from at {}: {}",
                target.since, target.cause
            ),
        });
    }
    busy(target, subject, facts, config)
}

/// Whether another event about the same image began it: ECR's other one, or a request.
fn begun_by_another(target: &Target, half: &Half, subject: &str, facts: &Facts) -> bool {
    let of_this = target.cause == cause(half, subject, facts);
    if facts.asked.is_some() {
        return !of_this || target.caused_at != facts.caused_at;
    }
    let of_image = target.cause.starts_with(&format!("image {subject} was "));
    matches!(half, Half::Image(..)) && of_image && !of_this
}

/// A first release has nothing to go back to: a newer cause tries it once more, since what it failed by may
/// be mended.
fn against_failed(target: &Target, reason: &str, subject: &str, facts: &Facts) -> Option<Decision> {
    let release = target.release.clone();
    if target.caused_at == facts.caused_at {
        return Some(match reason.split_once(": ") {
            // A crash came between the pointer and the announcement.
            Some((WRITE, reason)) => Decision::Ended {
                failed: failed(target, WRITE, reason),
            },
            _ => Decision::AlreadyFailed {
                release,
                reason: reason.to_owned(),
            },
        });
    }
    if facts.pointer.known_good.is_none() && facts.caused_at > target.caused_at {
        return None;
    }
    Some(Decision::Skip {
        subject: subject.to_owned(),
        reason: format!("{release} is these very parts, and failed: {reason}"),
    })
}

/// Whether the event is from before the release was gone away from, and nobody has lifted anything of it
/// since: where circumstances led back, nothing is quarantined that would forbid it.
fn is_repeat(release: &str, target: &Target, facts: &Facts) -> bool {
    let mut entries = facts.quarantine.entries.iter();
    let was_quarantined = entries.any(|entry| entry.release == release);
    !was_quarantined && facts.caused_at <= target.caused_at
}

/// One release at a time, unless the one on its way is past every limit that could still end it. One that
/// failed is gone away from first, unless that was given up: then the next release is the way out. `roll-back`
/// takes seconds for it; where it says nothing for longer, people are told.
fn busy(target: &Target, subject: &str, facts: &Facts, config: &Config) -> Option<Decision> {
    let good = facts.pointer.known_good.as_ref();
    let is_gone_from =
        good.is_some_and(|good| good.release != target.release) && target.given_up_at.is_none();
    let (since, limit, again_s) = match target.progress {
        Progress::Canary { .. } => (
            target.rolling_since(),
            config.canary_abandoned_after_s,
            BEHIND_A_CANARY_S,
        ),
        Progress::Deploying | Progress::Restoring { .. } => {
            (target.rolling_since(), config.abandoned_after_s, BUSY_S)
        }
        Progress::Failed { .. } if is_gone_from => {
            (target.judged_at?, config.abandoned_after_s, BUSY_S)
        }
        Progress::Failed { .. } | Progress::Verified => return None,
    };
    let seconds = facts.now.as_second() - since.as_second();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let what = if target.progress.is_open() {
        "is on its way"
    } else {
        "has failed, and is to be gone away from,"
    };
    let failed = match &target.progress {
        Progress::Failed { reason } if seconds >= TOLD_AFTER_S => Some(reason),
        _ => None,
    };
    let told = failed.map(|reason| DeploymentWaits {
        subject: subject.to_owned(),
        release: target.release.clone(),
        reason: format!("it failed ({reason}), and isn't gone away from"),
        advice: format!(
            "ask for a rollback of {}: the deployment goes on as soon as it is gone away from, or given up; else {limit} s after it failed",
            target.release
        ),
        caused_at: facts.caused_at,
    });
    (seconds < limit).then(|| Decision::Busy {
        told: told.map(Box::new),
        reason: format!(
            "{} {what} since {seconds} s; after {limit} s without a verdict it counts as abandoned",
            target.release
        ),
        again_s,
    })
}
