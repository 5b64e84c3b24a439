//! What began, and has to be verified.

use domain::release::{Progress, Target};
use events::announced::{DeploymentStarted, RollbackStarted};

/// What began: a deployment, or the way back.
#[derive(Debug, Clone, PartialEq)]
pub enum Started {
    /// A release became the target.
    Deployment(DeploymentStarted),
    /// What is known good became the target again.
    Rollback(Box<RollbackStarted>),
}

impl Started {
    /// The release that should serve.
    pub fn release(&self) -> &str {
        match self {
            Self::Deployment(started) => &started.release,
            Self::Rollback(started) => &started.release,
        }
    }

    /// The generation of the Deployment that carries it.
    pub fn generation(&self) -> i64 {
        match self {
            Self::Deployment(started) => started.generation,
            Self::Rollback(started) => started.generation,
        }
    }

    /// Whether the pointer's target is still this beginning's.
    pub fn is_of(&self, target: &Target) -> bool {
        // An earlier life of the same release had another cause; older events don't say it.
        let caused_at = match self {
            Self::Deployment(started) => started.caused_at,
            Self::Rollback(started) => Some(started.caused_at),
        };
        if caused_at.is_some_and(|at| at != target.caused_at) {
            return false;
        }
        match (self, &target.progress) {
            // A rollback came over the deployment; or it was given up, and `roll-back` has said so; or the
            // release is tried out once more, and its rollout is of an earlier time.
            (Self::Deployment(_), Progress::Restoring { .. } | Progress::Canary { .. })
            | (Self::Rollback(_), Progress::Failed { .. }) => false,
            (Self::Rollback(started), Progress::Restoring { from, attempt }) => {
                started.from == *from && started.attempt == *attempt
            }
            (Self::Deployment(_) | Self::Rollback(_), _) => true,
        }
    }
}
