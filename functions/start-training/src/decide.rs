//! Whether an accepted data set, or a request, starts a training job.

use std::collections::BTreeMap;

use domain::{
    Result, names,
    ports::{Channel, JobStatus, TrainingJob, TrainingSpec},
};
use events::announced::{DatasetValidated, RetrainRequested};
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
    /// The event isn't one that starts a training.
    NotForThisFunction {
        /// Which events do.
        reason: String,
    },
}

/// A wish to train, whoever has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Data set to train on.
    pub dataset: String,
    /// Name of the job that the wish leads to.
    pub training_job: String,
    /// Who asked: the value of the tag `CreatedBy`.
    pub created_by: String,
    /// Why.
    pub reason: String,
}

impl Request {
    /// New data.
    pub fn upload(
        event: &DatasetValidated,
        hyperparameters: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Ok(Self {
            dataset: event.dataset.clone(),
            training_job: names::training_job(&names::build_id(
                &event.dataset,
                hyperparameters,
                "",
            ))?,
            created_by: "Upload".to_owned(),
            reason: format!(
                "{} was accepted: {} rows, {} to {}",
                event.source, event.rows, event.from, event.to
            ),
        })
    }

    /// Somebody asks. A pipeline's build id names the job; otherwise the request's own id does.
    pub fn asked(
        event: &RetrainRequested,
        hyperparameters: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let build = match &event.build_id {
            Some(build) => build.clone(),
            None => names::build_id(&event.dataset, hyperparameters, &event.request),
        };
        Ok(Self {
            dataset: event.dataset.clone(),
            training_job: names::training_job(&build)?,
            created_by: event.requested_by.clone(),
            reason: format!("{} asked: {}", event.requested_by, event.reason),
        })
    }
}

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Whether the data set was accepted.
    pub accepted: bool,
    /// The job of that name, if there is one.
    pub job: Option<TrainingJob>,
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
    if let Some(job) = &facts.job {
        return Decision::AlreadyStarted {
            training_job: job.name.clone(),
            reason: already(job),
        };
    }
    Decision::Start {
        spec: spec(request, config),
        reason: request.reason.clone(),
    }
}

fn already(job: &TrainingJob) -> String {
    let status = job.status;
    match (job.status, &job.failure_reason) {
        (JobStatus::Failed | JobStatus::Stopped, reason) => format!(
            "the same data with the same parameters ended {status:?} ({}): ask for a retraining with a request of its own to try again",
            reason.as_deref().unwrap_or("no reason given")
        ),
        _ => format!("the same data with the same parameters is {status:?}"),
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
        hyperparameters: config.hyperparameters.clone(),
        instance_type: config.instance_type.clone(),
        volume_gb: config.volume_gb,
        max_runtime_s: config.max_runtime_s,
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("CreatedBy".to_owned(), request.created_by.clone()),
            ("Environment".to_owned(), config.environment.clone()),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            dataset: "0a1b".into(),
            training_job: "retail-forecast-build-1".into(),
            created_by: "Upload".into(),
            reason: "s3://d/training/x was accepted".into(),
        }
    }

    fn job(status: JobStatus, failure_reason: Option<&str>) -> TrainingJob {
        TrainingJob {
            name: "retail-forecast-build-1".into(),
            status,
            failure_reason: failure_reason.map(str::to_owned),
            channels: vec![],
            model_uri: None,
            hyperparameters: BTreeMap::new(),
        }
    }

    #[test]
    fn cases() {
        let config = crate::tests::config();
        let cases = [
            ("new data", true, None, "start"),
            ("never accepted", false, None, "unknown-dataset"),
            (
                "running",
                true,
                Some(job(JobStatus::InProgress, None)),
                "already-started",
            ),
            (
                "done",
                true,
                Some(job(JobStatus::Completed, None)),
                "already-started",
            ),
            (
                "failed before",
                true,
                Some(job(JobStatus::Failed, Some("out of memory"))),
                "already-started",
            ),
        ];
        for (name, accepted, job, expected) in cases {
            let decision = decide(&request(), &Facts { accepted, job }, &config);
            assert_eq!(
                serde_json::to_value(&decision).unwrap()["decision"],
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_failed_job_says_why_and_how_to_go_on() {
        let facts = Facts {
            accepted: true,
            job: Some(job(JobStatus::Stopped, Some("MaxRuntimeExceeded"))),
        };
        let Decision::AlreadyStarted { reason, .. } =
            decide(&request(), &facts, &crate::tests::config())
        else {
            panic!("expected AlreadyStarted");
        };
        assert!(
            reason.contains("MaxRuntimeExceeded") && reason.contains("retraining"),
            "{reason}"
        );
    }

    #[test]
    fn channels_point_at_the_snapshot_and_never_at_the_upload() {
        let Decision::Start { spec, .. } = decide(
            &request(),
            &Facts {
                accepted: true,
                job: None,
            },
            &crate::tests::config(),
        ) else {
            panic!("expected Start");
        };
        let uris: Vec<&str> = spec
            .channels
            .iter()
            .map(|channel| channel.uri.as_str())
            .collect();
        assert_eq!(
            uris,
            [
                "s3://artifacts/datasets/0a1b/train/",
                "s3://artifacts/datasets/0a1b/validation/"
            ]
        );
        assert_eq!(spec.tags["CreatedBy"], "Upload");
    }

    #[test]
    fn each_request_is_its_own_build_and_a_repeated_upload_is_the_same() {
        let asked = |request: &str, build_id: Option<&str>| {
            let event = RetrainRequested {
                dataset: "0a1b".into(),
                request: request.into(),
                build_id: build_id.map(str::to_owned),
                requested_by: "ann".into(),
                reason: "drift".into(),
            };
            Request::asked(&event, &BTreeMap::new())
                .unwrap()
                .training_job
        };
        assert_eq!(asked("r1", None), asked("r1", None));
        assert_ne!(asked("r1", None), asked("r2", None));
        assert_eq!(
            asked("r1", Some("build-17-0a1b2c3")),
            "retail-forecast-build-17-0a1b2c3"
        );
    }
}
