//! `notify`: people hear of every outcome, once for each fact.
//!
//! SNS has no deduplication of its own, so the fact's mark is stored after the message: a crash
//! between the two repeats the message with the same fact id, and never loses it.

pub mod decide;

use domain::{
    Error, Result, Step,
    layout::Artifacts,
    ports::{ObjectStore, Topic},
    records,
    settings::Settings,
};
use events::{Event, Received};
use serde_json::json;

use crate::decide::{Decision, decide};

/// The function's name.
pub const NAME: &str = "notify";

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
    let Decision::Tell { notice, fact } = &decision else {
        return Ok(Step::Done(decision));
    };
    let mark = Artifacts::new(&config.artifacts_bucket).notification(fact);
    if store.get(&mark).await?.is_some() {
        let reason = format!("the mark is {mark}");
        return Ok(Step::Done(Decision::AlreadyTold {
            fact: fact.clone(),
            reason,
        }));
    }
    topic.publish(notice).await?;
    records::write(
        store,
        &mark,
        &json!({"schema": 1, "subject": notice.subject}),
    )
    .await?;
    Ok(Step::Done(decision))
}
