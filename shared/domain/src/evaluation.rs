//! What an evaluation compares, and what it measures.

use serde::{Deserialize, Serialize};

/// Forecast metrics over held-out rows. Sales are in units sold; `accuracy` is 1 − WAPE
/// (Σ|truth − prediction| / Σ|truth|).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Rows that were compared.
    pub rows: u64,
    /// Mean squared error, units².
    pub mse: f64,
    /// Root of it, units.
    pub rmse: f64,
    /// Mean absolute error, units.
    pub mae: f64,
    /// Share of the variance explained; `None` when the truth doesn't vary.
    pub r2_score: Option<f64>,
    /// 1 − WAPE; `None` when all sales are zero.
    pub accuracy: Option<f64>,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// Transform job that predicts with it.
    pub transform_job: String,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// The model package, for a model that is registered.
    pub package_arn: Option<String>,
}

/// Metadata key of a model package: which package its model was judged against.
pub const CHAMPION: &str = "champion";
/// Its value where no model was live.
pub const NO_CHAMPION: &str = "none";

/// What is compared with what: fixed by the first event and kept, so that a champion that changes
/// meanwhile can't change the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this shape.
    pub schema: u32,
    /// Training job whose model is judged.
    pub training_job: String,
    /// Data set (digest) whose held-out rows both sides predict.
    pub dataset: String,
    /// Image (by digest) in which both sides predict; the API uses the same.
    pub image: String,
    /// The new model.
    pub candidate: Contender,
    /// The live model; `None` before the first release.
    pub champion: Option<Contender>,
}

/// Why an evaluation ended without a judgement: the newest reason that people were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Version of this shape.
    pub schema: u32,
    /// The job that failed: the training job itself, or a transform job.
    pub failed_job: String,
    /// How it stands.
    pub status: String,
    /// In whose words.
    pub reason: String,
}

/// The end of a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every gate passed against a baseline.
    Pass,
    /// A gate failed.
    Fail,
    /// Too little was measured to judge.
    NoData,
    /// The absolute gates passed and there was nothing to compare with.
    FirstModel,
    /// A gate failed, and this person took the responsibility.
    OverriddenBy(String),
}

impl Verdict {
    /// Whether the model may be registered for deployment.
    pub fn approves(&self) -> bool {
        matches!(self, Self::Pass | Self::FirstModel | Self::OverriddenBy(_))
    }
}

/// One gate: a rule, what was measured, and the limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The rule in words, with its formula.
    pub rule: String,
    /// What was measured; `None` when it couldn't be.
    pub value: Option<f64>,
    /// The limit that applies to the value.
    pub threshold: f64,
    /// What the limit was computed from; `None` for an absolute limit.
    pub baseline: Option<f64>,
    /// Whether the value keeps to the limit.
    pub passed: bool,
}

/// A golden row: what the judged model predicted for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GoldenRow {
    /// Store number.
    pub store_id: u32,
    /// Item number.
    pub item_id: u32,
    /// Day.
    pub date: jiff::civil::Date,
    /// Units sold, as the transform predicted.
    pub prediction: f64,
}

impl GoldenRow {
    /// How far another prediction of this row lies from the judged model's:
    /// |a − b| / max(|a|, |b|, 1), relative for sales above one unit, absolute below.
    pub fn deviation(&self, prediction: f64) -> f64 {
        let (a, b) = (self.prediction, prediction);
        (a - b).abs() / a.abs().max(b.abs()).max(1.0)
    }
}

/// Rows that a deployed release must predict as the judged model did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenRows {
    /// Version of this shape.
    pub schema: u32,
    /// The rows.
    pub rows: Vec<GoldenRow>,
}

/// What a data set is, once it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// Version of this shape.
    pub schema: u32,
    /// Digest that names the set.
    pub dataset: String,
    /// The uploaded object.
    pub source: String,
    /// Rows that models learn from.
    pub train_rows: u64,
    /// Rows held out.
    pub validation_rows: u64,
    /// First day.
    pub from: jiff::civil::Date,
    /// Last day that models learn from.
    pub trained_to: jiff::civil::Date,
    /// Last day.
    pub to: jiff::civil::Date,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_never_approves() {
        let cases = [
            (Verdict::Pass, true),
            (Verdict::FirstModel, true),
            (Verdict::OverriddenBy("ann".to_owned()), true),
            (Verdict::Fail, false),
            (Verdict::NoData, false),
        ];
        for (verdict, approves) in cases {
            assert_eq!(verdict.approves(), approves, "{verdict:?}");
        }
    }

    #[test]
    fn verdicts_read_as_words() {
        assert_eq!(
            serde_json::to_string(&Verdict::NoData).unwrap(),
            r#""no-data""#
        );
        assert_eq!(
            serde_json::to_string(&Verdict::OverriddenBy("ann".into())).unwrap(),
            r#"{"overridden-by":"ann"}"#
        );
    }
}
