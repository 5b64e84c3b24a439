//! A release is one manifest of identities; an environment's pointer says which release it runs.
//!
//! The manifest is stored once under its own digest. The pointer moves by compare-and-swap, and only
//! a verified release becomes known good. EKS and the SageMaker endpoint converge on the pointer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, names};

/// Version of the stored shape of manifests and pointers.
pub const SCHEMA: u32 = 1;

/// The model of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// ARN of the model package version.
    pub package_arn: String,
    /// Training job that made the model.
    pub training_job: String,
    /// Data set (digest) that the model learned from.
    pub dataset: String,
    /// `s3://…/model.tar.gz`.
    pub uri: String,
    /// SHA-256 of that file, hex; a pod refuses to start on another.
    pub digest: String,
}

/// The image of a release, by digest and never by tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `{account}.dkr.ecr.{region}.amazonaws.com/{repository}`.
    pub repository: String,
    /// `sha256:{64 hex}`.
    pub digest: String,
}

impl Image {
    /// `{repository}@{digest}`. The API server accepts malformed digests, so they are refused here.
    pub fn reference(&self) -> Result<String> {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            Ok(format!("{}@{}", self.repository, self.digest))
        } else {
            Err(Error::malformed(format!(
                "image digest `{}`: `sha256:` and 64 hexadecimal digits expected",
                self.digest
            )))
        }
    }
}

/// What a release sets beside model and image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Instance type of the SageMaker endpoint.
    pub endpoint_instance_type: String,
    /// Instances the endpoint starts with; autoscaling owns the count afterwards.
    pub endpoint_instance_count: u32,
    /// Variables of the API container beside those that name the release.
    pub environment: BTreeMap<String, String>,
}

/// Everything that a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// The model part.
    pub model: Model,
    /// The image part.
    pub image: Image,
    /// The configuration part.
    pub configuration: Configuration,
}

impl Manifest {
    /// `release-{12 hex}`: the digest of the identities. The same parts are the same release.
    pub fn id(&self) -> Result<String> {
        let bytes = serde_json::to_vec(self).map_err(|error| {
            Error::permanent("a release manifest can't be written as JSON").because(error)
        })?;
        Ok(format!(
            "release-{}",
            names::short(&names::digest_bytes(&bytes))
        ))
    }
}

/// Name of the endpoint configuration that serves a release's model. The same package on the same
/// instances has the same configuration, so a release that changes only the image keeps it.
pub fn endpoint_config(manifest: &Manifest) -> Result<String> {
    let settings = format!(
        "{} x {}",
        manifest.configuration.endpoint_instance_type,
        manifest.configuration.endpoint_instance_count
    );
    names::endpoint_config(
        &manifest.environment,
        &manifest.model.package_arn,
        &settings,
    )
}

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
    /// The build that caused it: that of the model, or of the image; `None` where none says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The release that it was brought back in the place of, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_from: Option<String>,
    /// The release that was on its way when the one before it, which was live, had to be gone away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
    /// When it was verified or failed.
    pub judged_at: Option<Timestamp>,
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
    /// The known-good releases before it, the latest first.
    pub earlier: Vec<String>,
}

/// How many earlier known-good releases are remembered.
const EARLIER: usize = 10;

/// A half of a first release that waits for the other half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// ARN of an approved model package without an image.
    pub package_arn: String,
    /// Why it is held.
    pub reason: String,
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

/// Which release an environment runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The environment.
    pub environment: String,
    /// What it converges on; `None` before the first release.
    pub target: Option<Target>,
    /// What it can go back to; `None` until a release was verified.
    pub known_good: Option<KnownGood>,
    /// An approved model that waits for an image.
    pub held: Option<Held>,
}

impl Pointer {
    /// The pointer of an environment that has never had a release.
    pub fn empty(environment: &str) -> Self {
        Self {
            schema: SCHEMA,
            environment: environment.to_owned(),
            target: None,
            known_good: None,
            held: None,
        }
    }

    /// Whether this release is the target.
    pub fn targets(&self, release: &str) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.release == release)
    }

    /// The release whose parts a new release builds on: the target when it was verified, else what is
    /// known good. A failed target lends nothing to the next release.
    pub fn base(&self) -> Option<&str> {
        match &self.target {
            Some(Target {
                release,
                progress: Progress::Verified,
                ..
            }) => Some(release),
            _ => self
                .known_good
                .as_ref()
                .map(|known_good| known_good.release.as_str()),
        }
    }

    /// The pointer with a new target. What was held is in the target or is superseded by it.
    #[must_use]
    pub fn aim(&self, release: &str, since: Timestamp, caused_at: Timestamp, cause: &str) -> Self {
        let target = Target {
            release: release.to_owned(),
            progress: Progress::Deploying,
            since,
            promoted_at: None,
            caused_at,
            cause: cause.to_owned(),
            build: None,
            gone_from: None,
            abandoned: None,
            judged_at: None,
        };
        Self {
            target: Some(target),
            held: None,
            ..self.clone()
        }
    }

    /// The pointer that [`Pointer::aim`] answers, with the build that caused it.
    #[must_use]
    pub fn built_by(self, build: Option<String>) -> Self {
        let target = self.target.map(|target| Target { build, ..target });
        Self { target, ..self }
    }

    /// The pointer that [`Pointer::aim`] answers, with the release on `pods` of `of` pods only.
    #[must_use]
    pub fn try_out(self, pods: u32, of: u32) -> Self {
        let baking_since = None;
        let progress = Progress::Canary {
            pods,
            of,
            baking_since,
        };
        let target = self.target.map(|target| Target { progress, ..target });
        Self { target, ..self }
    }

    /// The pointer once the canary's pods are measured; `None` when `release` isn't tried out, or is
    /// measured already.
    #[must_use]
    pub fn bake(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let Progress::Canary {
            pods,
            of,
            baking_since: None,
        } = target.progress
        else {
            return None;
        };
        let progress = Progress::Canary {
            pods,
            of,
            baking_since: Some(now),
        };
        Some(self.with_target(Target {
            progress,
            ..target.clone()
        }))
    }

    /// The pointer after the canary passed; `None` when `release` isn't tried out.
    #[must_use]
    pub fn promote(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let is_canary = matches!(target.progress, Progress::Canary { .. });
        is_canary.then(|| {
            self.with_target(Target {
                progress: Progress::Deploying,
                promoted_at: Some(now),
                ..target.clone()
            })
        })
    }

    fn with_target(&self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self.clone()
        }
    }

    /// Where a rollback from `bad` may go, the best first: what is known good, then what was so before.
    /// Never `bad` itself, and never merely "the previous release".
    pub fn refuges(&self, bad: &str) -> Vec<&str> {
        let good = self.known_good.iter();
        good.flat_map(|good| std::iter::once(&good.release).chain(&good.earlier))
            .map(String::as_str)
            .filter(|release| *release != bad)
            .collect()
    }

    /// The pointer on its way back from `bad` to `good`, which is what is known good from now on.
    #[must_use]
    pub fn restore(&self, good: &str, bad: &str, attempt: u32, at: Restore) -> Self {
        let earlier = self
            .refuges(bad)
            .into_iter()
            .skip_while(|release| *release != good)
            .skip(1)
            .map(str::to_owned)
            .collect();
        let since = match &self.known_good {
            Some(known) if known.release == good => known.since,
            _ => at.now,
        };
        Self {
            target: Some(Target {
                release: good.to_owned(),
                progress: Progress::Restoring {
                    from: bad.to_owned(),
                    attempt,
                },
                since: at.now,
                promoted_at: None,
                caused_at: at.caused_at,
                cause: at.cause,
                build: None,
                gone_from: Some(bad.to_owned()),
                abandoned: self.abandoned_for(good, bad),
                judged_at: None,
            }),
            known_good: Some(KnownGood {
                release: good.to_owned(),
                since,
                earlier,
            }),
            ..self.clone()
        }
    }

    /// What is on its way while `bad` is gone away from; what was so already when the way back is tried again.
    fn abandoned_for(&self, good: &str, bad: &str) -> Option<String> {
        let target = self.target.as_ref()?;
        if target.release == good {
            return target.abandoned.clone();
        }
        (target.release != bad).then(|| target.release.clone())
    }

    /// The pointer after the target was verified; `None` when `release` isn't the target or was judged.
    #[must_use]
    pub fn verified(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let known_good = match &self.known_good {
            Some(good) if good.release == release => good.clone(),
            _ => KnownGood {
                release: release.to_owned(),
                since: now,
                earlier: self
                    .refuges(release)
                    .into_iter()
                    .take(EARLIER)
                    .map(str::to_owned)
                    .collect(),
            },
        };
        let target = Target {
            progress: Progress::Verified,
            judged_at: Some(now),
            ..target.clone()
        };
        Some(Self {
            target: Some(target),
            known_good: Some(known_good),
            ..self.clone()
        })
    }

    /// The pointer after the target failed; `None` when `release` isn't the target or was judged.
    #[must_use]
    pub fn failed(&self, release: &str, reason: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let target = Target {
            progress: Progress::Failed {
                reason: reason.to_owned(),
            },
            judged_at: Some(now),
            ..target.clone()
        };
        Some(Self {
            target: Some(target),
            ..self.clone()
        })
    }

    fn open(&self, release: &str) -> Option<&Target> {
        let target = self.target.as_ref();
        target.filter(|target| target.release == release && target.progress.is_open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: SCHEMA,
            environment: "dev".to_owned(),
            model: Model {
                package_arn: "arn:aws:sagemaker:r:1:model-package/retail-forecast-models/1"
                    .to_owned(),
                training_job: "retail-forecast-build-1".to_owned(),
                dataset: "0a".to_owned(),
                uri: "s3://a/models/x".to_owned(),
                digest: "ab".to_owned(),
            },
            image: Image {
                repository: "1.dkr.ecr.r.amazonaws.com/retail-forecast-infer".to_owned(),
                digest: format!("sha256:{}", "0".repeat(64)),
            },
            configuration: Configuration {
                endpoint_instance_type: "ml.t2.medium".to_owned(),
                endpoint_instance_count: 1,
                environment: BTreeMap::new(),
            },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_release_is_its_parts() {
        let first = manifest();
        let mut second = manifest();
        assert_eq!(first.id().unwrap(), second.id().unwrap());
        second
            .configuration
            .environment
            .insert("A".to_owned(), "1".to_owned());
        assert_ne!(first.id().unwrap(), second.id().unwrap());
    }

    #[test]
    fn malformed_digests_are_refused() {
        let mut image = manifest().image;
        assert!(image.reference().unwrap().ends_with(&"0".repeat(64)));
        image.digest = "sha256:zz".to_owned();
        assert!(image.reference().is_err());
    }

    #[test]
    fn only_a_verified_release_becomes_known_good_and_a_failed_one_lends_nothing() {
        let empty = Pointer::empty("dev");
        assert_eq!(empty.base(), None);

        let a = empty.aim("release-a", at(1), at(1), "test");
        assert!(a.target.as_ref().unwrap().progress.is_open());
        assert_eq!(a.base(), None);
        let a = a.verified("release-a", at(2)).unwrap();
        assert_eq!(a.base(), Some("release-a"));

        let b = a.aim("release-b", at(3), at(3), "test");
        assert_eq!(b.base(), Some("release-a"));
        let b = b
            .failed("release-b", "rollout: 0 of 2 pods", at(3))
            .unwrap();
        assert_eq!(b.base(), Some("release-a"));
        assert_eq!(b.known_good.as_ref().unwrap().release, "release-a");

        let c = b
            .aim("release-c", at(4), at(4), "test")
            .verified("release-c", at(5))
            .unwrap();
        assert_eq!(c.known_good.as_ref().unwrap().earlier, ["release-a"]);
    }

    #[test]
    fn a_canary_is_tried_out_measured_and_promoted_once() {
        let live = Pointer::empty("dev")
            .aim("a", at(1), at(1), "test")
            .verified("a", at(2))
            .unwrap();
        assert_eq!(live.promote("a", at(3)), None);
        let canary = live.aim("b", at(10), at(9), "test").try_out(1, 3);
        assert_eq!(canary.base(), Some("a"));
        assert_eq!(canary.bake("a", at(11)), None);
        let baking = canary.bake("b", at(20)).unwrap();
        assert_eq!(baking.bake("b", at(21)), None);
        let rolling = baking.promote("b", at(50)).unwrap();
        assert_eq!(rolling.promote("b", at(51)), None);
        let target = rolling.target.unwrap();
        assert_eq!(target.progress, Progress::Deploying);
        assert_eq!((target.since, target.rolling_since()), (at(10), at(50)));
    }

    #[test]
    fn the_way_back_goes_to_what_is_known_good_and_never_to_the_previous() {
        let verified = |pointer: &Pointer, release: &str| {
            pointer
                .aim(release, at(1), at(1), "test")
                .verified(release, at(2))
                .unwrap()
        };
        let restore = |pointer: &Pointer, good: &str, bad: &str| {
            let why = Restore {
                now: at(9),
                caused_at: at(8),
                cause: "alarm".to_owned(),
            };
            pointer.restore(good, bad, 1, why)
        };
        // Good A, B that was good until its alarm, C that never was.
        let b = verified(&verified(&Pointer::empty("dev"), "a"), "b");
        assert_eq!(b.refuges("b"), ["a"]);
        let back = restore(&b, "a", "b").verified("a", at(10)).unwrap();
        assert_eq!(back.known_good.as_ref().unwrap().release, "a");
        assert!(back.known_good.as_ref().unwrap().earlier.is_empty());
        let c = back.aim("c", at(11), at(11), "test");
        assert_eq!(c.refuges("c"), ["a"]);
        // Nothing to go back to.
        assert!(
            verified(&Pointer::empty("dev"), "a")
                .refuges("a")
                .is_empty()
        );
        // Past a refuge that can't be used.
        let d = verified(&b, "d");
        assert_eq!(d.refuges("d"), ["b", "a"]);
        assert_eq!(restore(&d, "a", "d").refuges("d"), ["a"]);
    }

    #[test]
    fn a_verdict_counts_once_and_only_for_the_target() {
        let pointer = Pointer::empty("dev").aim("release-a", at(1), at(1), "test");
        assert_eq!(pointer.verified("release-b", at(2)), None);
        let verified = pointer.verified("release-a", at(2)).unwrap();
        assert_eq!(verified.verified("release-a", at(3)), None);
        assert_eq!(verified.failed("release-a", "late", at(3)), None);
    }
}
