//! `diagnose-release`: when more than one part of a bad release differs from the good one, which is guilty?
//!
//! Woken by `RollbackStarted`, and not by the rollback's success: what went wrong has to be known most of
//! all when the way back is barred, and nothing of a rollback waits for this function (it reads manifests,
//! never the Deployment, the endpoint or how far the rollback has come). Where one part differs there is
//! nothing to find out. Otherwise each bad part is tried in the good release, as a batch transform of the
//! golden rows: the model with the image and with the container's variables of either release. The good
//! release itself, and the bad one, are tried beside them. The message comes back until all have ended, up
//! to a limit; [`decide::verdict`] is the rule.
//!
//! A guilty part joins the quarantine beside the very combination, which stays there; a guilty model package
//! becomes Rejected. Where a guilty part went live meanwhile, going away from it is asked for. What a
//! person let go after the same cause stays free.

pub mod decide;
mod score;
pub mod trials;

use std::{collections::BTreeMap, time::Duration};

use domain::{
    Error, Result, Step,
    evaluation::GoldenRows,
    layout::Artifacts,
    names,
    ports::{
        Bus, Clock, Condition, ObjectStore, Registry, Swap, TransformJob, TransformSpec, Transforms,
    },
    quarantine::{self, Entry, Part, Quarantine, reject},
    records::{self, Versioned},
    release::Progress,
    settings::Settings,
};
use events::{
    Announced, Event, Received,
    announced::{RollbackRequested, RollbackStarted},
};

pub use decide::Decision;

use decide::{Diagnosis, Outcome, Standing, Tried};
use trials::{Side, Trial};

/// The function's name, under which its decisions are kept.
pub const NAME: &str = "diagnose-release";

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Where releases, golden rows, predictions and the quarantine are.
    pub artifacts: Artifacts,
    /// SageMaker's execution role.
    pub role_arn: String,
    /// KMS key of what the jobs write; the bucket's own when `None`.
    pub key_arn: Option<String>,
    /// Instance type of the transforms.
    pub instance_type: String,
    /// Largest relative difference between a golden row and a combination's prediction.
    pub golden_tolerance: f64,
    /// Delay until the next look at transforms that run.
    pub look_again: Duration,
    /// Longest wait for the transforms since the rollback began.
    pub max_wait: Duration,
}

impl Config {
    /// Reads `ENVIRONMENT`, `ARTIFACTS_BUCKET`, `EXECUTION_ROLE_ARN`, `DATA_KEY_ARN` (may be empty),
    /// `TRANSFORM_INSTANCE_TYPE`, `GOLDEN_TOLERANCE` (from 0), `LOOK_AGAIN_S` and `MAX_WAIT_S` (seconds).
    pub fn read(settings: &Settings) -> Result<Self> {
        let golden_tolerance: f64 = settings.parsed("GOLDEN_TOLERANCE")?;
        // `NaN` reads as a number, and every comparison with it fails.
        if !(golden_tolerance >= 0.0 && golden_tolerance.is_finite()) {
            return Err(Error::permanent(format!(
                "GOLDEN_TOLERANCE is {golden_tolerance}: 0 or more expected"
            )));
        }
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts: Artifacts::new(settings.text("ARTIFACTS_BUCKET")?),
            role_arn: settings.text("EXECUTION_ROLE_ARN")?,
            key_arn: settings.optional("DATA_KEY_ARN"),
            instance_type: settings.text("TRANSFORM_INSTANCE_TYPE")?,
            golden_tolerance,
            look_again: Duration::from_secs(settings.parsed("LOOK_AGAIN_S")?),
            max_wait: Duration::from_secs(settings.parsed("MAX_WAIT_S")?),
        })
    }
}

/// The ports that a diagnosis needs.
#[derive(Debug)]
pub struct Ports<'a, S, M, B, C> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's transform jobs and registry.
    pub sagemaker: &'a M,
    /// The bus.
    pub bus: &'a B,
    /// The clock.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, M, B, C>,
    received: Received,
) -> Result<Step<Decision>>
where
    S: ObjectStore,
    M: Transforms + Registry,
    B: Bus,
    C: Clock,
{
    let Event::Announced(Announced::RollbackStarted(started)) = &received.event else {
        let reason = "only RollbackStarted leads to a diagnosis".to_owned();
        return Ok(Step::Done(Decision::NotForThisFunction { reason }));
    };
    let bad = side(config, ports.store, &started.from).await?;
    let good = side(config, ports.store, &started.release).await?;
    let differences = quarantine::differences(&bad.manifest, &good.manifest)?;
    let part = quarantine::guilty(&differences);
    if part != Part::Release {
        let reason = format!("only the {} differs: it is quarantined", trials::name(part));
        return Ok(Step::Done(Decision::OnePart { reason }));
    }
    let suspects = trials::suspects(&bad.manifest, &good.manifest, &differences);
    let trials = trials::trials(&bad, &good, &suspects)?;
    let (jobs, begun) = jobs(config, ports, &trials).await?;
    let age = ports.clock.now().duration_since(received.time);
    let is_late = Duration::try_from(age).unwrap_or_default() >= config.max_wait;
    let running: Vec<&str> = jobs
        .values()
        .filter_map(|job| running(job.as_ref()))
        .collect();
    // What was begun just now is looked at once more, however late the message is.
    if begun > 0 || (!running.is_empty() && !is_late) {
        return Ok(Step::Wait {
            after: config.look_again,
            decision: Decision::Wait {
                reason: format!(
                    "{} combinations of {} and {} are tried: {begun} begun, {} running",
                    trials.len(),
                    bad.release,
                    good.release,
                    running.len()
                ),
            },
        });
    }
    let mut tried = Vec::new();
    for trial in trials {
        tried.push(tell(config, ports.store, trial, &jobs).await?);
    }
    let diagnosis = decide::diagnose(started, &bad.manifest, differences, tried)?;
    let decision = Decision::Diagnose(diagnosis.clone());
    records::keep_decision(
        ports.store,
        &config.artifacts,
        NAME,
        &started.from,
        &decision,
    )
    .await?;
    apply(config, ports, started, &diagnosis).await?;
    Ok(Step::Done(decision))
}

async fn side(config: &Config, store: &impl ObjectStore, release: &str) -> Result<Side> {
    let manifest = records::manifest(store, &config.artifacts, release).await?;
    let at = config.artifacts.golden_rows(&manifest.model.training_job);
    let golden: Option<GoldenRows> = records::read(store, &at).await?;
    Ok(Side {
        release: release.to_owned(),
        manifest,
        golden: golden.map(|golden| golden.rows).unwrap_or_default(),
    })
}

/// The transforms by name, and how many were begun just now. Nothing is begun without a measure: golden
/// rows of the trial's model, and of the good release that all are measured by.
async fn jobs<S, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, M, B, C>,
    trials: &[Trial],
) -> Result<(BTreeMap<String, Option<TransformJob>>, usize)>
where
    S: ObjectStore,
    M: Transforms,
{
    let (mut jobs, mut begun) = (BTreeMap::new(), 0);
    if trials
        .first()
        .is_none_or(|control| control.golden.is_empty())
    {
        return Ok((jobs, begun));
    }
    for trial in trials.iter().filter(|trial| !trial.golden.is_empty()) {
        let job = ports.sagemaker.transform(&trial.job).await?;
        if job.is_none() {
            begin(config, ports, trial).await?;
            begun += 1;
        }
        jobs.insert(trial.job.clone(), job);
    }
    Ok((jobs, begun))
}

/// Writes the rows once, under the digest of what they are, then begins the transform.
async fn begin<S, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, M, B, C>,
    trial: &Trial,
) -> Result<()>
where
    S: ObjectStore,
    M: Transforms,
{
    let artifacts = &config.artifacts;
    let rows = score::features(&trial.golden);
    let digest = names::digest_bytes(rows.as_bytes());
    let input = artifacts.diagnosis_rows(names::short(&digest));
    // Lost means that they are there: their place is named by their content.
    let (Swap::Done | Swap::Lost) = ports
        .store
        .swap(&input, rows.into_bytes(), Condition::Absent)
        .await?;
    let spec = TransformSpec {
        name: trial.job.clone(),
        model_name: names::model_name(&trial.model_uri, &trial.image, &trial.environment),
        image: trial.image.clone(),
        model_uri: trial.model_uri.clone(),
        environment: trial.environment.clone(),
        role_arn: config.role_arn.clone(),
        input: input.to_string(),
        output: artifacts.predictions(&trial.job).to_string(),
        key_arn: config.key_arn.clone(),
        instance_type: config.instance_type.clone(),
        tags: BTreeMap::from([
            ("Project".to_owned(), "RetailForecast".to_owned()),
            ("Environment".to_owned(), config.environment.clone()),
        ]),
    };
    ports.sagemaker.ensure_transform(&spec).await?;
    Ok(())
}

/// The name of a job that isn't at its end.
fn running(job: Option<&TransformJob>) -> Option<&str> {
    job.filter(|job| decide::standing(job) == Standing::Open)
        .map(|job| job.name.as_str())
}

/// What came of a trial.
async fn tell(
    config: &Config,
    store: &impl ObjectStore,
    trial: Trial,
    jobs: &BTreeMap<String, Option<TransformJob>>,
) -> Result<Tried> {
    let unanswered = |reason: String| Outcome::Unanswered { reason };
    let job = jobs.get(&trial.job).and_then(Option::as_ref);
    let outcome = match job.map(decide::standing) {
        None if trial.golden.is_empty() => {
            unanswered("no golden rows of its model were kept".to_owned())
        }
        None => unanswered("it wasn't begun".to_owned()),
        Some(Standing::Open) => unanswered(format!(
            "its transform isn't over {} s after the rollback began",
            config.max_wait.as_secs()
        )),
        Some(Standing::Ended(outcome)) => outcome,
        Some(Standing::Predicted) => {
            let at = config.artifacts.prediction_rows(&trial.job);
            let predicted = store.get(&at).await?.ok_or_else(|| {
                Error::permanent(format!(
                    "{at} is missing, though its transform is Completed"
                ))
            })?;
            score::compare(&trial.golden, &predicted.bytes, config.golden_tolerance)
        }
    };
    Ok(Tried {
        combination: trial.combination,
        bad: trial.bad,
        job: trial.job,
        outcome,
    })
}

/// Quarantine, registry, a request where a guilty part is live, announcement: each is there before the
/// next, and each may be repeated.
async fn apply<S, M, B, C>(
    config: &Config,
    ports: &Ports<'_, S, M, B, C>,
    started: &RollbackStarted,
    diagnosis: &Diagnosis,
) -> Result<()>
where
    S: ObjectStore,
    M: Registry,
    B: Bus,
{
    let at = config.artifacts.quarantine(&config.environment);
    let list: Versioned<Quarantine> = records::read_versioned(ports.store, &at).await?;
    let found = diagnosis.guilty.iter();
    let held: Vec<&Entry> = found.filter(|entry| !list.value.let_go(entry)).collect();
    let longer = held.iter().fold(list.value.clone(), |longer, entry| {
        longer.with((*entry).clone()).unwrap_or(longer)
    });
    if longer != list.value {
        records::swap(ports.store, &at, &list, &longer).await?;
    }
    let mut by_hand = vec![];
    for guilty in &held {
        by_hand.extend(reject(ports.sagemaker, &config.environment, guilty).await?);
    }
    if let Some(request) = away(config, ports.store, started, &held).await? {
        let request = Announced::RollbackRequested(request);
        ports.bus.announce(&request.announcement()?).await?;
    }
    let diagnosed = Announced::ReleaseDiagnosed(
        diagnosis.announced((!by_hand.is_empty()).then(|| by_hand.join("; "))),
    );
    ports.bus.announce(&diagnosed.announcement()?).await
}

/// Until now only the combination was quarantined, so a guilty part may have been deployed with others.
async fn away(
    config: &Config,
    store: &impl ObjectStore,
    started: &RollbackStarted,
    held: &[&Entry],
) -> Result<Option<RollbackRequested>> {
    if held.is_empty() {
        return Ok(None);
    }
    let pointer = records::pointer(store, &config.artifacts, &config.environment).await?;
    let target = pointer.value.target;
    let Some(target) = target.filter(|target| !matches!(target.progress, Progress::Failed { .. }))
    else {
        return Ok(None);
    };
    let manifest = records::manifest(store, &config.artifacts, &target.release).await?;
    for entry in held {
        if entry.part.of(&manifest)? == entry.identity {
            return Ok(Some(RollbackRequested {
                release: Some(target.release),
                request: format!("{NAME} {}", started.from),
                by: NAME.to_owned(),
                take_over: None,
                reason: format!("{} is quarantined: {}", entry.identity, entry.reason),
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
