//! Whether a way back that failed is tried again.

use domain::{Result, release::Progress};
use events::announced::RollbackFailed;
use jiff::Timestamp;

use super::{Decision, Facts, GiveUp, Trigger, way::roll_back};
use crate::Config;

/// Seconds before each further try; the third one waits twice as long as the second.
const PAUSE_S: i64 = 15;

/// The rule for a way back that didn't lead to a healthy service; `at` is when that was said.
pub fn again(
    failed: &RollbackFailed,
    at: Timestamp,
    facts: &Facts,
    config: &Config,
) -> Result<Decision> {
    let Some(target) = &facts.pointer.target else {
        return Ok(Decision::NotLive {
            reason: format!("nothing is live in {}", config.environment),
        });
    };
    let over = || Decision::NotLive {
        reason: format!(
            "{} is the target since {}: this try is over",
            target.release, target.since
        ),
    };
    if target.caused_at != failed.caused_at {
        return Ok(over());
    }
    let attempt = match &target.progress {
        Progress::Restoring { from, attempt } if *from == failed.from => *attempt,
        // A crash came between the pointer and the announcement.
        Progress::Failed { .. } => {
            return Ok(Decision::GiveUp(Box::new(given_up(failed, facts, config))));
        }
        _ => return Ok(over()),
    };
    if attempt == failed.attempt && attempt >= config.max_attempts {
        return Ok(Decision::GiveUp(Box::new(given_up(failed, facts, config))));
    }
    if attempt > failed.attempt + 1 {
        return Ok(Decision::AlreadyThere {
            reason: format!("try {attempt} is under way"),
        });
    }
    let due = at.as_second() + PAUSE_S * i64::from(failed.attempt);
    if let Ok(after_s @ 1..) = u64::try_from(due - facts.now.as_second()) {
        return Ok(Decision::Later {
            reason: format!(
                "try {} failed at {}: {}; the next one waits {after_s} s",
                failed.attempt, failed.stage, failed.reason
            ),
            after_s,
        });
    }
    // What is to blame was listed by the first try, if anything is.
    let trigger = Trigger {
        release: Some(failed.from.clone()),
        at: target.caused_at,
        deployed_for: None,
        words: target.cause.clone(),
        is_alarm: false,
        is_request: false,
        is_evidence: false,
        take_over: None,
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

/// What people are told of a way back that was given up, where the next one, which was asked for, began before that
/// was told: a crash came between the pointer and the announcement.
pub fn untold(failed: &RollbackFailed, facts: &Facts, config: &Config) -> Option<Box<GiveUp>> {
    let target = facts.pointer.target.as_ref()?;
    let is_round_before = target.release == failed.release
        && target.gone_from.as_ref() == Some(&failed.from)
        && target.caused_at > failed.caused_at
        && target.progress != Progress::Verified;
    let was_last = failed.attempt >= config.max_attempts;
    (is_round_before && was_last).then(|| Box::new(given_up(failed, facts, config)))
}

fn given_up(failed: &RollbackFailed, facts: &Facts, config: &Config) -> GiveUp {
    GiveUp {
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
        guilty: None,
        sides: facts.sides(Some(&failed.release)),
    }
}
