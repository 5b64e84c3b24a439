//! A release is written: pointer, alarms, canary or endpoint and Deployment.

use convergence::{Moved, Place, Written, confirm, idle_alarms};
use domain::{
    Class, Error, Result, converge,
    layout::Artifacts,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, EndpointSpec, Endpoints, ObjectStore},
    records::{self, Versioned},
    release::Pointer,
};
use events::{
    Announced,
    announced::{CanaryStarted, DeploymentStarted, ReleaseFailed, WRITE},
};

use crate::{
    Config, NAME, Ports,
    decide::{Decision, Rollout, Strategy},
};

/// Reason, manifest, pointer, alarms, then the canary or endpoint and Deployment, announcement: each is there
/// before the next, and each may be repeated. Answers what was announced when a write is refused for good.
pub(crate) async fn roll_out<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    rollout: &Rollout,
    pointer: &Versioned<Pointer>,
) -> Result<Option<ReleaseFailed>>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let Rollout {
        release,
        manifest,
        reason,
        ..
    } = rollout;
    let mut moved = None;
    if !rollout.resumes {
        records::keep_decision(ports.store, &artifacts, NAME, release, rollout).await?;
        records::write(ports.store, &artifacts.release(release), manifest).await?;
        let now = ports.clock.now();
        let next = pointer
            .value
            .aim(release, now, rollout.caused_at, reason)
            .built_by(rollout.build.clone());
        let next = match rollout.strategy {
            Strategy::Rolling { .. } => next,
            Strategy::Canary { pods, of } => next.try_out(pods, of),
        };
        records::swap(
            ports.store,
            &artifacts.pointer(&config.environment),
            pointer,
            &next,
        )
        .await?;
        moved = Some(next);
    }
    // What was abandoned, or failed without a way back, leaves its alarms behind.
    let target = moved.as_ref().unwrap_or(&pointer.value).target.as_ref();
    if let Some(left) = target.and_then(|target| target.left_over.as_ref()) {
        forget(config, ports, left).await?;
    }
    let begun = begin(config, ports, rollout).await;
    unless_refused(config, ports, rollout, begun).await
}

/// The candidate's alarms, then its canary or all pods.
async fn begin<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    rollout: &Rollout,
) -> Result<()>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
{
    let Rollout {
        release,
        manifest,
        reason,
        ..
    } = rollout;
    for alarm in config.alarms.candidate(release) {
        ports.alarms.ensure_alarm(&alarm).await?;
    }
    match rollout.strategy {
        Strategy::Rolling { .. } => all_pods(config, ports, rollout).await,
        Strategy::Canary { pods, of } => {
            let patch = converge::deployment(release, manifest, reason)?;
            let generation = ports.cluster.ensure_canary(&patch, pods).await?;
            still(config, ports, release, Written::Canary).await?;
            let started = CanaryStarted {
                release: release.clone(),
                generation,
                pods,
                of,
                cause: reason.clone(),
                caused_at: rollout.caused_at,
            };
            ports
                .bus
                .announce(&Announced::CanaryStarted(started).announcement()?)
                .await
        }
    }
}

/// The endpoint's alarms, endpoint, Deployment, announcement.
pub(crate) async fn all_pods<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    rollout: &Rollout,
) -> Result<()>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
{
    let Rollout {
        release,
        manifest,
        reason,
        ..
    } = rollout;
    let endpoint = converge::endpoint(&config.endpoint, &config.role_arn, manifest)?;
    let watching = config.endpoint_alarms.of(&endpoint.config);
    for alarm in &watching {
        ports.alarms.ensure_alarm(alarm).await?;
    }
    let endpoint = EndpointSpec {
        update: Some(config.endpoint_update.watched_by(&watching)),
        ..endpoint
    };
    ports.sagemaker.ensure_endpoint(&endpoint).await?;
    let generation = ports
        .cluster
        .apply(
            &converge::deployment(release, manifest, reason)?,
            rollout.take_over,
        )
        .await?;
    still(config, ports, release, Written::AllPods).await?;
    let started = DeploymentStarted {
        release: release.clone(),
        generation,
        cause: reason.clone(),
        caused_at: Some(rollout.caused_at),
    };
    ports
        .bus
        .announce(&Announced::DeploymentStarted(started).announcement()?)
        .await
}

/// Whether the pointer still says what was written. When it doesn't, the event is decided again.
async fn still<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    release: &str,
    written: Written,
) -> Result<()>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
{
    let confirmed = confirmed(config, ports, release, written).await?;
    confirmed.map_err(Error::from)
}

/// The same; when the pointer says something else, that is written again, and the alarms of a candidate that
/// isn't one any more go.
pub(crate) async fn confirmed<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    release: &str,
    written: Written,
) -> Result<std::result::Result<(), Moved>>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
{
    let artifacts = config.artifacts();
    let place = place(config, &artifacts);
    let targets = (ports.store, ports.sagemaker, ports.cluster);
    let confirmed = confirm(&place, targets, release, written).await?;
    if confirmed.is_err() {
        forget(config, ports, release).await?;
    }
    Ok(confirmed)
}

/// Where the environment converges.
pub(crate) fn place<'a>(config: &'a Config, artifacts: &'a Artifacts) -> Place<'a> {
    Place {
        artifacts,
        environment: &config.environment,
        endpoint: &config.endpoint,
        role_arn: &config.role_arn,
    }
}

/// Removes a release's own alarms, as far as the pointer doesn't need them any more.
async fn forget<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    release: &str,
) -> Result<()>
where
    S: ObjectStore,
    W: Alarms,
{
    let artifacts = config.artifacts();
    let pointer = records::pointer(ports.store, &artifacts, &config.environment)
        .await?
        .value;
    let of = (&artifacts, config.alarms.namespace.as_str());
    let idle = idle_alarms(of, ports.store, &pointer, release).await?;
    ports.alarms.remove_alarms(&idle).await
}

/// What is refused for good ends the deployment: the pointer says so, and `roll-back` hears of it. Answers
/// what was announced then.
pub(crate) async fn unless_refused<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    rollout: &Rollout,
    wrote: Result<()>,
) -> Result<Option<ReleaseFailed>>
where
    S: ObjectStore,
    B: Bus,
    C: Clock,
{
    let error = match wrote {
        Ok(()) => return Ok(None),
        Err(error) if error.class() == Class::Permanent => error,
        Err(error) => return Err(error),
    };
    let refused = ReleaseFailed {
        release: rollout.release.clone(),
        stage: WRITE.to_owned(),
        reason: error.chain(),
        build: rollout.build.clone(),
        caused_at: rollout.caused_at,
    };
    let artifacts = config.artifacts();
    let pointer = records::pointer(ports.store, &artifacts, &config.environment).await?;
    let target = pointer.value.target.as_ref();
    let is_this = target.is_some_and(|target| target.caused_at == rollout.caused_at);
    let reason = format!("{WRITE}: {}", refused.reason);
    let now = ports.clock.now();
    let next = pointer.value.failed(&rollout.release, &reason, now);
    let Some(next) = next.filter(|_| is_this) else {
        // Somebody moved the pointer meanwhile: the event is decided again.
        return Err(Error::transient(refused.reason));
    };
    records::keep_decision(
        ports.store,
        &artifacts,
        NAME,
        &rollout.release,
        &Decision::Unwritable {
            failed: refused.clone(),
        },
    )
    .await?;
    let at = artifacts.pointer(&config.environment);
    records::swap(ports.store, &at, &pointer, &next).await?;
    failed(ports.bus, &refused).await?;
    Ok(Some(refused))
}

/// Announces that a release failed.
pub(crate) async fn failed(bus: &impl Bus, failed: &ReleaseFailed) -> Result<()> {
    let failed = Announced::ReleaseFailed(failed.clone());
    bus.announce(&failed.announcement()?).await
}
