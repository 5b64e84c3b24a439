//! How long an alarm leads away from what was verified, and what is live beside a release on its way.

use domain::{
    Result,
    release::{KnownGood, Pointer, Progress, Target},
};

use super::{Decision, Facts, GiveUp, Trigger, refuge, way::roll_back};
use crate::Config;

/// What is live while another release is on its way.
pub(crate) fn beside(pointer: &Pointer) -> Option<&KnownGood> {
    let (target, good) = (pointer.target.as_ref()?, pointer.known_good.as_ref()?);
    let on_its_way = matches!(
        target.progress,
        Progress::Canary { .. } | Progress::Deploying
    );
    (on_its_way && target.release != good.release).then_some(good)
}

/// The same, when an alarm or a person speaks against it.
pub(crate) fn live_beside<'a>(trigger: &Trigger, pointer: &'a Pointer) -> Option<&'a KnownGood> {
    beside(pointer).filter(|good| {
        (trigger.is_alarm || trigger.is_request) && trigger.release.as_ref() == Some(&good.release)
    })
}

/// The canary that goes instead of the live release beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead<'a> {
    /// The canary.
    pub canary: &'a str,
    /// What people are told besides: the live release should be gone away from, and can't be.
    pub barred: Option<Box<GiveUp>>,
}

/// Whether a canary goes instead of the live release beside it: it is what changed, where the live release isn't
/// gone away from, has nothing to go back to, or its way back is barred.
pub fn canary_instead<'a>(
    trigger: &Trigger,
    facts: &Facts,
    pointer: &'a Pointer,
    config: &Config,
) -> Result<Option<Instead<'a>>> {
    let target = pointer.target.as_ref();
    let canary = target.filter(|target| matches!(target.progress, Progress::Canary { .. }));
    let Some((good, target)) = live_beside(trigger, pointer).zip(canary) else {
        return Ok(None);
    };
    let barred = if stays(trigger, good, config).is_some() {
        None
    } else {
        match roll_back(trigger, facts, target, &good.release, 1, config)? {
            Decision::GiveUp(given_up) => refuge(facts)?.map(|_| given_up),
            _ => return Ok(None),
        }
    };
    let canary = &target.release;
    Ok(Some(Instead { canary, barred }))
}

/// The target as what is known good: it was verified, or is brought back.
pub(super) fn verified<'a>(target: &Target, pointer: &'a Pointer) -> Option<&'a KnownGood> {
    let good = pointer.known_good.as_ref();
    good.filter(|good| {
        good.release == target.release
            && matches!(
                target.progress,
                Progress::Verified | Progress::Restoring { .. }
            )
    })
}

/// Told once for each way back, however many alarms follow: they tell people by themselves.
pub(super) fn call_people(reason: String, facts: &Facts, target: &Target, from: &str) -> Decision {
    Decision::GiveUp(Box::new(GiveUp {
        from: from.to_owned(),
        cause: format!("an alarm of {from}, after the way back to it"),
        reason,
        advice: format!(
            "look for what else changed, or fails beside the release (its data, the network, what calls it); ask for a rollback of {from} by its name if you know better"
        ),
        caused_at: target.caused_at,
        guilty: None,
        sides: facts.sides(None),
    }))
}

/// Why an alarm doesn't lead away from the target any more; `None` when it does.
pub(crate) fn unguarded(trigger: &Trigger, facts: &Facts, config: &Config) -> Option<String> {
    let target = facts.pointer.target.as_ref()?;
    stays(trigger, verified(target, &facts.pointer)?, config)
}

/// Why an alarm doesn't lead away from what is known good; `None` when it does. One outage, which is no
/// release's fault, would otherwise roll through all that ever was known good.
pub(super) fn stays(trigger: &Trigger, good: &KnownGood, config: &Config) -> Option<String> {
    past_guard(trigger, good, config).or_else(|| {
        (trigger.is_alarm && good.brought_back).then(|| {
            format!(
                "{} was brought back, and is known to work: what goes on isn't the release",
                good.release
            )
        })
    })
}

/// Why an alarm comes too long after the verification; `None` when it doesn't.
pub(super) fn past_guard(trigger: &Trigger, good: &KnownGood, config: &Config) -> Option<String> {
    let seconds = trigger.at.as_second() - good.since.as_second();
    (trigger.is_alarm && seconds > config.guard_s).then(|| {
        format!(
            "{} was verified {seconds} s before, and alarms lead to a rollback for {} s: what changed isn't the release; ask for a rollback if you know better",
            good.release, config.guard_s
        )
    })
}
