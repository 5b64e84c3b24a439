//! Events on the way from a release to its verification.

use domain::endpoint::lacks_instances;
use serde::{Deserialize, Serialize};

/// See [`Announced::DeploymentRequested`](super::Announced::DeploymentRequested).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRequested {
    /// Digest of the image, `sha256:…`; where it isn't said, the one that carries the environment's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Tells this request from others, so that the same wish can be made twice.
    #[serde(deserialize_with = "super::said")]
    pub request: String,
    /// Who answers for it.
    #[serde(deserialize_with = "super::said")]
    pub by: String,
    /// Why.
    #[serde(deserialize_with = "super::said")]
    pub reason: String,
}

/// See [`Announced::DeploymentSkipped`](super::Announced::DeploymentSkipped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSkipped {
    /// Model package ARN or `{repository}@{digest}` that wasn't deployed.
    pub subject: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// When what was skipped happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::DeploymentWaits`](super::Announced::DeploymentWaits).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentWaits {
    /// Model package ARN or `{repository}@{digest}` that waits.
    pub subject: String,
    /// The release that it waits behind.
    pub release: String,
    /// Why.
    pub reason: String,
    /// What a person can do.
    pub advice: String,
    /// When what waits happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::DeploymentStarted`](super::Announced::DeploymentStarted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStarted {
    /// Id of the release.
    pub release: String,
    /// The generation of the Deployment that carries the release.
    pub generation: i64,
    /// What caused it.
    pub cause: String,
    /// When that happened: the same release may be deployed again. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_at: Option<jiff::Timestamp>,
}

/// See [`Announced::CanaryStarted`](super::Announced::CanaryStarted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStarted {
    /// Id of the release that is tried out.
    pub release: String,
    /// The generation of the canary's Deployment that carries it.
    pub generation: i64,
    /// Pods of the canary.
    pub pods: u32,
    /// All pods, the canary's included: the share that was reached.
    pub of: u32,
    /// The event that caused it, in words.
    pub cause: String,
    /// When that happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::CanaryPassed`](super::Announced::CanaryPassed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryPassed {
    /// Id of the release that was tried out.
    pub release: String,
    /// The live release that it was compared with.
    pub live: String,
    /// What was compared, in words and numbers.
    pub checks: Vec<String>,
    /// When it became the environment's target. Once its quarantine is lifted a release may be tried out again by
    /// the event that caused it before: what it passed then says nothing of now.
    pub since: jiff::Timestamp,
    /// When the cause of the deployment happened.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::ReleaseVerified`](super::Announced::ReleaseVerified).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVerified {
    /// Id of the release.
    pub release: String,
    /// ARN of the model package.
    pub package_arn: String,
    /// `{repository}@{digest}`.
    pub image: String,
    /// The build that caused it: that of the model, or of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// What was checked, with figures.
    pub checks: Vec<String>,
    /// When its cause happened: the same release may be deployed again.
    pub caused_at: jiff::Timestamp,
}

/// [`ReleaseFailed::stage`] of a canary that couldn't be judged: nothing speaks against the release, and
/// nothing for it.
pub const CANARY_NO_DATA: &str = "canary-no-data";

/// [`ReleaseFailed::stage`] of a canary that passed and can't be rolled out.
pub const PROMOTION: &str = "promotion";

/// [`ReleaseFailed::stage`] of a deployment whose own model or image was rejected before it was verified: the
/// package is Rejected, or a later scan found something.
pub const REJECTION: &str = "rejection";

/// [`ReleaseFailed::stage`] where Deployment or endpoint refuse what they are given.
pub const WRITE: &str = "write";

/// [`ReleaseFailed::stage`] where the cluster is to blame: a Deployment that is paused, is gone, or that
/// somebody else changed.
pub const CLUSTER: &str = "cluster";

/// [`ReleaseFailed::stage`] of a release that has a quarantined part.
pub const QUARANTINE: &str = "quarantine";

/// [`ReleaseFailed::stage`] of a release whose endpoint failed.
pub const ENDPOINT: &str = "endpoint";

/// The stages that speak against the release itself. Every other one is a circumstance: the way back is
/// the same, and nothing is quarantined for it.
pub const EVIDENCE: [&str; 7] = [
    "canary",
    "rollout",
    ENDPOINT,
    "health",
    "predict",
    "golden-rows",
    QUARANTINE,
];

/// See [`Announced::ReleaseFailed`](super::Announced::ReleaseFailed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFailed {
    /// Id of the release.
    pub release: String,
    /// One of [`EVIDENCE`], or [`CANARY_NO_DATA`], [`PROMOTION`], [`REJECTION`], [`WRITE`],
    /// [`CLUSTER`].
    pub stage: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// The build that caused it: that of the model, or of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// When the cause of its deployment happened.
    pub caused_at: jiff::Timestamp,
}

/// What the words of a failure begin with.
pub(super) const FAILED_AT: &str = "failed at ";

impl ReleaseFailed {
    /// The failure in words: the cause of the way back that follows it.
    pub fn words(&self) -> String {
        format!("{FAILED_AT}{}: {}", self.stage, self.reason)
    }

    /// Whether it speaks against the release itself. An endpoint that found no instances doesn't.
    pub fn is_evidence(&self) -> bool {
        let is_want = self.stage == ENDPOINT && lacks_instances(&self.reason);
        EVIDENCE.contains(&self.stage.as_str()) && !is_want
    }
}
