//! What an event says against a release.

use domain::{
    alarms::{AGAINST_A_RELEASE, PREFIX},
    endpoint::PREFIX as ENDPOINT_PREFIX,
    names,
};
use events::{Announced, Event, announced::RollbackRequested, incoming::Alarm};

use crate::{Config, decide::Trigger, endpoint::Word};

/// What an event says against a release, and whether it is the endpoint that speaks; otherwise why it says
/// nothing.
pub(crate) fn trigger(
    config: &Config,
    event: &Event,
    at: jiff::Timestamp,
) -> std::result::Result<(Trigger, Option<Word>), String> {
    match event {
        Event::Alarm(alarm) => {
            let watched = alarm.endpoint_config.as_ref();
            if let Some(reason) = not_ours(config, alarm) {
                return Err(reason);
            }
            if alarm.state != "ALARM" {
                return Err(format!("{} is {}, and not ALARM", alarm.name, alarm.state));
            }
            let trigger = Trigger {
                release: alarm.release.clone().or_else(|| candidate(config, alarm)),
                at: alarm.since.unwrap_or(at),
                deployed_for: None,
                words: format!("alarm {}: {}", alarm.name, alarm.reason),
                is_alarm: true,
                is_request: false,
                is_evidence: true,
                take_over: None,
            };
            let word = watched.map(|config| Word::Alarm {
                config: config.clone(),
            });
            Ok((trigger, word))
        }
        Event::Endpoint(changed) if changed.name != config.endpoint => {
            Err(format!("{} isn't the endpoint {}", changed.name, config.endpoint))
        }
        Event::Endpoint(changed) => {
            let trigger = Trigger {
                release: None,
                at,
                deployed_for: None,
                words: format!("the endpoint {} is {}", changed.name, changed.status),
                is_alarm: true,
                is_request: false,
                is_evidence: true,
                take_over: None,
            };
            Ok((trigger, Some(Word::Changed)))
        }
        Event::Announced(Announced::ReleaseFailed(failed)) => {
            let trigger = Trigger {
                release: Some(failed.release.clone()),
                at,
                deployed_for: Some(failed.caused_at),
                words: failed.words(),
                is_alarm: false,
                is_request: false,
                is_evidence: failed.is_evidence(),
                take_over: None,
            };
            Ok((trigger, None))
        }
        Event::Announced(Announced::RollbackRequested(request)) => {
            let trigger = Trigger {
                release: request.release.clone(),
                at,
                deployed_for: None,
                words: words(request),
                is_alarm: false,
                is_request: true,
                is_evidence: true,
                take_over: request.take_over.clone(),
            };
            Ok((trigger, None))
        }
        _ => Err(
            "only alarms, the endpoint's changes, failed releases and requests lead to a rollback, and requests lift a quarantine".to_owned(),
        ),
    }
}

/// A request in words: the same however often it is sent.
pub(crate) fn words(request: &RollbackRequested) -> String {
    format!(
        "{} asked (request {}): {}",
        request.by, request.request, request.reason
    )
}

/// The release that an alarm's name has at its end: a candidate's has, the owner's hasn't.
fn candidate(config: &Config, alarm: &Alarm) -> Option<String> {
    let (_, rest) = alarm
        .name
        .split_once(&format!("-{}-release-", config.namespace))?;
    Some(format!("release-{rest}"))
}

/// Why an alarm isn't one of this environment's API or endpoint; `None` when it is.
fn not_ours(config: &Config, alarm: &Alarm) -> Option<String> {
    if let (Some(rest), Some(watched)) = (
        alarm.name.strip_prefix(ENDPOINT_PREFIX),
        &alarm.endpoint_config,
    ) {
        // The configuration's name says whose it is.
        let ours = format!("{}-{}-", names::PROJECT, config.environment);
        let is_ours = rest.ends_with(watched) && watched.starts_with(&ours);
        return (!is_ours).then(|| {
            format!(
                "{} watches another endpoint than {}",
                alarm.name, config.endpoint
            )
        });
    }
    let of_kind = |kind| {
        alarm
            .name
            .strip_prefix(PREFIX)?
            .strip_prefix(kind)?
            .strip_prefix('-')
    };
    let Some(rest) = AGAINST_A_RELEASE.into_iter().find_map(of_kind) else {
        return Some(format!(
            "{} isn't one of the alarms that speak against a release: the API's {}, or the endpoint's",
            alarm.name,
            AGAINST_A_RELEASE.join(" and ")
        ));
    };
    let ours = rest
        .strip_prefix(config.namespace.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("-release-"));
    (!ours).then(|| {
        format!(
            "{} watches another namespace than {}",
            alarm.name, config.namespace
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{at, config};

    #[test]
    fn a_release_is_told_by_an_alarms_dimension_else_by_its_name() {
        let cases = [
            ("", None, None),
            ("", Some("release-a"), Some("release-a")),
            ("-release-b", None, Some("release-b")),
            ("-release-b", Some("release-a"), Some("release-a")),
        ];
        for (ending, dimension, expected) in cases {
            let event = Event::Alarm(Alarm {
                name: format!("RetailForecast-API-Error-Rate-retail-forecast-dev{ending}"),
                state: "ALARM".to_owned(),
                reason: "Threshold Crossed".to_owned(),
                since: None,
                release: dimension.map(str::to_owned),
                endpoint_config: None,
            });
            let (trigger, _) = trigger(&config(), &event, at(200)).unwrap();
            assert_eq!(
                trigger.release.as_deref(),
                expected,
                "{ending} {dimension:?}"
            );
        }
    }
}
