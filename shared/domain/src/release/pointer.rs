//! Which release an environment runs: every step of the pointer, none of which forgets what is known good.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Held, KnownGood, Progress, Restore, SCHEMA, Target};

/// How many earlier known-good releases are remembered.
const EARLIER: usize = 10;

/// How often the endpoint is given again what a verified release serves. What comes back more often isn't a late
/// write: somebody else gives it something else, or it takes nothing.
const MOST_REPAIRS: u32 = 3;

/// Which release an environment runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The environment.
    pub environment: String,
    /// What it converges on; `None` before the first release.
    pub target: Option<Target>,
    /// The last target before it that was judged: the verdict may be yet to be announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Target>,
    /// What it can go back to; `None` until a release was verified.
    pub known_good: Option<KnownGood>,
    /// An approved model that waits for an image.
    pub held: Option<Held>,
    /// When the newest approval happened that a release was made of: it and earlier ones were considered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// The version that was approved then: events tell whole seconds, and within one the higher is the later.
    /// Older pointers don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_version: Option<u32>,
}

impl Pointer {
    /// The pointer of an environment that has never had a release.
    pub fn empty(environment: &str) -> Self {
        Self {
            schema: SCHEMA,
            environment: environment.to_owned(),
            target: None,
            before: None,
            known_good: None,
            held: None,
            approved_at: None,
            approved_version: None,
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
            begun_by: None,
            build: None,
            gone_from: None,
            gone_from_build: None,
            abandoned: None,
            left_over: self
                .unverified()
                .filter(|left| *left != release)
                .map(str::to_owned),
            given_up_at: None,
            api_serves_since: None,
            judged_at: None,
            endpoint_repairs: 0,
        };
        Self {
            target: Some(target),
            before: self.judged(),
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

    /// The pointer that [`Pointer::aim`] answers, with the name of the event that caused it.
    #[must_use]
    pub fn begun_by(self, event: Option<String>) -> Self {
        let target = self.target.map(|target| Target {
            begun_by: event,
            ..target
        });
        Self { target, ..self }
    }

    /// The pointer that [`Pointer::aim`] answers, with the approval that caused it, and of which version it was;
    /// an image has none.
    #[must_use]
    pub fn approved(self, approval: Option<(Timestamp, Option<u32>)>) -> Self {
        let Some((at, version)) = approval else {
            return self;
        };
        Self {
            approved_at: Some(at),
            approved_version: version,
            ..self
        }
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
        let known = self.known_good.as_ref();
        let known = known.filter(|known| known.release == good);
        let since = known.map_or(at.now, |known| known.since);
        // What is known good and stays so is as new as it was.
        let brought_back = known.is_none_or(|known| known.brought_back);
        let builds = self.known_good.as_ref();
        let builds = builds.map(|known| known.builds.clone()).unwrap_or_default();
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
                begun_by: None,
                build: self.build_of(good),
                gone_from: Some(bad.to_owned()),
                gone_from_build: self.build_of(bad),
                abandoned: self.abandoned_for(good, bad),
                left_over: self
                    .target
                    .as_ref()
                    .and_then(|target| target.left_over.clone()),
                given_up_at: None,
                api_serves_since: None,
                judged_at: None,
                endpoint_repairs: 0,
            }),
            before: self.judged(),
            known_good: Some(KnownGood {
                brought_back,
                ..KnownGood::new(good, since, earlier, builds)
            }),
            ..self.clone()
        }
    }

    /// The build that caused a release, as far as the pointer knows it.
    pub fn build_of(&self, release: &str) -> Option<String> {
        let target = self.target.as_ref();
        let of_target = target.filter(|target| target.release == release);
        let of_target = of_target.and_then(|target| target.build.as_ref());
        let gone = target.filter(|target| target.gone_from.as_deref() == Some(release));
        let of_gone = gone.and_then(|target| target.gone_from_build.as_ref());
        let good = self.known_good.as_ref();
        let of_good = good.and_then(|good| good.builds.get(release));
        of_target.or(of_gone).or(of_good).cloned()
    }

    /// What is on its way while `bad` is gone away from; what was so already when the way back is tried again.
    fn abandoned_for(&self, good: &str, bad: &str) -> Option<String> {
        let target = self.target.as_ref()?;
        if target.release == good {
            return target.abandoned.clone();
        }
        (target.release != bad).then(|| target.release.clone())
    }

    /// The pointer once the API was seen to serve what is brought back; `None` when that isn't `release`, or
    /// was seen before.
    #[must_use]
    pub fn api_serves(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let is_new = matches!(target.progress, Progress::Restoring { .. })
            && target.api_serves_since.is_none();
        is_new.then(|| {
            self.with_target(Target {
                api_serves_since: Some(now),
                ..target.clone()
            })
        })
    }

    /// The pointer after the target was verified; `None` when `release` isn't the target or was judged.
    #[must_use]
    pub fn verified(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.open(release)?;
        let known_good = match &self.known_good {
            Some(good) if good.release == release && target.gone_from.is_some() => good.clone(),
            Some(good) if good.release == release => KnownGood {
                brought_back: false,
                ..good.clone()
            },
            _ => {
                let earlier = self.refuges(release).into_iter().take(EARLIER);
                let builds = self.known_good.iter().flat_map(|good| good.builds.clone());
                let own = target.build.iter();
                let own = own.map(|build| (release.to_owned(), build.clone()));
                KnownGood::new(
                    release,
                    now,
                    earlier.map(str::to_owned).collect(),
                    builds.chain(own).collect(),
                )
            }
        };
        let target = Target {
            progress: Progress::Verified,
            left_over: None,
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

    /// The pointer once it is plain that there is no way back from a release that failed; `None` when
    /// `release` isn't that, or it is known.
    #[must_use]
    pub fn give_up(&self, release: &str, now: Timestamp) -> Option<Self> {
        let target = self.target.as_ref()?;
        let is_new = target.release == release
            && matches!(target.progress, Progress::Failed { .. })
            && target.given_up_at.is_none();
        is_new.then(|| {
            self.with_target(Target {
                given_up_at: Some(now),
                ..target.clone()
            })
        })
    }

    /// The target, once it was judged; else the one before it.
    fn judged(&self) -> Option<Target> {
        let target = self.target.as_ref();
        let judged = target.filter(|target| target.judged_at.is_some());
        judged.or(self.before.as_ref()).cloned()
    }

    /// The target, when it was never verified.
    fn unverified(&self) -> Option<&str> {
        let target = self.target.as_ref()?;
        let good = self.known_good.as_ref().map(|good| &good.release);
        let was_verified = target.progress == Progress::Verified || good == Some(&target.release);
        (!was_verified).then_some(target.release.as_str())
    }

    fn open(&self, release: &str) -> Option<&Target> {
        let target = self.target.as_ref();
        target.filter(|target| target.release == release && target.progress.is_open())
    }

    /// The pointer once the endpoint is given again what the verified `release` serves; `None` when that isn't the
    /// target, or the endpoint takes it no more.
    #[must_use]
    pub fn repair_endpoint(&self, release: &str) -> Option<Self> {
        let target = self.target.as_ref()?;
        let takes_more = target.release == release
            && target.progress == Progress::Verified
            && target.endpoint_repairs < MOST_REPAIRS;
        takes_more.then(|| {
            self.with_target(Target {
                endpoint_repairs: target.endpoint_repairs + 1,
                ..target.clone()
            })
        })
    }
}

#[cfg(test)]
mod tests;
