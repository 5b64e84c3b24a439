//! `register-model`: a model that passed its gates becomes a version in the model registry.
//!
//! A model that failed isn't registered; its judgement is kept where it was written. One that passed and
//! can't be registered (its artifact is gone, SageMaker refuses) is told as `TrainingFailed`. The package
//! carries the digest of the model artifact, which every pod checks before it serves.

pub mod decide;

use domain::{
    Class, Error, Result, Step,
    evaluation::Plan,
    layout::{Artifacts, Location},
    names,
    ports::{Approval, Bus, ObjectStore, Registry},
    records,
    settings::Settings,
};
use events::{
    Announced, Event, Received,
    announced::{ModelJudged, ModelRegistered},
};

use crate::decide::{Decision, Facts, admit, decide, refused};

/// The function's name.
pub const NAME: &str = "register-model";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bucket of models and judgements.
    pub artifacts_bucket: String,
    /// Model package group.
    pub group: String,
    /// Approval of a model that passed: `Approved`, or `PendingManualApproval` where a person decides.
    pub approval: Approval,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        let approval = match settings.text("APPROVAL")?.as_str() {
            "Approved" => Approval::Approved,
            "PendingManualApproval" => Approval::PendingManualApproval,
            other => {
                return Err(Error::permanent(format!(
                    "the environment variable APPROVAL is `{other}`: `Approved` or `PendingManualApproval` expected"
                )));
            }
        };
        Ok(Self {
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            group: settings.text("MODEL_PACKAGE_GROUP")?,
            approval,
        })
    }
}

/// Gathers, decides, applies.
pub async fn handle(
    config: &Config,
    store: &impl ObjectStore,
    registry: &impl Registry,
    bus: &impl Bus,
    received: Received,
) -> Result<Step<Decision>> {
    let Event::Announced(Announced::ModelJudged(judged)) = received.event else {
        let reason = "only ModelJudged leads to a registration".to_owned();
        return Ok(Step::Done(Decision::NotForThisFunction { reason }));
    };
    if let Some(refusal) = admit(&judged) {
        return Ok(Step::Done(refusal));
    }
    let artifacts = Artifacts::new(&config.artifacts_bucket);
    let (decision, news) = match attempt(config, store, registry, &artifacts, &judged).await {
        // Nobody waits for what is missing or refused for good, so people are told.
        Err(error) if error.class() == Class::Permanent => {
            let failed = refused(&judged, &error);
            let decision = Decision::Refused {
                failed: failed.clone(),
            };
            let job = &judged.training_job;
            records::keep_decision(store, &artifacts, NAME, job, &decision).await?;
            (decision, Announced::TrainingFailed(failed))
        }
        attempted => {
            let (decision, registered) = attempted?;
            (decision, Announced::ModelRegistered(registered))
        }
    };
    bus.announce(&news.announcement()?).await?;
    Ok(Step::Done(decision))
}

/// Everything but the telling: what was decided, and what is registered now.
async fn attempt(
    config: &Config,
    store: &impl ObjectStore,
    registry: &impl Registry,
    artifacts: &Artifacts,
    judged: &ModelJudged,
) -> Result<(Decision, ModelRegistered)> {
    let at = artifacts.evaluation_plan(&judged.training_job);
    let plan: Plan = records::require(store, &at, "the evaluation's plan").await?;
    let facts = Facts {
        model_digest: digest_of(store, &plan.candidate.model_uri).await?,
        package: registry
            .package_of(&config.group, &judged.training_job)
            .await?,
        plan,
    };
    let decision = decide(judged, &facts, config);
    let registered = match &decision {
        Decision::Register { spec, .. } => {
            let job = &judged.training_job;
            records::keep_decision(store, artifacts, NAME, job, &decision).await?;
            registry.ensure_group(&config.group).await?;
            ModelRegistered {
                training_job: job.clone(),
                package_arn: registry.register(spec).await?,
                approval: spec.approval,
                reason: judged.reason.clone(),
            }
        }
        Decision::AlreadyRegistered { registered } => registered.clone(),
        Decision::Refused { .. }
        | Decision::NotApproved { .. }
        | Decision::NotForThisFunction { .. } => {
            return Err(Error::permanent("a model that passed is registered or was"));
        }
    };
    Ok((decision, registered))
}

async fn digest_of(store: &impl ObjectStore, model_uri: &str) -> Result<String> {
    let at = Location::parse(model_uri).ok_or_else(|| {
        Error::permanent(format!(
            "the model artifact `{model_uri}` isn't an s3:// URI"
        ))
    })?;
    let model = store
        .get(&at)
        .await?
        .ok_or_else(|| Error::permanent(format!("the model artifact is missing: {at}")))?;
    Ok(names::digest_bytes(&model.bytes))
}
