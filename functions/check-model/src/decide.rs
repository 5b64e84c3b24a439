//! The rules: whether there is anything to check the live model by, and whether it is still good.

use domain::{
    evaluation::{DatasetManifest, Metrics},
    ports::{JobStatus, TransformJob},
};
use events::announced::CheckVerdict;
use serde::Serialize;

use crate::plan::CheckPlan;

/// What becomes of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// The live model predicts the newest rows; the end of that job goes on with the check.
    Score {
        /// What is compared with what.
        plan: CheckPlan,
        /// How many rows are new to the model.
        reason: String,
    },
    /// The job that scores hasn't ended.
    Wait {
        /// Which job, and how it stands.
        reason: String,
    },
    /// The check ended.
    Conclude {
        /// Keep, retrain, or no-data.
        verdict: CheckVerdict,
        /// The live release.
        release: Option<String>,
        /// The newest accepted data set.
        dataset: Option<String>,
        /// The verdict's reason in numbers.
        reason: String,
        /// What the model measured on rows that are new to it.
        metrics: Option<Metrics>,
    },
    /// Neither the schedule nor the end of a check's job.
    NotForThisFunction {
        /// Why not.
        reason: String,
    },
}

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Fewest rows that say anything.
    pub min_rows: u64,
    /// Lowest accuracy, from 0 to 1.
    pub min_accuracy: f64,
    /// How much accuracy may be lost since registration, absolute: 0.05 from 0.90 allows 0.85.
    pub max_accuracy_drop: f64,
}

/// Whether the newest data set can hold rows that neither trained nor judged the live model; an error
/// says why not.
pub fn has_later_days(live: &DatasetManifest, newest: &DatasetManifest) -> Result<(), String> {
    if live.dataset == newest.dataset {
        return Err(format!(
            "the newest data set {} is the one that the live model comes from",
            newest.dataset
        ));
    }
    if newest.to <= live.to {
        return Err(format!(
            "the newest data set {} ends on {}, and the live model's ended on {}",
            newest.dataset, newest.to, live.to
        ));
    }
    Ok(())
}

/// Whether so many new rows say anything; an error says why not.
pub fn is_enough(policy: &Policy, rows: u64, live: &DatasetManifest) -> Result<String, String> {
    let text = format!(
        "{rows} held-out rows after {}, the last day that the live model knew; at least {} are needed",
        live.to, policy.min_rows
    );
    if rows < policy.min_rows {
        Err(text)
    } else {
        Ok(text)
    }
}

/// How the scoring job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Its predictions are there.
    Scored,
    /// Not yet.
    Running(String),
    /// They won't be.
    Failed(String),
}

/// How the scoring job stands; `None` when SageMaker has no such job.
pub fn progress(name: &str, job: Option<&TransformJob>) -> Progress {
    let Some(job) = job else {
        return Progress::Failed(format!("{name} doesn't exist any more"));
    };
    match job.status {
        JobStatus::Completed => Progress::Scored,
        JobStatus::Failed | JobStatus::Stopped => {
            let why = job.failure_reason.as_deref();
            let why = why.unwrap_or("SageMaker gives no reason");
            Progress::Failed(format!("{name} is {:?}: {why}", job.status))
        }
        JobStatus::InProgress | JobStatus::Stopping | JobStatus::Deleting => {
            Progress::Running(format!("{name} is {:?}", job.status))
        }
    }
}

/// Whether the model is still good: keep, retrain, or no-data, and why. `registered` is the accuracy
/// by which it was registered. Without one (an overridden no-data) only the least accuracy counts.
pub fn judge(
    policy: &Policy,
    fresh: Option<&Metrics>,
    registered: Option<f64>,
) -> (CheckVerdict, String) {
    let rows = fresh.map_or(0, |metrics| metrics.rows);
    if rows < policy.min_rows {
        let reason = format!(
            "{rows} rows were scored; at least {} are needed",
            policy.min_rows
        );
        return (CheckVerdict::NoData, reason);
    }
    let accuracy = fresh.and_then(|metrics| metrics.accuracy);
    let Some(accuracy) = accuracy.filter(|accuracy| accuracy.is_finite()) else {
        let reason = format!("the accuracy over {rows} rows is undefined: nothing was sold");
        return (CheckVerdict::NoData, reason);
    };
    let drop = registered.map(|registered| registered - accuracy);
    let since = match registered {
        Some(registered) => format!(
            "{registered:.4} at registration, and {:.4} may be lost",
            policy.max_accuracy_drop
        ),
        None => "none at registration".to_owned(),
    };
    let reason = format!(
        "accuracy {accuracy:.4} on {rows} rows that are new to the model; {since}; {:.4} is the least",
        policy.min_accuracy
    );
    let lost = drop.is_some_and(|drop| drop > policy.max_accuracy_drop);
    if accuracy < policy.min_accuracy || lost {
        (CheckVerdict::Retrain, reason)
    } else {
        (CheckVerdict::Keep, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        min_rows: 100,
        min_accuracy: 0.85,
        max_accuracy_drop: 0.05,
    };

    fn manifest(dataset: &str, to: &str) -> DatasetManifest {
        let date = |text: &str| text.parse().unwrap();
        DatasetManifest {
            schema: 1,
            dataset: dataset.to_owned(),
            source: String::new(),
            train_rows: 1,
            validation_rows: 1,
            from: date("2023-01-01"),
            trained_to: date("2023-09-30"),
            to: date(to),
        }
    }

    fn metrics(rows: u64, accuracy: Option<f64>) -> Metrics {
        Metrics {
            rows,
            mse: 1.0,
            rmse: 1.0,
            mae: 1.0,
            r2_score: None,
            accuracy,
        }
    }

    #[test]
    fn only_days_after_the_live_models_are_new_to_it() {
        let live = manifest("live", "2023-12-31");
        for (newest, expected) in [
            (manifest("live", "2023-12-31"), Err("comes from")),
            (manifest("other", "2023-12-31"), Err("ended on 2023-12-31")),
            (manifest("other", "2023-11-30"), Err("ends on 2023-11-30")),
            (manifest("other", "2024-01-01"), Ok(())),
        ] {
            match (has_later_days(&live, &newest), expected) {
                (Ok(()), Ok(())) => {}
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
        }
        assert!(is_enough(&POLICY, 99, &live).is_err());
        assert!(is_enough(&POLICY, 100, &live).is_ok());
    }

    #[test]
    fn a_model_is_kept_while_it_keeps_its_accuracy() {
        use CheckVerdict::{Keep, NoData, Retrain};
        let cases = [
            (
                "as before",
                Some(metrics(500, Some(0.90))),
                Some(0.90),
                Keep,
            ),
            ("better", Some(metrics(500, Some(0.95))), Some(0.90), Keep),
            (
                "a little worse",
                Some(metrics(500, Some(0.86))),
                Some(0.90),
                Keep,
            ),
            (
                "lost too much",
                Some(metrics(500, Some(0.88))),
                Some(0.94),
                Retrain,
            ),
            (
                "below the least",
                Some(metrics(500, Some(0.8499))),
                Some(0.86),
                Retrain,
            ),
            (
                "unknown before, good",
                Some(metrics(500, Some(0.85))),
                None,
                Keep,
            ),
            (
                "unknown before, bad",
                Some(metrics(500, Some(0.80))),
                None,
                Retrain,
            ),
            (
                "worse than nothing",
                Some(metrics(500, Some(-2.0))),
                Some(0.90),
                Retrain,
            ),
            (
                "few rows",
                Some(metrics(99, Some(0.10))),
                Some(0.90),
                NoData,
            ),
            ("no rows", None, Some(0.90), NoData),
            ("nothing sold", Some(metrics(500, None)), Some(0.90), NoData),
            (
                "not a number",
                Some(metrics(500, Some(f64::NAN))),
                Some(0.90),
                NoData,
            ),
        ];
        for (name, fresh, registered, expected) in cases {
            let (verdict, reason) = judge(&POLICY, fresh.as_ref(), registered);
            assert_eq!(verdict, expected, "{name}: {reason}");
        }
    }

    #[test]
    fn stopped_is_not_scored() {
        let job = |status| TransformJob {
            name: "check".to_owned(),
            status,
            failure_reason: None,
        };
        let of = |status| progress("check", Some(&job(status)));
        assert_eq!(of(JobStatus::Completed), Progress::Scored);
        for status in [JobStatus::Failed, JobStatus::Stopped] {
            assert!(matches!(of(status), Progress::Failed(_)), "{status:?}");
        }
        for status in [JobStatus::InProgress, JobStatus::Stopping] {
            assert!(matches!(of(status), Progress::Running(_)), "{status:?}");
        }
        assert!(matches!(progress("check", None), Progress::Failed(_)));
    }
}
