//! Events on the way back, and of what is quarantined.

use domain::{
    Result,
    quarantine::{Difference, Part},
    release::Manifest,
};
use serde::{Deserialize, Serialize};

use super::releases::FAILED_AT;

/// See [`Announced::RollbackRequested`](super::Announced::RollbackRequested).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequested {
    /// The release to go away from; nothing happens when another one is live. Whatever is live if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Tells this request from others.
    #[serde(deserialize_with = "super::said")]
    pub request: String,
    /// Who asks.
    #[serde(deserialize_with = "super::said")]
    pub by: String,
    /// Why.
    #[serde(deserialize_with = "super::said")]
    pub reason: String,
    /// A field manager (`helm`) whose fields of the Deployment are taken over for it: image, variables and
    /// annotations that name a release. Several have commas between them (`helm, kubectl-edit`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<String>,
}

/// What a release is made of, as people tell one from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// `{repository}@{digest}`.
    pub image: String,
    /// ARN of the model package.
    pub package_arn: String,
    /// The build that caused the release: the image's tag, or that of the model; `None` where nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl Parts {
    /// The parts of a release.
    pub fn of(manifest: &Manifest, build: Option<String>) -> Result<Self> {
        Ok(Self {
            image: manifest.image.reference()?,
            package_arn: manifest.model.package_arn.clone(),
            build,
        })
    }
}

/// See [`Announced::RollbackStarted`](super::Announced::RollbackStarted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackStarted {
    /// The release that is gone back to.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// The generation of the Deployment that carries the good release.
    pub generation: i64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// What spoke: an alarm, a failed check, a person; in words.
    pub cause: String,
    /// When it spoke.
    pub caused_at: jiff::Timestamp,
    /// In what the releases differ.
    pub differences: Vec<Difference>,
    /// What is quarantined; `None` where nothing speaks against the release itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// Another release that was on its way, and isn't any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// What went wrong is made of this. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Parts>,
    /// What is gone back to is made of this. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Parts>,
    /// What a person has to do besides, since it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

impl RollbackStarted {
    /// Whether it follows a failure that was announced, and no alarm or request.
    pub fn follows_a_failure(&self) -> bool {
        self.cause.starts_with(FAILED_AT)
    }
}

/// See [`Announced::RollbackSucceeded`](super::Announced::RollbackSucceeded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackSucceeded {
    /// The release that serves again.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// From the cause to the verified service.
    pub seconds: i64,
    /// From the cause until the API was seen to serve it: the endpoint may take longer. Older events don't
    /// say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_seconds: Option<i64>,
    /// What was checked, with figures.
    pub checks: Vec<String>,
    /// What is quarantined; `None` where nothing speaks against the release itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// When the cause spoke.
    pub caused_at: jiff::Timestamp,
    /// What went wrong is made of this. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Parts>,
    /// What serves again is made of this. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Parts>,
    /// What a person has to do besides, since it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// See [`Announced::RollbackFailed`](super::Announced::RollbackFailed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackFailed {
    /// The release that should serve.
    pub release: String,
    /// The release that went wrong.
    pub from: String,
    /// Which try failed, from 1.
    pub attempt: u32,
    /// `rollout`, `endpoint`, `health`, `predict`, `golden-rows`, `cluster` or `write`.
    pub stage: String,
    /// Why, in words and numbers.
    pub reason: String,
    /// When the cause of the rollback spoke.
    pub caused_at: jiff::Timestamp,
}

/// See [`Announced::RollbackGivenUp`](super::Announced::RollbackGivenUp).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackGivenUp {
    /// The release that went wrong.
    pub from: String,
    /// What asked for the rollback, in words.
    pub cause: String,
    /// Why it can't be done.
    pub reason: String,
    /// What a person must do.
    pub advice: String,
    /// When what asked for it spoke: a second time with the same words is told again. Older events don't
    /// say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_at: Option<jiff::Timestamp>,
    /// What went wrong is made of this. Older events don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Parts>,
    /// What should serve instead is made of this; `None` where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Parts>,
}

/// A part that was found guilty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guilty {
    /// Which part.
    pub part: Part,
    /// What names it: package ARN, image by digest or `configuration-…`.
    pub identity: String,
}

/// See [`Announced::ReleaseDiagnosed`](super::Announced::ReleaseDiagnosed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDiagnosed {
    /// The release that went wrong.
    pub from: String,
    /// The release that is gone back to, which it was compared with.
    pub release: String,
    /// When the cause of the rollback spoke.
    pub caused_at: jiff::Timestamp,
    /// What was found guilty and is quarantined; empty when it can't be told.
    pub guilty: Vec<Guilty>,
    /// Why, in words.
    pub reason: String,
    /// Each combination that was tried, with figures.
    pub trials: Vec<String>,
    /// What a person has to do besides, since it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// See [`Announced::LiftRequested`](super::Announced::LiftRequested).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiftRequested {
    /// What names the part: package ARN, image by digest, `configuration-…` or `release-…`.
    #[serde(deserialize_with = "super::said")]
    pub identity: String,
    /// Who answers for it.
    #[serde(deserialize_with = "super::said")]
    pub by: String,
    /// Why.
    #[serde(deserialize_with = "super::said")]
    pub reason: String,
}

/// See [`Announced::QuarantineLifted`](super::Announced::QuarantineLifted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineLifted {
    /// What names the part.
    pub identity: String,
    /// Who answers for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: jiff::Timestamp,
}

/// See [`Announced::RequestRefused`](super::Announced::RequestRefused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRefused {
    /// What was asked for, in words: `rollback of release-…`, `lift of …`, `deployment of …`.
    pub request: String,
    /// Who asked.
    pub by: String,
    /// Why nothing was done.
    pub reason: String,
    /// When it was asked for.
    pub asked_at: jiff::Timestamp,
}
