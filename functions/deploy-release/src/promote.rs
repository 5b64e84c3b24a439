//! A canary that passed is rolled out.

use convergence::Written;
use domain::{
    Result, converge,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, Endpoints, ObjectStore},
    quarantine::Quarantine,
    records::{self, Versioned},
    release::{Manifest, Pointer, Progress},
    rollout::Deployment,
};
use events::announced::{CanaryPassed, PROMOTION, QUARANTINE, ReleaseFailed, WRITE};

use crate::{
    Config, NAME, Ports,
    decide::{Decision, Rollout, Strategy, frozen, not_ours},
    rollout::{self, Writer},
};

/// What is known when deciding.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The environment's pointer.
    pub pointer: Pointer,
    /// What the release is.
    pub manifest: Manifest,
    /// What must not be deployed again.
    pub quarantine: Quarantine,
    /// The Deployment; `None` when there is none.
    pub deployment: Option<Deployment>,
}

/// The rule. Whatever keeps a canary that passed from being rolled out ends it: it doesn't bake for ever.
pub fn decide(passed: &CanaryPassed, facts: &Facts, config: &Config) -> Result<Decision> {
    let target = match &facts.pointer.target {
        Some(target) if target.release == passed.release && target.since == passed.since => target,
        _ => {
            return Ok(Decision::NotForThisFunction {
                reason: format!(
                    "{} isn't the environment's target since {} any more",
                    passed.release, passed.since
                ),
            });
        }
    };
    let release = target.release.clone();
    let unpromotable = |stage: &str, reason: String| Decision::Unpromotable {
        failed: ReleaseFailed {
            release: target.release.clone(),
            stage: stage.to_owned(),
            reason,
            build: target.build.clone(),
            caused_at: target.caused_at,
        },
    };
    let resumes = match &target.progress {
        Progress::Canary { .. } => false,
        Progress::Deploying => true,
        Progress::Restoring { from, .. } => {
            return Ok(Decision::NotForThisFunction {
                reason: format!("{release} is being restored in the place of {from}"),
            });
        }
        Progress::Verified => {
            return Ok(Decision::AlreadyLive {
                release,
                reason: format!("live since {}", target.rolling_since()),
            });
        }
        Progress::Failed { reason } => {
            let told = reason.split_once(": ");
            let told = told.filter(|(stage, _)| [PROMOTION, QUARANTINE, WRITE].contains(stage));
            return Ok(match told {
                // A crash came between the pointer and the announcement: announce again.
                Some((stage, reason)) => unpromotable(stage, reason.to_owned()),
                None => Decision::AlreadyFailed {
                    release,
                    reason: reason.clone(),
                },
            });
        }
    };
    if let Some(entry) = facts.quarantine.forbids(&facts.manifest)? {
        let reason = format!(
            "{} is quarantined since {}: {}",
            entry.identity, entry.since, entry.reason
        );
        return Ok(unpromotable(QUARANTINE, reason));
    }
    let hindrance = match &facts.deployment {
        _ if config.frozen.is_some() => config.frozen.as_deref().map(frozen),
        None => Some("the Deployment doesn't exist any more".to_owned()),
        Some(deployment) => not_ours(deployment, config),
    };
    if let Some(reason) = hindrance {
        return Ok(unpromotable(PROMOTION, reason));
    }
    Ok(Decision::Deploy(Box::new(Rollout {
        release,
        manifest: facts.manifest.clone(),
        reason: target.cause.clone(),
        caused_at: target.caused_at,
        approved_at: None,
        begun_by: target.begun_by.clone(),
        strategy: Strategy::Rolling {
            because: format!("the canary passed: {}", passed.checks.join("; ")),
        },
        take_over: facts
            .deployment
            .as_ref()
            .is_some_and(|deployment| converge::is_taken_over(deployment, &config.first_manager)),
        resumes,
        build: target.build.clone(),
    })))
}

/// Gathers, decides, applies: reason, pointer, endpoint, Deployment, announcement.
pub async fn promote<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    passed: &CanaryPassed,
) -> Result<Decision>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let pointer = records::pointer(ports.store, &artifacts, &config.environment).await?;
    let facts = Facts {
        manifest: records::manifest(ports.store, &artifacts, &passed.release).await?,
        deployment: ports.cluster.deployment().await?,
        pointer: pointer.value.clone(),
        quarantine: records::read_versioned(
            ports.store,
            &artifacts.quarantine(&config.environment),
        )
        .await?
        .value,
    };
    let decision = decide(passed, &facts, config)?;
    let writer = Writer { config, ports };
    let now = ports.clock.now();
    match &decision {
        Decision::Deploy(rollout) => {
            if !rollout.resumes {
                let next = pointer.value.promote(&rollout.release, now);
                settle(
                    config,
                    ports.store,
                    &rollout.release,
                    &decision,
                    &pointer,
                    next,
                )
                .await?;
            }
            let wrote = writer.all_pods(rollout).await;
            let refused = writer.unless_refused(rollout, wrote).await?;
            if let Some(failed) = refused {
                return Ok(Decision::Unwritable { failed });
            }
        }
        Decision::Unpromotable { failed } => {
            let reason = format!("{}: {}", failed.stage, failed.reason);
            let next = pointer.value.failed(&failed.release, &reason, now);
            settle(
                config,
                ports.store,
                &failed.release,
                &decision,
                &pointer,
                next,
            )
            .await?;
            rollout::failed(ports.bus, failed).await?;
        }
        Decision::NotForThisFunction { .. } if is_settled(&pointer.value) => {
            // The rollout of what had passed may have been overtaken, and its last write come late, while
            // the endpoint took no other.
            let (Ok(()) | Err(_)) = writer.confirmed(&passed.release, Written::AllPods).await?;
        }
        _ => {}
    }
    Ok(decision)
}

/// Whether what is known good is live, or on its way back.
fn is_settled(pointer: &Pointer) -> bool {
    let target = pointer.target.as_ref();
    target.is_some_and(|target| {
        matches!(
            target.progress,
            Progress::Verified | Progress::Restoring { .. }
        )
    })
}

/// Keeps the reason, then moves the pointer.
async fn settle(
    config: &Config,
    store: &impl ObjectStore,
    release: &str,
    decision: &Decision,
    read: &Versioned<Pointer>,
    next: Option<Pointer>,
) -> Result<()> {
    let artifacts = config.artifacts();
    let key = format!("{release}-promotion");
    records::keep_decision(store, &artifacts, NAME, &key, decision).await?;
    match next {
        Some(next) => {
            records::swap(store, &artifacts.pointer(&config.environment), read, &next).await
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
