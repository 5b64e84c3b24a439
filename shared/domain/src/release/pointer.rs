//! Which release an environment runs: every step of the pointer, none of which forgets what is known good.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Held, KnownGood, Progress, Restore, SCHEMA, Target};

/// How many earlier known-good releases are remembered.
const EARLIER: usize = 10;

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
    /// When the newest approval happened that a release was made of: an earlier one comes late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
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
            approved_at: None,
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
            gone_from_build: None,
            abandoned: None,
            left_over: self
                .unverified()
                .filter(|left| *left != release)
                .map(str::to_owned),
            given_up_at: None,
            api_serves_since: None,
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

    /// The pointer that [`Pointer::aim`] answers, with the approval that caused it; an image has none.
    #[must_use]
    pub fn approved(self, at: Option<Timestamp>) -> Self {
        let approved_at = at.or(self.approved_at);
        Self {
            approved_at,
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
            }),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
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
        let good = back.known_good.as_ref().unwrap();
        assert!(good.earlier.is_empty() && good.brought_back);
        let failed = b.aim("c", at(11), at(11), "test");
        let still = restore(&failed, "b", "c").known_good.unwrap();
        assert!(!still.brought_back && still.since == at(2), "{still:?}");
        let anew = verified(&back, "d").known_good.unwrap();
        assert!(!anew.brought_back, "{anew:?}");
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
