//! Training jobs of SageMaker.

use std::time::Duration;

use domain::{
    Error, Result,
    layout::Location,
    ports::{Ensured, JobStatus, Training, TrainingJob, TrainingSpec},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    World,
    envelope::{epoch_ms, sagemaker_arn},
    script::Outcome,
    state::State,
};

/// A training job.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) spec: TrainingSpec,
    pub(crate) status: JobStatus,
    pub(crate) failure_reason: Option<String>,
    secondary_status: &'static str,
    started: Timestamp,
}

impl Trained {
    fn start(spec: &TrainingSpec, now: Timestamp) -> Self {
        Self {
            spec: spec.clone(),
            status: JobStatus::InProgress,
            failure_reason: None,
            secondary_status: "Starting",
            started: now,
        }
    }

    fn model_uri(&self) -> String {
        let (output, name) = (self.spec.output.trim_end_matches('/'), &self.spec.name);
        format!("{output}/{name}/output/model.tar.gz")
    }

    fn end(&mut self, status: JobStatus, secondary_status: &'static str, reason: Option<String>) {
        self.status = status;
        self.secondary_status = secondary_status;
        self.failure_reason = reason;
    }

    /// The event's detail, as SageMaker writes it: times are text, absent fields are left out.
    fn detail(&self, now: Timestamp) -> Value {
        let spec = &self.spec;
        let channels: Vec<Value> = spec
            .channels
            .iter()
            .map(|channel| {
                json!({
                    "ChannelName": channel.name,
                    "ContentType": "text/csv",
                    "CompressionType": "None",
                    "DataSource": { "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": channel.uri,
                        "S3DataDistributionType": "FullyReplicated",
                    } },
                })
            })
            .collect();
        let mut detail = json!({
            "TrainingJobName": spec.name,
            "TrainingJobArn": sagemaker_arn("training-job", &spec.name),
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary_status,
            "HyperParameters": spec.hyperparameters,
            "AlgorithmSpecification": { "TrainingImage": spec.image, "TrainingInputMode": "File" },
            "RoleArn": spec.role_arn,
            "InputDataConfig": channels,
            "OutputDataConfig": { "S3OutputPath": spec.output },
            "ResourceConfig": {
                "InstanceCount": 1,
                "InstanceType": spec.instance_type,
                "VolumeSizeInGB": spec.volume_gb,
            },
            "StoppingCondition": { "MaxRuntimeInSeconds": spec.max_runtime_s },
            "CreationTime": epoch_ms(self.started),
            "TrainingStartTime": epoch_ms(self.started),
            "LastModifiedTime": epoch_ms(now),
            "Tags": spec.tags,
        });
        if self.status == JobStatus::Completed {
            detail["ModelArtifacts"] = json!({ "S3ModelArtifacts": self.model_uri() });
        }
        if let Some(reason) = &self.failure_reason {
            detail["FailureReason"] = json!(reason);
        }
        if self.status.is_final() {
            detail["TrainingEndTime"] = json!(epoch_ms(now));
        }
        detail
    }
}

fn report(state: &mut State, job: &Trained) {
    let arn = sagemaker_arn("training-job", &job.spec.name);
    let detail = job.detail(state.now);
    state.report("Training Job", arn, &detail);
}

/// Ends the jobs that end now, and writes the models of those that complete.
pub(crate) fn run(state: &mut State) {
    let running = state
        .training_jobs
        .values()
        .filter(|job| !job.status.is_final());
    for mut job in running.cloned().collect::<Vec<_>>() {
        end(state, &mut job);
        if !job.status.is_final() {
            continue;
        }
        if let (JobStatus::Completed, Some(at)) = (job.status, Location::parse(&job.model_uri())) {
            state.store(&at, format!("model of {}", job.spec.name).into_bytes());
        }
        report(state, &job);
        state.training_jobs.insert(job.spec.name.clone(), job);
    }
}

fn end(state: &State, job: &mut Trained) {
    let outcome = state.scripts.outcome("training", &job.spec.name);
    let mut channels = job.spec.channels.iter();
    let empty = channels.find(|channel| !state.objects.any_under(&channel.uri));
    match (outcome, empty) {
        (Outcome::Completes, None) => job.end(JobStatus::Completed, "Completed", None),
        (Outcome::Completes, Some(channel)) => {
            let reason = format!(
                "ClientError: Data download failed: no object under {} of the channel {}",
                channel.uri, channel.name
            );
            job.end(JobStatus::Failed, "Failed", Some(reason));
        }
        (Outcome::Fails(reason), _) => job.end(JobStatus::Failed, "Failed", Some(reason)),
        (Outcome::Stops, _) => job.end(JobStatus::Stopped, "Stopped", None),
        (Outcome::RunsOn, _) => {
            let limit = Duration::from_secs(job.spec.max_runtime_s.into());
            let ran = Duration::try_from(state.now.duration_since(job.started));
            if ran.is_ok_and(|ran| ran >= limit) {
                let reason = format!("the job ran for its {} s at most", job.spec.max_runtime_s);
                job.end(JobStatus::Stopped, "MaxRuntimeExceeded", Some(reason));
            }
        }
    }
}

impl Training for World {
    async fn ensure_training(&self, spec: &TrainingSpec) -> Result<Ensured> {
        self.effect("ensure_training", &spec.name, |state| {
            if let Some(job) = state.training_jobs.get(&spec.name) {
                // The name is computed from data and parameters; another job under it is a fault.
                let same = job.spec.image == spec.image
                    && job.spec.channels == spec.channels
                    && job.spec.hyperparameters == spec.hyperparameters;
                return if same {
                    Ok((Ensured::AlreadySo, Ensured::AlreadySo))
                } else {
                    Err(Error::permanent(format!(
                        "the training job {} has another image, other channels or other hyperparameters",
                        spec.name
                    )))
                };
            }
            let job = Trained::start(spec, state.now);
            report(state, &job);
            state.training_jobs.insert(spec.name.clone(), job);
            Ok((Ensured::Made, Ensured::Made))
        }).await
    }

    async fn training(&self, name: &str) -> Result<Option<TrainingJob>> {
        self.look("training", name, |state| {
            state.training_jobs.get(name).map(|job| TrainingJob {
                name: name.to_owned(),
                status: job.status,
                failure_reason: job.failure_reason.clone(),
                channels: job.spec.channels.clone(),
                model_uri: (job.status == JobStatus::Completed).then(|| job.model_uri()),
                hyperparameters: job.spec.hyperparameters.clone(),
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::ports::Channel;

    use super::*;
    use crate::{envelope::assert_like_sample, ready};

    fn spec() -> TrainingSpec {
        TrainingSpec {
            name: "retail-forecast-build-1".to_owned(),
            image: "i".to_owned(),
            role_arn: "r".to_owned(),
            channels: vec![Channel {
                name: "train".to_owned(),
                uri: "s3://a/datasets/0a/train/".to_owned(),
            }],
            output: "s3://a/models/".to_owned(),
            hyperparameters: BTreeMap::new(),
            key_arn: None,
            instance_type: "ml.m5.large".to_owned(),
            volume_gb: 30,
            max_runtime_s: 3600,
            tags: BTreeMap::new(),
        }
    }

    fn world_with_rows() -> World {
        let world = World::new();
        world.write(&Location::new("a", "datasets/0a/train/sales.csv"), "rows");
        assert_eq!(
            ready(world.ensure_training(&spec())).unwrap(),
            Ensured::Made
        );
        world
    }

    fn job(world: &World) -> TrainingJob {
        ready(world.training(&spec().name)).unwrap().unwrap()
    }

    fn statuses(events: &[Value]) -> Vec<&str> {
        let all = events.iter();
        all.filter_map(|event| event["detail"]["TrainingJobStatus"].as_str())
            .collect()
    }

    #[test]
    fn a_job_ends_once_and_leaves_its_model() {
        let world = world_with_rows();
        assert_eq!(job(&world).model_uri, None);
        let events = world.run_services();
        assert_eq!(statuses(&events), ["InProgress", "Completed"]);
        assert_like_sample(&events[0], "training-job-state-change/in-progress");
        assert_like_sample(&events[1], "training-job-state-change/completed");
        let uri = job(&world).model_uri.unwrap();
        assert_eq!(
            events[1]["detail"]["ModelArtifacts"]["S3ModelArtifacts"],
            uri
        );
        assert!(world.read(&Location::parse(&uri).unwrap()).is_some());
        assert_eq!(world.run_services(), Vec::<Value>::new());

        let again = ready(world.ensure_training(&spec())).unwrap();
        assert_eq!(again, Ensured::AlreadySo);
        let mut other = spec();
        other.channels[0].uri = "s3://a/datasets/0b/train/".to_owned();
        assert!(ready(world.ensure_training(&other)).is_err());
    }

    #[test]
    fn a_job_without_data_fails() {
        let world = World::new();
        ready(world.ensure_training(&spec())).unwrap();
        let events = world.run_services();
        assert_eq!(statuses(&events), ["InProgress", "Failed"]);
        assert_like_sample(&events[1], "training-job-state-change/failed");
        assert!(job(&world).failure_reason.unwrap().contains("no object"));
    }

    #[test]
    fn a_job_that_runs_on_is_stopped_at_its_limit() {
        let world = world_with_rows();
        world.script(|what| what.starts_with("training "), Outcome::RunsOn);
        world.advance(Duration::from_secs(3599));
        assert_eq!(statuses(&world.run_services()), ["InProgress"]);
        world.advance(Duration::from_secs(1));
        assert_eq!(statuses(&world.run_services()), ["Stopped"]);
        assert_eq!(job(&world).model_uri, None);
    }
}
