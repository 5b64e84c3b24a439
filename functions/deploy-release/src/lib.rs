//! `deploy-release`: an approved model, or an image scanned clean, becomes the environment's release.
//!
//! A model goes live with the live image, an image with the live model: that very package, that very
//! digest, never "the latest". The first release needs both; the half that came first is held. The
//! pointer moves before anything is rolled out, by compare-and-swap, so that there is one release at
//! a time and a repeat goes on where a crash stopped. With the strategy `canary` it is tried out on a share
//! of the pods, and rolled out when `judge-canary` lets it pass. Whether it serves is `verify-release`'s to say.

mod asked;
pub mod begun;
pub mod decide;
mod facts;
mod held;
mod images;
pub mod parts;
pub mod promote;
mod rollout;

use std::time::Duration;

use domain::{
    Error, Result, Step,
    alarms::AlarmSettings,
    endpoint::{EndpointAlarms, UpdatePolicy},
    layout::Artifacts,
    names,
    ports::{
        Alarms, Bus, Canaries, Clock, Cluster, Endpoints, ImageRegistry, ObjectStore, Registry,
    },
    records,
    release::{Configuration, Pointer},
    settings::Settings,
};
use jiff::Timestamp;

use events::{Announced, Event, Received, announced::DeploymentSkipped};

use crate::{
    decide::{Decision, Half, decide},
    rollout::Writer,
};

/// The function's name.
pub const NAME: &str = "deploy-release";

/// How long until a scan that runs is looked at again.
const SCANNING: Duration = Duration::from_secs(5);

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of releases and the pointer.
    pub artifacts_bucket: String,
    /// Model package group.
    pub group: String,
    /// ECR repository of the inference image.
    pub infer_repository: String,
    /// Tag of the environment's image.
    pub image_tag: String,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// Endpoint name.
    pub endpoint: String,
    /// What a release sets beside model and image.
    pub configuration: Configuration,
    /// Field manager that applied the Deployment's first manifest, and whose image is taken over.
    pub first_manager: String,
    /// What alarms are made with.
    pub alarms: AlarmSettings,
    /// What the endpoint's alarms are made with.
    pub endpoint_alarms: EndpointAlarms,
    /// How the endpoint's updates change over.
    pub endpoint_update: UpdatePolicy,
    /// An image without a finished scan is waited for so long, seconds.
    pub scan_limit_s: u32,
    /// A rollout without a verdict counts as abandoned after this, seconds.
    pub abandoned_after_s: u64,
    /// A canary without a verdict counts as abandoned after this, seconds.
    pub canary_abandoned_after_s: u64,
    /// Why nothing may be deployed now; rollbacks are none of its business.
    pub frozen: Option<String>,
    /// With the strategy `canary`: its share of the pods, percent.
    pub canary_share_percent: Option<u32>,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        let environment = settings.text("ENVIRONMENT")?;
        let config = Self {
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            group: settings.text("MODEL_PACKAGE_GROUP")?,
            infer_repository: settings.text("INFER_REPOSITORY")?,
            image_tag: format!("latest-{environment}"),
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            endpoint: settings.text("ENDPOINT_NAME")?,
            configuration: Configuration {
                endpoint_instance_type: settings.text("ENDPOINT_INSTANCE_TYPE")?,
                endpoint_instance_count: settings.parsed("ENDPOINT_INSTANCE_COUNT")?,
                environment: settings.json("API_ENVIRONMENT")?,
            },
            first_manager: settings.text("FIRST_FIELD_MANAGER")?,
            alarms: AlarmSettings::read(settings)?,
            endpoint_alarms: EndpointAlarms::read(settings)?,
            endpoint_update: UpdatePolicy::read(settings)?,
            scan_limit_s: settings.parsed("SCAN_LIMIT_S")?,
            abandoned_after_s: settings.parsed("ABANDONED_AFTER_S")?,
            canary_abandoned_after_s: settings.parsed("CANARY_ABANDONED_AFTER_S")?,
            frozen: settings.optional("FROZEN"),
            canary_share_percent: canary_share(settings)?,
            environment,
        };
        let instance_type = &config.configuration.endpoint_instance_type;
        if settings.parsed::<bool>("ENDPOINT_AUTOSCALING")? && parts::is_burstable(instance_type) {
            return Err(Error::permanent(format!(
                "ENDPOINT_INSTANCE_TYPE is `{instance_type}` and ENDPOINT_AUTOSCALING is true: SageMaker doesn't autoscale burstable instances; use ml.m5.large"
            )));
        }
        Ok(config)
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }
}

/// The share of a canary; `None` with the strategy `rolling`.
fn canary_share(settings: &Settings) -> Result<Option<u32>> {
    let share: u32 = settings.parsed("CANARY_SHARE_PERCENT")?;
    if !(1..=50).contains(&share) {
        return Err(Error::permanent(format!(
            "CANARY_SHARE_PERCENT is {share}: 1 to 50 expected"
        )));
    }
    match settings.text("STRATEGY")?.as_str() {
        "rolling" => Ok(None),
        "canary" => Ok(Some(share)),
        other => Err(Error::permanent(format!(
            "STRATEGY is `{other}`: `rolling` or `canary` expected"
        ))),
    }
}

/// The ports that a deployment needs.
#[derive(Debug)]
pub struct Ports<'a, S, R, I, K, W, B, C> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's registry and endpoints.
    pub sagemaker: &'a R,
    /// ECR.
    pub images: &'a I,
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
pub async fn handle<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    received: Received,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    R: Registry + Endpoints,
    I: ImageRegistry,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    if let Event::Announced(Announced::CanaryPassed(passed)) = &received.event {
        // On the heap: it is the largest part of this future.
        let promoted = Box::pin(promote::promote(config, ports, passed));
        return Ok(Step::Done(promoted.await?));
    }
    let half = facts::half(config, ports, &received.event).await?;
    let pointer = records::pointer(ports.store, &config.artifacts(), &config.environment).await?;
    let decision = match (
        begun(config, ports, &half, &pointer.value, &received).await?,
        &half,
    ) {
        (Some(decision), _) => decision,
        (None, Ok(half)) => {
            let facts = facts::gather(config, ports, half, &pointer.value, &received).await?;
            decide(half, &facts, config)?
        }
        (None, Err(reason)) => {
            let reason = reason.clone();
            return Ok(Step::Done(without(ports.bus, &received, reason).await?));
        }
    };
    let happened_at = match &half {
        Ok(half) => images::caused_at(half, &received),
        Err(_) => received.time,
    };
    match &decision {
        Decision::Deploy(rollout) => {
            let writer = Writer { config, ports };
            if let Some(failed) = writer.roll_out(rollout, &pointer).await? {
                return Ok(Step::Done(Decision::Unwritable { failed }));
            }
        }
        Decision::Ended { failed } => {
            let places = (ports.store, ports.bus, ports.clock.now());
            rollout::end(config, places, &decision, failed, &pointer).await?;
        }
        Decision::Hold {
            package_arn,
            reason,
        } => {
            keep(config, ports.store, package_arn, &decision).await?;
            held::hold(config, ports, package_arn, reason, &pointer).await?;
            skipped(ports.bus, package_arn, reason, happened_at).await?;
        }
        Decision::Skip { subject, reason } => {
            keep(config, ports.store, subject, &decision).await?;
            skipped(ports.bus, subject, reason, happened_at).await?;
        }
        Decision::Refuse(refused) => {
            if let Ok(half) = &half {
                keep(config, ports.store, &decide::subject(half)?, &decision).await?;
            }
            asked::tell(ports.bus, refused).await?;
        }
        Decision::Scanning { .. } => {
            return Ok(Step::Wait {
                after: SCANNING,
                decision,
            });
        }
        Decision::Busy { again_s, told, .. } => {
            if let Some(waits) = told {
                let waits = Announced::DeploymentWaits((**waits).clone());
                ports.bus.announce(&waits.announcement()?).await?;
            }
            return Ok(Step::Wait {
                after: Duration::from_secs(*again_s),
                decision,
            });
        }
        Decision::AlreadyLive { .. }
        | Decision::AlreadyBegun { .. }
        | Decision::AlreadyFailed { .. }
        | Decision::Unpromotable { .. }
        | Decision::Unwritable { .. }
        | Decision::NotForThisFunction { .. } => {}
    }
    if !matches!(decision, Decision::Deploy(_)) {
        // A message that comes back may be one whose invocation wrote late and died.
        let artifacts = config.artifacts();
        let place = rollout::place(config, &artifacts);
        let targets = (ports.store, ports.sagemaker, ports.cluster);
        convergence::repair(&place, targets, &pointer.value).await?;
        let target = pointer.value.target.iter();
        for left in target.flat_map(|target| target.gone_from.iter().chain(&target.abandoned)) {
            Writer { config, ports }.forget(left).await?;
        }
    }
    Ok(Step::Done(decision))
}

/// What the event means for what is on its way, if it means something for that.
async fn begun<S, R, I, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, I, K, W, B, C>,
    half: &std::result::Result<Half, String>,
    pointer: &Pointer,
    received: &Received,
) -> Result<Option<Decision>>
where
    S: ObjectStore,
    K: Cluster,
{
    match begun::gather(config, (ports.store, ports.cluster), pointer, received).await? {
        Some(begun) => begun::decide(half.as_ref().ok(), &begun, config),
        None => Ok(None),
    }
}

/// There is nothing to decide on; whoever asked is told so.
async fn without(bus: &impl Bus, received: &Received, reason: String) -> Result<Decision> {
    let Some(request) = asked::request(&received.event) else {
        return Ok(Decision::NotForThisFunction { reason });
    };
    let decision = asked::refused(request, reason, received.time);
    if let Decision::Refuse(refused) = &decision {
        asked::tell(bus, refused).await?;
    }
    Ok(decision)
}

/// Keeps why something wasn't deployed, under the digest of what it is.
async fn keep(
    config: &Config,
    store: &impl ObjectStore,
    subject: &str,
    decision: &Decision,
) -> Result<()> {
    let digest = names::digest(&[subject]);
    let key = format!("skipped-{}", names::short(&digest));
    records::keep_decision(store, &config.artifacts(), NAME, &key, decision).await
}

async fn skipped(bus: &impl Bus, subject: &str, reason: &str, caused_at: Timestamp) -> Result<()> {
    let skipped = DeploymentSkipped {
        subject: subject.to_owned(),
        reason: reason.to_owned(),
        caused_at,
    };
    bus.announce(&Announced::DeploymentSkipped(skipped).announcement()?)
        .await
}
