//! What the endpoint says against a release: its state, when an event of it wakes us, and its own alarms.
//!
//! The event only wakes: what counts is the endpoint as it is now, beside what the pointer's target expects
//! of it. SageMaker reports an update that was taken back as `InService`, like one that went well; the
//! configuration's name tells them apart. An update of our own way back is `verify-release`'s to judge.

use domain::{
    Result,
    endpoint::lacks_instances,
    ports::Endpoint,
    release::{Progress, Target, endpoint_config},
};

use crate::{
    Config,
    decide::{Decision, Facts, GiveUp, Trigger, live_beside, refuge, unguarded},
};

/// What spoke.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// SageMaker: the endpoint changed.
    Changed,
    /// An alarm of one endpoint configuration.
    Alarm {
        /// Name of the configuration.
        config: String,
    },
}

/// What a word says against the release that is gone away from; otherwise why it says nothing.
pub fn weigh(
    word: &Word,
    trigger: Trigger,
    facts: &Facts,
    config: &Config,
) -> Result<std::result::Result<Trigger, Decision>> {
    let (Some(target), Some(bad)) = (&facts.pointer.target, &facts.bad) else {
        // Nothing is live, or it has no manifest: the rule says so.
        return Ok(Ok(trigger));
    };
    // What is live beside another release is served by a configuration of its own.
    let of_live = live_beside(&trigger, &facts.pointer).map(|good| &good.release);
    let accused = of_live.unwrap_or(&target.release);
    if matches!(target.progress, Progress::Canary { .. }) && facts.from.as_ref() != of_live {
        return Ok(Err(Decision::NotLive {
            reason: format!(
                "{} is tried out on a share of the pods, and hasn't come to the endpoint",
                target.release
            ),
        }));
    }
    let expected = endpoint_config(bad)?;
    if let Word::Alarm { config: watched } = word
        && *watched != expected
    {
        return Ok(Err(Decision::NotLive {
            reason: format!("the alarm watches {watched}: {accused} is served by {expected}"),
        }));
    }
    if let Progress::Restoring { from, .. } = &target.progress {
        return Ok(on_the_way(word, trigger, target, from, config));
    }
    let words = match word {
        Word::Alarm { .. } => trigger.words.clone(),
        Word::Changed => match state(&trigger, facts, target, &expected, config) {
            Ok(words) => words,
            Err(decision) => return Ok(Err(decision)),
        },
    };
    let trigger = Trigger {
        release: Some(accused.clone()),
        is_evidence: !lacks_instances(&words),
        words,
        ..trigger
    };
    if let Some(reason) = no_way_back(word, &trigger, facts, &expected, config)? {
        return Ok(Err(Decision::GiveUp(Box::new(GiveUp {
            from: accused.clone(),
            cause: trigger.words,
            reason,
            advice: advice(facts.endpoint.as_ref(), &expected, config),
            caused_at: trigger.at,
            guilty: None,
            sides: facts.sides(None),
        }))));
    }
    Ok(Ok(trigger))
}

/// While the way back is open, only its own cause is heard: a crash came, and it is finished.
fn on_the_way(
    word: &Word,
    trigger: Trigger,
    target: &Target,
    from: &str,
    config: &Config,
) -> std::result::Result<Trigger, Decision> {
    let is_its_cause = target.caused_at == trigger.at
        && match word {
            Word::Alarm { .. } => target.cause == trigger.words,
            // In words it is what the endpoint was then.
            Word::Changed => target.cause.starts_with(&of_endpoint(config)),
        };
    if is_its_cause {
        return Ok(Trigger {
            release: Some(from.to_owned()),
            is_evidence: !lacks_instances(&target.cause),
            words: target.cause.clone(),
            ..trigger
        });
    }
    Err(Decision::AlreadyThere {
        reason: format!(
            "{} is on its way back since {}, caused by: {}; its own update of the endpoint is verified",
            target.release, target.since, target.cause
        ),
    })
}

/// What the endpoint's state says against the target, in words; otherwise why it says nothing.
fn state(
    trigger: &Trigger,
    facts: &Facts,
    target: &Target,
    expected: &str,
    config: &Config,
) -> std::result::Result<String, Decision> {
    let fine = |reason: String| Err(Decision::NothingWrong { reason });
    if let Progress::Failed { reason } = &target.progress {
        return Err(Decision::NotLive {
            reason: format!(
                "{} failed already ({reason}), which is dealt with by itself",
                target.release
            ),
        });
    }
    if trigger.is_older_than(target) {
        return Err(Decision::NotLive {
            reason: format!(
                "it changed at {}, before {} became the target at {}",
                trigger.at, target.release, target.since
            ),
        });
    }
    let Some(endpoint) = &facts.endpoint else {
        return fine(format!("there is no endpoint {} any more", config.endpoint));
    };
    let Endpoint {
        config: now,
        status,
        ..
    } = endpoint;
    let reason = endpoint
        .failure_reason
        .as_deref()
        .unwrap_or("no reason given");
    let it = of_endpoint(config);
    match status.as_str() {
        "InService" if now == expected => fine(format!(
            "{it}is InService on {expected}, as {} expects",
            target.release
        )),
        "InService" if !was_asked(facts, target) => fine(format!(
            "{it}is InService on {now}, and {} is yet to be given to it",
            target.release
        )),
        "InService" => Ok(format!(
            "{it}came back on {now} instead of {expected} ({reason})"
        )),
        "Failed" | "OutOfService" | "UpdateRollbackFailed" => {
            Ok(format!("{it}is {status} ({reason})"))
        }
        _ => fine(format!("{it}is {status}, on its way to somewhere")),
    }
}

fn of_endpoint(config: &Config) -> String {
    format!("the endpoint {} ", config.endpoint)
}

/// Whether the endpoint was given what the target expects: the pointer moves before that, and the
/// Deployment changes after it.
fn was_asked(facts: &Facts, target: &Target) -> bool {
    let carried = facts
        .deployment
        .as_ref()
        .and_then(|deployment| deployment.environment.get("DEPLOYMENT_ID"));
    target.progress != Progress::Deploying || carried == Some(&target.release)
}

/// Why going back to another release wouldn't mend the endpoint; `None` when it may.
fn no_way_back(
    word: &Word,
    trigger: &Trigger,
    facts: &Facts,
    expected: &str,
    config: &Config,
) -> Result<Option<String>> {
    let endpoint = facts.endpoint.as_ref();
    if endpoint.is_some_and(|endpoint| endpoint.status == "Failed") {
        return Ok(Some("a Failed endpoint takes no update".to_owned()));
    }
    if let Some((release, good)) = refuge(facts)?
        && endpoint_config(good)? == expected
    {
        return Ok(Some(format!(
            "{release}, which is known good, has the same endpoint configuration {expected}: to go back to it would change nothing here"
        )));
    }
    // Alarms have told people by themselves; a state has told nobody.
    Ok(match word {
        Word::Changed => unguarded(trigger, facts, config),
        Word::Alarm { .. } => None,
    })
}

fn advice(endpoint: Option<&Endpoint>, expected: &str, config: &Config) -> String {
    let name = &config.endpoint;
    let look = format!(
        "see why (`aws sagemaker describe-endpoint --endpoint-name {name}`, and its containers' log)"
    );
    match endpoint.map(|endpoint| endpoint.status.as_str()) {
        Some("Failed") => format!(
            "{look}, delete it (`aws sagemaker delete-endpoint --endpoint-name {name}`), then ask for the rollback again: it makes the endpoint anew"
        ),
        _ => format!(
            "{look}, and give it what it should serve (`aws sagemaker update-endpoint --endpoint-name {name} --endpoint-config-name {expected} --retain-all-variant-properties`), or ask for a rollback if you know better"
        ),
    }
}

#[cfg(test)]
mod tests;
