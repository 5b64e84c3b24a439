//! What people are told, and in which words.

mod rollbacks;

use std::collections::BTreeMap;

use domain::{
    evaluation::{Metrics, Verdict},
    names,
    ports::{Approval, Notice},
};
use events::{
    Announced,
    announced::{CheckVerdict, NOT_STARTED},
};
use serde::Serialize;

use crate::kpi::Kpi;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Tell people.
    Tell {
        /// The message.
        notice: Notice,
        /// Id of the fact; a repeat has the same.
        fact: String,
        /// What it adds to the pipeline's figures.
        #[serde(skip_serializing_if = "Option::is_none")]
        kpi: Option<Kpi>,
    },
    /// Another invocation is about to tell it.
    BeingTold {
        /// Id of the fact.
        fact: String,
        /// Since when.
        reason: String,
    },
    /// People know.
    AlreadyTold {
        /// Id of the fact.
        fact: String,
        /// When and how.
        reason: String,
    },
    /// Nothing to tell.
    Quiet {
        /// Why.
        reason: String,
    },
}

/// A fact as people read it.
struct Message {
    /// The word after the colon in the subject.
    result: &'static str,
    /// Build or release that it is about.
    about: String,
    lines: Vec<String>,
}

/// The rule: which facts reach people, and how. `fact` is the id that the event carries.
pub fn decide(event: &Announced, fact: &str, environment: &str) -> Decision {
    let Some(message) = message(event) else {
        return Decision::Quiet {
            reason: "a step on the way: its end will be told".to_owned(),
        };
    };
    Decision::Tell {
        notice: notice(&message, fact, environment),
        fact: fact.to_owned(),
        kpi: None,
    }
}

fn notice(message: &Message, fact: &str, environment: &str) -> Notice {
    let subject = format!(
        "Retail Forecast Deployment: {} ({environment}, {})",
        message.result, message.about
    );
    let lines = message.lines.join("\n");
    let body = format!("{lines}\n\nEnvironment: {environment}\nFact: {fact}\n");
    Notice {
        // SNS: ASCII, no line breaks, fewer than 100 characters.
        subject: subject
            .chars()
            .filter(|c| c.is_ascii() && !c.is_ascii_control())
            .take(99)
            .collect(),
        body,
        attributes: BTreeMap::from([
            ("environment".to_owned(), environment.to_owned()),
            ("outcome".to_owned(), message.result.to_owned()),
            ("fact".to_owned(), fact.to_owned()),
        ]),
    }
}

#[expect(clippy::too_many_lines, reason = "an arm for each event")]
fn message(event: &Announced) -> Option<Message> {
    let message = match event {
        Announced::DatasetRejected(event) => Message {
            result: "Data rejected",
            about: names::short(&event.dataset).to_owned(),
            lines: [format!(
                "{} broke the data contract; nothing was trained on it.",
                event.source
            )]
            .into_iter()
            .chain([format!("Upload: {}", event.upload)])
            .chain(event.findings.iter().map(|finding| format!("- {finding}")))
            .chain([format!("Report: {}", event.report)])
            .collect(),
        },
        Announced::TrainingFailed(event) => Message {
            result: "Training failed",
            about: build(&event.training_job),
            lines: vec![
                if event.status == NOT_STARTED {
                    format!("{} was not started: {}", event.failed_job, event.reason)
                } else {
                    format!(
                        "{} ended {}: {}",
                        event.failed_job, event.status, event.reason
                    )
                },
                "Nothing was registered; what is live stays live.".to_owned(),
            ],
        },
        Announced::EvaluationHeld(event) => Message {
            result: "Waiting for an image",
            about: build(&event.training_job),
            lines: vec![format!(
                "The model of {} can't be evaluated yet: {}",
                event.training_job, event.reason
            )],
        },
        Announced::ModelJudged(event) => {
            let result = match event.verdict {
                Verdict::Fail => "Model rejected",
                Verdict::NoData => "Model not judged",
                Verdict::Pass | Verdict::FirstModel | Verdict::OverriddenBy(_) => return None,
            };
            Message {
                result,
                about: build(&event.training_job),
                lines: vec![
                    event.reason.clone(),
                    format!("Model: {}", measured(event.metrics.as_ref())),
                    format!("Baseline: {}", measured(event.baseline.as_ref())),
                    format!("Every gate: {}", event.record),
                ],
            }
        }
        Announced::ModelRegistered(event) if event.approval == Approval::PendingManualApproval => {
            Message {
                result: "Approval needed",
                about: build(&event.training_job),
                lines: vec![
                    format!("{} waits for a person: {}", event.package_arn, event.reason),
                    "Set its approval status to Approved to deploy it, or to Rejected.".to_owned(),
                ],
            }
        }
        Announced::DeploymentSkipped(event) => Message {
            result: "Skipped",
            about: last(&event.subject),
            lines: vec![format!(
                "{} was not deployed: {}",
                event.subject, event.reason
            )],
        },
        Announced::DeploymentWaits(event) => Message {
            result: "Waiting",
            about: last(&event.subject),
            lines: vec![
                format!(
                    "{} waits behind {}: {}",
                    event.subject, event.release, event.reason
                ),
                format!("What to do: {}", event.advice),
            ],
        },
        Announced::ReleaseVerified(event) => Message {
            result: "Success",
            about: built(event.build.as_deref(), &event.release),
            lines: [format!(
                "{} serves {} in {}.",
                event.release, event.package_arn, event.image
            )]
            .into_iter()
            .chain(event.build.iter().map(|build| format!("Build: {build}")))
            .chain(event.checks.iter().map(|check| format!("- {check}")))
            .collect(),
        },
        Announced::ReleaseFailed(event) => Message {
            result: "Failure",
            about: built(event.build.as_deref(), &event.release),
            lines: std::iter::once(format!(
                "{} failed at {}: {}",
                event.release, event.stage, event.reason
            ))
            .chain(event.build.iter().map(|build| format!("Build: {build}")))
            .collect(),
        },
        Announced::ModelChecked(event) => Message {
            result: match event.verdict {
                CheckVerdict::Keep => "Weekly check: keep",
                CheckVerdict::Retrain => "Weekly check: retrain",
                CheckVerdict::NoData => "Weekly check: no data",
            },
            about: event
                .release
                .clone()
                .unwrap_or_else(|| "no release".to_owned()),
            lines: vec![event.reason.clone()],
        },
        Announced::RequestRefused(event) => Message {
            result: "Request refused",
            about: event.by.clone(),
            lines: vec![
                format!("{} asked for: {}", event.by, event.request),
                format!("Nothing was done: {}", event.reason),
                format!("Asked at: {}", event.asked_at),
            ],
        },
        Announced::RollbackStarted(_)
        | Announced::RollbackSucceeded(_)
        | Announced::RollbackGivenUp(_)
        | Announced::ReleaseDiagnosed(_)
        | Announced::QuarantineLifted(_) => return rollbacks::message(event),
        Announced::DatasetValidated(_)
        | Announced::CanaryStarted(_)
        | Announced::CanaryPassed(_)
        | Announced::RetrainRequested(_)
        | Announced::OverrideRequested(_)
        | Announced::ModelRegistered(_)
        | Announced::RollbackRequested(_)
        | Announced::RollbackFailed(_)
        | Announced::LiftRequested(_)
        | Announced::DeploymentRequested(_)
        | Announced::DeploymentStarted(_) => return None,
    };
    Some(message)
}

/// The build that caused a release, as far as it is known; else the release.
fn built(build: Option<&str>, release: &str) -> String {
    build.unwrap_or(release).to_owned()
}

fn build(training_job: &str) -> String {
    names::build_of(training_job)
        .unwrap_or(training_job)
        .to_owned()
}

/// `retail-forecast-models/3` of a package ARN, twelve hexadecimal digits of an image digest.
fn last(subject: &str) -> String {
    if let Some((_, digest)) = subject.split_once("@sha256:") {
        return format!("image {}", names::short(digest));
    }
    subject
        .split_once("model-package/")
        .map_or(subject, |(_, name)| name)
        .to_owned()
}

fn measured(metrics: Option<&Metrics>) -> String {
    let Some(metrics) = metrics else {
        return "none".to_owned();
    };
    let accuracy = metrics
        .accuracy
        .map_or("undefined".to_owned(), |accuracy| format!("{accuracy:.4}"));
    format!(
        "accuracy {accuracy}, RMSE {:.3}, MAE {:.3}, MSE {:.3} on {} rows",
        metrics.rmse, metrics.mae, metrics.mse, metrics.rows
    )
}

#[cfg(test)]
mod tests {
    use events::announced::*;

    use super::*;

    fn subject(event: &Announced) -> Option<String> {
        match decide(event, "f1", "dev") {
            Decision::Tell { notice, .. } => Some(notice.subject),
            _ => None,
        }
    }

    fn judged(verdict: Verdict) -> Announced {
        Announced::ModelJudged(ModelJudged {
            training_job: "retail-forecast-build-1".into(),
            dataset: "0a".into(),
            verdict,
            reason: "r".into(),
            metrics: None,
            baseline: None,
            results: "s3://a/r".into(),
            record: "s3://a/j".into(),
        })
    }

    fn registered(approval: Approval) -> Announced {
        Announced::ModelRegistered(ModelRegistered {
            training_job: "retail-forecast-build-1".into(),
            package_arn: "arn:aws:sagemaker:r:1:model-package/retail-forecast-models/3".into(),
            approval,
            reason: "r".into(),
        })
    }

    #[test]
    fn every_outcome_reaches_people_and_steps_do_not() {
        let skipped = |subject: &str| {
            Announced::DeploymentSkipped(DeploymentSkipped {
                subject: subject.into(),
                reason: "r".into(),
                caused_at: jiff::Timestamp::UNIX_EPOCH,
            })
        };
        let failed = Announced::ReleaseFailed(ReleaseFailed {
            release: "release-a".into(),
            stage: "health".into(),
            reason: "503".into(),
            build: Some("build-7".into()),
            caused_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let diagnosed = |guilty: Vec<Guilty>| {
            Announced::ReleaseDiagnosed(ReleaseDiagnosed {
                from: "release-b".into(),
                release: "release-a".into(),
                caused_at: jiff::Timestamp::UNIX_EPOCH,
                guilty,
                reason: "r".into(),
                trials: vec!["t".into()],
                by_hand: None,
            })
        };
        let image = Guilty {
            part: domain::quarantine::Part::Image,
            identity: "i@sha256:00".into(),
        };
        let refused = Announced::RequestRefused(RequestRefused {
            request: "rollback of release-b".into(),
            by: "ann".into(),
            reason: "it isn't live".into(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let waits = Announced::DeploymentWaits(DeploymentWaits {
            subject: format!("r/retail-forecast-infer@sha256:{}", "b".repeat(64)),
            release: "release-b".into(),
            reason: "r".into(),
            advice: "a".into(),
            caused_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let held = Announced::EvaluationHeld(EvaluationHeld {
            training_job: "retail-forecast-build-1".into(),
            reason: "no image".into(),
        });
        let cases = [
            (
                waits,
                Some("Retail Forecast Deployment: Waiting (dev, image bbbbbbbbbbbb)"),
            ),
            (
                held,
                Some("Retail Forecast Deployment: Waiting for an image (dev, build-1)"),
            ),
            (
                refused,
                Some("Retail Forecast Deployment: Request refused (dev, ann)"),
            ),
            (
                diagnosed(vec![image]),
                Some("Retail Forecast Deployment: Cause found (dev, release-b)"),
            ),
            (
                diagnosed(vec![]),
                Some("Retail Forecast Deployment: Cause unknown (dev, release-b)"),
            ),
            (
                judged(Verdict::Fail),
                Some("Retail Forecast Deployment: Model rejected (dev, build-1)"),
            ),
            (
                judged(Verdict::NoData),
                Some("Retail Forecast Deployment: Model not judged (dev, build-1)"),
            ),
            (judged(Verdict::Pass), None),
            (
                registered(Approval::PendingManualApproval),
                Some("Retail Forecast Deployment: Approval needed (dev, build-1)"),
            ),
            (registered(Approval::Approved), None),
            (
                skipped("arn:aws:sagemaker:r:1:model-package/retail-forecast-models/3"),
                Some("Retail Forecast Deployment: Skipped (dev, retail-forecast-models/3)"),
            ),
            (
                skipped(&format!(
                    "r/retail-forecast-infer@sha256:{}",
                    "a".repeat(64)
                )),
                Some("Retail Forecast Deployment: Skipped (dev, image aaaaaaaaaaaa)"),
            ),
            (
                failed,
                Some("Retail Forecast Deployment: Failure (dev, build-7)"),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(subject(&event).as_deref(), expected, "{event:?}");
        }
    }

    #[test]
    fn subjects_keep_to_what_sns_takes() {
        let event = Announced::ReleaseFailed(ReleaseFailed {
            release: "release-ä\n".repeat(30),
            stage: "x".into(),
            reason: "y".into(),
            build: None,
            caused_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let subject = subject(&event).unwrap();
        assert!(
            subject.len() < 100 && subject.is_ascii() && !subject.contains('\n'),
            "{subject}"
        );
    }
}
