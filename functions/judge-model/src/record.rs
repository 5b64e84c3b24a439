//! What is kept of a judgement, and what is said about it.

use domain::{
    evaluation::{Gate, Metrics, Plan, Verdict},
    layout::Artifacts,
};
use events::announced::{Announced, ModelJudged};
use serde::{Deserialize, Serialize};

use crate::decide::{Baseline, Judged, Measured, Naive};

/// Version of the stored shape.
const SCHEMA: u32 = 1;

/// `judgement.json`: why the verdict is what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Version of this shape.
    pub schema: u32,
    /// Training job that made the model.
    pub training_job: String,
    /// Data set (digest) whose held-out rows were predicted.
    pub dataset: String,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// The end of the judgement.
    pub verdict: Verdict,
    /// Why, in numbers.
    pub reason: String,
    /// The verdict before a person overrode it, and its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
    /// Rows that were compared.
    pub rows: u64,
    /// Every gate.
    pub gates: Vec<Gate>,
    /// The model on those rows.
    pub candidate: Option<Metrics>,
    /// What it must not be worse than: the champion on those rows, or the owner's record.
    pub baseline: Option<Baseline>,
    /// `s3://…/model.tar.gz` of the champion.
    pub champion_uri: Option<String>,
    /// The seasonal-naive forecast, beside the model on the rows that both predict.
    pub naive: Option<Naive>,
}

/// A verdict that a person overrode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overridden {
    /// The verdict by the gates.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: String,
}

impl Judgement {
    /// The judgement of a plan.
    pub fn new(plan: &Plan, measured: &Measured, judged: &Judged) -> Self {
        Self {
            schema: SCHEMA,
            training_job: plan.training_job.clone(),
            dataset: plan.dataset.clone(),
            model_uri: plan.candidate.model_uri.clone(),
            verdict: judged.verdict.clone(),
            reason: judged.reason.clone(),
            overridden: None,
            rows: measured.candidate.map_or(0, |metrics| metrics.rows),
            gates: judged.gates.clone(),
            candidate: measured.candidate,
            baseline: measured.baseline,
            champion_uri: plan.champion.as_ref().map(|side| side.model_uri.clone()),
            naive: measured.naive,
        }
    }

    /// The judgement after a person's word; the one by the gates stays in it.
    #[must_use]
    pub fn overridden(self, verdict: Verdict, reason: String) -> Self {
        let overridden = Overridden {
            verdict: self.verdict,
            reason: self.reason,
        };
        Self {
            verdict,
            reason,
            overridden: Some(overridden),
            ..self
        }
    }

    /// The event that says it.
    pub fn announced(&self, artifacts: &Artifacts) -> Announced {
        Announced::ModelJudged(ModelJudged {
            training_job: self.training_job.clone(),
            dataset: self.dataset.clone(),
            verdict: self.verdict.clone(),
            reason: self.reason.clone(),
            metrics: self.candidate,
            baseline: self.baseline.map(|baseline| baseline.metrics),
            results: artifacts.evaluation_results(&self.training_job).to_string(),
            record: artifacts.judgement(&self.training_job).to_string(),
        })
    }

    /// `evaluation_results.json`.
    pub fn results(&self) -> Results<'_> {
        Results {
            job_name: &self.training_job,
            metrics: self.candidate,
            baseline: self.baseline.map(|baseline| baseline.metrics),
            approved: self.verdict.approves(),
            model_uri: &self.model_uri,
        }
    }
}

/// `evaluation_results.json`, in the owner's words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results<'a> {
    job_name: &'a str,
    metrics: Option<Metrics>,
    baseline: Option<Metrics>,
    approved: bool,
    model_uri: &'a str,
}

/// `baselines/metrics.json`, which the owner may have put there: metrics of an earlier model on rows
/// of its own.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct RecordedBaseline {
    #[serde(default)]
    rows: u64,
    mse: f64,
    rmse: f64,
    mae: f64,
    r2_score: Option<f64>,
    accuracy: Option<f64>,
}

impl From<RecordedBaseline> for Metrics {
    fn from(recorded: RecordedBaseline) -> Self {
        Self {
            rows: recorded.rows,
            mse: recorded.mse,
            rmse: recorded.rmse,
            mae: recorded.mae,
            r2_score: recorded.r2_score,
            accuracy: recorded.accuracy,
        }
    }
}
