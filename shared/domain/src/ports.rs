//! The ports: everything a function may ask of the world, as small traits.
//!
//! `shared/aws` implements them over the SDK, `shared/memory` in memory with virtual time and fault
//! injection. Rules that every implementation keeps:
//! - what isn't there is `Ok(None)`; what couldn't be read is an error, never "none";
//! - effects are `ensure_*` or take a name computed from their cause, and answer whether they made
//!   something ([`Ensured::Made`]) or found it ([`Ensured::AlreadySo`]);
//! - finding something else under the name is [`crate::Class::Permanent`].

// Functions run on one thread, one event at a time: the futures need not be `Send`.
#![allow(async_fn_in_trait)]

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, layout::Location, release::Image, rollout::Deployment};

mod sagemaker;

pub use sagemaker::{
    Approval, BlueGreen, Channel, Endpoint, EndpointSpec, Endpoints, JobStatus, Package,
    PackageSpec, Registry, Training, TrainingJob, TrainingSpec, TransformJob, TransformSpec,
    Transforms,
};

/// Whether an effect changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ensured {
    /// Made now.
    Made,
    /// Was there already, the same.
    AlreadySo,
}

/// An object's content and its entity tag, for compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Content.
    pub bytes: Vec<u8>,
    /// Entity tag as S3 gives it, quotes included.
    pub etag: String,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Size as stored, bytes.
    pub bytes: u64,
    /// Version, in a versioned bucket.
    pub version: Option<String>,
    /// When it was written, to the second.
    pub written: Timestamp,
}

/// When a conditional write may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is there (`If-None-Match: *`).
    Absent,
    /// This is still there (`If-Match`).
    Unchanged(String),
}

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// Written.
    Done,
    /// Somebody else was first (412, 409): read again and decide again.
    Lost,
}

/// S3.
pub trait ObjectStore {
    /// An object of a few megabytes at most.
    async fn get(&self, at: &Location) -> Result<Option<Object>>;
    /// What is known of an object; `version` picks one version. `None` when there is none.
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<Option<Head>>;
    /// Streams an object to a file; `version` picks one version. `None` when there is none.
    async fn download(&self, at: &Location, version: Option<&str>, to: &Path)
    -> Result<Option<()>>;
    /// Writes an object.
    async fn put(&self, at: &Location, bytes: Vec<u8>, content_type: &str) -> Result<()>;
    /// Streams a file to an object.
    async fn upload(&self, from: &Path, at: &Location, content_type: &str) -> Result<()>;
    /// Writes an object when the condition holds.
    async fn swap(&self, at: &Location, bytes: Vec<u8>, condition: Condition) -> Result<Swap>;
}

/// The end of an image scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// `COMPLETE`, `FAILED`, `UNSUPPORTED_IMAGE`, …, as the API spells it.
    pub status: String,
    /// When it ended; `None` while it runs, and where it ended without a result.
    pub completed: Option<Timestamp>,
    /// Findings by severity; only severities that were found.
    pub findings: BTreeMap<String, u32>,
}

/// An image in ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Repository URI and digest.
    pub image: Image,
    /// Tags at the time of reading.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed: Option<Timestamp>,
}

/// Amazon ECR.
pub trait ImageRegistry {
    /// The image that a tag or a digest (`sha256:…`) names.
    async fn image(&self, repository: &str, tag_or_digest: &str) -> Result<Option<StoredImage>>;
    /// The scan of an image; `None` when none was started.
    async fn scan(&self, repository: &str, digest: &str) -> Result<Option<Scan>>;
}

/// What `deploy-release` writes into the Deployment; never replicas, which autoscalers own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentPatch {
    /// `{repository}@{digest}`.
    pub image: String,
    /// Variables of the API container.
    pub environment: BTreeMap<String, String>,
    /// Annotations of the Deployment and its pod template.
    pub annotations: BTreeMap<String, String>,
}

/// The Kubernetes Deployment of the API.
pub trait Cluster {
    /// The Deployment as it stands.
    async fn deployment(&self) -> Result<Option<Deployment>>;
    /// Server-side apply under our field manager; answers the generation. `force` takes fields from
    /// the managers that the decision allowed; without it another manager is an error with its name.
    async fn apply(&self, patch: &DeploymentPatch, force: bool) -> Result<i64>;
}

/// The canary: a second Deployment behind the same Service, which stands at zero pods but while a release
/// is tried out. Only this system runs it, so its replicas are ours.
pub trait Canaries {
    /// The canary's Deployment as it stands.
    async fn canary(&self) -> Result<Option<Deployment>>;
    /// Gives it a template and so many pods; answers the generation.
    async fn ensure_canary(&self, patch: &DeploymentPatch, pods: u32) -> Result<i64>;
    /// Brings it to zero pods. One that stands there, or doesn't exist, is left as it is.
    async fn retire_canary(&self) -> Result<()>;
}

/// What the pods of a release measured of themselves in one period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// When the period began.
    pub start: Timestamp,
    /// Requests that were answered.
    pub requests: f64,
    /// How many of them were answered 5xx, percent.
    pub error_rate_percent: f64,
    /// Mean time to the answer, milliseconds.
    pub latency_ms: f64,
}

/// CloudWatch's metrics of the API.
pub trait ApiMetrics {
    /// The periods of `period_s` seconds in `from..to` in which the release answered requests, oldest
    /// first. `from` and `to` are multiples of the period.
    async fn measured(
        &self,
        release: &str,
        from: Timestamp,
        to: Timestamp,
        period_s: u32,
    ) -> Result<Vec<Measured>>;
}

/// One answer of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status; 0 when nothing answered.
    pub status: u16,
    /// JSON body; `Null` when it isn't JSON.
    pub body: Value,
    /// What went wrong, when nothing answered.
    pub trouble: Option<String>,
}

/// An alarm on one metric: of one release's API, or of one configuration of the endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmSpec {
    /// Alarm name.
    pub name: String,
    /// What it means, for people.
    pub description: String,
    /// CloudWatch namespace of the metric.
    pub metrics: String,
    /// Name of the metric.
    pub metric: String,
    /// The metric's dimensions, all of them.
    pub dimensions: BTreeMap<String, String>,
    /// It alarms when the average over a period lies above.
    pub threshold: f64,
    /// Length of a period, seconds: 10, 20, 30 or minutes.
    pub period_s: i32,
    /// How many periods in a row.
    pub periods: i32,
    /// Whether the actions are told when no data comes any more, instead of when it alarms. A period
    /// without data counts as good otherwise.
    pub tells_silence: bool,
    /// ARNs that are told.
    pub actions: Vec<String>,
}

/// CloudWatch's alarms.
pub trait Alarms {
    /// Creates the alarm, or changes the one of that name.
    async fn ensure_alarm(&self, spec: &AlarmSpec) -> Result<()>;
    /// Removes alarms; those that aren't there are left out.
    async fn remove_alarms(&self, names: &[String]) -> Result<()>;
}

/// The forecasting API as its users reach it. A service that doesn't answer is a fact, not an error.
pub trait Api {
    /// `GET /health`.
    async fn health(&self) -> Result<Answer>;
    /// `POST /predict`.
    async fn predict(&self, request: &Value) -> Result<Answer>;
}

/// An event of ours: its type, its detail, and an id computed from its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Past tense: `DatasetValidated`.
    pub detail_type: String,
    /// The detail; holds the id as `id`, so that every consumer can tell a repeat.
    pub detail: Value,
}

/// The event bus.
pub trait Bus {
    /// Puts an event on the environment's bus.
    async fn announce(&self, announcement: &Announcement) -> Result<()>;
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Up to 100 characters, ASCII.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Attributes to filter by: `environment`, `outcome`, `fact`.
    pub attributes: BTreeMap<String, String>,
}

/// The SNS topic that reaches people.
pub trait Topic {
    /// Publishes.
    async fn publish(&self, notice: &Notice) -> Result<()>;
}

/// The queue that a function's events come from.
pub trait Queue {
    /// Makes a message visible again after a delay.
    async fn delay(&self, receipt: &str, after: Duration) -> Result<()>;
    /// Sends a message that can't be handled to the dead-letter queue, with the reason.
    async fn bury(&self, body: &str, reason: &str) -> Result<()>;
}

/// The clock, so that `now` is a fact like any other.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
}
