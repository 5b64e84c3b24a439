//! `judge-canary`: a release that is tried out on a share of the pods must do no worse than what is live.
//!
//! First its pods have to come up. Then it bakes: for a while it answers its share of the requests beside
//! the live release, each measured under its own name. The verdict compares error rate and latency of the
//! two in the very same periods. It passes, and `deploy-release` rolls it out; it fails, and `roll-back`
//! takes it away; or there were too few requests to tell, which passes never, and fails only at a limit
//! of its own, without laying it to the release.

pub mod compare;
pub mod decide;

use std::time::Duration;

use domain::{
    Error, Result, Step,
    layout::Artifacts,
    ports::{ApiMetrics, Bus, Canaries, Clock, ObjectStore},
    records::{self, Versioned},
    release::{Pointer, Progress},
    settings::Settings,
};
use events::{Announced, Event, Received, announced::CanaryStarted};
use jiff::Timestamp;

use crate::{
    compare::{Limits, Periods},
    decide::{Decision, Facts, Target, decide, target},
};

/// The function's name.
pub const NAME: &str = "judge-canary";

/// Longest time until the next look.
const LONGEST: Duration = Duration::from_mins(5);

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of releases and the pointer.
    pub artifacts_bucket: String,
    /// Limit for the canary's pods to be available, seconds since the release became the target; for pods that are
    /// lost while it bakes, seconds after `bake_s`.
    pub rollout_limit_s: i64,
    /// How long it bakes, seconds.
    pub bake_s: i64,
    /// Limit for enough requests, seconds since it bakes.
    pub limit_s: i64,
    /// Length of the periods that are compared, seconds.
    pub period_s: u32,
    /// What the comparison allows.
    pub limits: Limits,
    /// Delay until the next look.
    pub look_again: Duration,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        let config = Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
            rollout_limit_s: settings.parsed("ROLLOUT_LIMIT_S")?,
            bake_s: settings.parsed("CANARY_BAKE_S")?,
            limit_s: settings.parsed("CANARY_LIMIT_S")?,
            period_s: settings.parsed("CANARY_PERIOD_S")?,
            limits: Limits::read(settings)?,
            look_again: Duration::from_secs(settings.parsed("LOOK_AGAIN_S")?),
        };
        if config.period_s == 0 || config.bake_s < 2 * i64::from(config.period_s) {
            return Err(Error::permanent(format!(
                "CANARY_BAKE_S is {} and CANARY_PERIOD_S {}: a canary bakes for two whole periods at least, and the newest isn't compared",
                config.bake_s, config.period_s
            )));
        }
        Ok(config)
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.artifacts_bucket)
    }
}

/// The ports that the verdict needs.
#[derive(Debug)]
pub struct Ports<'a, S, K, M, B, C> {
    /// S3.
    pub store: &'a S,
    /// EKS.
    pub cluster: &'a K,
    /// CloudWatch.
    pub metrics: &'a M,
    /// The bus.
    pub bus: &'a B,
    /// The clock.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S, K, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, K, M, B, C>,
    received: Received,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    K: Canaries,
    M: ApiMetrics,
    B: Bus,
    C: Clock,
{
    let Event::Announced(Announced::CanaryStarted(started)) = received.event else {
        let reason = "only CanaryStarted leads to a canary's verdict".to_owned();
        return Ok(Step::Done(Decision::NotForThisFunction { reason }));
    };
    let pointer = records::pointer(ports.store, &config.artifacts(), &config.environment).await?;
    let target = match target(&started, &pointer.value) {
        Ok(target) => target,
        Err(reason) => return Ok(Step::Done(Decision::Superseded { reason })),
    };
    let facts = gather(config, ports, &target).await?;
    let decision = decide(&started, &target, &facts, config);
    apply(config, ports, &started, &pointer, decision).await
}

async fn gather<S, K, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, K, M, B, C>,
    target: &Target,
) -> Result<Facts>
where
    K: Canaries,
    M: ApiMetrics,
    C: Clock,
{
    let now = ports.clock.now();
    let mut periods = None;
    if let Progress::Canary {
        baking_since: Some(since),
        ..
    } = target.progress
    {
        let (from, to) = whole_periods(since, now, config.period_s)?;
        let measured = async |release: &str| {
            if from >= to {
                return Ok(vec![]);
            }
            ports
                .metrics
                .measured(release, from, to, config.period_s)
                .await
        };
        periods = Some(Periods {
            canary: measured(&target.release).await?,
            live: measured(&target.live).await?,
        });
    }
    Ok(Facts {
        now,
        canary: ports.cluster.canary().await?,
        periods,
    })
}

/// The first and the last moment of the periods that lie wholly between two moments, without the newest: pods
/// publish what a period saw after its end, each in its own time.
fn whole_periods(
    since: Timestamp,
    until: Timestamp,
    period_s: u32,
) -> Result<(Timestamp, Timestamp)> {
    let period = i64::from(period_s);
    let second = |second: i64| {
        Timestamp::from_second(second)
            .map_err(|error| Error::permanent("a period's beginning isn't a moment").because(error))
    };
    let from = (since.as_second() + period - 1).div_euclid(period) * period;
    let to = (until.as_second().div_euclid(period) - 1) * period;
    Ok((second(from)?, second(to)?))
}

/// Reason, pointer, announcement: each is there before the next, and each may be repeated.
async fn apply<S, K, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, K, M, B, C>,
    started: &CanaryStarted,
    pointer: &Versioned<Pointer>,
    decision: Decision,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let (release, now) = (started.release.as_str(), ports.clock.now());
    let announced = match &decision {
        Decision::Bake { .. } => {
            if let Some(next) = pointer.value.bake(release, now) {
                let at = artifacts.pointer(&config.environment);
                records::swap(ports.store, &at, pointer, &next).await?;
            }
            let after = wait(config, config.bake_s);
            return Ok(Step::Wait { after, decision });
        }
        Decision::NotYet { remaining_s, .. } => {
            let after = wait(config, *remaining_s);
            return Ok(Step::Wait { after, decision });
        }
        Decision::Superseded { .. } | Decision::NotForThisFunction { .. } => {
            return Ok(Step::Done(decision));
        }
        Decision::Pass { passed } => Announced::CanaryPassed(passed.clone()),
        Decision::Fail { failed } => Announced::ReleaseFailed(failed.clone()),
    };
    records::keep_decision(ports.store, &artifacts, NAME, release, &decision).await?;
    if let Decision::Fail { failed } = &decision {
        let reason = format!("{}: {}", failed.stage, failed.reason);
        if let Some(next) = pointer.value.failed(release, &reason, now) {
            let at = artifacts.pointer(&config.environment);
            records::swap(ports.store, &at, pointer, &next).await?;
        }
    }
    ports.bus.announce(&announced.announcement()?).await?;
    Ok(Step::Done(decision))
}

/// Until there can be something new to see.
fn wait(config: &Config, remaining_s: i64) -> Duration {
    let remaining = Duration::from_secs(u64::try_from(remaining_s).unwrap_or(0));
    remaining.clamp(config.look_again, LONGEST.max(config.look_again))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bake_s: &str) -> Settings {
        let pairs = [
            ("ENVIRONMENT", "dev"),
            ("ARTIFACTS_BUCKET", "a"),
            ("ROLLOUT_LIMIT_S", "300"),
            ("CANARY_BAKE_S", bake_s),
            ("CANARY_LIMIT_S", "3600"),
            ("CANARY_PERIOD_S", "60"),
            ("CANARY_MIN_REQUESTS", "50"),
            ("CANARY_ERROR_MARGIN_PERCENT", "1"),
            ("CANARY_LATENCY_RATIO", "1.25"),
            ("CANARY_LATENCY_MARGIN_MS", "20"),
            ("LOOK_AGAIN_S", "10"),
        ];
        Settings::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn a_canary_bakes_for_two_periods_at_least() {
        assert!(Config::read(&settings("120")).is_ok());
        let error = Config::read(&settings("119")).unwrap_err();
        assert!(error.to_string().contains("two whole periods"), "{error}");
    }

    #[test]
    fn only_whole_periods_are_compared_and_never_the_newest() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cases = [
            ((600, 1200), (600, 1140)),
            ((601, 1199), (660, 1080)),
            ((540, 1201), (540, 1140)),
        ];
        for ((since, until), (from, to)) in cases {
            let periods = whole_periods(at(since), at(until), 60).unwrap();
            assert_eq!(periods, (at(from), at(to)), "{since} to {until}");
        }
    }
}
