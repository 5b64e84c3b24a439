//! The way back, written; and the end of one that leads nowhere.

use std::time::Duration;

use convergence::{Written, confirm, retire_canary};
use domain::{
    Class, Error, Result, Step,
    alarms::candidate_names,
    converge,
    endpoint::alarm_names,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, Endpoints, ObjectStore, Registry},
    quarantine::{Entry, reject},
    records::{self, Versioned},
    release::{Manifest, Pointer, Progress, Restore, endpoint_config},
};
use events::{
    Announced,
    announced::{RollbackFailed, RollbackGivenUp, RollbackStarted, WRITE},
};

use jiff::Timestamp;

use crate::{
    Config, NAME, Ports,
    decide::{Decision, GiveUp, Rollback},
    quarantine,
};

/// Seconds until an endpoint that is being updated is looked at again.
pub const ENDPOINT_AGAIN_S: u64 = 20;

/// What became of the writes.
struct Wrote {
    /// The generation of the Deployment that carries the good release.
    generation: i64,
    /// Why the endpoint doesn't take the good configuration yet: an update has to end first.
    endpoint_waits: Option<Error>,
    /// What a person has to do besides, since it was refused.
    by_hand: Option<String>,
}

/// Reason, pointer, quarantine, writes, announcement: each is there before the next, and each may be
/// repeated. What is to blame is listed first, so that nothing deploys it whatever becomes of the rest. What
/// is refused for good is a try that failed: people are told when the last one did.
pub(crate) async fn go_back<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    rollback: &Rollback,
    pointer: &Versioned<Pointer>,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    R: Registry + Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let Rollback {
        from,
        release,
        reason,
        attempt,
        ..
    } = rollback;
    let done = |by_hand: Option<String>| {
        let rollback = rollback.clone();
        Decision::RollBack(Box::new(Rollback {
            by_hand,
            ..rollback
        }))
    };
    if !rollback.resumes {
        records::keep_decision(ports.store, &artifacts, NAME, from, rollback).await?;
        let restore = Restore {
            now: ports.clock.now(),
            caused_at: rollback.caused_at,
            cause: reason.clone(),
        };
        let next = pointer.value.restore(release, from, *attempt, restore);
        let at = artifacts.pointer(&config.environment);
        records::swap(ports.store, &at, pointer, &next).await?;
    }
    if let Some(guilty) = &rollback.guilty {
        list(config, ports.store, guilty).await?;
    }
    let wrote = match write(config, ports, rollback).await {
        Err(error) if error.class() == Class::Permanent => {
            let failed = RollbackFailed {
                release: release.clone(),
                from: from.clone(),
                attempt: *attempt,
                stage: WRITE.to_owned(),
                reason: error.chain(),
                caused_at: rollback.caused_at,
            };
            let failed = Announced::RollbackFailed(failed).announcement()?;
            ports.bus.announce(&failed).await?;
            return Ok(Step::Done(done(None)));
        }
        wrote => wrote?,
    };
    let decision = done(wrote.by_hand.clone());
    if let (Decision::RollBack(told), Some(_)) = (&decision, &wrote.by_hand) {
        records::keep_decision(ports.store, &artifacts, NAME, from, told).await?;
    }
    // While the endpoint is waited for, the message comes back, and what it begins was announced.
    let waits_still =
        wrote.endpoint_waits.is_some() && rollback.resumes && rollback.untouched.is_some();
    if !waits_still {
        let started = RollbackStarted {
            release: release.clone(),
            from: from.clone(),
            generation: wrote.generation,
            attempt: *attempt,
            cause: reason.clone(),
            caused_at: rollback.caused_at,
            differences: rollback.differences.clone(),
            quarantined: rollback.guilty.as_ref().map(|part| part.identity.clone()),
            abandoned: rollback.abandoned.clone(),
            bad: rollback.sides.bad.clone(),
            good: rollback.sides.good.clone(),
            by_hand: wrote.by_hand,
        };
        let started = Announced::RollbackStarted(started).announcement()?;
        ports.bus.announce(&started).await?;
    }
    Ok(match wrote.endpoint_waits {
        Some(_) => Step::Wait {
            after: Duration::from_secs(ENDPOINT_AGAIN_S),
            decision,
        },
        None => Step::Done(decision),
    })
}

/// Puts what is to blame onto the list.
async fn list(config: &Config, store: &impl ObjectStore, guilty: &Entry) -> Result<()> {
    let list = quarantine(config, store).await?;
    // The word of a person counts more than a repeat of what came before it.
    let was_let_go = list.value.let_go(guilty);
    if let (false, Some(longer)) = (was_let_go, list.value.with(guilty.clone())) {
        let at = config.artifacts().quarantine(&config.environment);
        records::swap(store, &at, &list, &longer).await?;
    }
    Ok(())
}

/// Canary, Deployment, endpoint, registry, alarms. The canary goes before the Deployment: that is where it
/// hurts. The Deployment comes before the endpoint, whose own update may have to end first.
async fn write<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    rollback: &Rollback,
) -> Result<Wrote>
where
    S: ObjectStore,
    R: Registry + Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
{
    let artifacts = config.artifacts();
    let Rollback {
        from,
        release,
        manifest,
        reason,
        ..
    } = rollback;
    ports.cluster.retire_canary().await?;
    let cause = format!("rolled back from {from}: {reason}");
    let patch = converge::deployment(release, manifest, &cause)?;
    let generation = match rollback.untouched {
        Some(generation) => generation,
        None => ports.cluster.apply(&patch, rollback.take_over).await?,
    };
    let endpoint = converge::endpoint(&config.endpoint, &config.role_arn, manifest)?;
    let endpoint_waits = match ports.sagemaker.ensure_endpoint(&endpoint).await {
        Ok(_) => None,
        Err(error) if error.class() == Class::Transient => Some(error),
        Err(error) => return Err(error),
    };
    let by_hand = match &rollback.guilty {
        Some(guilty) => reject(ports.sagemaker, &config.environment, guilty).await?,
        None => None,
    };
    let mut over = vec![];
    let others = rollback.abandoned.iter().chain(&rollback.left_over);
    for gone in std::iter::once(from).chain(others) {
        over.extend(candidate_names(&config.namespace, gone));
        let manifest: Option<Manifest> =
            records::read(ports.store, &artifacts.release(gone)).await?;
        if let Some(manifest) = manifest {
            let served = endpoint_config(&manifest)?;
            // By its alarms an update that still bakes is taken back.
            if served != endpoint.config && endpoint_waits.is_none() {
                over.extend(alarm_names(&served));
            }
        }
    }
    ports.alarms.remove_alarms(&over).await?;
    let place = config.place(&artifacts);
    let targets = (ports.store, ports.sagemaker, ports.cluster);
    // Where the endpoint takes nothing yet, only the Deployment was written.
    confirm(&place, targets, release, Written::AllPods).await??;
    Ok(Wrote {
        generation,
        endpoint_waits,
        by_hand,
    })
}

/// Keeps the reason, closes a way back that was open, and calls people. `of_failure` says that what failed is
/// given up by it: the next deployment is the way out then, and doesn't wait. A canary is taken away, and what
/// is to blame for it is listed, before all else: that needs no way back.
pub(crate) async fn give_up<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    given_up: &GiveUp,
    pointer: &Versioned<Pointer>,
    of_failure: bool,
) -> Result<()>
where
    S: ObjectStore,
    K: Canaries,
    B: Bus,
    C: Clock,
{
    let GiveUp {
        from,
        reason,
        guilty,
        ..
    } = given_up;
    let artifacts = config.artifacts();
    if pointer.value.targets(from) {
        ports.cluster.retire_canary().await?;
    } else if is_left(&pointer.value, from) {
        // A crash may have come between the pointer and the canary that was tried out beside it.
        let environment = (&artifacts, config.environment.as_str());
        retire_canary(environment, (ports.store, ports.cluster)).await?;
    }
    if let Some(guilty) = guilty {
        list(config, ports.store, guilty).await?;
    }
    keep(config, ports.store, given_up).await?;
    let now = ports.clock.now();
    let next = closed(&pointer.value, from, reason, now);
    let next = next.or_else(|| pointer.value.give_up(from, now).filter(|_| of_failure));
    // Once the pointer says that a canary failed, a word of what is live beside it is decided otherwise, and
    // wouldn't tell after a crash that its pods are gone, which is so by now.
    let is_canary = is_canary(&pointer.value, from);
    if is_canary {
        announce(ports.bus, given_up).await?;
    }
    if let Some(next) = next {
        let at = artifacts.pointer(&config.environment);
        records::swap(ports.store, &at, pointer, &next).await?;
    }
    if is_canary {
        return Ok(());
    }
    announce(ports.bus, given_up).await
}

/// Calls people, and changes nothing but the record of what `is_new`.
pub(crate) async fn call<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    given_up: &GiveUp,
    is_new: bool,
) -> Result<()>
where
    S: ObjectStore,
    B: Bus,
{
    if is_new {
        keep(config, ports.store, given_up).await?;
    }
    announce(ports.bus, given_up).await
}

/// Keeps why a way back isn't gone.
async fn keep(config: &Config, store: &impl ObjectStore, given_up: &GiveUp) -> Result<()> {
    let decision = Decision::GiveUp(Box::new(given_up.clone()));
    records::keep_decision(store, &config.artifacts(), NAME, &given_up.from, &decision).await
}

async fn announce(bus: &impl Bus, given_up: &GiveUp) -> Result<()> {
    let GiveUp {
        from,
        cause,
        reason,
        advice,
        caused_at,
        sides,
        ..
    } = given_up.clone();
    let given_up = RollbackGivenUp {
        from,
        cause,
        reason,
        advice,
        caused_at: Some(caused_at),
        bad: sides.bad,
        good: sides.good,
    };
    let given_up = Announced::RollbackGivenUp(given_up).announcement()?;
    bus.announce(&given_up).await
}

/// Whether this release is tried out.
fn is_canary(pointer: &Pointer, release: &str) -> bool {
    pointer.target.as_ref().is_some_and(|target| {
        target.release == release && matches!(target.progress, Progress::Canary { .. })
    })
}

/// Whether this release is being gone away from.
fn is_left(pointer: &Pointer, release: &str) -> bool {
    pointer.target.as_ref().is_some_and(
        |target| matches!(&target.progress, Progress::Restoring { from, .. } if from == release),
    )
}

/// The pointer without the way back, or the canary, that was open; `None` when none was.
fn closed(pointer: &Pointer, from: &str, reason: &str, now: Timestamp) -> Option<Pointer> {
    let target = pointer.target.as_ref()?;
    if is_canary(pointer, from) {
        let failed = pointer.failed(from, &format!("rollback: {reason}"), now)?;
        return failed.give_up(from, now);
    }
    if !is_left(pointer, from) {
        // A way back from something else goes on.
        return None;
    }
    pointer.failed(&target.release, &format!("rollback: {reason}"), now)
}
