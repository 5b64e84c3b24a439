//! Transform jobs: the API.

use std::sync::Arc;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Outcome, STATUSES, Status, reason, transform_run};
use crate::{
    error::ApiError,
    events::Subject,
    input::Input,
    models,
    paging::{self, Order, Row},
    service::{Service, State},
    tags,
    time::{Format, epoch_seconds, iso},
};

/// Members that are described back as they came.
const ECHOED: [&str; 11] = [
    "TransformJobName",
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "ExperimentConfig",
];
/// Most megabytes under way at once.
const MEGABYTES: i64 = 100;

/// A transform job.
#[derive(Debug)]
pub(crate) struct TransformJob {
    pub(crate) arn: String,
    name: String,
    request: Input,
    status: Status,
    created: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    modified: Timestamp,
    failure: Option<String>,
    stop: watch::Sender<bool>,
}

impl TransformJob {
    /// What both the API and the events show; they differ in how they write times.
    fn fields(&self, time: Format) -> Map<String, Value> {
        let mut fields = self.request.keep(&ECHOED);
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("TransformJobArn", json!(self.arn));
        set("TransformJobStatus", json!(self.status.name()));
        set("CreationTime", time(self.created));
        if let Some(reason) = &self.failure {
            set("FailureReason", json!(reason));
        }
        if let Some(started) = self.started {
            set("TransformStartTime", time(started));
        }
        if let Some(ended) = self.ended {
            set("TransformEndTime", time(ended));
        }
        fields
    }

    fn row(&self) -> Row {
        let mut summary = json!({
            "TransformJobName": self.name,
            "TransformJobArn": self.arn,
            "CreationTime": epoch_seconds(self.created),
            "LastModifiedTime": epoch_seconds(self.modified),
            "TransformJobStatus": self.status.name(),
        });
        if let Some(ended) = self.ended {
            summary["TransformEndTime"] = epoch_seconds(ended);
        }
        if let Some(reason) = &self.failure {
            summary["FailureReason"] = json!(reason);
        }
        Row {
            arn: self.arn.clone(),
            name: self.name.clone(),
            status: self.status.name(),
            created: self.created,
            modified: self.modified,
            summary,
        }
    }
}

impl Service {
    /// `CreateTransformJob`.
    pub(crate) async fn create_transform_job(
        self: &Arc<Self>,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let name = input.required("TransformJobName")?;
        let model = input.required("ModelName")?;
        let arn = self.names.arn("transform-job", name);
        let tags = tags::read(input)?;
        self.allow(caller, "sagemaker:CreateTransformJob", &arn)
            .await?;
        self.allow_with(caller, input, &arn, None).await?;

        let now = Timestamp::now();
        let job = TransformJob {
            arn: arn.clone(),
            name: name.to_owned(),
            request: input.clone(),
            status: Status::InProgress,
            created: now,
            started: None,
            ended: None,
            modified: now,
            failure: None,
            stop: watch::Sender::new(false),
        };
        let stop = job.stop.subscribe();
        {
            let mut state = self.state();
            if state.transform_jobs.contains_key(name) {
                return Err(ApiError::in_use(format!(
                    "Job name must be unique within an AWS account and region, and a job with this \
                     name already exists ({arn})"
                )));
            }
            if !state.models.contains_key(model) {
                return Err(models::not_found(&self.names.arn("model", model)));
            }
            state.tags.insert(arn.clone(), tags);
            state.transform_jobs.insert(name.to_owned(), job);
            self.announce_transform(&state, name);
        }
        let run = transform_run::run(Arc::clone(self), name.to_owned(), input.clone(), stop);
        self.tasks.spawn(run);
        Ok(json!({"TransformJobArn": arn}))
    }

    /// `DescribeTransformJob`.
    pub(crate) async fn describe_transform_job(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("TransformJobName")?;
        let arn = self.names.arn("transform-job", name);
        self.allow(caller, "sagemaker:DescribeTransformJob", &arn)
            .await?;
        let state = self.state();
        let job = state.transform_jobs.get(name).ok_or_else(|| {
            ApiError::validation(format!("Could not find requested job with name: {name}"))
        })?;
        Ok(Value::Object(job.fields(epoch_seconds)))
    }

    /// `StopTransformJob`.
    pub(crate) async fn stop_transform_job(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("TransformJobName")?;
        let arn = self.names.arn("transform-job", name);
        self.allow(caller, "sagemaker:StopTransformJob", &arn)
            .await?;
        let mut state = self.state();
        let job = state.transform_jobs.get_mut(name).ok_or_else(|| {
            ApiError::validation(format!("Could not find job to update with name: {name}"))
        })?;
        if job.status.ended() {
            return Err(ApiError::validation(format!(
                "The request was rejected because the transform job is in status {}.",
                job.status.name()
            )));
        }
        if job.status == Status::InProgress {
            job.status = Status::Stopping;
            job.modified = Timestamp::now();
            job.stop.send_replace(true);
            self.announce_transform(&state, name);
        }
        Ok(Value::Null)
    }

    /// `ListTransformJobs`.
    pub(crate) async fn list_transform_jobs(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime", "Status"])?;
        input.checks().one_of("StatusEquals", &STATUSES).finish()?;
        self.allow(caller, "sagemaker:ListTransformJobs", "*")
            .await?;
        let rows = {
            let state = self.state();
            state
                .transform_jobs
                .values()
                .map(TransformJob::row)
                .collect()
        };
        paging::page(input, "TransformJobSummaries", Order::Descending, rows)
    }

    /// A run has its container and begins with the data.
    pub(super) fn transform_starts(&self, name: &str) {
        if let Some(job) = self.state().transform_jobs.get_mut(name) {
            let now = Timestamp::now();
            job.started = Some(now);
            job.modified = now;
        }
    }

    /// A run's end.
    pub(super) fn transform_ends(&self, name: &str, outcome: Outcome) {
        let mut state = self.state();
        let Some(job) = state.transform_jobs.get_mut(name) else {
            return;
        };
        job.status = match outcome {
            _ if job.status == Status::Stopping => Status::Stopped,
            Outcome::Failed(why) => {
                job.failure = Some(reason(&why));
                Status::Failed
            }
            Outcome::Completed => Status::Completed,
            Outcome::Stopped | Outcome::OutOfTime => Status::Stopped,
        };
        let now = Timestamp::now();
        job.ended = Some(now);
        job.modified = now;
        self.announce_transform(&state, name);
    }

    fn announce_transform(&self, state: &State, name: &str) {
        let Some(job) = state.transform_jobs.get(name) else {
            return;
        };
        let mut detail = job.fields(iso);
        detail.insert("Tags".to_owned(), state.tags_of(&job.arn));
        self.outbox
            .send(Subject::TransformJob, &job.arn, &Value::Object(detail));
    }
}

fn check(input: &Input) -> Result<(), ApiError> {
    input
        .checks()
        .required("TransformJobName")
        .name("TransformJobName")
        .required("ModelName")
        .name("ModelName")
        .between("MaxConcurrentTransforms", 0, MEGABYTES)
        .between("MaxPayloadInMB", 0, MEGABYTES)
        .between("ModelClientConfig.InvocationsTimeoutInSeconds", 1, 3_600)
        .between("ModelClientConfig.InvocationsMaxRetries", 0, 3)
        .one_of("BatchStrategy", &["MultiRecord", "SingleRecord"])
        .required("TransformInput")
        .required("TransformInput.DataSource.S3DataSource.S3DataType")
        .required("TransformInput.DataSource.S3DataSource.S3Uri")
        .s3_uri("TransformInput.DataSource.S3DataSource.S3Uri")
        .one_of(
            "TransformInput.SplitType",
            &["None", "Line", "RecordIO", "TFRecord"],
        )
        .required("TransformOutput")
        .required("TransformOutput.S3OutputPath")
        .s3_uri("TransformOutput.S3OutputPath")
        .length("TransformOutput.KmsKeyId", 2_048)
        .one_of("TransformOutput.AssembleWith", &["None", "Line"])
        .required("TransformResources")
        .required("TransformResources.InstanceType")
        .required("TransformResources.InstanceCount")
        .between("TransformResources.InstanceCount", 1, i64::MAX)
        .length("Environment", 16)
        .length("Tags", 50)
        .finish()?;
    input.without(&[
        "DataProcessing.InputFilter",
        "DataProcessing.OutputFilter",
        "DataCaptureConfig",
    ])?;
    input.only("DataProcessing.JoinSource", "None")?;
    input.only(
        "TransformInput.DataSource.S3DataSource.S3DataType",
        "S3Prefix",
    )?;
    input.only("TransformInput.CompressionType", "None")?;
    if let Some(split @ ("RecordIO" | "TFRecord")) = input.text("TransformInput.SplitType") {
        return Err(ApiError::left_out(&format!("SplitType {split}")));
    }
    let concurrent = input.integer("MaxConcurrentTransforms").unwrap_or(1).max(1);
    let payload = input.integer("MaxPayloadInMB").unwrap_or(6);
    if concurrent * payload > MEGABYTES {
        return Err(ApiError::validation(format!(
            "MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MEGABYTES} MB"
        )));
    }
    Ok(())
}
