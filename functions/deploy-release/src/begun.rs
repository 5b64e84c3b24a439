//! What is on its way, and what an event means for it.
//!
//! A deployment has begun when the pointer names its release. From then on its own event, however often it comes,
//! goes on with what was begun, by the manifest that was kept: that is what was judged. A freeze, a tag that
//! moved, another setting, a package or an image that was deleted keep deployments from beginning and end none:
//! whether what has begun serves is `verify-release`'s to say, and if it was interrupted, it ends there as well.
//!
//! One thing ends it before that, whichever event tells it: a word against what the release brings. Its model
//! package is Rejected, a scan found something in its image, or a part of it is quarantined. Nobody relies on it
//! yet, and what is known good is one step away. What is live already is brought by no release: a word against
//! that keeps others from being made with it, and to go back from it is a person's request.

use domain::{
    Result, converge, names,
    ports::{Approval, Cluster, ObjectStore, Scan},
    quarantine::Quarantine,
    records,
    release::{Manifest, Pointer, Progress, Target},
    rollout::Deployment,
};
use events::{
    Event, Received,
    announced::{QUARANTINE, REJECTION, ReleaseFailed, WRITE},
};

use crate::{
    Config, asked,
    decide::{Decision, Half, Rollout, Strategy, not_ours, rejected, vulnerabilities},
};

/// The pointer's target, and what is known of it.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The target.
    pub target: Target,
    /// What its release is.
    pub manifest: Manifest,
    /// The release that it builds on; `None` for a first one.
    pub base: Option<Manifest>,
    /// Whether the event is the one that began it.
    pub is_own: bool,
    /// What must not be deployed.
    pub quarantine: Quarantine,
    /// The Deployment; `None` when there is none.
    pub deployment: Option<Deployment>,
}

/// Names an event by its own words and its time: a message that comes back, a duplicate and a replay have the
/// same name. `None` for what begins no deployment.
pub(crate) fn name(received: &Received) -> Option<String> {
    let (kind, of) = match &received.event {
        Event::ModelPackage(event) => ("approval", event.arn.clone()),
        Event::ImagePush(event) => ("push", event.digest.clone()),
        Event::ImageScan(event) => ("scan", event.digest.clone()),
        other => {
            let request = asked::request(other)?;
            ("request", format!("{} {}", request.by, request.request))
        }
    };
    let digest = names::digest(&[kind, &of, &received.time.to_string()]);
    Some(names::short(&digest).to_owned())
}

/// Reads what the pointer's target is; `None` where there is none that the event could mean something for.
pub(crate) async fn gather(
    config: &Config,
    (store, cluster): (&impl ObjectStore, &impl Cluster),
    pointer: &Pointer,
    received: &Received,
) -> Result<Option<Begun>> {
    let Some(target) = &pointer.target else {
        return Ok(None);
    };
    let is_own = target.begun_by.is_some() && target.begun_by == name(received);
    let is_over = matches!(
        target.progress,
        Progress::Verified | Progress::Restoring { .. }
    );
    if is_over && !is_own {
        return Ok(None);
    }
    let artifacts = config.artifacts();
    let base = match pointer.base() {
        Some(base) => Some(records::manifest(store, &artifacts, base).await?),
        None => None,
    };
    let quarantine = artifacts.quarantine(&config.environment);
    Ok(Some(Begun {
        manifest: records::manifest(store, &artifacts, &target.release).await?,
        base,
        is_own,
        quarantine: records::read_versioned(store, &quarantine).await?.value,
        deployment: cluster.deployment().await?,
        target: target.clone(),
    }))
}

/// The rule; `None` where the event is decided on like any other. `half` is what the event is about, as it is
/// now; `None` when it is gone.
pub fn decide(half: Option<&Half>, begun: &Begun, config: &Config) -> Result<Option<Decision>> {
    let Begun { target, is_own, .. } = begun;
    let release = target.release.clone();
    let against = half.and_then(|half| word_against(half, begun));
    Ok(match &target.progress {
        Progress::Canary { .. } | Progress::Deploying => {
            if let Some((stage, reason)) = hindrance(against, begun, config)? {
                let failed = failed(target, stage, &reason);
                return Ok(Some(Decision::Ended { failed }));
            }
            is_own.then(|| Decision::Deploy(Box::new(goes_on(begun, config))))
        }
        Progress::Failed { reason } => {
            // A crash came between the pointer and the announcement: announce again, unless it was heard.
            let told = reason.split_once(": ");
            match told.filter(|_| target.given_up_at.is_none()) {
                Some((REJECTION, reason)) if *is_own || against.is_some() => {
                    let failed = failed(target, REJECTION, reason);
                    Some(Decision::Ended { failed })
                }
                Some((stage @ (QUARANTINE | WRITE), reason)) if *is_own => {
                    let failed = failed(target, stage, reason);
                    Some(Decision::Ended { failed })
                }
                _ => is_own.then(|| Decision::AlreadyFailed {
                    release,
                    reason: reason.clone(),
                }),
            }
        }
        Progress::Verified => is_own.then(|| Decision::AlreadyLive {
            release,
            reason: format!("live since {}, caused by {}", target.since, target.cause),
        }),
        Progress::Restoring { .. } => None,
    })
}

/// What ends it, and the stage of that; for its own event, what keeps it from going on as well.
fn hindrance(
    against: Option<String>,
    begun: &Begun,
    config: &Config,
) -> Result<Option<(&'static str, String)>> {
    if let Some(reason) = against {
        return Ok(Some((REJECTION, reason)));
    }
    if !begun.is_own {
        return Ok(None);
    }
    if let Some(entry) = begun.quarantine.forbids(&begun.manifest)? {
        let reason = format!(
            "{} is quarantined since {}: {}",
            entry.identity, entry.since, entry.reason
        );
        return Ok(Some((QUARANTINE, reason)));
    }
    if matches!(begun.target.progress, Progress::Canary { .. }) {
        // Its Deployment is ours alone.
        return Ok(None);
    }
    let Some(deployment) = &begun.deployment else {
        let reason = "the Deployment doesn't exist any more".to_owned();
        return Ok(Some((WRITE, reason)));
    };
    let patch = converge::deployment(&begun.target.release, &begun.manifest, "")?;
    // What was written is watched; what would be refused isn't begun at the endpoint.
    let refused = not_ours(deployment, config).filter(|_| !converge::carries(deployment, &patch));
    Ok(refused.map(|reason| (WRITE, reason)))
}

/// What the half that an event is about says against the release that brings it.
fn word_against(half: &Half, begun: &Begun) -> Option<String> {
    let (manifest, base) = (&begun.manifest, begun.base.as_ref());
    match half {
        Half::Model(package) => {
            let arn = &package.arn;
            let brings = manifest.model.package_arn == *arn
                && base.is_none_or(|base| base.model.package_arn != *arn);
            let is_rejected = package.approval == Approval::Rejected;
            (brings && is_rejected).then(|| rejected(package))
        }
        Half::Image(stored, scan) => {
            let image = &stored.image;
            let brings = manifest.image == *image && base.is_none_or(|base| base.image != *image);
            scan.as_ref().filter(|_| brings).and_then(against)
        }
    }
}

/// What a scan that ended has found.
fn against(scan: &Scan) -> Option<String> {
    vulnerabilities(scan).filter(|_| matches!(scan.status.as_str(), "COMPLETE" | "ACTIVE"))
}

/// The rollout as it was begun.
fn goes_on(begun: &Begun, config: &Config) -> Rollout {
    let target = &begun.target;
    let deployment = begun.deployment.as_ref();
    Rollout {
        release: target.release.clone(),
        manifest: begun.manifest.clone(),
        reason: target.cause.clone(),
        caused_at: target.caused_at,
        approved_at: None,
        begun_by: target.begun_by.clone(),
        build: target.build.clone(),
        strategy: match target.progress {
            Progress::Canary { pods, of, .. } => Strategy::Canary { pods, of },
            _ => Strategy::Rolling {
                because: "it was begun so".to_owned(),
            },
        },
        take_over: deployment
            .is_some_and(|deployment| converge::is_taken_over(deployment, &config.first_manager)),
        resumes: true,
    }
}

pub(crate) fn failed(target: &Target, stage: &str, reason: &str) -> ReleaseFailed {
    ReleaseFailed {
        release: target.release.clone(),
        stage: stage.to_owned(),
        reason: reason.to_owned(),
        build: target.build.clone(),
        caused_at: target.caused_at,
    }
}

#[cfg(test)]
mod tests;
