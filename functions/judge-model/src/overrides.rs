//! A person's word against a verdict: carried out, waited with until there is one, or refused aloud.

use domain::{
    Result, Step,
    evaluation::{Failure, Plan},
    ports::{Bus, Clock, ObjectStore},
    records::{self, Versioned},
};
use events::announced::{Announced, OverrideRequested, RequestRefused};
use jiff::Timestamp;

use crate::{
    Config, Decision, LOOK_AGAIN, NAME, Ports, announce_again, decide, record::Judgement, since,
};

/// Does what the request asks for, which was made then.
pub(crate) async fn handle<S: ObjectStore, T, B: Bus, C: Clock>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    request: &OverrideRequested,
    asked_at: Timestamp,
) -> Result<Step<Decision>> {
    let (artifacts, job) = (&config.artifacts, request.training_job.as_str());
    let kept: Versioned<Option<Judgement>> =
        records::read_versioned(ports.store, &artifacts.judgement(job)).await?;
    let decision = match &kept.value {
        Some(judgement) if decide::is_overridden_by(&judgement.verdict, &request.by) => {
            // A repeat; a crash may have kept it from being said.
            return announce_again(config, ports.bus, judgement.clone()).await;
        }
        Some(judgement) => {
            decide::override_verdict(&judgement.verdict, job, &request.by, &request.reason)
        }
        None => unjudged(config, ports, job, asked_at).await?,
    };
    match (&decision, kept.value) {
        (
            Decision::Override {
                verdict, reason, ..
            },
            Some(judgement),
        ) => {
            records::keep_decision(ports.store, artifacts, NAME, job, &decision).await?;
            let overridden = judgement.overridden(verdict.clone(), reason.clone());
            let at = artifacts.evaluation_results(job);
            records::write(ports.store, &at, &overridden.results()).await?;
            let (at, read) = (
                artifacts.judgement(job),
                Versioned {
                    value: (),
                    etag: kept.etag,
                },
            );
            records::swap(ports.store, &at, &read, &overridden).await?;
            let event = overridden.announced(artifacts);
            ports.bus.announce(&event.announcement()?).await?;
        }
        (Decision::Wait { .. }, _) => {
            return Ok(Step::Wait {
                after: LOOK_AGAIN,
                decision,
            });
        }
        (Decision::NothingToOverride { reason, .. }, _) => {
            let refused = Announced::RequestRefused(RequestRefused {
                request: format!("override of {job}"),
                by: request.by.clone(),
                reason: reason.clone(),
                asked_at,
            });
            ports.bus.announce(&refused.announcement()?).await?;
        }
        _ => {}
    }
    Ok(Step::Done(decision))
}

/// What becomes of a word that comes before the verdict.
async fn unjudged<S: ObjectStore, T, B, C: Clock>(
    config: &Config,
    ports: &Ports<'_, S, T, B, C>,
    training_job: &str,
    asked_at: Timestamp,
) -> Result<Decision> {
    let artifacts = &config.artifacts;
    let plan: Option<Plan> =
        records::read(ports.store, &artifacts.evaluation_plan(training_job)).await?;
    let failure: Option<Failure> =
        records::read(ports.store, &artifacts.evaluation_failure(training_job)).await?;
    Ok(decide::unjudged(
        training_job,
        plan.is_some(),
        failure.as_ref(),
        since(ports.clock, asked_at),
        config.max_wait,
    ))
}
