//! `roll-back`: what speaks against the live release leads back to what is known good.
//!
//! An alarm of the live release or of its endpoint, a failed verification (rollout, endpoint, health,
//! predictions), an endpoint update that came back on the old configuration, or a person's request. The way back is explicit: the release that the pointer calls known good, never "the
//! previous one". The pointer moves first, by compare-and-swap, so there is one rollback at a time; then
//! Deployment and endpoint are given all of the good release (image, model, configuration, annotations;
//! never replicas), and the part that is to blame is quarantined. Whether it serves is
//! `verify-release`'s to say; a way back that fails is tried again up to a limit, then a person is told.

mod back;
pub mod decide;
pub mod endpoint;
mod lift;
mod trigger;

use std::time::Duration;

use convergence::Place;
use domain::{
    Result, Step,
    layout::Artifacts,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, Endpoints, ObjectStore, Registry},
    quarantine::Quarantine,
    records::{self, Versioned},
    release::{Manifest, Pointer, endpoint_config},
    settings::Settings,
};
use events::{
    Announced, Event, Received,
    announced::{RequestRefused, RollbackRequested},
};
use jiff::Timestamp;

use crate::{
    decide::{Decision, Facts, GiveUp, Trigger, decide},
    endpoint::{Word, weigh},
    trigger::trigger,
};

pub use back::ENDPOINT_AGAIN_S;

/// The function's name.
pub const NAME: &str = "roll-back";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of releases, pointer and quarantine.
    pub artifacts_bucket: String,
    /// Kubernetes namespace, which the alarms' names end in.
    pub namespace: String,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// Endpoint name.
    pub endpoint: String,
    /// Field manager that applied the Deployment's first manifest.
    pub first_manager: String,
    /// How long after its verification an alarm still rolls a release back, seconds.
    pub guard_s: i64,
    /// How often the way back is tried.
    pub max_attempts: u32,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            namespace: settings.text("NAMESPACE")?,
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            endpoint: settings.text("ENDPOINT_NAME")?,
            first_manager: settings.text("FIRST_FIELD_MANAGER")?,
            guard_s: settings.parsed("GUARD_S")?,
            max_attempts: settings.parsed("MAX_ATTEMPTS")?,
        })
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }

    /// Where the environment converges.
    fn place<'a>(&'a self, artifacts: &'a Artifacts) -> Place<'a> {
        Place {
            artifacts,
            environment: &self.environment,
            endpoint: &self.endpoint,
            role_arn: &self.role_arn,
        }
    }
}

/// The ports that a rollback needs.
#[derive(Debug)]
pub struct Ports<'a, S, R, K, W, B, C> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's registry and endpoints.
    pub sagemaker: &'a R,
    /// EKS.
    pub cluster: &'a K,
    /// CloudWatch.
    pub alarms: &'a W,
    /// The bus.
    pub bus: &'a B,
    /// The clock.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    received: Received,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    R: Registry + Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    if let Event::Announced(Announced::LiftRequested(request)) = &received.event {
        let lifted = lift::lift(config, ports, request, received.time).await?;
        return Ok(Step::Done(lifted));
    }
    let pointer = records::pointer(ports.store, &config.artifacts(), &config.environment).await?;
    if matches!(received.event, Event::Endpoint(_)) {
        // Before it is laid to the live release: an update that nobody stands for any more may have ended.
        repair(config, ports, &pointer.value).await?;
    }
    let (decision, besides) = rule(config, ports, &received, &pointer.value).await?;
    if let Some(given_up) = &besides {
        // What was tried has its record, and a later one by now.
        let is_new = !matches!(
            received.event,
            Event::Announced(Announced::RollbackFailed(_))
        );
        back::call(config, ports, given_up, is_new).await?;
    }
    match &decision {
        Decision::RollBack(rollback) => {
            return back::go_back(config, ports, rollback, &pointer).await;
        }
        Decision::Later { after_s, .. } => {
            return Ok(Step::Wait {
                after: Duration::from_secs(*after_s),
                decision,
            });
        }
        Decision::GiveUp(given_up) => {
            let of_failure = matches!(
                received.event,
                Event::Announced(Announced::ReleaseFailed(_) | Announced::RollbackRequested(_))
            );
            back::give_up(config, ports, given_up, &pointer, of_failure).await?;
        }
        Decision::NotLive { reason }
        | Decision::NothingWrong { reason }
        | Decision::AlreadyThere { reason } => {
            if let Event::Announced(Announced::RollbackRequested(request)) = &received.event
                && !led_here(request, &pointer.value)
            {
                let what = request.release.as_deref().unwrap_or("what is live");
                let asked = format!("rollback of {what} (request {})", request.request);
                refuse(ports.bus, asked, &request.by, reason, received.time).await?;
            }
        }
        _ => {}
    }
    if matches!(
        decision,
        Decision::NotLive { .. } | Decision::AlreadyThere { .. } | Decision::NothingWrong { .. }
    ) {
        repair(config, ports, &pointer.value).await?;
    }
    Ok(Step::Done(decision))
}

/// Whether this request is what the target was brought back for: who asked hears of that.
fn led_here(request: &RollbackRequested, pointer: &Pointer) -> bool {
    let target = pointer.target.as_ref();
    target.is_some_and(|target| target.cause == trigger::words(request))
}

/// A message that comes back may be one whose invocation wrote late and died.
async fn repair<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    pointer: &Pointer,
) -> Result<()>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
{
    let artifacts = config.artifacts();
    let place = config.place(&artifacts);
    let targets = (ports.store, ports.sagemaker, ports.cluster);
    convergence::repair(&place, targets, pointer).await
}

/// Gathers what the event needs to be decided, and decides; and what people are told besides, of another way back
/// that isn't gone.
async fn rule<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    received: &Received,
    pointer: &Pointer,
) -> Result<(Decision, Option<Box<GiveUp>>)>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    C: Clock,
{
    if let Event::Announced(Announced::RollbackFailed(failed)) = &received.event {
        let facts = gather(config, ports, pointer, Some(&failed.from)).await?;
        let decision = decide::again(failed, received.time, &facts, config)?;
        return Ok((decision, decide::untold(failed, &facts, config)));
    }
    let (trigger, word) = match trigger(config, &received.event, received.time) {
        Ok(spoken) => spoken,
        Err(reason) => return Ok((Decision::NotForThisFunction { reason }, None)),
    };
    let trigger = match &word {
        Some(word) => of_what_is_live(config, ports.store, word, trigger, pointer).await?,
        None => decide::of_live(trigger, pointer),
    };
    let suspect = decide::suspect(&trigger, pointer);
    let facts = gather(config, ports, pointer, suspect).await?;
    if let Some(word) = word {
        // A canary hasn't come to the endpoint, whose words aren't laid to it.
        return Ok(match weigh(&word, trigger, &facts, config)? {
            Ok(trigger) => (decide(&trigger, &facts, config)?, None),
            Err(decision) => (decision, None),
        });
    }
    let Some(instead) = decide::canary_instead(&trigger, &facts, pointer, config)? else {
        return Ok((decide(&trigger, &facts, config)?, None));
    };
    let facts = gather(config, ports, pointer, Some(instead.canary)).await?;
    let decision = decide(&trigger, &facts, config)?;
    let goes = matches!(decision, Decision::RollBack(_) | Decision::GiveUp(_));
    Ok((decision, instead.barred.filter(|_| goes)))
}

/// An alarm names the endpoint's configuration, and no release: it is of what is live, whatever is on its way,
/// where that is served by this configuration.
async fn of_what_is_live(
    config: &Config,
    store: &impl ObjectStore,
    word: &Word,
    trigger: Trigger,
    pointer: &Pointer,
) -> Result<Trigger> {
    let (Word::Alarm { config: watched }, Some(good)) = (word, decide::beside(pointer)) else {
        return Ok(trigger);
    };
    let at = config.artifacts().release(&good.release);
    let manifest: Option<Manifest> = records::read(store, &at).await?;
    let serves = manifest.as_ref().map(endpoint_config).transpose()?;
    let release = (serves.as_ref() == Some(watched)).then(|| good.release.clone());
    Ok(Trigger {
        release: release.or(trigger.release),
        ..trigger
    })
}

/// Tells people that what one of them asked for wasn't done.
async fn refuse(
    bus: &impl Bus,
    request: String,
    by: &str,
    reason: &str,
    asked_at: Timestamp,
) -> Result<()> {
    let refused = RequestRefused {
        request,
        by: by.to_owned(),
        reason: reason.to_owned(),
        asked_at,
    };
    bus.announce(&Announced::RequestRefused(refused).announcement()?)
        .await
}

async fn gather<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    pointer: &Pointer,
    bad: Option<&str>,
) -> Result<Facts>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    C: Clock,
{
    let artifacts = config.artifacts();
    let quarantine = quarantine(config, ports.store).await?.value;
    let (mut manifest, mut refuges) = (None, vec![]);
    if let Some(bad) = bad {
        manifest = records::read(ports.store, &artifacts.release(bad)).await?;
        for release in pointer.refuges(bad) {
            // One whose manifest is gone doesn't bar those before it.
            let good: Option<Manifest> =
                records::read(ports.store, &artifacts.release(release)).await?;
            let Some(good) = good else { continue };
            let is_free = quarantine.forbids(&good)?.is_none();
            refuges.push((release.to_owned(), good));
            if is_free {
                break;
            }
        }
    }
    Ok(Facts {
        now: ports.clock.now(),
        pointer: pointer.clone(),
        from: bad.map(str::to_owned),
        bad: manifest,
        refuges,
        quarantine,
        deployment: ports.cluster.deployment().await?,
        canary: ports.cluster.canary().await?,
        endpoint: ports.sagemaker.endpoint(&config.endpoint).await?,
    })
}

async fn quarantine(config: &Config, store: &impl ObjectStore) -> Result<Versioned<Quarantine>> {
    records::read_versioned(store, &config.artifacts().quarantine(&config.environment)).await
}
