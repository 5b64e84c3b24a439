//! Training jobs: the API.

use std::sync::Arc;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    Outcome, STATUSES, Status, reason,
    training_request::{channels, check},
    training_run,
};
use crate::{
    error::ApiError,
    events::Subject,
    input::Input,
    paging::{self, Order, Row},
    service::{Service, State},
    store::S3Uri,
    tags,
    time::{Format, epoch_milliseconds_text, epoch_seconds},
};

/// Members that are described back as they came.
const ECHOED: [&str; 12] = [
    "TrainingJobName",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "Environment",
    "ExperimentConfig",
    "RetryStrategy",
];

/// A training job.
#[derive(Debug)]
pub(crate) struct TrainingJob {
    pub(crate) arn: String,
    name: String,
    request: Input,
    status: Status,
    transitions: Vec<Transition>,
    created: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    failure: Option<String>,
    artifacts: Option<String>,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Transition {
    status: &'static str,
    start: Timestamp,
    end: Option<Timestamp>,
}

impl TrainingJob {
    fn new(arn: String, name: String, request: Input) -> Self {
        let mut job = Self {
            arn,
            name,
            request,
            status: Status::InProgress,
            transitions: Vec::new(),
            created: Timestamp::now(),
            started: None,
            ended: None,
            failure: None,
            artifacts: None,
            stop: watch::Sender::new(false),
        };
        job.enter("Starting");
        job
    }

    fn enter(&mut self, secondary: &'static str) {
        let now = Timestamp::now();
        if let Some(last) = self.transitions.last_mut() {
            last.end = Some(now);
        }
        self.transitions.push(Transition {
            status: secondary,
            start: now,
            end: None,
        });
    }

    fn secondary(&self) -> &'static str {
        self.transitions.last().map_or("Starting", |t| t.status)
    }

    fn modified(&self) -> Timestamp {
        self.transitions.last().map_or(self.created, |t| t.start)
    }

    /// What both the API and the events show; they differ in how they write times.
    fn fields(&self, time: Format) -> Map<String, Value> {
        let mut fields = self.request.keep(&ECHOED);
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("TrainingJobArn", json!(self.arn));
        set("TrainingJobStatus", json!(self.status.name()));
        set("SecondaryStatus", json!(self.secondary()));
        set("CreationTime", time(self.created));
        set("LastModifiedTime", time(self.modified()));
        if let Some(reason) = &self.failure {
            set("FailureReason", json!(reason));
        }
        if let Some(artifacts) = &self.artifacts {
            set("ModelArtifacts", json!({"S3ModelArtifacts": artifacts}));
        }
        if let Some(started) = self.started {
            set("TrainingStartTime", time(started));
        }
        if let Some(ended) = self.ended {
            set("TrainingEndTime", time(ended));
        }
        let transitions = self.transitions.iter().map(|transition| {
            let mut shown = json!({
                "Status": transition.status,
                "StartTime": time(transition.start),
                "StatusMessage": message(transition.status),
            });
            if let Some(end) = transition.end {
                shown["EndTime"] = time(end);
            }
            shown
        });
        set("SecondaryStatusTransitions", transitions.collect());
        fields
    }

    fn describe(&self) -> Value {
        let mut fields = self.fields(epoch_seconds);
        for flag in [
            "EnableNetworkIsolation",
            "EnableInterContainerTrafficEncryption",
            "EnableManagedSpotTraining",
        ] {
            fields.insert(flag.to_owned(), json!(self.request.flag(flag)));
        }
        if let (Some(started), Some(ended)) = (self.started, self.ended) {
            let seconds = (ended.as_second() - started.as_second()).max(1);
            fields.insert("TrainingTimeInSeconds".to_owned(), json!(seconds));
            fields.insert("BillableTimeInSeconds".to_owned(), json!(seconds));
        }
        Value::Object(fields)
    }

    fn row(&self) -> Row {
        let mut summary = json!({
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": epoch_seconds(self.created),
            "LastModifiedTime": epoch_seconds(self.modified()),
            "TrainingJobStatus": self.status.name(),
            "SecondaryStatus": self.secondary(),
        });
        if let Some(ended) = self.ended {
            summary["TrainingEndTime"] = epoch_seconds(ended);
        }
        Row {
            arn: self.arn.clone(),
            name: self.name.clone(),
            status: self.status.name(),
            created: self.created,
            modified: self.modified(),
            summary,
        }
    }
}

fn message(secondary: &str) -> &'static str {
    match secondary {
        "Starting" => "Starting the training job",
        "Downloading" => "Downloading input data",
        "Training" => "Training image download completed. Training in progress.",
        "Uploading" => "Uploading generated training model",
        "Completed" => "Training job completed",
        "Failed" => "Training job failed",
        "Stopping" => "Stopping the training job",
        "MaxRuntimeExceeded" => "Training job runtime exceeded MaxRuntimeInSeconds provided",
        _ => "Training job stopped",
    }
}

impl Service {
    /// `CreateTrainingJob`.
    pub(crate) async fn create_training_job(
        self: &Arc<Self>,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let name = input.required("TrainingJobName")?;
        let arn = self.names.arn("training-job", name);
        let role = input.required("RoleArn")?;
        let tags = tags::read(input)?;
        self.allow(caller, "sagemaker:CreateTrainingJob", &arn)
            .await?;
        self.allow_with(caller, input, &arn, Some(role)).await?;
        free(&self.state(), name, &arn)?;
        for channel in channels(input) {
            self.check_data(&channel.data, role).await?;
        }

        let job = TrainingJob::new(arn.clone(), name.to_owned(), input.clone());
        let stop = job.stop.subscribe();
        {
            let mut state = self.state();
            free(&state, name, &arn)?;
            state.tags.insert(arn.clone(), tags);
            state.training_jobs.insert(name.to_owned(), job);
            self.announce_training(&state, name);
        }
        let run = training_run::run(Arc::clone(self), name.to_owned(), input.clone(), stop);
        self.tasks.spawn(run);
        Ok(json!({"TrainingJobArn": arn}))
    }

    /// AWS looks for the data when the job is created, too.
    async fn check_data(&self, data: &S3Uri, role: &str) -> Result<(), ApiError> {
        let found = async {
            let store = self.stores.as_role(role).await?;
            data.objects(store.as_ref()).await
        };
        let found = found.await;
        let detail = match found {
            Ok(keys) if !keys.is_empty() => return Ok(()),
            Ok(_) => String::new(),
            Err(error) => format!(" Error message from S3: {error}"),
        };
        Err(ApiError::validation(format!(
            "No S3 objects found under S3 URL \"{data}\" given in input data source. Please ensure \
             that the bucket exists in the selected region ({region}), that objects exist under that \
             S3 prefix, and that the role \"{role}\" has \"s3:ListBucket\" permissions on bucket \
             \"{bucket}\".{detail}",
            region = self.names.region,
            bucket = data.bucket,
        )))
    }

    /// `DescribeTrainingJob`.
    pub(crate) async fn describe_training_job(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("TrainingJobName")?;
        let arn = self.names.arn("training-job", name);
        self.allow(caller, "sagemaker:DescribeTrainingJob", &arn)
            .await?;
        let state = self.state();
        let job = state.training_jobs.get(name).ok_or_else(not_found)?;
        Ok(job.describe())
    }

    /// `StopTrainingJob`.
    pub(crate) async fn stop_training_job(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("TrainingJobName")?;
        let arn = self.names.arn("training-job", name);
        self.allow(caller, "sagemaker:StopTrainingJob", &arn)
            .await?;
        let mut state = self.state();
        let job = state.training_jobs.get_mut(name).ok_or_else(not_found)?;
        if job.status.ended() {
            return Err(ApiError::validation(format!(
                "The request was rejected because the training job is in status {}.",
                job.status.name()
            )));
        }
        if job.status == Status::InProgress {
            job.status = Status::Stopping;
            job.enter("Stopping");
            job.stop.send_replace(true);
            self.announce_training(&state, name);
        }
        Ok(Value::Null)
    }

    /// `ListTrainingJobs`.
    pub(crate) async fn list_training_jobs(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime", "Status"])?;
        input.checks().one_of("StatusEquals", &STATUSES).finish()?;
        input.without(&["WarmPoolStatusEquals", "TrainingPlanArnEquals"])?;
        self.allow(caller, "sagemaker:ListTrainingJobs", "*")
            .await?;
        let rows = self
            .state()
            .training_jobs
            .values()
            .map(TrainingJob::row)
            .collect();
        paging::page(input, "TrainingJobSummaries", Order::Ascending, rows)
    }

    /// A run's progress. A job that was told to stop keeps its status until it ends.
    pub(super) fn training_enters(&self, name: &str, secondary: &'static str) {
        let mut state = self.state();
        let Some(job) = state.training_jobs.get_mut(name) else {
            return;
        };
        job.started.get_or_insert_with(Timestamp::now);
        if job.status == Status::InProgress {
            job.enter(secondary);
            self.announce_training(&state, name);
        }
    }

    /// A run's end.
    pub(super) fn training_ends(&self, name: &str, outcome: Outcome, artifacts: Option<String>) {
        let mut state = self.state();
        let Some(job) = state.training_jobs.get_mut(name) else {
            return;
        };
        let stopping = job.status == Status::Stopping;
        let (status, secondary) = match outcome {
            Outcome::OutOfTime if !stopping => (Status::Stopped, "MaxRuntimeExceeded"),
            Outcome::Failed(why) if !stopping => {
                job.failure = Some(reason(&why));
                (Status::Failed, "Failed")
            }
            Outcome::Completed if !stopping => (Status::Completed, "Completed"),
            _ => (Status::Stopped, "Stopped"),
        };
        job.status = status;
        job.artifacts = artifacts;
        job.enter(secondary);
        job.ended = Some(job.modified());
        self.announce_training(&state, name);
    }

    fn announce_training(&self, state: &State, name: &str) {
        let Some(job) = state.training_jobs.get(name) else {
            return;
        };
        let mut detail = job.fields(epoch_milliseconds_text);
        detail.insert("Tags".to_owned(), state.tags_of(&job.arn));
        self.outbox
            .send(Subject::TrainingJob, &job.arn, &Value::Object(detail));
    }
}

fn free(state: &State, name: &str, arn: &str) -> Result<(), ApiError> {
    if state.training_jobs.contains_key(name) {
        return Err(ApiError::in_use(format!(
            "Training job names must be unique within an AWS account and region, and a training job \
             with this name already exists ({arn})"
        )));
    }
    Ok(())
}

fn not_found() -> ApiError {
    ApiError::validation("Requested resource not found.")
}
