//! Whether an accepted data set, or a request, starts a training job.

use std::collections::BTreeMap;

use domain::{
    Error, Result, names,
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
    /// The same data with the same parameters ended without a model, and is there again; people are told.
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

    /// Somebody asks. A pipeline's build id names the job; otherwise the request's own id does.
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
                "the same data with the same parameters ended {status:?} ({}); {}. Ask for a retraining with a \
                 request of its own to try again",
                job.failure_reason.as_deref().unwrap_or("no reason given"),
                request.reason
            ),
        },
        _ => Decision::AlreadyStarted {
            training_job,
            reason: format!("the same data with the same parameters is {status:?}"),
        },
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
        let asked = spec(&request(), &crate::tests::config());
        TrainingJob {
            name: "retail-forecast-build-1".into(),
            status,
            failure_reason: failure_reason.map(str::to_owned),
            channels: asked.channels,
            model_uri: None,
            hyperparameters: asked.hyperparameters,
        }
    }

    fn facts(accepted: bool, job: Option<TrainingJob>) -> Facts {
        Facts {
            accepted,
            job,
            begun: false,
        }
    }

    #[test]
    fn cases() {
        let config = crate::tests::config();
        let with = |change: fn(&mut TrainingJob)| {
            let mut job = job(JobStatus::Completed, None);
            change(&mut job);
            Some(job)
        };
        let running = Some(job(JobStatus::InProgress, None));
        let done = Some(job(JobStatus::Completed, None));
        let failed = Some(job(JobStatus::Failed, Some("out of memory")));
        let other_data =
            with(|job| job.channels[0].uri = "s3://artifacts/datasets/ff/train/".into());
        let other_parameters = with(|job| job.hyperparameters.clear());
        let cases = [
            ("new data", true, None, "start"),
            ("never accepted", false, None, "unknown-dataset"),
            ("running", true, running, "already-started"),
            ("done", true, done, "already-started"),
            ("failed before", true, failed, "ended-before"),
            (
                "the build trained other data",
                true,
                other_data,
                "name-taken",
            ),
            (
                "with other parameters",
                true,
                other_parameters,
                "name-taken",
            ),
        ];
        for (name, accepted, job, expected) in cases {
            let decision = decide(&request(), &facts(accepted, job), &config);
            let found = serde_json::to_value(&decision).unwrap();
            assert_eq!(found["decision"], expected, "{name}");
            let is_told = !matches!(expected, "start" | "already-started");
            assert_eq!(decision.failure().is_some(), is_told, "{name}");
        }
    }

    #[test]
    fn a_failed_job_says_why_and_how_to_go_on_but_not_to_what_began_it() {
        let stopped = || Some(job(JobStatus::Stopped, Some("MaxRuntimeExceeded")));
        let config = crate::tests::config();
        let again = decide(&request(), &facts(true, stopped()), &config);
        let reason = again.failure().unwrap().reason;
        for part in ["MaxRuntimeExceeded", "retraining", &request().reason] {
            assert!(reason.contains(part), "`{part}` in: {reason}");
        }
        let begun = Facts {
            begun: true,
            ..facts(true, stopped())
        };
        let repeat = decide(&request(), &begun, &config);
        assert!(
            matches!(repeat, Decision::AlreadyStarted { .. }),
            "{repeat:?}"
        );
    }

    #[test]
    fn who_asked_is_tagged_in_characters_that_tags_take() {
        let request = Request {
            created_by: "Ann O'Neil, ops".into(),
            ..request()
        };
        let spec = spec(&request, &crate::tests::config());
        assert_eq!(spec.tags["CreatedBy"], "Ann O Neil ops");
    }

    #[test]
    fn channels_point_at_the_snapshot_and_never_at_the_upload() {
        let Decision::Start { spec, .. } =
            decide(&request(), &facts(true, None), &crate::tests::config())
        else {
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
        assert_eq!(spec.key_arn, crate::tests::config().key_arn);
    }

    #[test]
    fn each_request_is_its_own_build_in_its_environment_and_a_repeat_is_the_same() {
        let asked_in = |environment: &str, request: &str, build_id: Option<&str>| {
            let event = RetrainRequested {
                dataset: "0a1b".into(),
                request: request.into(),
                build_id: build_id.map(str::to_owned),
                requested_by: "ann".into(),
                reason: "drift".into(),
            };
            Request::asked(
                &event,
                &Config {
                    environment: environment.into(),
                    ..crate::tests::config()
                },
            )
            .unwrap()
            .training_job
        };
        let asked = |request, build_id| asked_in("dev", request, build_id);
        assert_eq!(asked("r1", None), asked("r1", None));
        assert_ne!(asked("r1", None), asked("r2", None));
        // Environments of one account learn from the same upload.
        assert_ne!(asked("r1", None), asked_in("staging", "r1", None));
        assert_eq!(
            asked("r1", Some("build-17-0a1b2c3")),
            "retail-forecast-build-17-0a1b2c3"
        );
    }
}
