//! Judges a trained model: pass, fail, no-data, or first-model.
//!
//! Woken by the ends of the transform jobs in which the new model (the candidate) and the live one
//! (the champion) predict the same held-out rows. When both have ended, the predictions are joined with
//! the truth row by row, and both models and the seasonal-naive forecast are measured on the very same
//! rows. The candidate must reach a least accuracy, beat the seasonal-naive forecast, and not be much
//! worse than the champion; before there is one, than the metrics that the owner recorded, if any. See
//! [`decide::judge`] for the gates.
//!
//! A side that couldn't be scored, or whose predictions are of no use, ends the evaluation as
//! `TrainingFailed`: nothing is compared with half of the facts. Too few rows or undefined metrics are no-data, which approves nothing.
//!
//! The judgement is computed once. `judgement.json` is written after everything that belongs to it, so
//! where it is, the evaluation is whole, and a repeat only announces it again. A person can override a
//! verdict that keeps a model back (`OverrideRequested`); the verdict by the gates stays in the record. What
//! can't be overridden is told (`RequestRefused`).

pub mod config;
pub mod decide;
mod overrides;
mod picture;
mod plot;
pub mod record;
mod score;

use std::time::Duration;

use domain::{
    Class, Result, Step,
    evaluation::{GoldenRows, Metrics, Plan},
    names,
    ports::{Bus, Clock, ObjectStore, Swap, TransformJob, Transforms},
    records,
};
use events::{
    Received,
    announced::{Announced, NOT_JUDGED, TrainingFailed},
    incoming::Event,
};
use jiff::Timestamp;

pub use config::Config;
pub use decide::Decision;

use decide::{Baseline, Jobs, Measured, Readiness, Source};
use record::{Judgement, RecordedBaseline};
use score::{Scored, Unscored};

/// The function's name, under which its decisions are kept.
pub const NAME: &str = "judge-model";
/// Delay between two looks at a side that is still being scored.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
const SVG: &str = "image/svg+xml";

/// The ports that the function needs.
#[derive(Debug)]
pub struct Ports<'a, S, T, B, C> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's transform jobs.
    pub transforms: &'a T,
    /// The bus.
    pub bus: &'a B,
    /// The clock.
    pub clock: &'a C,
}

/// Gathers, decides, applies.
pub async fn handle<S: ObjectStore, T: Transforms, B: Bus, C: Clock>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    received: Received,
) -> Result<Step<Decision>> {
    match &received.event {
        Event::TransformJob(job) => match names::judged_training_job(&job.name) {
            Some(training_job) => evaluate(config, ports, training_job, received.time).await,
            None => Ok(not_for_this_function(format!(
                "{} judges no model",
                job.name
            ))),
        },
        Event::Announced(Announced::OverrideRequested(request)) => {
            overrides::handle(config, ports, request, received.time).await
        }
        _ => Ok(not_for_this_function(
            "only ends of transform jobs and overrides lead to a verdict".to_owned(),
        )),
    }
}

fn not_for_this_function(reason: String) -> Step<Decision> {
    Step::Done(Decision::NotForThisFunction { reason })
}

async fn evaluate<S: ObjectStore, T: Transforms, B: Bus, C: Clock>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    training_job: &str,
    ended: Timestamp,
) -> Result<Step<Decision>> {
    let artifacts = &config.artifacts;
    let kept = records::read::<Judgement>(ports.store, &artifacts.judgement(training_job)).await?;
    if let Some(kept) = kept {
        return announce_again(config, ports.bus, kept).await;
    }
    let at = artifacts.evaluation_plan(training_job);
    // The plan is written before the first transform is asked for: without one, nobody here asked.
    let Some(plan) = records::read::<Plan>(ports.store, &at).await? else {
        return Ok(not_for_this_function(format!(
            "{training_job} isn't evaluated in this environment: there is no {at}"
        )));
    };
    let jobs = jobs(ports.transforms, &plan).await?;
    match decide::readiness(&plan, &jobs, since(ports.clock, ended), config.max_wait) {
        Readiness::Ready => judge(config, ports, &plan).await,
        Readiness::Waiting { reason } => Ok(Step::Wait {
            after: LOOK_AGAIN,
            decision: Decision::Wait {
                training_job: plan.training_job,
                reason,
            },
        }),
        Readiness::Failed {
            job,
            status,
            reason,
        } => {
            let failed = TrainingFailed {
                training_job: plan.training_job,
                failed_job: job,
                status,
                reason,
            };
            fail(config, ports, failed).await
        }
    }
}

/// How long ago that was.
fn since(clock: &impl Clock, then: Timestamp) -> Duration {
    Duration::try_from(clock.now().duration_since(then)).unwrap_or_default()
}

async fn jobs(transforms: &impl Transforms, plan: &Plan) -> Result<Jobs> {
    let champion: Option<TransformJob> = match &plan.champion {
        Some(side) => transforms.transform(&side.transform_job).await?,
        None => None,
    };
    Ok(Jobs {
        candidate: transforms.transform(&plan.candidate.transform_job).await?,
        champion,
    })
}

async fn announce_again(
    config: &Config,
    bus: &impl Bus,
    kept: Judgement,
) -> Result<Step<Decision>> {
    bus.announce(&kept.announced(&config.artifacts).announcement()?)
        .await?;
    Ok(Step::Done(Decision::AlreadyJudged {
        training_job: kept.training_job,
        verdict: kept.verdict,
        reason: kept.reason,
    }))
}

async fn fail<S: ObjectStore, T, B: Bus, C>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    failed: TrainingFailed,
) -> Result<Step<Decision>> {
    let decision = Decision::FailEvaluation {
        training_job: failed.training_job.clone(),
        failed_job: failed.failed_job.clone(),
        status: failed.status.clone(),
        reason: failed.reason.clone(),
    };
    records::keep_decision(
        ports.store,
        &config.artifacts,
        NAME,
        &failed.failed_job,
        &decision,
    )
    .await?;
    let at = config.artifacts.evaluation_failure(&failed.training_job);
    records::write(ports.store, &at, &failed.record()).await?;
    ports
        .bus
        .announce(&Announced::TrainingFailed(failed).announcement()?)
        .await?;
    Ok(Step::Done(decision))
}

async fn judge<S: ObjectStore, T, B: Bus, C>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    plan: &Plan,
) -> Result<Step<Decision>> {
    let (measured, scored) = match measure(config, ports.store, plan).await {
        Ok(measured) => measured,
        // What was predicted, or what it is held against, is of no use, and won't be by itself.
        Err(Unscored { job, error }) if error.class() == Class::Permanent => {
            let failed = TrainingFailed {
                training_job: plan.training_job.clone(),
                failed_job: job,
                status: NOT_JUDGED.to_owned(),
                reason: error.chain(),
            };
            return fail(config, ports, failed).await;
        }
        Err(Unscored { error, .. }) => return Err(error),
    };
    let judged = decide::judge(&config.policy, &measured);
    let judgement = Judgement::new(plan, &measured, &judged);
    let decision = Decision::Judge {
        training_job: plan.training_job.clone(),
        verdict: judged.verdict,
        reason: judged.reason,
        gates: judged.gates,
    };
    let (artifacts, job) = (&config.artifacts, &plan.training_job);
    records::keep_decision(ports.store, artifacts, NAME, job, &decision).await?;
    write_evidence(config, ports.store, &judgement, scored).await?;
    let at = artifacts.judgement(job);
    match records::write_once(ports.store, &at, &judgement).await? {
        Swap::Done => {
            ports
                .bus
                .announce(&judgement.announced(artifacts).announcement()?)
                .await?;
            Ok(Step::Done(decision))
        }
        // The end of the other side was quicker, and what it kept counts.
        Swap::Lost => {
            let kept =
                records::require(ports.store, &at, "the judgement that was written meanwhile")
                    .await?;
            announce_again(config, ports.bus, kept).await
        }
    }
}

async fn measure(
    config: &Config,
    store: &impl ObjectStore,
    plan: &Plan,
) -> std::result::Result<(Measured, Scored), Unscored> {
    let scored = score::score(store, &config.artifacts, plan).await?;
    let baseline = baseline(config, store, plan, &scored).await;
    let measured = Measured {
        candidate: scored.candidate,
        baseline: baseline.map_err(Unscored::of(&plan.training_job))?,
        naive: scored.naive,
    };
    Ok((measured, scored))
}

/// The champion on the same rows; before there is one, what the owner recorded, if anything.
async fn baseline(
    config: &Config,
    store: &impl ObjectStore,
    plan: &Plan,
    scored: &Scored,
) -> Result<Option<Baseline>> {
    if plan.champion.is_some() {
        let source = Source::Champion;
        return Ok(scored.champion.map(|metrics| Baseline { source, metrics }));
    }
    let recorded = records::read::<RecordedBaseline>(store, &config.artifacts.baseline()).await?;
    Ok(recorded.map(|recorded| Baseline {
        source: Source::Record,
        metrics: Metrics::from(recorded),
    }))
}

/// Everything that belongs to a judgement but the judgement itself.
async fn write_evidence(
    config: &Config,
    store: &impl ObjectStore,
    judgement: &Judgement,
    scored: Scored,
) -> Result<()> {
    let (artifacts, job) = (&config.artifacts, judgement.training_job.as_str());
    let golden = GoldenRows {
        schema: 1,
        rows: scored.golden,
    };
    records::write(store, &artifacts.golden_rows(job), &golden).await?;
    if let Some(metrics) = &judgement.candidate {
        let actual = plot::actual_against_predicted(job, metrics, &scored.picture)?;
        store
            .put(&artifacts.plot_actual(job), actual.into_bytes(), SVG)
            .await?;
        let residuals = plot::residuals(job, metrics, &scored.picture)?;
        store
            .put(&artifacts.plot_residuals(job), residuals.into_bytes(), SVG)
            .await?;
    }
    records::write(
        store,
        &artifacts.evaluation_results(job),
        &judgement.results(),
    )
    .await
}

#[cfg(test)]
mod tests;
