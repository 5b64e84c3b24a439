//! What an environment converges on, and what it can go back to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far the environment has come with its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Progress {
    /// Tried out on a share of the pods, beside what is live.
    Canary {
        /// Pods of the canary.
        pods: u32,
        /// All pods, the canary's included.
        of: u32,
        /// Since when its pods are all available, and are measured.
        baking_since: Option<Timestamp>,
    },
    /// Being rolled out or verified.
    Deploying,
    /// Being brought back in the place of a release that went wrong.
    Restoring {
        /// That release.
        from: String,
        /// Which try this is, from 1.
        attempt: u32,
    },
    /// Serves, and what it serves was checked.
    Verified,
    /// Didn't come up, or answered wrongly.
    Failed {
        /// Which check failed, with its figures.
        reason: String,
    },
}

impl Progress {
    /// Whether the verdict is still to come.
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Canary { .. } | Self::Deploying | Self::Restoring { .. }
        )
    }
}

/// The release that an environment converges on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Id of the release.
    pub release: String,
    /// How far it has come.
    #[serde(flatten)]
    pub progress: Progress,
    /// When it became the target.
    pub since: Timestamp,
    /// When its canary passed and the rollout began; `None` where the rollout began at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_at: Option<Timestamp>,
    /// When its cause happened: an approval older than this, for an older model, came late.
    pub caused_at: Timestamp,
    /// The event that made it the target, in words.
    pub cause: String,
    /// Names that event by its own words, whatever became since of what it is about: when it comes again, it is
    /// known by this. Older pointers don't say it, and a way back has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_by: Option<String>,
    /// The build that caused it: that of the model, or of the image; `None` where none says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The release that it was brought back in the place of, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_from: Option<String>,
    /// The build of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_from_build: Option<String>,
    /// The release that was on its way when the one before it, which was live, had to be gone away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// The release whose place it took though that was never verified: its own alarms may be there still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_over: Option<String>,
    /// When a release that failed was given up, since there is no way back from it: nothing waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_at: Option<Timestamp>,
    /// When the API was first seen to serve it again, on the way back: the endpoint may take longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_serves_since: Option<Timestamp>,
    /// When it was verified or failed.
    pub judged_at: Option<Timestamp>,
    /// How often the endpoint was given again what it serves, since that was verified.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub endpoint_repairs: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Target {
    /// When its rollout began: the rollout's limits count from here.
    pub fn rolling_since(&self) -> Timestamp {
        self.promoted_at.unwrap_or(self.since)
    }
}

/// A verified release, and when it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGood {
    /// Id of the release.
    pub release: String,
    /// When it was verified.
    pub since: Timestamp,
    /// Whether a way back brought it, after another release was known good: then it has no guarded time,
    /// since what it was verified for long ago isn't new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub brought_back: bool,
    /// The known-good releases before it, the latest first.
    pub earlier: Vec<String>,
    /// The build of each of them, where one says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: BTreeMap<String, String>,
}

/// A half of a first release that waits for the other half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// ARN of an approved model package without an image.
    pub package_arn: String,
    /// Why it is held.
    pub reason: String,
}

impl KnownGood {
    /// Known good since then, with what was so before it, and the builds of these.
    pub(super) fn new(
        release: &str,
        since: Timestamp,
        earlier: Vec<String>,
        builds: BTreeMap<String, String>,
    ) -> Self {
        let is_known = |name: &String| name == release || earlier.contains(name);
        let builds = builds.into_iter().filter(|(name, _)| is_known(name));
        Self {
            builds: builds.collect(),
            release: release.to_owned(),
            since,
            brought_back: false,
            earlier,
        }
    }
}

/// When a rollback begins, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// Now.
    pub now: Timestamp,
    /// When its cause happened: the seconds to the restored service count from here.
    pub caused_at: Timestamp,
    /// The cause in words.
    pub cause: String,
}
