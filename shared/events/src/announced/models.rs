//! Events on the way from data to a registered model.

use domain::{
    evaluation::{Failure, Metrics, Verdict},
    ports::Approval,
};
use serde::{Deserialize, Serialize};

/// See [`Announced::DatasetValidated`](super::Announced::DatasetValidated).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetValidated {
    /// Digest that names the data set.
    pub dataset: String,
    /// The uploaded object.
    pub source: String,
    /// Its files with their versions, or when they were written: the same content uploaded again is
    /// accepted again.
    #[serde(default)]
    pub upload: String,
    /// Accepted rows.
    pub rows: u64,
    /// First day.
    pub from: jiff::civil::Date,
    /// Last day.
    pub to: jiff::civil::Date,
    /// `s3://…/validation_report.json`.
    pub report: String,
}

/// See [`Announced::DatasetRejected`](super::Announced::DatasetRejected).
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

/// See [`Announced::RetrainRequested`](super::Announced::RetrainRequested).
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
/// [`TrainingFailed::status`] of a training whose model can't be judged by what was predicted.
pub const NOT_JUDGED: &str = "NotJudged";
/// [`TrainingFailed::status`] of a training whose model passed, and can't be registered.
pub const NOT_REGISTERED: &str = "NotRegistered";

/// See [`Announced::TrainingFailed`](super::Announced::TrainingFailed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingFailed {
    /// The training job.
    pub training_job: String,
    /// The job that failed: the training job itself, or a transform job of its evaluation.
    pub failed_job: String,
    /// `Failed`, `Stopped`, [`NOT_STARTED`], [`NOT_JUDGED`] or [`NOT_REGISTERED`].
    pub status: String,
    /// The reason that SageMaker gives, or what kept the model back.
    pub reason: String,
}

impl TrainingFailed {
    /// What is kept of it beside the evaluation.
    pub fn record(&self) -> Failure {
        Failure {
            schema: 1,
            failed_job: self.failed_job.clone(),
            status: self.status.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// See [`Announced::EvaluationHeld`](super::Announced::EvaluationHeld).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationHeld {
    /// The training job whose model waits.
    pub training_job: String,
    /// What is missing, and what to do.
    pub reason: String,
}

/// See [`Announced::ModelJudged`](super::Announced::ModelJudged).
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

/// See [`Announced::OverrideRequested`](super::Announced::OverrideRequested).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideRequested {
    /// Training job whose model was judged.
    #[serde(deserialize_with = "super::said")]
    pub training_job: String,
    /// Who takes the responsibility.
    #[serde(deserialize_with = "super::said")]
    pub by: String,
    /// Why.
    #[serde(deserialize_with = "super::said")]
    pub reason: String,
}

/// See [`Announced::ModelRegistered`](super::Announced::ModelRegistered).
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

/// See [`Announced::ModelChecked`](super::Announced::ModelChecked).
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
