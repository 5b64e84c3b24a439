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

/// The owner's alarms watch what is live. One that says no release (a composite one has no dimension) speaks of
/// that while another release is on its way, or has failed, beside it; and its words say so, by which it is known
/// when it comes again.
pub(crate) fn of_live(trigger: Trigger, pointer: &Pointer) -> Trigger {
    let Some(target) = &pointer.target else {
        return trigger;
    };
    if !trigger.is_alarm || trigger.release.is_some() {
        return trigger;
    }
    let named = |release: &String| Trigger {
        release: Some(release.clone()),
        words: format!("{} (of {release}, which is live)", trigger.words),
        ..trigger.clone()
    };
    let good = pointer.known_good.as_ref();
    let fell = matches!(target.progress, Progress::Failed { .. });
    let behind = good.filter(|good| fell && good.release != target.release);
    if let Some(live) = beside(pointer).or(behind) {
        return named(&live.release);
    }
    if let Some(before) = good.and_then(|good| before(&trigger, target, good)) {
        return named(before);
    }
    // What it led to already: away from what was live, or from a canary beside it.
    let was_live = target.gone_from.iter().chain([&target.release]);
    let mut causes = was_live.map(named);
    let cause = causes.find(|cause| cause.is_cause_of(target));
    cause.unwrap_or(trigger)
}

/// What was live when the alarm spoke: what is live now was yet to be verified.
fn before<'a>(trigger: &Trigger, target: &Target, good: &'a KnownGood) -> Option<&'a String> {
    let was_new = target.gone_from.is_none() && target.release == good.release;
    let is_early = trigger.at.as_second() < good.since.as_second();
    good.earlier.first().filter(|_| was_new && is_early)
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

/// What is brought back is to be proved first. Its alarms begin anew once it is verified, and speak again if it is
/// bad: one that spoke until then says nothing, however late it comes. A person who names it meanwhile goes further
/// where there is a way, and otherwise hears that there is none: the way that is gone may well end well.
pub(super) fn on_its_way(
    trigger: &Trigger,
    facts: &Facts,
    target: &Target,
    from: &str,
    config: &Config,
) -> Result<Option<Decision>> {
    let to_be_proved = match (&target.progress, target.judged_at) {
        (Progress::Restoring { .. }, _) => true,
        (Progress::Verified, Some(judged_at)) => {
            target.gone_from.is_some() && trigger.at.as_second() < judged_at.as_second()
        }
        _ => false,
    };
    if !to_be_proved || target.release != from {
        return Ok(None);
    }
    let there = |why: &str| Decision::AlreadyThere {
        reason: format!(
            "{from} is the target since {}, caused by: {}; it was brought back, and {why}",
            target.since, target.cause
        ),
    };
    if trigger.is_alarm {
        return Ok(Some(there("its alarms begin anew once it is verified")));
    }
    if !trigger.is_request {
        return Ok(None);
    }
    Ok(match roll_back(trigger, facts, target, from, 1, config)? {
        Decision::GiveUp(barred) => Some(there(&format!(
            "to go further back isn't possible now: {}",
            barred.reason
        ))),
        _ => None,
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
