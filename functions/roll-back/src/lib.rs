//! `roll-back`: what speaks against the live release leads back to what is known good.
//!
//! An alarm of the live release or of its endpoint, a failed verification (rollout, endpoint, health,
//! predictions), an endpoint update that came back on the old configuration, or a person's request. The way back is explicit: the release that the pointer calls known good, never "the
//! previous one". The pointer moves first, by compare-and-swap, so there is one rollback at a time; then
//! Deployment and endpoint are given all of the good release (image, model, configuration, annotations;
//! never replicas), and the part that is to blame is quarantined. Whether it serves is
//! `verify-release`'s to say; a way back that fails is tried again up to a limit, then a person is told.

pub mod decide;
pub mod endpoint;
mod lift;

use convergence::{Place, Written, confirm};
use domain::{
    Result, Step,
    alarms::{AGAINST_A_RELEASE, PREFIX, candidate_names, silence_name},
    converge,
    endpoint::{PREFIX as ENDPOINT_PREFIX, alarm_names},
    layout::Artifacts,
    names,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, Endpoints, ObjectStore, Registry},
    quarantine::{Part, Quarantine},
    records::{self, Versioned},
    release::{Pointer, Progress, Restore, endpoint_config},
    settings::Settings,
};
use events::{
    Announced, Event, Received,
    announced::{CANARY_NO_DATA, RollbackGivenUp, RollbackStarted},
    incoming::Alarm,
};

use crate::{
    decide::{Decision, Facts, Rollback, Trigger, decide},
    endpoint::{Word, weigh},
};

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
        return Ok(Step::Done(lift::lift(config, ports, request).await?));
    }
    let pointer = records::pointer(ports.store, &config.artifacts(), &config.environment).await?;
    let decision = match &received.event {
        Event::Announced(Announced::RollbackFailed(failed)) => {
            let facts = gather(config, ports, &pointer.value, Some(&failed.from)).await?;
            decide::again(failed, &facts, config)?
        }
        event => match trigger(config, event, received.time) {
            Ok((trigger, word)) => {
                let suspect = decide::suspect(&trigger, &pointer.value);
                let facts = gather(config, ports, &pointer.value, suspect).await?;
                let weighed = match word {
                    Some(word) => weigh(&word, trigger, &facts, config)?,
                    None => Ok(trigger),
                };
                match weighed {
                    Ok(trigger) => decide(&trigger, &facts, config)?,
                    Err(decision) => decision,
                }
            }
            Err(reason) => Decision::NotForThisFunction { reason },
        },
    };
    match &decision {
        Decision::RollBack(rollback) => go_back(config, ports, rollback, &pointer).await?,
        Decision::GiveUp {
            from,
            cause,
            reason,
            advice,
            caused_at,
        } => {
            give_up(config, ports, from, &decision, &pointer).await?;
            let given_up = RollbackGivenUp {
                from: from.clone(),
                cause: cause.clone(),
                reason: reason.clone(),
                advice: advice.clone(),
                caused_at: Some(*caused_at),
            };
            ports
                .bus
                .announce(&Announced::RollbackGivenUp(given_up).announcement()?)
                .await?;
        }
        _ => {}
    }
    Ok(Step::Done(decision))
}

/// What an event says against a release, and whether it is the endpoint that speaks; otherwise why it says
/// nothing.
fn trigger(
    config: &Config,
    event: &Event,
    at: jiff::Timestamp,
) -> std::result::Result<(Trigger, Option<Word>), String> {
    match event {
        Event::Alarm(alarm) => {
            let watched = alarm.endpoint_config.as_ref();
            if let Some(reason) = not_ours(config, alarm) {
                return Err(reason);
            }
            if alarm.state != "ALARM" {
                return Err(format!("{} is {}, and not ALARM", alarm.name, alarm.state));
            }
            let trigger = Trigger {
                release: alarm.release.clone(),
                at: alarm.since.unwrap_or(at),
                deployed_for: None,
                words: format!("alarm {}: {}", alarm.name, alarm.reason),
                is_alarm: true,
                is_evidence: true,
            };
            let word = watched.map(|config| Word::Alarm {
                config: config.clone(),
            });
            Ok((trigger, word))
        }
        Event::Endpoint(changed) if changed.name != config.endpoint => {
            Err(format!("{} isn't the endpoint {}", changed.name, config.endpoint))
        }
        Event::Endpoint(changed) => {
            let trigger = Trigger {
                release: None,
                at,
                deployed_for: None,
                words: format!("the endpoint {} is {}", changed.name, changed.status),
                is_alarm: true,
                is_evidence: true,
            };
            Ok((trigger, Some(Word::Changed)))
        }
        Event::Announced(Announced::ReleaseFailed(failed)) => {
            let trigger = Trigger {
                release: Some(failed.release.clone()),
                at,
                deployed_for: Some(failed.caused_at),
                words: format!("failed at {}: {}", failed.stage, failed.reason),
                is_alarm: false,
                is_evidence: failed.stage != CANARY_NO_DATA,
            };
            Ok((trigger, None))
        }
        Event::Announced(Announced::RollbackRequested(request)) => {
            let trigger = Trigger {
                release: request.release.clone(),
                at,
                deployed_for: None,
                words: format!("{} asked: {}", request.by, request.reason),
                is_alarm: false,
                is_evidence: true,
            };
            Ok((trigger, None))
        }
        _ => Err(
            "only alarms, the endpoint's changes, failed releases and requests lead to a rollback, and requests lift a quarantine".to_owned(),
        ),
    }
}

/// Why an alarm isn't one of this environment's API or endpoint; `None` when it is.
fn not_ours(config: &Config, alarm: &Alarm) -> Option<String> {
    if let (Some(rest), Some(watched)) = (
        alarm.name.strip_prefix(ENDPOINT_PREFIX),
        &alarm.endpoint_config,
    ) {
        // The configuration's name says whose it is.
        let ours = format!("{}-{}-", names::PROJECT, config.environment);
        let is_ours = rest.ends_with(watched) && watched.starts_with(&ours);
        return (!is_ours).then(|| {
            format!(
                "{} watches another endpoint than {}",
                alarm.name, config.endpoint
            )
        });
    }
    let of_kind = |kind| {
        alarm
            .name
            .strip_prefix(PREFIX)?
            .strip_prefix(kind)?
            .strip_prefix('-')
    };
    let Some(rest) = AGAINST_A_RELEASE.into_iter().find_map(of_kind) else {
        return Some(format!(
            "{} isn't one of the alarms that speak against a release: the API's {}, or the endpoint's",
            alarm.name,
            AGAINST_A_RELEASE.join(" and ")
        ));
    };
    let ours = rest
        .strip_prefix(config.namespace.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("-release-"));
    (!ours).then(|| {
        format!(
            "{} watches another namespace than {}",
            alarm.name, config.namespace
        )
    })
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
    let (mut manifest, mut refuges) = (None, vec![]);
    if let Some(bad) = bad {
        manifest = records::read(ports.store, &artifacts.release(bad)).await?;
        for release in pointer.refuges(bad) {
            let good = records::manifest(ports.store, &artifacts, release).await?;
            refuges.push((release.to_owned(), good));
        }
    }
    let quarantine = quarantine(config, ports.store).await?.value;
    Ok(Facts {
        now: ports.clock.now(),
        pointer: pointer.clone(),
        bad: manifest,
        refuges,
        quarantine,
        deployment: ports.cluster.deployment().await?,
        endpoint: ports.sagemaker.endpoint(&config.endpoint).await?,
    })
}

async fn quarantine(config: &Config, store: &impl ObjectStore) -> Result<Versioned<Quarantine>> {
    records::read_versioned(store, &config.artifacts().quarantine(&config.environment)).await
}

/// Reason, pointer, quarantine, canary, Deployment, endpoint, announcement: each is there before the next,
/// and each may be repeated. What is to blame is listed first, so that nothing deploys it whatever becomes of
/// the rest. The canary goes before the Deployment: that is where it hurts. The Deployment comes before the endpoint, whose own update may have to end first.
async fn go_back<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    rollback: &Rollback,
    pointer: &Versioned<Pointer>,
) -> Result<()>
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
        manifest,
        reason,
        attempt,
        ..
    } = rollback;
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
    let guilty = &rollback.guilty;
    let list = quarantine(config, ports.store).await?;
    if let Some(longer) = list.value.with(guilty.clone()) {
        let at = artifacts.quarantine(&config.environment);
        records::swap(ports.store, &at, &list, &longer).await?;
    }
    if guilty.part == Part::Model {
        let why = format!("quarantined in {}: {}", config.environment, guilty.reason);
        ports.sagemaker.reject(&guilty.identity, &why).await?;
    }
    let cause = format!("rolled back from {from}: {reason}");
    ports.cluster.retire_canary().await?;
    let patch = converge::deployment(release, manifest, &cause)?;
    let generation = match rollback.untouched {
        Some(generation) => generation,
        None => ports.cluster.apply(&patch, false).await?,
    };
    let endpoint = converge::endpoint(&config.endpoint, &config.role_arn, manifest)?;
    ports.sagemaker.ensure_endpoint(&endpoint).await?;
    let mut over = candidate_names(&config.namespace, from);
    over.push(silence_name(&config.namespace, from));
    let bad = records::manifest(ports.store, &artifacts, from).await?;
    let served = endpoint_config(&bad)?;
    if served != endpoint.config {
        over.extend(alarm_names(&served));
    }
    ports.alarms.remove_alarms(&over).await?;
    let place = Place {
        artifacts: &artifacts,
        environment: &config.environment,
        endpoint: &config.endpoint,
        role_arn: &config.role_arn,
    };
    let targets = (ports.store, ports.sagemaker, ports.cluster);
    confirm(&place, targets, release, Written::AllPods).await??;
    let started = RollbackStarted {
        release: release.clone(),
        from: from.clone(),
        generation,
        attempt: *attempt,
        cause: reason.clone(),
        caused_at: rollback.caused_at,
        differences: rollback.differences.clone(),
        quarantined: Some(guilty.identity.clone()),
    };
    ports
        .bus
        .announce(&Announced::RollbackStarted(started).announcement()?)
        .await
}

/// Keeps the reason, and closes a way back that was open.
async fn give_up<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    from: &str,
    decision: &Decision,
    pointer: &Versioned<Pointer>,
) -> Result<()>
where
    S: ObjectStore,
    C: Clock,
{
    let artifacts = config.artifacts();
    let Decision::GiveUp { reason, .. } = decision else {
        return Ok(());
    };
    records::keep_decision(ports.store, &artifacts, NAME, from, decision).await?;
    let Some(target) = &pointer.value.target else {
        return Ok(());
    };
    if !matches!(target.progress, Progress::Restoring { .. }) {
        return Ok(());
    }
    match pointer.value.failed(
        &target.release,
        &format!("rollback: {reason}"),
        ports.clock.now(),
    ) {
        Some(next) => {
            let at = artifacts.pointer(&config.environment);
            records::swap(ports.store, &at, pointer, &next).await
        }
        None => Ok(()),
    }
}
