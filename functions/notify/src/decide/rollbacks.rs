//! What people are told of the way back to what is known good, and of what is quarantined.

use events::{Announced, announced::Parts};

use super::{Message, last};

/// What people are told of the way back to what is known good.
pub(super) fn message(event: &Announced) -> Option<Message> {
    let message =
        match event {
            Announced::RollbackStarted(event) => {
                Message {
                    result: "Rollback started",
                    about: event.from.clone(),
                    lines: [
                        format!(
                            "{} goes back to {} (try {}): {}",
                            event.from, event.release, event.attempt, event.cause
                        ),
                        quarantined(event.quarantined.as_deref()),
                    ]
                    .into_iter()
                    .chain(both(event.bad.as_ref(), event.good.as_ref()))
                    .chain(event.by_hand.as_deref().map(by_hand))
                    .chain(event.abandoned.iter().map(|abandoned| {
                        format!("{abandoned} was on its way, and isn't any more.")
                    }))
                    .chain(event.differences.iter().map(|difference| {
                        format!(
                            "- {}: {} instead of {}",
                            difference.what, difference.bad, difference.good
                        )
                    }))
                    .collect(),
                }
            }
            Announced::RollbackSucceeded(event) => {
                Message {
                    result: "Rollback",
                    about: event.from.clone(),
                    lines: std::iter::once(format!(
                        "{} serves again instead of {}, {} s after the cause. {}",
                        event.release,
                        event.from,
                        event.seconds,
                        quarantined(event.quarantined.as_deref())
                    ))
                    .chain(event.api_seconds.map(|seconds| {
                        format!("The API served it again {seconds} s after the cause.")
                    }))
                    .chain(both(event.bad.as_ref(), event.good.as_ref()))
                    .chain(event.by_hand.as_deref().map(by_hand))
                    .chain(event.checks.iter().map(|check| format!("- {check}")))
                    .collect(),
                }
            }
            Announced::RollbackGivenUp(event) => Message {
                result: "ROLLBACK FAILED - act now",
                about: event.from.clone(),
                lines: [
                    format!(
                        "{} should be rolled back ({}) and isn't: {}",
                        event.from, event.cause, event.reason
                    ),
                    format!("What to do: {}", event.advice),
                ]
                .into_iter()
                .chain(both(event.bad.as_ref(), event.good.as_ref()))
                .collect(),
            },
            Announced::ReleaseDiagnosed(event) => Message {
                result: if event.guilty.is_empty() {
                    "Cause unknown"
                } else {
                    "Cause found"
                },
                about: event.from.clone(),
                lines: std::iter::once(format!(
                    "{} against {}: {}",
                    event.from, event.release, event.reason
                ))
                .chain(event.guilty.iter().map(|guilty| {
                    format!("Quarantined until a person lifts it: {}", guilty.identity)
                }))
                .chain(event.by_hand.as_deref().map(by_hand))
                .chain(event.trials.iter().map(|trial| format!("- {trial}")))
                .collect(),
            },
            Announced::QuarantineLifted(event) => Message {
                result: "Quarantine lifted",
                about: last(&event.identity),
                lines: vec![format!(
                    "{} may be deployed again: {} answers for it ({})",
                    event.identity, event.by, event.reason
                )],
            },
            _ => return None,
        };
    Some(message)
}

/// What the two releases are made of, as far as the event says it.
fn both(bad: Option<&Parts>, good: Option<&Parts>) -> impl Iterator<Item = String> {
    let told = |what: &str, parts: &Parts| {
        let build = parts.build.as_ref();
        let build = build.map(|build| format!("{build}, "));
        format!(
            "{what}: {}image {}, model {}",
            build.unwrap_or_default(),
            parts.image,
            last(&parts.package_arn)
        )
    };
    let bad = bad.map(|parts| told("Went wrong", parts));
    bad.into_iter()
        .chain(good.map(|parts| told("Known good", parts)))
}

fn by_hand(what: &str) -> String {
    format!("By hand: {what}")
}

fn quarantined(part: Option<&str>) -> String {
    match part {
        Some(part) => format!("Quarantined: {part}"),
        None => "Nothing is quarantined: it wasn't the release's fault.".to_owned(),
    }
}
