//! Whether an accepted data set, or a request, starts a training job.

use std::collections::BTreeMap;

use domain::{
    Error, Result,
    evaluation::Failure,
    names,
    ports::{Channel, JobStatus, TrainingJob, TrainingSpec},
    text,
};
use events::announced::{DatasetValidated, NOT_STARTED, RetrainRequested, TrainingFailed};
use serde::Serialize;

use crate::Config;

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
#[must_use]
pub enum Decision {
    /// Start this job.
    Start {
        /// The job.
        spec: TrainingSpec,
        /// What asked for it.
        reason: String,
    },
    /// The same data with the same parameters was trained, or is being trained.
    AlreadyStarted {
        /// The job.
        training_job: String,
        /// Its status, and what to do when that isn't what was wanted.
        reason: String,
    },
    /// There is no accepted data set of the name that was asked for; people are told.
    UnknownDataset {
        /// The job that isn't started.
        training_job: String,
        /// Which data set, who asked, and what to do.
        reason: String,
    },
    /// The name that was asked for is that of another training; people are told.
    NameTaken {
        /// The job.
        training_job: String,
        /// Where it differs, who asked, and what to do.
        reason: String,
    },
    /// The build id that was asked for can't name a job; people are told.
    UnusableBuildId {
        /// What the job would be called.
        training_job: String,
        /// What a build id is, who asked, and what to do.
        reason: String,
    },
    /// The same data with the same parameters ended without a model, or with one that couldn't be judged, and
    /// is there again; people are told.
    EndedBefore {
        /// The job.
        training_job: String,
        /// How it ended, what came again, and what to do.
        reason: String,
    },
    /// SageMaker, or what a training needs, refuses for good; people are told.
    Refused {
        /// The job that isn't started.
        training_job: String,
        /// In whose words, who asked, and what to do.
        reason: String,
    },
    /// The event isn't one that starts a training.
    NotForThisFunction {
        /// Which events do.
        reason: String,
    },
}

impl Decision {
    /// What people are told, when they are.
    pub fn failure(&self) -> Option<TrainingFailed> {
        match self {
            Self::UnknownDataset {
                training_job,
                reason,
            }
            | Self::NameTaken {
                training_job,
                reason,
            }
            | Self::UnusableBuildId {
                training_job,
                reason,
            }
            | Self::EndedBefore {
                training_job,
                reason,
            }
            | Self::Refused {
                training_job,
                reason,
            } => Some(TrainingFailed {
                training_job: training_job.clone(),
                failed_job: training_job.clone(),
                status: NOT_STARTED.to_owned(),
                reason: reason.clone(),
            }),
            Self::Start { .. } | Self::AlreadyStarted { .. } | Self::NotForThisFunction { .. } => {
                None
            }
        }
    }
}

/// A wish to train, whoever has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Data set to train on.
    pub dataset: String,
    /// Name of the job that the wish leads to.
    pub training_job: String,
    /// Who asked.
    pub created_by: String,
    /// Why.
    pub reason: String,
}

impl Request {
    /// New data.
    pub fn upload(event: &DatasetValidated, config: &Config) -> Result<Self> {
        Ok(Self {
            dataset: event.dataset.clone(),
            training_job: names::training_job(&build_id(config, &event.dataset, ""))?,
            created_by: "Upload".to_owned(),
            reason: format!(
                "{} was accepted ({}): {} rows, {} to {}",
                event.source, event.upload, event.rows, event.from, event.to
            ),
        })
    }

    /// Somebody asks. A pipeline's build id names the job; otherwise the request's own id does. A build id that
    /// can't is an error.
    pub fn asked(event: &RetrainRequested, config: &Config) -> Result<Self> {
        let build = match &event.build_id {
            Some(build) => build.clone(),
            None => build_id(config, &event.dataset, &event.request),
        };
        Ok(Self {
            dataset: event.dataset.clone(),
            training_job: names::training_job(&build)?,
            created_by: event.requested_by.clone(),
            reason: format!("{} asked: {}", event.requested_by, event.reason),
        })
    }
}

fn build_id(config: &Config, dataset: &str, salt: &str) -> String {
    names::build_id(&config.environment, dataset, &config.hyperparameters, salt)
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Whether the data set was accepted.
    pub accepted: bool,
    /// The job of that name, if there is one.
    pub job: Option<TrainingJob>,
    /// Why its evaluation ended without a judgement, if it did.
    pub failure: Option<Failure>,
    /// Whether this very request began it: then its end is told by who hears of it.
    pub begun: bool,
}

/// The rule.
pub fn decide(request: &Request, facts: &Facts, config: &Config) -> Decision {
    if !facts.accepted {
        return Decision::UnknownDataset {
            training_job: request.training_job.clone(),
            reason: format!(
                "no accepted data set `{}` ({}): upload it under `training/`, and read its validation report when it is rejected",
                request.dataset, request.reason
            ),
        };
    }
    let Some(job) = &facts.job else {
        return start(request, config);
    };
    let asked = spec(request, config);
    let differences: Vec<&str> = [
        ("data", job.channels != asked.channels),
        ("parameters", job.hyperparameters != asked.hyperparameters),
    ]
    .iter()
    .filter_map(|&(property, differs)| differs.then_some(property))
    .collect();
    let training_job = job.name.clone();
    if !differences.is_empty() {
        return Decision::NameTaken {
            training_job,
            reason: format!(
                "a training job of this name has other {} ({}): a job's name is never used twice. Ask again with a \
                 new build id, or without one",
                differences.join(" and other "),
                request.reason
            ),
        };
    }
    let status = job.status;
    match status {
        JobStatus::Failed | JobStatus::Stopped if !facts.begun => Decision::EndedBefore {
            training_job,
            reason: format!(
                "the same data with the same parameters ended {status:?} ({}); {}. {TRY_AGAIN}",
                job.failure_reason.as_deref().unwrap_or("no reason given"),
                request.reason
            ),
        },
        JobStatus::Completed
            if let Some(failure) = &facts.failure
                && !facts.begun =>
        {
            Decision::EndedBefore {
                training_job,
                reason: format!(
                    "the same data with the same parameters was trained, and couldn't be judged: {} is {} ({}); {}. \
                     {TRY_AGAIN}",
                    failure.failed_job, failure.status, failure.reason, request.reason
                ),
            }
        }
        _ => Decision::AlreadyStarted {
            training_job,
            reason: format!("the same data with the same parameters is {status:?}"),
        },
    }
}

/// What people can do about a job that ended: its name is never used twice.
const TRY_AGAIN: &str =
    "Ask for a retraining (`RetrainRequested`) with a request of its own to try again";

/// What a build id that can't name a job means.
pub fn unusable(event: &RetrainRequested, error: &Error) -> Decision {
    let build = event.build_id.as_deref().unwrap_or_default();
    Decision::UnusableBuildId {
        training_job: text::description(&format!("{}-{build}", names::PROJECT), 100),
        reason: format!(
            "{} (request {}; {} asked: {}). Ask again with such a build id, or without one",
            error.chain(),
            event.request,
            event.requested_by,
            event.reason
        ),
    }
}

/// The decision to start what is asked for.
pub fn start(request: &Request, config: &Config) -> Decision {
    Decision::Start {
        spec: spec(request, config),
        reason: request.reason.clone(),
    }
}

/// What a refusal means.
pub fn refused(request: &Request, error: &Error) -> Decision {
    Decision::Refused {
        training_job: request.training_job.clone(),
        reason: format!(
            "{} ({}). When that is mended, upload the data again or ask for a retraining",
            error.chain(),
            request.reason
        ),
    }
}

fn spec(request: &Request, config: &Config) -> TrainingSpec {
    let channel = |name: &str| Channel {
        name: name.to_owned(),
        uri: format!(
            "s3://{}/datasets/{}/{name}/",
            config.artifacts_bucket, request.dataset
        ),
    };
    TrainingSpec {
        name: request.training_job.clone(),
        image: config.train_image.clone(),
        role_arn: config.role_arn.clone(),
        channels: vec![channel("train"), channel("validation")],
        output: config.artifacts().models().to_string(),
        key_arn: config.key_arn.clone(),
        hyperparameters: config.hyperparameters.clone(),
        instance_type: config.instance_type.clone(),
        volume_gb: config.volume_gb,
        max_runtime_s: config.max_runtime_s,
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("CreatedBy".to_owned(), text::value(&request.created_by)),
            ("Environment".to_owned(), config.environment.clone()),
        ]),
    }
}

#[cfg(test)]
mod tests;
