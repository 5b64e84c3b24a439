//! When a Deployment's rollout is over, by the counts that `kubectl rollout status` uses.
//!
//! Source: `k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go`, Deployment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one read of a Deployment says. Counts that the API leaves out are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// `metadata.generation`: moves when the specification changes.
    pub generation: i64,
    /// `status.observedGeneration`: how far the controller has read.
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub wanted: i32,
    /// `status.updatedReplicas`: pods of the newest template.
    pub updated: i32,
    /// `status.replicas`: pods of any template.
    pub replicas: i32,
    /// `status.availableReplicas`: pods ready for `minReadySeconds`.
    pub available: i32,
    /// `spec.paused`.
    pub paused: bool,
    /// Whether `Progressing` is false with reason `ProgressDeadlineExceeded`.
    pub deadline_exceeded: bool,
    /// Names of the containers.
    pub containers: Vec<String>,
    /// Image of the API container.
    pub image: Option<String>,
    /// Plain variables of the API container.
    pub environment: BTreeMap<String, String>,
    /// Annotations of the pod template.
    pub annotations: BTreeMap<String, String>,
    /// Field managers that own what names a release: the container's image, its variables, annotations.
    pub image_managers: Vec<String>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Rollout {
    /// Every pod is of the newest template and available.
    Complete,
    /// Not yet, and why.
    Progressing(String),
    /// Won't progress until somebody acts, and why.
    Stuck(String),
}

impl Deployment {
    /// Where the rollout of the generation that a patch returned stands.
    pub fn rollout(&self, generation: i64) -> Rollout {
        if self.observed_generation < generation.max(self.generation) {
            return Rollout::Progressing(format!(
                "the controller has seen generation {} of {}",
                self.observed_generation,
                generation.max(self.generation)
            ));
        }
        // Only now does the condition speak of this generation; before, it may be an older rollout's.
        if self.deadline_exceeded {
            return Rollout::Stuck("the Deployment exceeded its progress deadline".to_owned());
        }
        if self.paused {
            return Rollout::Stuck("the Deployment is paused: it takes a patch and rolls nothing out (`kubectl rollout resume`)".to_owned());
        }
        if self.updated < self.wanted {
            return Rollout::Progressing(format!(
                "{} of {} pods updated",
                self.updated, self.wanted
            ));
        }
        if self.replicas > self.updated {
            return Rollout::Progressing(format!(
                "{} old pods still running",
                self.replicas - self.updated
            ));
        }
        if self.available < self.updated {
            return Rollout::Progressing(format!(
                "{} of {} updated pods available",
                self.available, self.updated
            ));
        }
        Rollout::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Deployment {
        Deployment {
            generation: 4,
            observed_generation: 4,
            wanted: 3,
            updated: 3,
            replicas: 3,
            available: 3,
            ..Deployment::default()
        }
    }

    #[test]
    fn counts_decide() {
        type Change = fn(&mut Deployment);
        type Expected = fn(&Rollout) -> bool;
        let cases: [(&str, Change, Expected); 8] = [
            ("all available", |_| (), |r| *r == Rollout::Complete),
            (
                "just patched: counts are the old generation's",
                |d| d.observed_generation = 3,
                |r| matches!(r, Rollout::Progressing(_)),
            ),
            (
                "an old deadline before the generation is observed",
                |d| {
                    d.observed_generation = 3;
                    d.deadline_exceeded = true;
                },
                |r| matches!(r, Rollout::Progressing(_)),
            ),
            (
                "deadline exceeded",
                |d| d.deadline_exceeded = true,
                |r| matches!(r, Rollout::Stuck(_)),
            ),
            (
                "paused",
                |d| d.paused = true,
                |r| matches!(r, Rollout::Stuck(_)),
            ),
            (
                "too few updated",
                |d| d.updated = 2,
                |r| *r == Rollout::Progressing("2 of 3 pods updated".into()),
            ),
            (
                "old pods left",
                |d| d.replicas = 4,
                |r| *r == Rollout::Progressing("1 old pods still running".into()),
            ),
            (
                "ready but not available",
                |d| d.available = 1,
                |r| *r == Rollout::Progressing("1 of 3 updated pods available".into()),
            ),
        ];
        for (name, change, expected) in cases {
            let mut deployment = complete();
            change(&mut deployment);
            let rollout = deployment.rollout(4);
            assert!(expected(&rollout), "{name}: {rollout:?}");
        }
    }

    #[test]
    fn a_generation_that_the_read_does_not_show_yet_is_waited_for() {
        assert!(matches!(complete().rollout(5), Rollout::Progressing(_)));
    }
}
