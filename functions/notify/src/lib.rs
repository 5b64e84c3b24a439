//! `notify`: people hear of every outcome, once for each fact.
//!
//! SNS has no deduplication of its own, so the fact is claimed before the message and marked as told
//! after it. Of two invocations at once one waits for the other; a crash in between repeats the message
//! with the same fact id, once the claim is old, and never loses it.

pub mod decide;
pub mod kpi;

use std::time::Duration;

use domain::{
    Error, Result, Step,
    layout::Artifacts,
    ports::{Clock, Notice, ObjectStore, Topic},
    records::{self, Versioned},
    settings::Settings,
};
use events::{Announced, Event, Received};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    decide::{Decision, decide},
    kpi::{Counted, Kpi},
};

/// The function's name.
pub const NAME: &str = "notify";

/// How long an invocation may take to tell what it claimed: more than a function's time limit.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// Delay until what another invocation tells is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// `notifications/{fact}.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Mark {
    schema: u32,
    subject: String,
    #[serde(flatten)]
    state: State,
}

/// Whether people were told.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum State {
    #[default]
    Untold,
    Telling {
        since: Timestamp,
    },
    Told,
}

impl Mark {
    fn new(notice: &Notice, state: State) -> Self {
        Self {
            schema: 1,
            subject: notice.subject.clone(),
            state,
        }
    }
}

/// What the function is told by its settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Bucket of the marks.
    pub artifacts_bucket: String,
}

impl Config {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            environment: settings.text("ENVIRONMENT")?,
            artifacts_bucket: settings.text("ARTIFACTS_BUCKET")?,
        })
    }
}

/// Gathers, decides, applies.
pub async fn handle(
    config: &Config,
    store: &impl ObjectStore,
    topic: &impl Topic,
    clock: &impl Clock,
    received: Received,
) -> Result<Step<Decision>> {
    let Event::Announced(event) = &received.event else {
        let reason = "people are told our own events only".to_owned();
        return Ok(Step::Done(Decision::Quiet { reason }));
    };
    // The id is computed, so an event that lost its own has it still.
    let announcement = event.announcement()?;
    let fact = announcement.detail["id"]
        .as_str()
        .ok_or_else(|| Error::permanent("an event of ours without an id"))?;
    let decision = decide(event, fact, &config.environment);
    let Decision::Tell { notice, fact, .. } = decision else {
        return Ok(Step::Done(decision));
    };
    let mark = Artifacts::new(&config.artifacts_bucket).notification(&fact);
    let read: Versioned<Mark> = records::read_versioned(store, &mark).await?;
    match read.value.state {
        State::Told => {
            let reason = format!("the mark is {mark}");
            return Ok(Step::Done(Decision::AlreadyTold { fact, reason }));
        }
        State::Telling { since } if clock.now().duration_since(since) < CLAIM => {
            return Ok(Step::Wait {
                after: LOOK_AGAIN,
                decision: Decision::BeingTold {
                    fact,
                    reason: format!("another invocation tells it since {since}"),
                },
            });
        }
        State::Telling { .. } | State::Untold => {}
    }
    let kpi = counted(config, store, event, (received.time, &fact)).await?;
    let now = clock.now();
    let claimed = Mark::new(&notice, State::Telling { since: now });
    records::swap(store, &mark, &read, &claimed).await?;
    topic.publish(&notice).await?;
    records::write(store, &mark, &Mark::new(&notice, State::Told)).await?;
    Ok(Step::Done(Decision::Tell { notice, fact, kpi }))
}

/// `notifications/deployments/{release}.json`: how a release's last deployment was counted, and what was so before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Deployment {
    schema: u32,
    last: Option<Counted>,
    before: Option<Counted>,
}

/// Counts the deployment that an event ends, if it ends one. A repeat of the fact that was counted last is answered
/// as that was: a crash came before people were told.
async fn counted(
    config: &Config,
    store: &impl ObjectStore,
    event: &Announced,
    (at, fact): (Timestamp, &str),
) -> Result<Option<Kpi>> {
    let Some(release) = kpi::release(event) else {
        return Ok(None);
    };
    let place = Artifacts::new(&config.artifacts_bucket).counted_deployment(release);
    let read: Versioned<Deployment> = records::read_versioned(store, &place).await?;
    let Deployment { last, before, .. } = &read.value;
    let is_repeat = last.as_ref().is_some_and(|last| last.fact == fact);
    let known = if is_repeat { before } else { last };
    let Some((counts, kpi)) = kpi::count(event, at, known.as_ref()) else {
        return Ok(None);
    };
    if !is_repeat {
        let fact = fact.to_owned();
        let counted = Deployment {
            schema: 1,
            last: Some(Counted { counts, at, fact }),
            before: last.clone(),
        };
        records::swap(store, &place, &read, &counted).await?;
    }
    Ok(kpi)
}
