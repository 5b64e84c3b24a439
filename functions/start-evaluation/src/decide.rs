//! Whether a finished training is evaluated, and what it is compared with.

use std::collections::BTreeMap;

use domain::{
    Error, Result,
    evaluation::{Contender, Plan},
    layout, names,
    ports::{JobStatus, TrainingJob, TransformSpec},
    release::Manifest,
};
use events::announced::{NOT_JUDGED, TrainingFailed};
use serde::Serialize;

use crate::Config;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Predict the held-out rows with the new model, and with the live one.
    Evaluate {
        /// What is compared with what.
        plan: Plan,
        /// In words.
        reason: String,
    },
    /// The training ended without a model, or with one that can't be evaluated.
    TrainingFailed {
        /// What people are told.
        failure: TrainingFailed,
    },
    /// There is no inference image yet to predict in; the next one goes on from here. People are told.
    HeldForImage {
        /// The job that waits.
        training_job: String,
        /// What is missing.
        reason: String,
    },
    /// There is an image, and no training job waits for one.
    NothingHeld {
        /// In words.
        reason: String,
    },
    /// The job hasn't ended.
    StillRunning {
        /// Its status.
        reason: String,
    },
    /// The event isn't about a training job of ours.
    NotForThisFunction {
        /// Why.
        reason: String,
    },
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The job, as SageMaker describes it.
    pub job: Option<TrainingJob>,
    /// A plan that an earlier delivery fixed.
    pub plan: Option<Plan>,
    /// The release that the environment builds on.
    pub base: Option<Manifest>,
    /// The image (by digest) that carries the environment's tag.
    pub tagged_image: Option<String>,
}

/// The rule.
pub fn decide(training_job: &str, facts: &Facts, config: &Config) -> Result<Decision> {
    if names::build_of(training_job).is_none() {
        return Ok(not_ours(training_job));
    }
    let Some(job) = &facts.job else {
        return Ok(Decision::NotForThisFunction {
            reason: format!(
                "SageMaker knows no training job `{training_job}`: it was deleted, or belongs to another account"
            ),
        });
    };
    if let Some(elsewhere) = elsewhere(job, config) {
        return Ok(elsewhere);
    }
    match job.status {
        JobStatus::InProgress | JobStatus::Stopping | JobStatus::Deleting => {
            return Ok(Decision::StillRunning {
                reason: format!("`{training_job}` is {:?}", job.status),
            });
        }
        // Stopped is an end, and not success: the time limit stops a job as a person does.
        JobStatus::Failed | JobStatus::Stopped => {
            return Ok(Decision::TrainingFailed {
                failure: TrainingFailed {
                    training_job: training_job.to_owned(),
                    failed_job: training_job.to_owned(),
                    status: format!("{:?}", job.status),
                    reason: job
                        .failure_reason
                        .clone()
                        .unwrap_or_else(|| "SageMaker gave no reason".to_owned()),
                },
            });
        }
        JobStatus::Completed => {}
    }
    if let Some(plan) = &facts.plan {
        return Ok(Decision::Evaluate {
            reason: format!("`{training_job}` is being evaluated as an earlier event began it"),
            plan: plan.clone(),
        });
    }
    let Some(dataset) = job
        .channels
        .iter()
        .find_map(|channel| layout::dataset_of(&channel.uri))
    else {
        return Ok(Decision::NotForThisFunction {
            reason: format!(
                "`{training_job}` wasn't trained on a snapshot under `datasets/`: there are no held-out rows to judge it by"
            ),
        });
    };
    let Some(model_uri) = job.model_uri.clone() else {
        return Ok(Decision::TrainingFailed {
            failure: TrainingFailed {
                training_job: training_job.to_owned(),
                failed_job: training_job.to_owned(),
                status: "Completed".to_owned(),
                reason: "the job completed and names no model artifact".to_owned(),
            },
        });
    };
    let live_image = match &facts.base {
        Some(manifest) => Some(manifest.image.reference()?),
        None => None,
    };
    let Some(image) = live_image.or_else(|| facts.tagged_image.clone()) else {
        return Ok(Decision::HeldForImage {
            training_job: training_job.to_owned(),
            reason: format!(
                "no release is live and no image in `{}` is tagged `{}`: push one, and the evaluation goes on",
                config.infer_repository, config.image_tag
            ),
        });
    };
    evaluate(training_job, dataset, model_uri, image, facts.base.as_ref())
}

fn evaluate(
    training_job: &str,
    dataset: &str,
    model_uri: String,
    image: String,
    base: Option<&Manifest>,
) -> Result<Decision> {
    let (candidate_job, champion_job) = names::transform_jobs(training_job)?;
    // A model is not its own champion: after it went live, a repeat has nothing to compare it with.
    let champion = base.filter(|manifest| manifest.model.training_job != training_job);
    let reason = match champion {
        Some(manifest) => format!(
            "`{training_job}` against the live `{}` on the same rows",
            manifest.model.training_job
        ),
        None => format!("`{training_job}` has no live model to be compared with"),
    };
    let plan = Plan {
        schema: 1,
        training_job: training_job.to_owned(),
        dataset: dataset.to_owned(),
        image,
        candidate: Contender {
            transform_job: candidate_job,
            model_uri,
            package_arn: None,
        },
        champion: champion.map(|manifest| Contender {
            transform_job: champion_job,
            model_uri: manifest.model.uri.clone(),
            package_arn: Some(manifest.model.package_arn.clone()),
        }),
    };
    Ok(Decision::Evaluate { plan, reason })
}

/// Environments of one account hear of each other's jobs: what learns from another bucket's snapshots is
/// another environment's.
fn elsewhere(job: &TrainingJob, config: &Config) -> Option<Decision> {
    let ours = format!("s3://{}/", config.artifacts_bucket);
    let foreign = job.channels.iter().find(|channel| {
        layout::dataset_of(&channel.uri).is_some() && !channel.uri.starts_with(&ours)
    })?;
    Some(Decision::NotForThisFunction {
        reason: format!(
            "`{}` learns from {}, which is no data set of this environment",
            job.name, foreign.uri
        ),
    })
}

/// What a refusal means for a training that ended.
pub fn refused(training_job: &str, error: &Error) -> Decision {
    Decision::TrainingFailed {
        failure: TrainingFailed {
            training_job: training_job.to_owned(),
            failed_job: training_job.to_owned(),
            status: NOT_JUDGED.to_owned(),
            reason: error.chain(),
        },
    }
}

/// The answer to an event about somebody else's job.
pub fn not_ours(training_job: &str) -> Decision {
    Decision::NotForThisFunction {
        reason: format!("`{training_job}` isn't a `retail-forecast-build-…` training job"),
    }
}

/// The transforms that carry a plan out.
pub fn transforms(plan: &Plan, config: &Config) -> Vec<TransformSpec> {
    let artifacts = config.artifacts();
    let spec = |contender: &Contender| TransformSpec {
        name: contender.transform_job.clone(),
        model_name: names::model_name(&contender.model_uri, &plan.image, &BTreeMap::new()),
        image: plan.image.clone(),
        model_uri: contender.model_uri.clone(),
        environment: BTreeMap::new(),
        role_arn: config.role_arn.clone(),
        input: artifacts.features(&plan.dataset).to_string(),
        output: artifacts.predictions(&contender.transform_job).to_string(),
        key_arn: config.key_arn.clone(),
        instance_type: config.instance_type.clone(),
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("Environment".to_owned(), config.environment.clone()),
        ]),
    };
    std::iter::once(&plan.candidate)
        .chain(&plan.champion)
        .map(spec)
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::{
        ports::Channel,
        release::{Configuration, Image, Model, SCHEMA},
    };

    use super::*;

    const JOB: &str = "retail-forecast-build-2";

    fn job(status: JobStatus) -> TrainingJob {
        TrainingJob {
            name: JOB.into(),
            status,
            failure_reason: matches!(status, JobStatus::Failed).then(|| "out of memory".to_owned()),
            channels: vec![Channel {
                name: "train".into(),
                uri: "s3://artifacts/datasets/0a1b/train/".into(),
            }],
            model_uri: Some(
                "s3://artifacts/models/retail-forecast-build-2/output/model.tar.gz".into(),
            ),
            hyperparameters: BTreeMap::new(),
        }
    }

    fn base(training_job: &str) -> Manifest {
        Manifest {
            schema: SCHEMA,
            environment: "dev".into(),
            model: Model {
                package_arn: "arn:…/1".into(),
                training_job: training_job.into(),
                dataset: "00".into(),
                uri: "s3://artifacts/models/1".into(),
                digest: "d".into(),
            },
            image: Image {
                repository: "infer".into(),
                digest: format!("sha256:{}", "1".repeat(64)),
            },
            configuration: Configuration {
                endpoint_instance_type: "ml.t2.medium".into(),
                endpoint_instance_count: 1,
                environment: BTreeMap::new(),
            },
        }
    }

    fn facts(status: JobStatus) -> Facts {
        Facts {
            job: Some(job(status)),
            plan: None,
            base: None,
            tagged_image: Some("infer@sha256:2".into()),
        }
    }

    fn kind(training_job: &str, facts: &Facts) -> String {
        let decision = decide(training_job, facts, &crate::tests::config()).unwrap();
        serde_json::to_value(decision).unwrap()["decision"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn cases() {
        let mut no_image = facts(JobStatus::Completed);
        no_image.tagged_image = None;
        let mut elsewhere = facts(JobStatus::Completed);
        elsewhere.job.as_mut().unwrap().channels[0].uri = "s3://other/x/".into();
        let mut no_model = facts(JobStatus::Completed);
        no_model.job.as_mut().unwrap().model_uri = None;
        let gone = Facts {
            job: None,
            ..facts(JobStatus::Completed)
        };
        let cases = [
            ("completed", JOB, facts(JobStatus::Completed), "evaluate"),
            ("failed", JOB, facts(JobStatus::Failed), "training-failed"),
            (
                "stopped is not success",
                JOB,
                facts(JobStatus::Stopped),
                "training-failed",
            ),
            (
                "completed without a model",
                JOB,
                no_model,
                "training-failed",
            ),
            (
                "running",
                JOB,
                facts(JobStatus::InProgress),
                "still-running",
            ),
            ("stopping", JOB, facts(JobStatus::Stopping), "still-running"),
            ("no image anywhere", JOB, no_image, "held-for-image"),
            (
                "not a snapshot of ours",
                JOB,
                elsewhere,
                "not-for-this-function",
            ),
            ("deleted", JOB, gone, "not-for-this-function"),
            (
                "another project's",
                "churn-build-2",
                facts(JobStatus::Completed),
                "not-for-this-function",
            ),
        ];
        for (name, training_job, facts, expected) in cases {
            assert_eq!(kind(training_job, &facts), expected, "{name}");
        }
    }

    #[test]
    fn the_champion_predicts_the_same_rows_in_the_same_image() {
        let facts = Facts {
            base: Some(base("retail-forecast-build-1")),
            ..facts(JobStatus::Completed)
        };
        let Decision::Evaluate { plan, .. } = decide(JOB, &facts, &crate::tests::config()).unwrap()
        else {
            panic!("expected Evaluate");
        };
        assert_eq!(
            plan.image,
            format!("infer@sha256:{}", "1".repeat(64)),
            "the live image, not the tagged one"
        );
        let jobs = transforms(&plan, &crate::tests::config());
        assert_eq!(jobs.len(), 2);
        assert_eq!(
            (&jobs[0].input, &jobs[0].image),
            (&jobs[1].input, &jobs[1].image)
        );
        assert_ne!(jobs[0].model_name, jobs[1].model_name);
        assert_ne!(jobs[0].output, jobs[1].output);
    }

    #[test]
    fn a_plan_is_fixed_by_the_first_event() {
        let first = Facts {
            base: Some(base("retail-forecast-build-1")),
            ..facts(JobStatus::Completed)
        };
        let Decision::Evaluate { plan, .. } = decide(JOB, &first, &crate::tests::config()).unwrap()
        else {
            panic!("expected Evaluate");
        };
        // Meanwhile the candidate itself went live.
        let later = Facts {
            plan: Some(plan.clone()),
            base: Some(base(JOB)),
            ..facts(JobStatus::Completed)
        };
        let Decision::Evaluate { plan: again, .. } =
            decide(JOB, &later, &crate::tests::config()).unwrap()
        else {
            panic!("expected Evaluate");
        };
        assert_eq!(plan, again);
    }

    #[test]
    fn a_model_is_not_its_own_champion() {
        let facts = Facts {
            base: Some(base(JOB)),
            ..facts(JobStatus::Completed)
        };
        let Decision::Evaluate { plan, .. } = decide(JOB, &facts, &crate::tests::config()).unwrap()
        else {
            panic!("expected Evaluate");
        };
        assert_eq!(plan.champion, None);
    }
}
