//! Our own events, source `retail-forecast`: what one function announces and others wait for.
//!
//! Each has an id computed from the fact it states, so that a fact announced twice is recognised.

use domain::{
    Error, Result,
    evaluation::{Metrics, Verdict},
    names,
    ports::{Announcement, Approval},
    quarantine::{Difference, Part},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `source` of our events.
pub const SOURCE: &str = "retail-forecast";

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
    /// A model was measured against the gates.
    ModelJudged(ModelJudged),
    /// A person takes the responsibility for a model that failed a gate.
    OverrideRequested(OverrideRequested),
    /// A model package exists.
    ModelRegistered(ModelRegistered),
    /// An approved model or a scanned image was not deployed, and why.
    DeploymentSkipped(DeploymentSkipped),
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
}

/// See [`Announced::DatasetValidated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetValidated {
    /// Digest that names the data set.
    pub dataset: String,
    /// The uploaded object.
    pub source: String,
    /// Accepted rows.
    pub rows: u64,
    /// First day.
    pub from: jiff::civil::Date,
    /// Last day.
    pub to: jiff::civil::Date,
    /// `s3://…/validation_report.json`.
    pub report: String,
}

/// See [`Announced::DatasetRejected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRejected {
    /// Digest of the upload.
    pub dataset: String,
    /// The uploaded object.
    pub source: String,
    /// Its files with their versions, or when they were written: the same content uploaded again is
    /// rejected again.
    pub upload: String,
    /// What was wrong, one sentence for each rule that was broken.
    pub findings: Vec<String>,
    /// `s3://…/validation_report.json`.
    pub report: String,
}

/// See [`Announced::RetrainRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrainRequested {
    /// The accepted data set to train on.
    pub dataset: String,
    /// Tells this request from others for the same data; becomes part of the build id.
    pub request: String,
    /// Build id, when a pipeline gives one (`build-{run number}-{first 7 of the commit}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Who asks: a person, `GitHubActions`, `check-model`.
    pub requested_by: String,
    /// Why.
    pub reason: String,
}

/// [`TrainingFailed::status`] of a training that was asked for and couldn't begin.
pub const NOT_STARTED: &str = "NotStarted";

/// See [`Announced::TrainingFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingFailed {
    /// The training job.
    pub training_job: String,
    /// The job that failed: the training job itself, or a transform job of its evaluation.
    pub failed_job: String,
    /// `Failed`, `Stopped` or [`NOT_STARTED`].
    pub status: String,
    /// The reason that SageMaker gives, or why there was nothing to start.
    pub reason: String,
}

/// See [`Announced::ModelJudged`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelJudged {
    /// Training job that made the model.
    pub training_job: String,
    /// Data set it learned from.
    pub dataset: String,
    /// The end of the judgement.
    pub verdict: Verdict,
    /// The verdict's reason in numbers.
    pub reason: String,
    /// What the model measured.
    pub metrics: Option<Metrics>,
    /// What it was compared with.
    pub baseline: Option<Metrics>,
    /// `s3://…/evaluation_results.json`.
    pub results: String,
    /// `s3://…/judgement.json`: every gate.
    pub record: String,
}

/// See [`Announced::OverrideRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideRequested {
    /// Training job whose model was judged.
    pub training_job: String,
    /// Who takes the responsibility.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// See [`Announced::ModelRegistered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRegistered {
    /// Training job that made the model.
    pub training_job: String,
    /// ARN of the model package.
    pub package_arn: String,
    /// Approval on registration.
    pub approval: Approval,
    /// Why it was registered, in words and numbers.
    pub reason: String,
}

/// See [`Announced::DeploymentSkipped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSkipped {
    /// Model package ARN or `{repository}@{digest}` that wasn't deployed.
    pub subject: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// When what was skipped happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::DeploymentStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStarted {
    /// Id of the release.
    pub release: String,
    /// The generation of the Deployment that carries the release.
    pub generation: i64,
    /// What caused it.
    pub cause: String,
}

/// See [`Announced::CanaryStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStarted {
    /// Id of the release that is tried out.
    pub release: String,
    /// The generation of the canary's Deployment that carries it.
    pub generation: i64,
    /// Pods of the canary.
    pub pods: u32,
    /// All pods, the canary's included: the share that was reached.
    pub of: u32,
    /// The event that caused it, in words.
    pub cause: String,
    /// When that happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::CanaryPassed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryPassed {
    /// Id of the release that was tried out.
    pub release: String,
    /// The live release that it was compared with.
    pub live: String,
    /// What was compared, in words and numbers.
    pub checks: Vec<String>,
    /// When the cause of the deployment happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::ReleaseVerified`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVerified {
    /// Id of the release.
    pub release: String,
    /// ARN of the model package.
    pub package_arn: String,
    /// `{repository}@{digest}`.
    pub image: String,
    /// What was checked, with figures.
    pub checks: Vec<String>,
    /// When its cause happened: the same release may be deployed again.
    pub caused_at: jiff::Timestamp,
}

/// The stage of a canary that couldn't be judged: nothing speaks against the release, and nothing for it.
pub const CANARY_NO_DATA: &str = "canary-no-data";

/// See [`Announced::ReleaseFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFailed {
    /// Id of the release.
    pub release: String,
    /// `canary`, [`CANARY_NO_DATA`], `promotion`, `rollout`, `endpoint`, `health`, `predict`, `golden-rows` or
    /// `quarantine`.
    pub stage: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// When the cause of its deployment happened.
    pub caused_at: jiff::Timestamp,
}

/// What the weekly check decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// The model still predicts as well as when it was registered.
    Keep,
    /// It doesn't: a training was requested.
    Retrain,
    /// Too few rows that the model hasn't seen.
    NoData,
}

/// See [`Announced::ModelChecked`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelChecked {
    /// What was decided.
    pub verdict: CheckVerdict,
    /// The live release; `None` when there is none.
    pub release: Option<String>,
    /// The newest accepted data set; `None` when there is none.
    pub dataset: Option<String>,
    /// The verdict's reason in numbers.
    pub reason: String,
    /// What the live model measured on rows it hasn't seen.
    pub metrics: Option<Metrics>,
    /// What makes this check another than last week's: the scheduled time.
    pub scheduled: String,
}

/// See [`Announced::RollbackRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequested {
    /// The release to go away from; nothing happens when another one is live. Whatever is live if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Tells this request from others.
    pub request: String,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// See [`Announced::RollbackStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackStarted {
    /// The release that is gone back to.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// The generation of the Deployment that carries the good release.
    pub generation: i64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// What spoke: an alarm, a failed check, a person; in words.
    pub cause: String,
    /// When it spoke.
    pub caused_at: jiff::Timestamp,
    /// In what the releases differ.
    pub differences: Vec<Difference>,
    /// What is quarantined.
    pub quarantined: String,
}

/// See [`Announced::RollbackSucceeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackSucceeded {
    /// The release that serves again.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// From the cause to the verified service.
    pub seconds: i64,
    /// What was checked, with figures.
    pub checks: Vec<String>,
    /// What is quarantined.
    pub quarantined: String,
    /// When the cause spoke.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::RollbackFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackFailed {
    /// The release that should serve.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// Which try failed, from 1.
    pub attempt: u32,
    /// `rollout`, `endpoint`, `health`, `predict` or `golden-rows`.
    pub stage: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// When the cause of the rollback spoke.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::RollbackGivenUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackGivenUp {
    /// The release that went wrong.
    pub from: String,
    /// What asked for the rollback, in words.
    pub cause: String,
    /// Why it can't be done.
    pub reason: String,
    /// What a person must do.
    pub advice: String,
}

/// A part that was found guilty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guilty {
    /// Which part.
    pub part: Part,
    /// What names it: package ARN, image by digest or `configuration-…`.
    pub identity: String,
}

/// See [`Announced::ReleaseDiagnosed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDiagnosed {
    /// The release that went wrong.
    pub from: String,
    /// The release that is gone back to, which it was compared with.
    pub release: String,
    /// When the cause of the rollback spoke.
    pub caused_at: jiff::Timestamp,
    /// What was found guilty and is quarantined; empty when it can't be told.
    pub guilty: Vec<Guilty>,
    /// Why, in words.
    pub reason: String,
    /// Each combination that was tried, with figures.
    pub trials: Vec<String>,
}

/// See [`Announced::LiftRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftRequested {
    /// What names the part: package ARN, image by digest, `configuration-…` or `release-…`.
    pub identity: String,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// See [`Announced::QuarantineLifted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineLifted {
    /// What names the part.
    pub identity: String,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: jiff::Timestamp,
}

impl Announced {
    /// What the event is about: the same fact has the same subject.
    fn subject(&self) -> String {
        match self {
            Self::DatasetValidated(event) => format!("{} {}", event.dataset, event.source),
            Self::DatasetRejected(event) => {
                format!("{} {} {}", event.dataset, event.source, event.upload)
            }
            Self::RetrainRequested(event) => format!("{} {}", event.dataset, event.request),
            Self::TrainingFailed(event) => event.failed_job.clone(),
            Self::ModelJudged(event) => format!("{} {:?}", event.training_job, event.verdict),
            Self::OverrideRequested(event) => format!("{} {}", event.training_job, event.by),
            Self::ModelRegistered(event) => event.package_arn.clone(),
            Self::DeploymentSkipped(event) => {
                format!("{} {} {}", event.subject, event.reason, event.caused_at)
            }
            Self::DeploymentStarted(event) => format!("{} {}", event.release, event.generation),
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
            Self::RollbackGivenUp(event) => format!("{} {}", event.from, event.cause),
            Self::ReleaseDiagnosed(event) => format!("{} {}", event.from, event.caused_at),
            Self::LiftRequested(event) => format!("{} {}", event.identity, event.by),
            Self::QuarantineLifted(event) => format!("{} {}", event.identity, event.at),
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

    fn failed(reason: &str) -> Announced {
        Announced::TrainingFailed(TrainingFailed {
            training_job: "retail-forecast-build-1".into(),
            failed_job: "retail-forecast-build-1".into(),
            status: "Failed".into(),
            reason: reason.into(),
        })
    }

    #[test]
    fn a_fact_keeps_its_id_and_reads_back() {
        let event = failed("out of memory");
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
        let started = |generation| {
            Announced::DeploymentStarted(DeploymentStarted {
                release: "release-a".into(),
                generation,
                cause: "test".into(),
            })
            .announcement()
            .unwrap()
            .detail["id"]
                .clone()
        };
        assert_ne!(started(1), started(2));
    }
}
