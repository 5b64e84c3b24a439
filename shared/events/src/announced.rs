//! Our own events, source `retail-forecast`: what one function announces and others wait for.
//!
//! Each has an id computed from the fact it states, so that a fact announced twice is recognised.

mod models;
mod releases;
mod rollbacks;

use domain::{Error, Result, names, ports::Announcement};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

pub use models::*;
pub use releases::*;
pub use rollbacks::*;

/// The `source` of our events.
pub const SOURCE: &str = "retail-forecast";

/// A text of a request that goes on record: nobody answers for an empty one.
fn said<'de, D: Deserializer<'de>>(text: D) -> std::result::Result<String, D::Error> {
    let text = String::deserialize(text)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom(
            "a request says who asks for what, and why: one of its texts is empty",
        ));
    }
    Ok(text)
}

/// An event of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "detail-type", content = "detail")]
pub enum Announced {
    /// An upload was accepted and is stored as a snapshot.
    DatasetValidated(DatasetValidated),
    /// An upload broke the data contract; nothing is trained on it.
    DatasetRejected(DatasetRejected),
    /// Somebody, or the weekly check, asks for a training.
    RetrainRequested(RetrainRequested),
    /// A training or an evaluation ended without a model to judge, or couldn't begin.
    TrainingFailed(TrainingFailed),
    /// A model waits for a first image to be evaluated in.
    EvaluationHeld(EvaluationHeld),
    /// A model was measured against the gates.
    ModelJudged(ModelJudged),
    /// A person takes the responsibility for a model that failed a gate.
    OverrideRequested(OverrideRequested),
    /// A model package exists.
    ModelRegistered(ModelRegistered),
    /// A person, or a pipeline, asks to deploy an image that is there already, with the live model.
    DeploymentRequested(DeploymentRequested),
    /// An approved model or a scanned image was not deployed, and why.
    DeploymentSkipped(DeploymentSkipped),
    /// An approved model or a scanned image waits for what only people may be able to end.
    DeploymentWaits(DeploymentWaits),
    /// A release became the environment's target.
    DeploymentStarted(DeploymentStarted),
    /// A release is tried out on a share of the pods, beside what is live.
    CanaryStarted(CanaryStarted),
    /// It did no worse than what is live in the same minutes.
    CanaryPassed(CanaryPassed),
    /// The target serves and was checked; it is known good now.
    ReleaseVerified(ReleaseVerified),
    /// The target didn't come up or answered wrongly.
    ReleaseFailed(ReleaseFailed),
    /// The weekly check of the live model ended.
    ModelChecked(ModelChecked),
    /// A person, or a pipeline, asks to go back to what is known good.
    RollbackRequested(RollbackRequested),
    /// The environment is on its way back to what is known good.
    RollbackStarted(RollbackStarted),
    /// What is known good serves again, and that was checked.
    RollbackSucceeded(RollbackSucceeded),
    /// It doesn't serve; it is tried again up to a limit.
    RollbackFailed(RollbackFailed),
    /// There is no way back, or it failed for good: a person has to act.
    RollbackGivenUp(RollbackGivenUp),
    /// Which part of a release that was rolled back is guilty, or that it can't be told.
    ReleaseDiagnosed(ReleaseDiagnosed),
    /// A person asks to let a quarantined part go.
    LiftRequested(LiftRequested),
    /// A quarantined part may be deployed again.
    QuarantineLifted(QuarantineLifted),
    /// What a person asked for was not done, and why.
    RequestRefused(RequestRefused),
}

impl Announced {
    /// What the event is about: the same fact has the same subject.
    fn subject(&self) -> String {
        match self {
            Self::DatasetValidated(event) => {
                format!("{} {} {}", event.dataset, event.source, event.upload)
            }
            Self::DatasetRejected(event) => {
                format!("{} {} {}", event.dataset, event.source, event.upload)
            }
            Self::RetrainRequested(event) => format!("{} {}", event.dataset, event.request),
            // A job ends once; what isn't started may be asked for again.
            Self::TrainingFailed(event) if event.status == NOT_STARTED => {
                format!("{} {} {}", event.failed_job, event.status, event.reason)
            }
            Self::TrainingFailed(event) => format!("{} {}", event.failed_job, event.status),
            Self::EvaluationHeld(event) => event.training_job.clone(),
            Self::ModelJudged(event) => format!("{} {:?}", event.training_job, event.verdict),
            Self::OverrideRequested(event) => format!("{} {}", event.training_job, event.by),
            Self::ModelRegistered(event) => event.package_arn.clone(),
            Self::DeploymentRequested(event) => format!("{:?} {}", event.image, event.request),
            Self::DeploymentSkipped(event) => {
                format!("{} {} {}", event.subject, event.reason, event.caused_at)
            }
            Self::DeploymentWaits(event) => {
                format!("{} {} {}", event.subject, event.release, event.caused_at)
            }
            Self::DeploymentStarted(event) => format!(
                "{} {} {:?}",
                event.release, event.generation, event.caused_at
            ),
            Self::CanaryStarted(event) => format!("{} {}", event.release, event.caused_at),
            Self::CanaryPassed(event) => format!("{} {}", event.release, event.caused_at),
            Self::ReleaseVerified(event) => format!("{} {}", event.release, event.caused_at),
            Self::ReleaseFailed(event) => {
                format!("{} {} {}", event.release, event.stage, event.caused_at)
            }
            Self::ModelChecked(event) => format!(
                "{:?} {:?} {}",
                event.release, event.dataset, event.scheduled
            ),
            Self::RollbackRequested(event) => format!("{:?} {}", event.release, event.request),
            Self::RollbackStarted(event) => {
                format!("{} {} {}", event.from, event.caused_at, event.attempt)
            }
            Self::RollbackSucceeded(event) => format!("{} {}", event.from, event.caused_at),
            Self::RollbackFailed(event) => {
                format!("{} {} {}", event.from, event.caused_at, event.attempt)
            }
            Self::RollbackGivenUp(event) => {
                format!("{} {} {:?}", event.from, event.cause, event.caused_at)
            }
            Self::ReleaseDiagnosed(event) => format!("{} {}", event.from, event.caused_at),
            Self::LiftRequested(event) => format!("{} {}", event.identity, event.by),
            Self::QuarantineLifted(event) => format!("{} {}", event.identity, event.at),
            Self::RequestRefused(event) => {
                format!("{} {} {}", event.request, event.by, event.asked_at)
            }
        }
    }

    /// The event as the bus takes it; its detail carries the computed id.
    pub fn announcement(&self) -> Result<Announcement> {
        let wrong = || Error::permanent("an event of ours can't be written as JSON");
        let Value::Object(mut envelope) =
            serde_json::to_value(self).map_err(|error| wrong().because(error))?
        else {
            return Err(wrong());
        };
        let (Some(Value::String(detail_type)), Some(Value::Object(mut detail))) =
            (envelope.remove("detail-type"), envelope.remove("detail"))
        else {
            return Err(wrong());
        };
        let id = names::digest(&[&detail_type, &self.subject()]);
        detail.insert("id".to_owned(), Value::String(names::short(&id).to_owned()));
        Ok(Announcement {
            detail_type,
            detail: Value::Object(detail),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: &str) -> Announced {
        Announced::TrainingFailed(TrainingFailed {
            training_job: "retail-forecast-build-1".into(),
            failed_job: "retail-forecast-build-1".into(),
            status: status.into(),
            reason: "out of memory".into(),
        })
    }

    fn id(event: &Announced) -> Value {
        event.announcement().unwrap().detail["id"].clone()
    }

    #[test]
    fn a_fact_keeps_its_id_and_reads_back() {
        let event = failed("Failed");
        let announcement = event.announcement().unwrap();
        assert_eq!(announcement.detail_type, "TrainingFailed");
        assert_eq!(
            announcement.detail["id"],
            event.announcement().unwrap().detail["id"]
        );

        let envelope = serde_json::json!({"version": "0", "detail-type": announcement.detail_type, "detail": announcement.detail, "source": SOURCE});
        assert_eq!(
            serde_json::from_value::<Announced>(envelope).unwrap(),
            event
        );
    }

    #[test]
    fn different_facts_have_different_ids() {
        let second = |second| jiff::Timestamp::from_second(second).unwrap();
        let started = |generation, at| {
            id(&Announced::DeploymentStarted(DeploymentStarted {
                release: "release-a".into(),
                generation,
                cause: "test".into(),
                caused_at: Some(second(at)),
            }))
        };
        assert_ne!(started(1, 1), started(2, 1));
        assert_ne!(started(1, 1), started(1, 2));

        // A job that wasn't started may be started later, and fail then.
        assert_ne!(id(&failed(NOT_STARTED)), id(&failed("Failed")));

        let given_up = |at| {
            id(&Announced::RollbackGivenUp(RollbackGivenUp {
                from: "release-b".into(),
                cause: "alarm".into(),
                reason: "r".into(),
                advice: "a".into(),
                caused_at: Some(second(at)),
                bad: None,
                good: None,
            }))
        };
        assert_ne!(given_up(1), given_up(2));
    }

    #[test]
    fn a_request_without_who_or_why_isn_t_one() {
        let requests = serde_json::json!({
            "DeploymentRequested": {"request": "1", "by": "ann", "reason": "r"},
            "LiftRequested": {"identity": "i", "by": "ann", "reason": "r"},
            "OverrideRequested": {"training_job": "j", "by": "ann", "reason": "r"},
            "RollbackRequested": {"request": "1", "by": "ann", "reason": "r"},
        });
        for (name, whole) in requests.as_object().unwrap() {
            let read = |detail: &Value| {
                let envelope = serde_json::json!({"detail-type": name, "detail": detail});
                serde_json::from_value::<Announced>(envelope)
            };
            assert!(read(whole).is_ok(), "{name}");
            for field in whole.as_object().unwrap().keys() {
                for empty in ["", " \n"] {
                    let mut detail = whole.clone();
                    detail[field] = empty.into();
                    let error = read(&detail).expect_err(field).to_string();
                    assert!(error.contains("who asks"), "{name}.{field}: {error}");
                }
            }
        }
    }

    #[test]
    fn events_of_before_their_newer_fields_read() {
        let read = |name: &str, detail: Value| {
            let envelope = serde_json::json!({"detail-type": name, "detail": detail});
            serde_json::from_value::<Announced>(envelope).unwrap()
        };
        let started = serde_json::json!({"release": "a", "generation": 1, "cause": "c"});
        let Announced::DeploymentStarted(started) = read("DeploymentStarted", started) else {
            panic!("another event");
        };
        assert_eq!(started.caused_at, None);
        let given_up = serde_json::json!({"from": "a", "cause": "c", "reason": "r", "advice": "a"});
        let Announced::RollbackGivenUp(given_up) = read("RollbackGivenUp", given_up) else {
            panic!("another event");
        };
        assert_eq!(given_up.caused_at, None);
    }
}
