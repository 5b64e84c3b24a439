//! Checks every week whether the live model still predicts as well as when it was registered.
//!
//! Woken by the schedule. The live model is scored on rows that neither trained nor judged it: the
//! held-out rows of the newest accepted data set that lie after the last day of its own. Without
//! enough of them (no release, no later data) the check ends as no-data, with the reason, and never as
//! a pass; so it does when something that it needs is gone, refused or of no use. Otherwise a transform job predicts the data set's held-out rows in the release's own image,
//! and what is compared is kept beside it.
//!
//! Woken by the end of that job: when accuracy is below the least, or has dropped by more than allowed
//! since the model's registration, a training on the newest data set is requested; else the model is
//! kept. When another release went live meanwhile, there is no data about that one yet. The job's name is made of release and data set, so a second check of the same pair finds the
//! first one's job, also when its end was never heard of.

pub mod config;
pub mod decide;
pub mod plan;
mod score;

use std::time::Duration;

use domain::{
    Class, Result, Step,
    evaluation::{DatasetManifest, Metrics},
    layout::Artifacts,
    ports::{Bus, ObjectStore, Transforms},
    records,
    release::Manifest,
};
use events::{
    Received,
    announced::{Announced, CheckVerdict, ModelChecked, RetrainRequested},
    incoming::{Event, Job},
};
use jiff::Timestamp;
use serde::Deserialize;

pub use config::Config;
pub use decide::Decision;

use decide::Progress;
use plan::CheckPlan;

/// The function's name, under which its decisions are kept.
pub const NAME: &str = "check-model";
/// What the names of its transform jobs begin with; see [`domain::names::check_job`].
const CHECK: &str = "retail-forecast-check-";
/// Delay between two looks at a job whose end was announced before SageMaker shows it.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// The ports that the function needs.
#[derive(Debug)]
pub struct Ports<'a, S, T, B> {
    /// S3.
    pub store: &'a S,
    /// SageMaker's transform jobs.
    pub transforms: &'a T,
    /// The bus.
    pub bus: &'a B,
}

/// Gathers, decides, applies.
pub async fn handle<S: ObjectStore, T: Transforms, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    received: Received,
) -> Result<Step<Decision>> {
    match &received.event {
        Event::Schedule => weekly(config, ports, received.time).await,
        Event::TransformJob(job) if job.name.starts_with(CHECK) => scored(config, ports, job).await,
        _ => Ok(Step::Done(Decision::NotForThisFunction {
            reason: "only the schedule and the ends of checking jobs are handled".to_owned(),
        })),
    }
}

/// What the live model can be checked by.
struct Pair {
    release: String,
    manifest: Manifest,
    live: DatasetManifest,
    newest: DatasetManifest,
}

/// Names a check for people and in the records.
#[derive(Clone)]
struct Subject {
    /// What tells this check from others: the scheduled time, or the job that scored.
    check: String,
    release: Option<String>,
    dataset: Option<String>,
    /// The job that scored: the same scores ask for a training once.
    job: Option<String>,
}

/// A week that can't be checked for good has no data: people hear of each week.
async fn weekly<S: ObjectStore, T: Transforms, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    time: Timestamp,
) -> Result<Step<Decision>> {
    let mut subject = Subject {
        check: time.to_string(),
        release: None,
        dataset: None,
        job: None,
    };
    match begin(config, ports, time, &mut subject).await {
        Err(error) if error.class() == Class::Permanent => {
            no_data(config, ports, subject, error.chain()).await
        }
        begun => begun,
    }
}

async fn begin<S: ObjectStore, T: Transforms, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    time: Timestamp,
    subject: &mut Subject,
) -> Result<Step<Decision>> {
    let store = ports.store;
    let gathered = gather(config, store, subject).await?;
    let subject = subject.clone();
    let pair = match gathered {
        Ok(pair) => pair,
        Err(reason) => return no_data(config, ports, subject, reason).await,
    };
    if let Err(reason) = decide::has_later_days(&pair.live, &pair.newest) {
        return no_data(config, ports, subject, reason).await;
    }
    let (dataset, after) = (&pair.newest.dataset, pair.live.to);
    let rows = score::count_after(store, &config.artifacts, dataset, after).await?;
    let reason = match decide::is_enough(&config.policy, rows, &pair.live) {
        Ok(reason) => reason,
        Err(reason) => return no_data(config, ports, subject, reason).await,
    };
    let plan = CheckPlan::new(
        &pair.release,
        &pair.manifest,
        &pair.live,
        &pair.newest,
        time,
    );
    let decision = Decision::Score {
        plan: plan.clone(),
        reason,
    };
    start(config, ports, &plan, &pair.manifest, &decision).await?;
    // A job of an earlier week with the same release and data set may have ended unheard.
    match progress(ports.transforms, &plan.job).await? {
        Progress::Running(_) => Ok(Step::Done(decision)),
        Progress::Scored => {
            let at = config.artifacts.check_plan(&plan.job);
            let first: CheckPlan = records::require(store, &at, "the plan of a check").await?;
            // The end of the job speaks for the schedule that started it.
            let check = if first.scheduled == time {
                plan.job.clone()
            } else {
                subject.check
            };
            conclude(config, ports, plan, check).await
        }
        Progress::Failed(reason) => no_data(config, ports, subject, reason).await,
    }
}

/// Reads what is live and what is newest; the inner error says what is missing.
async fn gather(
    config: &Config,
    store: &impl ObjectStore,
    subject: &mut Subject,
) -> Result<std::result::Result<Pair, String>> {
    let artifacts = &config.artifacts;
    subject.release = live_release(config, store).await?;
    let newest = records::read::<Newest>(store, &artifacts.newest_dataset()).await?;
    subject.dataset = newest.map(|newest| newest.dataset);
    let (Some(release), Some(dataset)) = (subject.release.clone(), &subject.dataset) else {
        let missing = match subject.release {
            None => format!("no release is live in {}", config.environment),
            Some(_) => "no data set was accepted yet".to_owned(),
        };
        return Ok(Err(missing));
    };
    let manifest = records::manifest(store, artifacts, &release).await?;
    let live = dataset_manifest(store, artifacts, &manifest.model.dataset).await?;
    let newest = dataset_manifest(store, artifacts, dataset).await?;
    Ok(Ok(Pair {
        release,
        manifest,
        live,
        newest,
    }))
}

async fn live_release(config: &Config, store: &impl ObjectStore) -> Result<Option<String>> {
    let pointer = records::pointer(store, &config.artifacts, &config.environment).await?;
    Ok(pointer.value.base().map(str::to_owned))
}

async fn dataset_manifest(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    dataset: &str,
) -> Result<DatasetManifest> {
    let at = artifacts.dataset_manifest(dataset);
    let what = "the manifest of a data set (snapshots are kept for a time only)";
    records::require(store, &at, what).await
}

async fn progress(transforms: &impl Transforms, job: &str) -> Result<Progress> {
    Ok(decide::progress(
        job,
        transforms.transform(job).await?.as_ref(),
    ))
}

async fn start<S: ObjectStore, T: Transforms, B>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    plan: &CheckPlan,
    manifest: &Manifest,
    decision: &Decision,
) -> Result<()> {
    let (store, artifacts) = (ports.store, &config.artifacts);
    records::keep_decision(store, artifacts, NAME, &plan.job, decision).await?;
    // The job's name stands for all that is in the plan: one that is there says the same.
    let _same = records::write_once(store, &artifacts.check_plan(&plan.job), plan).await?;
    ports
        .transforms
        .ensure_transform(&plan.transform(config, manifest)?)
        .await?;
    Ok(())
}

async fn scored<S: ObjectStore, T: Transforms, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    job: &Job,
) -> Result<Step<Decision>> {
    let at = config.artifacts.check_plan(&job.name);
    // The plan is written before its transform is asked for: without one, nobody here asked.
    let Some(plan) = records::read::<CheckPlan>(ports.store, &at).await? else {
        let reason = format!(
            "{} is no check of this environment: there is no {at}",
            job.name
        );
        return Ok(Step::Done(Decision::NotForThisFunction { reason }));
    };
    let live = live_release(config, ports.store).await?;
    if live.as_ref() != Some(&plan.release) {
        let live = live.as_deref().unwrap_or("none");
        let reason = format!(
            "{} was scored, and {live} is live now: the next check is about that one",
            plan.release
        );
        return no_data(config, ports, plan.subject(), reason).await;
    }
    match progress(ports.transforms, &plan.job).await? {
        Progress::Scored => {
            let subject = plan.subject();
            match conclude(config, ports, plan, job.name.clone()).await {
                // What was predicted is of no use, and won't be by itself.
                Err(error) if error.class() == Class::Permanent => {
                    no_data(config, ports, subject, error.chain()).await
                }
                concluded => concluded,
            }
        }
        Progress::Running(reason) if job.status.is_final() => Ok(Step::Wait {
            after: LOOK_AGAIN,
            decision: Decision::Wait { reason },
        }),
        Progress::Running(reason) => Ok(Step::Done(Decision::Wait { reason })),
        Progress::Failed(reason) => no_data(config, ports, plan.subject(), reason).await,
    }
}

async fn conclude<S: ObjectStore, T, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    plan: CheckPlan,
    check: String,
) -> Result<Step<Decision>> {
    let (store, artifacts) = (ports.store, &config.artifacts);
    let metrics = score::score(store, artifacts, &plan).await?;
    let at = artifacts.judgement(&plan.training_job);
    let registered = records::read::<Registered>(store, &at).await?;
    let registered = registered
        .and_then(|registered| registered.candidate)
        .and_then(|metrics| metrics.accuracy);
    let (verdict, reason) = decide::judge(&config.policy, metrics.as_ref(), registered);
    let subject = Subject {
        check,
        ..plan.subject()
    };
    end(config, ports, subject, verdict, reason, metrics).await
}

async fn no_data<S: ObjectStore, T, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    subject: Subject,
    reason: String,
) -> Result<Step<Decision>> {
    end(config, ports, subject, CheckVerdict::NoData, reason, None).await
}

/// Why first, then the request for a training, then the news of the check.
async fn end<S: ObjectStore, T, B: Bus>(
    config: &Config,
    ports: &Ports<'_, S, T, B>,
    subject: Subject,
    verdict: CheckVerdict,
    reason: String,
    metrics: Option<Metrics>,
) -> Result<Step<Decision>> {
    let Subject {
        check,
        release,
        dataset,
        job,
    } = subject;
    let decision = Decision::Conclude {
        verdict,
        release: release.clone(),
        dataset: dataset.clone(),
        reason: reason.clone(),
        metrics,
    };
    let key = check.replace(':', "");
    records::keep_decision(ports.store, &config.artifacts, NAME, &key, &decision).await?;
    if let (CheckVerdict::Retrain, Some(dataset)) = (verdict, &dataset) {
        let request = Announced::RetrainRequested(RetrainRequested {
            dataset: dataset.clone(),
            request: job.unwrap_or_else(|| check.clone()),
            build_id: None,
            requested_by: NAME.to_owned(),
            reason: reason.clone(),
        });
        ports.bus.announce(&request.announcement()?).await?;
    }
    let checked = Announced::ModelChecked(ModelChecked {
        verdict,
        release,
        dataset,
        reason,
        metrics,
        scheduled: check,
    });
    ports.bus.announce(&checked.announcement()?).await?;
    Ok(Step::Done(decision))
}

impl CheckPlan {
    fn subject(&self) -> Subject {
        Subject {
            check: self.job.clone(),
            release: Some(self.release.clone()),
            dataset: Some(self.dataset.clone()),
            job: Some(self.job.clone()),
        }
    }
}

/// What a check reads of `datasets/newest.json`.
#[derive(Debug, Deserialize)]
struct Newest {
    dataset: String,
}

/// What a check reads of `judgement.json`: the model when it was judged.
#[derive(Debug, Deserialize)]
struct Registered {
    candidate: Option<Metrics>,
}

#[cfg(test)]
mod tests;
