//! What a function may ask of SageMaker: training, batch transforms, the model registry, endpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Ensured;
use crate::Result;

/// A data channel of a training job: a folder in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// `train` or `validation`.
    pub name: String,
    /// `s3://…/` prefix.
    pub uri: String,
}

/// A training job to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingSpec {
    /// Job name.
    pub name: String,
    /// Training image.
    pub image: String,
    /// Execution role.
    pub role_arn: String,
    /// Data channels, `text/csv`, input mode File.
    pub channels: Vec<Channel>,
    /// `s3://…/` under which `{name}/output/model.tar.gz` is written.
    pub output: String,
    /// KMS key by which the output is encrypted; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Hyperparameters.
    pub hyperparameters: BTreeMap<String, String>,
    /// Instance type, one instance.
    pub instance_type: String,
    /// Volume, GB.
    pub volume_gb: u32,
    /// Limit, seconds.
    pub max_runtime_s: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// How a SageMaker job stands. `Stopped` is an end, and not success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// Running, or not started yet.
    InProgress,
    /// Succeeded.
    Completed,
    /// Failed.
    Failed,
    /// Being stopped.
    Stopping,
    /// Stopped by a person or by its time limit.
    Stopped,
    /// Being removed from SageMaker's history.
    Deleting,
}

impl JobStatus {
    /// Whether the status can still change.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }
}

/// A training job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingJob {
    /// Job name.
    pub name: String,
    /// Status.
    pub status: JobStatus,
    /// Why it failed or was stopped.
    pub failure_reason: Option<String>,
    /// Data channels.
    pub channels: Vec<Channel>,
    /// `s3://…/model.tar.gz`, once completed.
    pub model_uri: Option<String>,
    /// Hyperparameters.
    pub hyperparameters: BTreeMap<String, String>,
}

/// Training jobs of SageMaker.
pub trait Training {
    /// Starts a job; a used name is answered with [`Ensured::AlreadySo`].
    async fn ensure_training(&self, spec: &TrainingSpec) -> Result<Ensured>;
    /// A job by name.
    async fn training(&self, name: &str) -> Result<Option<TrainingJob>>;
}

/// A batch transform to create, with the model it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformSpec {
    /// Job name.
    pub name: String,
    /// Name of the SageMaker model; made when missing.
    pub model_name: String,
    /// Image of the model.
    pub image: String,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// Variables of the model's container.
    pub environment: BTreeMap<String, String>,
    /// Execution role.
    pub role_arn: String,
    /// One `text/csv` file, split and assembled by line.
    pub input: String,
    /// `s3://…/` folder of the output.
    pub output: String,
    /// KMS key by which the output is encrypted; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Instance type, one instance.
    pub instance_type: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A transform job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformJob {
    /// Job name.
    pub name: String,
    /// Status.
    pub status: JobStatus,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// Batch transforms of SageMaker.
pub trait Transforms {
    /// Makes the model when missing and starts the job; a used name is [`Ensured::AlreadySo`].
    async fn ensure_transform(&self, spec: &TransformSpec) -> Result<Ensured>;
    /// A job by name.
    async fn transform(&self, name: &str) -> Result<Option<TransformJob>>;
}

/// Whether a model package may be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approval {
    /// May be.
    Approved,
    /// Must not be.
    Rejected,
    /// A person has to decide.
    PendingManualApproval,
}

/// A model package to register.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageSpec {
    /// Model package group; made when missing.
    pub group: String,
    /// What the package says of itself; begins with the training job's name, by which a list of packages
    /// is searched.
    pub description: String,
    /// Inference image, by digest.
    pub image: String,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// Approval on registration.
    pub approval: Approval,
    /// Customer metadata: training job, data set, model digest, metrics.
    pub metadata: BTreeMap<String, String>,
    /// `s3://…` of the model-quality statistics (the evaluation results).
    pub metrics_uri: String,
    /// Computed from the training job.
    pub client_token: String,
}

/// A model package as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// ARN of the version.
    pub arn: String,
    /// Group name.
    pub group: String,
    /// Version number.
    pub version: u32,
    /// Whether it may be deployed.
    pub approval: Approval,
    /// Why, when somebody said so.
    pub approval_description: Option<String>,
    /// Whether somebody changed it after its registration: an approval may be a person's word then.
    pub was_changed: bool,
    /// `s3://…/model.tar.gz`.
    pub model_uri: String,
    /// Customer metadata.
    pub metadata: BTreeMap<String, String>,
}

/// The SageMaker model registry.
pub trait Registry {
    /// Makes the group when missing.
    async fn ensure_group(&self, group: &str) -> Result<Ensured>;
    /// The package of a group whose description and metadata name this training job.
    async fn package_of(&self, group: &str, training_job: &str) -> Result<Option<Package>>;
    /// Registers a package in a group that is there, and answers its ARN. The client token makes a repeat
    /// harmless for some hours; [`Registry::package_of`] says what was registered before.
    async fn register(&self, spec: &PackageSpec) -> Result<String>;
    /// A package by ARN.
    async fn package(&self, arn: &str) -> Result<Option<Package>>;
    /// Marks a package as Rejected, with the reason. One that is Rejected already keeps its reason.
    async fn reject(&self, arn: &str, reason: &str) -> Result<Ensured>;
}

/// An endpoint configuration to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Endpoint name.
    pub endpoint: String,
    /// Configuration (and model) name.
    pub config: String,
    /// Model package to serve.
    pub package_arn: String,
    /// Execution role.
    pub role_arn: String,
    /// Instance type.
    pub instance_type: String,
    /// Instances to start with.
    pub instance_count: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// How an update changes over; `None` for the way back, which goes all at once and which no alarm
    /// stops. An endpoint that is created has nothing to go back to, and nothing to shift.
    pub update: Option<BlueGreen>,
}

/// How an endpoint's update shifts traffic to the new instances, and what takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    /// Percent of the new instances that get traffic first; `None` shifts all of it at once.
    pub canary_percent: Option<i32>,
    /// How long the alarms are watched after each shift, seconds.
    pub bake_s: i32,
    /// How long the old instances stay after that, seconds.
    pub keep_old_s: i32,
    /// Limit of the whole update, seconds.
    pub limit_s: i32,
    /// Names of the alarms that take the update back.
    pub alarms: Vec<String>,
}

/// How an endpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the configuration that serves.
    pub config: String,
    /// `InService`, `Updating`, …, as the API spells it.
    pub status: String,
    /// Why the last change failed.
    pub failure_reason: Option<String>,
}

/// SageMaker endpoints.
pub trait Endpoints {
    /// Makes model and configuration when missing, and creates the endpoint or updates it to the
    /// configuration. An endpoint that is changing right now is [`crate::Class::Transient`].
    async fn ensure_endpoint(&self, spec: &EndpointSpec) -> Result<Ensured>;
    /// The endpoint.
    async fn endpoint(&self, name: &str) -> Result<Option<Endpoint>>;
}
