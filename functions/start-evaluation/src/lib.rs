//! `start-evaluation`: a finished training is predicted with, beside the live model, on the very
//! same held-out rows.
//!
//! Woken by a training job's end, and by an image that gets the environment's tag or is scanned, which a
//! first model may be waiting for: either event may be lost, and one that is tagged later isn't scanned again.
//! What is compared with what is stored before the first prediction, so a champion that changes
//! meanwhile can't change the comparison.

pub mod decide;

use std::{collections::BTreeSet, time::Duration};

use domain::{
    Class, Error, Result, Step,
    evaluation::Plan,
    layout::Artifacts,
    names,
    ports::{Bus, ImageRegistry, ObjectStore, Swap, Training, Transforms},
    records::{self, Versioned},
    settings::Settings,
};
use events::{
    Announced, Event, Received,
    announced::EvaluationHeld,
    incoming::{ImagePush, ImageScan},
};
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, Facts, decide, not_ours, refused, transforms};

/// The function's name.
pub const NAME: &str = "start-evaluation";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of snapshots, models and predictions.
    pub artifacts_bucket: String,
    /// ECR repository of the inference image.
    pub infer_repository: String,
    /// Tag of the environment's image.
    pub image_tag: String,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// KMS key of what the jobs write; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Instance type of the transforms.
    pub instance_type: String,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        let environment = settings.text("ENVIRONMENT")?;
        Ok(Self {
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            infer_repository: settings.text("INFER_REPOSITORY")?,
            image_tag: format!("latest-{environment}"),
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            key_arn: settings.optional("DATA_KEY_ARN"),
            instance_type: settings.text("TRANSFORM_INSTANCE_TYPE")?,
            environment,
        })
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }
}

/// Training jobs that wait for a first image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    training_jobs: BTreeSet<String>,
}

/// The ports that an evaluation needs.
#[derive(Debug)]
pub struct Ports<'a, S, J, I, B> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's jobs.
    pub jobs: &'a J,
    /// ECR.
    pub images: &'a I,
    /// The bus.
    pub bus: &'a B,
}

/// Gathers, decides, applies; for an image, for each training job that was held.
pub async fn handle<S, J, I, B>(
    config: &Config,
    ports: &Ports<'_, S, J, I, B>,
    received: Received,
) -> Result<Step<Vec<Decision>>>
where
    S: ObjectStore,
    J: Training + Transforms,
    I: ImageRegistry,
    B: Bus,
{
    let decisions = match received.event {
        Event::TrainingJob(job) if names::build_of(&job.name).is_none() => {
            vec![not_ours(&job.name)]
        }
        Event::TrainingJob(job) => {
            let decision = one(config, ports, &job.name).await?;
            // The event is ahead of what SageMaker answers: look again.
            if job.status.is_final() && matches!(decision, Decision::StillRunning { .. }) {
                return Ok(Step::Wait {
                    after: Duration::from_secs(5),
                    decision: vec![decision],
                });
            }
            vec![decision]
        }
        Event::ImagePush(ImagePush { repository, .. })
        | Event::ImageScan(ImageScan { repository, .. })
            if repository == config.infer_repository =>
        {
            held(config, ports).await?
        }
        _ => {
            let reason =
                "only a training job's end and an inference image start an evaluation".to_owned();
            vec![Decision::NotForThisFunction { reason }]
        }
    };
    Ok(Step::Done(decisions))
}

/// One training job, to its end or to what people are told.
async fn one<S, J, I, B>(
    config: &Config,
    ports: &Ports<'_, S, J, I, B>,
    training_job: &str,
) -> Result<Decision>
where
    S: ObjectStore,
    J: Training + Transforms,
    I: ImageRegistry,
    B: Bus,
{
    let decision = match attempt(config, ports, training_job).await {
        // Nobody waits for what is missing or refused for good, so people are told.
        Err(error) if error.class() == Class::Permanent => refused(training_job, &error),
        attempted => attempted?,
    };
    let told = match &decision {
        Decision::TrainingFailed { failure } => {
            let artifacts = config.artifacts();
            records::keep_decision(ports.store, &artifacts, NAME, training_job, &decision).await?;
            let at = artifacts.evaluation_failure(training_job);
            records::write(ports.store, &at, &failure.record()).await?;
            Announced::TrainingFailed(failure.clone())
        }
        Decision::HeldForImage {
            training_job,
            reason,
        } => Announced::EvaluationHeld(EvaluationHeld {
            training_job: training_job.clone(),
            reason: reason.clone(),
        }),
        _ => return Ok(decision),
    };
    ports.bus.announce(&told.announcement()?).await?;
    Ok(decision)
}

/// Everything but the telling.
async fn attempt<S, J, I, B>(
    config: &Config,
    ports: &Ports<'_, S, J, I, B>,
    training_job: &str,
) -> Result<Decision>
where
    S: ObjectStore,
    J: Training + Transforms,
    I: ImageRegistry,
{
    let facts = gather(config, ports, training_job).await?;
    let decision = decide(training_job, &facts, config)?;
    let artifacts = config.artifacts();
    match &decision {
        Decision::Evaluate { plan, .. } => {
            let plan = fix(ports.store, &artifacts, plan).await?;
            for spec in transforms(&plan, config) {
                ports.jobs.ensure_transform(&spec).await?;
            }
        }
        Decision::HeldForImage { .. } => {
            records::keep_decision(ports.store, &artifacts, NAME, training_job, &decision).await?;
            hold(config, ports, training_job).await?;
        }
        Decision::TrainingFailed { .. }
        | Decision::StillRunning { .. }
        | Decision::NothingHeld { .. }
        | Decision::NotForThisFunction { .. } => {}
    }
    Ok(decision)
}

async fn gather<S, J, I, B>(
    config: &Config,
    ports: &Ports<'_, S, J, I, B>,
    training_job: &str,
) -> Result<Facts>
where
    S: ObjectStore,
    J: Training,
    I: ImageRegistry,
{
    let artifacts = config.artifacts();
    let pointer = records::pointer(ports.store, &artifacts, &config.environment)
        .await?
        .value;
    let base = match pointer.base() {
        Some(release) => Some(records::manifest(ports.store, &artifacts, release).await?),
        None => None,
    };
    let tagged_image = match ports
        .images
        .image(&config.infer_repository, &config.image_tag)
        .await?
    {
        Some(stored) => Some(stored.image.reference()?),
        None => None,
    };
    Ok(Facts {
        job: ports.jobs.training(training_job).await?,
        plan: records::read(ports.store, &artifacts.evaluation_plan(training_job)).await?,
        base,
        tagged_image,
    })
}

/// Stores the plan, or takes the one that is stored.
async fn fix(store: &impl ObjectStore, artifacts: &Artifacts, plan: &Plan) -> Result<Plan> {
    let at = artifacts.evaluation_plan(&plan.training_job);
    match records::write_once(store, &at, plan).await? {
        Swap::Done => Ok(plan.clone()),
        Swap::Lost => records::require(store, &at, "the evaluation's plan").await,
    }
}

/// Marks the job as waiting. An image that came before the mark wouldn't wake it, so the image is
/// looked for once more after it.
async fn hold<S, J, I, B>(
    config: &Config,
    ports: &Ports<'_, S, J, I, B>,
    training_job: &str,
) -> Result<()>
where
    S: ObjectStore,
    I: ImageRegistry,
{
    let mut read = read_held(config, ports.store).await?;
    if read.value.training_jobs.insert(training_job.to_owned()) {
        write_held(config, ports.store, &read).await?;
    }
    match ports
        .images
        .image(&config.infer_repository, &config.image_tag)
        .await?
    {
        Some(_) => Err(Error::transient(
            "an image arrived while the evaluation was being held for it",
        )),
        None => Ok(()),
    }
}

/// Goes on with what was held, each by itself, then forgets it. What has to be held still stays on the list.
/// So does what met an error; then the image's event is answered by that error, comes back and meets it again.
async fn held<S, J, I, B>(config: &Config, ports: &Ports<'_, S, J, I, B>) -> Result<Vec<Decision>>
where
    S: ObjectStore,
    J: Training + Transforms,
    I: ImageRegistry,
    B: Bus,
{
    let mut read = read_held(config, ports.store).await?;
    let waiting = read.value.training_jobs.clone();
    if waiting.is_empty() {
        let reason = "no training job waits for an image".to_owned();
        return Ok(vec![Decision::NothingHeld { reason }]);
    }
    let mut decisions = Vec::new();
    let mut failed = None;
    for training_job in &waiting {
        match one(config, ports, training_job).await {
            Ok(decision) => {
                if !matches!(decision, Decision::HeldForImage { .. }) {
                    read.value.training_jobs.remove(training_job);
                }
                decisions.push(decision);
            }
            Err(error) => failed = Some(error),
        }
    }
    if read.value.training_jobs != waiting {
        write_held(config, ports.store, &read).await?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(decisions),
    }
}

async fn read_held(config: &Config, store: &impl ObjectStore) -> Result<Versioned<Held>> {
    records::read_versioned(
        store,
        &config.artifacts().held_evaluation(&config.environment),
    )
    .await
}

async fn write_held(
    config: &Config,
    store: &impl ObjectStore,
    held: &Versioned<Held>,
) -> Result<()> {
    records::swap(
        store,
        &config.artifacts().held_evaluation(&config.environment),
        held,
        &held.value,
    )
    .await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config() -> Config {
        Config {
            environment: "dev".into(),
            artifacts_bucket: "artifacts".into(),
            infer_repository: "retail-forecast-infer".into(),
            image_tag: "latest-dev".into(),
            role_arn: "arn:aws:iam::1:role/sagemaker-exec-role".into(),
            key_arn: Some("arn:aws:kms:r:1:key/data".into()),
            instance_type: "ml.m5.large".into(),
        }
    }
}
