//! Where the way back leads, whether it is open, and what is to blame.

use domain::{
    Result, converge,
    quarantine::{Difference, Entry, Part, differences, guilty},
    release::{Manifest, Progress, Target},
};

use super::{Decision, Facts, GiveUp, Rollback, Trigger, guard::stays};
use crate::Config;

/// The decision to go back, once it is plain from what; or why nobody can.
pub(crate) fn roll_back(
    trigger: &Trigger,
    facts: &Facts,
    target: &Target,
    from: &str,
    attempt: u32,
    config: &Config,
) -> Result<Decision> {
    let good = refuge(facts)?;
    let differs = match (&facts.bad, good) {
        (Some(bad), Some((_, good))) => differences(bad, good)?,
        _ => vec![],
    };
    // A canary goes whether or not there is a way back.
    let is_canary = facts.is_canary(target, from);
    let guilty_part = match &facts.bad {
        Some(bad) => guilty_entry(trigger, facts, bad, (from, &differs), config)?,
        None => None,
    };
    let give_up = |reason: String, advice: String| {
        Decision::GiveUp(Box::new(GiveUp {
            from: from.to_owned(),
            cause: trigger.words.clone(),
            reason: if is_canary {
                format!("the canary's pods are taken away, and {reason}")
            } else {
                reason
            },
            advice,
            caused_at: trigger.deployed_for.unwrap_or(trigger.at),
            guilty: guilty_part.clone().filter(|_| is_canary),
            sides: facts.sides(None),
        }))
    };
    if facts.bad.is_none() {
        return Ok(give_up(
            format!("{from} has no manifest"),
            "deploy a release that is known to work".to_owned(),
        ));
    }
    let Some((release, manifest)) = good else {
        return Ok(give_up(
            "no release is known good but the one that went wrong, or what is is quarantined or has no manifest"
                .to_owned(),
            if target.release == from {
                "deploy a model and an image that are known to work: approve another package, or push another image".to_owned()
            } else {
                let next = &target.release;
                format!("{next} is on its way, and takes the place of {from} once it is verified; ask for a rollback of {next} to stop it")
            },
        ));
    };
    let Some(deployment) = &facts.deployment else {
        return Ok(give_up(
            "the Deployment doesn't exist".to_owned(),
            "apply the Kubernetes manifests, then ask for the rollback again".to_owned(),
        ));
    };
    let strangers = converge::strangers(deployment, &config.first_manager);
    let (released, strangers): (Vec<&str>, Vec<&str>) =
        strangers.into_iter().partition(|manager| {
            let names = trigger.take_over.as_deref();
            names.is_some_and(|names| converge::is_named(manager, names))
        });
    let patch = converge::deployment(release, manifest, "")?;
    let carries = converge::carries(deployment, &patch);
    // What carries the good release already isn't written, whoever owns it: a canary has a Deployment of its
    // own, and what was interrupted, or refused, may not have come to this one.
    if !strangers.is_empty() && !carries {
        let strangers = strangers.join(", ");
        return Ok(give_up(
            format!(
                "the Deployment's image, or a variable or an annotation of the release, belongs to the field manager {strangers}"
            ),
            format!(
                "roll back with that tool; or ask for the rollback again with `\"take_over\": \"{strangers}\"`, which takes these fields from it, and let it leave them alone from then on (ARCHITECTURE.md says how)"
            ),
        ));
    }
    let is_first = converge::is_taken_over(deployment, &config.first_manager);
    let take_over = strangers.is_empty() && (is_first || !released.is_empty());
    let abandoned = if target.release == *release {
        target.abandoned.clone()
    } else {
        (target.release != from).then(|| target.release.clone())
    };
    Ok(Decision::RollBack(Box::new(Rollback {
        guilty: guilty_part,
        abandoned,
        left_over: target.left_over.clone(),
        from: from.to_owned(),
        release: release.clone(),
        manifest: manifest.clone(),
        reason: trigger.words.clone(),
        caused_at: trigger.at,
        attempt,
        differences: differs,
        sides: facts.sides(Some(release)),
        by_hand: None,
        take_over,
        untouched: (carries && !take_over).then_some(deployment.generation),
        resumes: matches!(&target.progress, Progress::Restoring { from: bad, attempt: now } if bad == from && *now == attempt),
    })))
}

/// Whether a word is laid to the release that is gone away from. Of what is said of the live one beside a canary,
/// which goes instead, that is an alarm only, and one that might have been the canary's doing.
fn is_evidence(trigger: &Trigger, facts: &Facts, from: &str, config: &Config) -> bool {
    let good = facts.pointer.known_good.as_ref();
    let of_live =
        good.filter(|good| good.release != from && trigger.release.as_ref() == Some(&good.release));
    trigger.is_evidence
        && of_live.is_none_or(|good| trigger.is_alarm && stays(trigger, good, config).is_none())
}

/// What is quarantined for it; `None` where nothing speaks against the release itself.
fn guilty_entry(
    trigger: &Trigger,
    facts: &Facts,
    bad: &Manifest,
    (from, differences): (&str, &[Difference]),
    config: &Config,
) -> Result<Option<Entry>> {
    // What was blamed for this release is: a further try, or a request after a way back that failed.
    let entries = facts.quarantine.entries.iter();
    let mut blamed = entries.filter(|entry| entry.release == from && entry.lifted.is_none());
    if let Some(entry) = blamed.next() {
        return Ok(Some(entry.clone()));
    }
    if !is_evidence(trigger, facts, from, config) {
        return Ok(None);
    }
    let speaks_of_it = trigger.release.as_deref().is_none_or(|of| of == from);
    let part = if speaks_of_it {
        guilty(differences)
    } else {
        Part::Release
    };
    Ok(Some(Entry {
        part,
        identity: part.of(bad)?,
        release: from.to_owned(),
        reason: if speaks_of_it {
            blame(&trigger.words, part, differences)
        } else {
            format!(
                "{}; none of the release's parts is blamed for it",
                trigger.words
            )
        },
        since: trigger.at,
        lifted: None,
    }))
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
