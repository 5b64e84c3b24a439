//! `start-training`: an accepted data set, or a request, becomes a SageMaker training job.
//!
//! The job's name is computed from the data and the parameters, so the same upload, delivered twice
//! or uploaded twice, is one job. A request for retraining carries an id of its own and is another.
//! What can't be started is told by `TrainingFailed`: a data set that nobody accepted, a build id that
//! trained other data or can't name a job, the data of a job that failed or whose model couldn't be judged,
//! what SageMaker refuses.

pub mod decide;

use std::collections::BTreeMap;

use domain::{
    Class, Result, Step,
    evaluation::Failure,
    layout::Artifacts,
    names,
    ports::{Bus, ObjectStore, Training},
    records,
    settings::Settings,
};
use events::{Announced, Event, Received};

use crate::decide::{Decision, Facts, Request, decide, refused, start, unusable};

/// The function's name.
pub const NAME: &str = "start-training";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of snapshots and models.
    pub artifacts_bucket: String,
    /// Training image.
    pub train_image: String,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// KMS key of what the jobs write; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Hyperparameters, all as text, as SageMaker wants them.
    pub hyperparameters: BTreeMap<String, String>,
    /// Instance type.
    pub instance_type: String,
    /// Volume, GB.
    pub volume_gb: u32,
    /// Limit, seconds.
    pub max_runtime_s: u32,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            train_image: settings.text("TRAIN_IMAGE")?,
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            key_arn: settings.optional("DATA_KEY_ARN"),
            hyperparameters: settings.json("HYPERPARAMETERS")?,
            instance_type: settings.text("TRAINING_INSTANCE_TYPE")?,
            volume_gb: settings.parsed("TRAINING_VOLUME_GB")?,
            max_runtime_s: settings.parsed("TRAINING_MAX_RUNTIME_S")?,
        })
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }
}

/// Gathers, decides, applies.
pub async fn handle(
    config: &Config,
    store: &impl ObjectStore,
    training: &impl Training,
    bus: &impl Bus,
    received: Received,
) -> Result<Step<Decision>> {
    let request = match &received.event {
        Event::Announced(Announced::DatasetValidated(event)) => Request::upload(event, config)?,
        Event::Announced(Announced::RetrainRequested(event)) => {
            match Request::asked(event, config) {
                Ok(request) => request,
                Err(error) => {
                    let decision = unusable(event, &error);
                    let build = event.build_id.as_deref().unwrap_or_default();
                    let build = names::digest(&[build]);
                    let about = format!("build-id-{}", names::short(&build));
                    tell(config, store, bus, &about, &decision).await?;
                    return Ok(Step::Done(decision));
                }
            }
        }
        _ => {
            let reason = "only DatasetValidated and RetrainRequested start a training".to_owned();
            return Ok(Step::Done(Decision::NotForThisFunction { reason }));
        }
    };
    let decision = match attempt(config, store, training, &request).await {
        // Nobody waits for what SageMaker refuses for good, so people are told.
        Err(error) if error.class() == Class::Permanent => refused(&request, &error),
        attempted => attempted?,
    };
    tell(config, store, bus, &request.training_job, &decision).await?;
    Ok(Step::Done(decision))
}

/// Keeps and announces what people are told, if they are.
async fn tell(
    config: &Config,
    store: &impl ObjectStore,
    bus: &impl Bus,
    about: &str,
    decision: &Decision,
) -> Result<()> {
    let Some(failed) = decision.failure() else {
        return Ok(());
    };
    records::keep_decision(store, &config.artifacts(), NAME, about, decision).await?;
    bus.announce(&Announced::TrainingFailed(failed).announcement()?)
        .await
}

/// Everything but the telling.
async fn attempt(
    config: &Config,
    store: &impl ObjectStore,
    training: &impl Training,
    request: &Request,
) -> Result<Decision> {
    let artifacts = config.artifacts();
    let begin = start(request, config);
    let job = &request.training_job;
    let facts = Facts {
        accepted: store
            .get(&artifacts.dataset_manifest(&request.dataset))
            .await?
            .is_some(),
        job: training.training(job).await?,
        failure: failure(store, &artifacts, job).await?,
        begun: records::is_kept(store, &artifacts, NAME, job, &begin).await?,
    };
    let decision = decide(request, &facts, config);
    if let Decision::Start { spec, .. } = &decision {
        records::keep_decision(store, &artifacts, NAME, job, &decision).await?;
        training.ensure_training(spec).await?;
    }
    Ok(decision)
}

/// Why the job's evaluation ended without a judgement, if it did. A judgement may come after all: then it counts.
async fn failure(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    training_job: &str,
) -> Result<Option<Failure>> {
    let failure = records::read(store, &artifacts.evaluation_failure(training_job)).await?;
    if failure.is_some()
        && store
            .get(&artifacts.judgement(training_job))
            .await?
            .is_some()
    {
        return Ok(None);
    }
    Ok(failure)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config() -> Config {
        Config {
            environment: "dev".into(),
            artifacts_bucket: "artifacts".into(),
            train_image: "train:latest-dev".into(),
            role_arn: "arn:aws:iam::1:role/sagemaker-exec-role".into(),
            key_arn: Some("arn:aws:kms:r:1:key/data".into()),
            hyperparameters: BTreeMap::from([("n_estimators".into(), "200".into())]),
            instance_type: "ml.m5.large".into(),
            volume_gb: 30,
            max_runtime_s: 3600,
        }
    }
}
