//! `verify-release`: a release is known good only when it was seen to serve what was judged.
//!
//! In turn: the rollout by kubectl's counts, the SageMaker endpoint on the expected configuration,
//! `GET /health` for this release, `POST /predict`, and golden rows: what the service answers equals
//! what the judged model predicted. Each look is short; the message comes back until the limit. What a
//! rollback brings back is proved in the same way, with the seconds since its cause.

mod checks;
pub mod decide;
pub mod questions;
pub mod started;
mod verdict;
mod watch;

use std::time::Duration;

use convergence::retire_canary;
use domain::{
    Result, Step,
    alarms::AlarmSettings,
    endpoint::EndpointAlarms,
    evaluation::GoldenRows,
    layout::Artifacts,
    ports::{Alarms, Api, Bus, Canaries, Clock, Cluster, Endpoints, ObjectStore},
    quarantine::Quarantine,
    records::{self, Versioned},
    release::Manifest,
    rollout::{Deployment, Rollout},
    settings::Settings,
};
use events::{Announced, Event, Received, announced::ReleaseFailed};

use crate::{
    decide::{Decision, Facts, decide, target},
    questions::{MOST_ROWS, ask},
    started::Started,
    watch::watch,
};

/// The function's name.
pub const NAME: &str = "verify-release";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of releases and the pointer.
    pub artifacts_bucket: String,
    /// Endpoint name.
    pub endpoint: String,
    /// Limit for the rollout, seconds since the release became the target.
    pub rollout_limit_s: i64,
    /// Limit for the API to answer rightly, seconds on top of it.
    pub health_limit_s: i64,
    /// Limit for the endpoint, whose update bakes, seconds since the release became the target.
    pub endpoint_limit_s: i64,
    /// What alarms are made with.
    pub alarms: AlarmSettings,
    /// What the endpoint's alarms are made with.
    pub endpoint_alarms: EndpointAlarms,
    /// Delay until the next look.
    pub look_again: Duration,
    /// Largest relative difference between a golden row and the service's answer.
    pub golden_tolerance: f64,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            endpoint: settings.text("ENDPOINT_NAME")?,
            rollout_limit_s: settings.parsed("ROLLOUT_LIMIT_S")?,
            health_limit_s: settings.parsed("HEALTH_LIMIT_S")?,
            endpoint_limit_s: settings.parsed("ENDPOINT_LIMIT_S")?,
            alarms: AlarmSettings::read(settings)?,
            endpoint_alarms: EndpointAlarms::read(settings)?,
            look_again: Duration::from_secs(settings.parsed("LOOK_AGAIN_S")?),
            golden_tolerance: settings.parsed("GOLDEN_TOLERANCE")?,
        })
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }
}

/// The ports that a verification needs.
#[derive(Debug)]
pub struct Ports<'a, S, E, K, A, W, B, C> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's endpoints.
    pub endpoints: &'a E,
    /// EKS.
    pub cluster: &'a K,
    /// The API, as its users reach it.
    pub api: &'a A,
    /// CloudWatch.
    pub alarms: &'a W,
    /// The bus.
    pub bus: &'a B,
    /// The clock.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S, E, K, A, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, E, K, A, W, B, C>,
    received: Received,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    E: Endpoints,
    K: Cluster + Canaries,
    A: Api,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    let started = match received.event {
        Event::Announced(Announced::DeploymentStarted(started)) => Started::Deployment(started),
        Event::Announced(Announced::RollbackStarted(started)) => {
            Started::Rollback(Box::new(started))
        }
        _ => {
            let reason = "only DeploymentStarted and RollbackStarted lead to a verification";
            return Ok(Step::Done(Decision::NotForThisFunction {
                reason: reason.to_owned(),
            }));
        }
    };
    let pointer = records::pointer(ports.store, &config.artifacts(), &config.environment).await?;
    let target = match target(&started, &pointer.value) {
        Ok(target) => target.clone(),
        Err(reason) => {
            let (places, release) = ((ports.store, ports.alarms), started.release());
            watch::superseded(config, places, release, &pointer.value).await?;
            let untold = verdict::before(config, ports.store, &started, &pointer.value).await?;
            if let Some(announced) = untold.as_ref().and_then(verdict::announced) {
                ports.bus.announce(&announced.announcement()?).await?;
            }
            return Ok(Step::Done(
                untold.unwrap_or(Decision::Superseded { reason }),
            ));
        }
    };
    let facts = gather(config, ports, &started).await?;
    let decision = decide(&started, &target, &facts, config);
    let decision = admit(config, ports.store, &facts.manifest, decision).await?;
    let next = match &decision {
        Decision::Verified { .. } | Decision::Restored { .. } => {
            pointer.value.verified(&target.release, facts.now)
        }
        Decision::Failed { failed } => {
            let reason = format!("{}: {}", failed.stage, failed.reason);
            pointer.value.failed(&target.release, &reason, facts.now)
        }
        // Whether it is tried again is `roll-back`'s to say: the way back stays open.
        Decision::NotRestored { .. } => None,
        Decision::NotYet { api_serves, .. } => {
            // The endpoint may take half an hour longer: what users have back is known now.
            let next = pointer.value.api_serves(&target.release, facts.now);
            if let (true, Some(next)) = (api_serves, next) {
                let at = config.artifacts().pointer(&config.environment);
                records::swap(ports.store, &at, &pointer, &next).await?;
            }
            return Ok(Step::Wait {
                after: config.look_again,
                decision,
            });
        }
        Decision::Superseded { .. } | Decision::NotForThisFunction { .. } => {
            return Ok(Step::Done(decision));
        }
    };
    if matches!(decision, Decision::Verified { .. }) && target.progress.is_open() {
        // All pods are the release's now: its canary isn't needed any more. Once the pointer says that it is
        // verified, a canary is the next release's.
        let environment = (&config.artifacts(), config.environment.as_str());
        retire_canary(environment, (ports.store, ports.cluster)).await?;
    }
    verdict::settle(config, ports.store, &target, &decision, (&pointer, next)).await?;
    let is_new = watch::is_new(target.judged_at, facts.now);
    let before = pointer.value.known_good.map(|good| good.release);
    let places = (ports.store, ports.alarms);
    watch(config, places, &decision, before.as_deref(), is_new).await?;
    if let Some(announced) = verdict::announced(&decision) {
        ports.bus.announce(&announced.announcement()?).await?;
    }
    Ok(Step::Done(decision))
}

/// Nothing quarantined becomes known good: a part may have been found guilty after `deploy-release` looked.
async fn admit(
    config: &Config,
    store: &impl ObjectStore,
    manifest: &Manifest,
    decision: Decision,
) -> Result<Decision> {
    let Decision::Verified { verified } = &decision else {
        return Ok(decision);
    };
    let at = config.artifacts().quarantine(&config.environment);
    let list: Versioned<Quarantine> = records::read_versioned(store, &at).await?;
    let Some(entry) = list.value.forbids(manifest)? else {
        return Ok(decision);
    };
    Ok(Decision::Failed {
        failed: ReleaseFailed {
            release: verified.release.clone(),
            stage: "quarantine".to_owned(),
            reason: format!(
                "{} is quarantined since {}: {}",
                entry.identity, entry.since, entry.reason
            ),
            build: verified.build.clone(),
            caused_at: verified.caused_at,
        },
    })
}

async fn gather<S, E, K, A, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, E, K, A, W, B, C>,
    started: &Started,
) -> Result<Facts>
where
    S: ObjectStore,
    E: Endpoints,
    K: Cluster + Canaries,
    A: Api,
    C: Clock,
{
    let artifacts = config.artifacts();
    let manifest: Manifest = records::manifest(ports.store, &artifacts, started.release()).await?;
    let mut golden: Option<GoldenRows> = records::read(
        ports.store,
        &artifacts.golden_rows(&manifest.model.training_job),
    )
    .await?;
    if let Some(golden) = &mut golden {
        golden.rows.truncate(MOST_ROWS);
    }
    let deployment = ports.cluster.deployment().await?;
    let answers = match &deployment {
        Some(deployment) if is_over(deployment, started.generation()) => {
            Some(ask(ports.api, golden.as_ref()).await?)
        }
        _ => None,
    };
    Ok(Facts {
        now: ports.clock.now(),
        manifest,
        generation: started.generation(),
        deployment,
        canary: ports.cluster.canary().await?,
        endpoint: ports.endpoints.endpoint(&config.endpoint).await?,
        answers,
        golden,
    })
}

fn is_over(deployment: &Deployment, generation: i64) -> bool {
    deployment.rollout(generation) == Rollout::Complete
}
