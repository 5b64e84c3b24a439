//! CloudWatch's alarms on one machine: evaluated from the emulator's metrics, with all that follows a
//! change.
//!
//! The emulator keeps metrics well, but judges alarms without their dimensions, and has neither M out
//! of N nor missing data nor Lambda actions nor events. So a front stands before it: it answers what
//! is about alarms, with IAM enforced, and passes everything else on (`PutMetricData`,
//! `GetMetricData`, dashboards), translated where the emulator can't read it (`relay`).
//!
//! # What is here
//!
//! An alarm on one metric with its dimensions, the statistics Average, Sum, Minimum, Maximum and
//! SampleCount, periods of 10, 20 and 30 s and of minutes, evaluated every 10 s or every minute over
//! windows that end then; M out of N and missing data as documented (`judge`); `SetAlarmState`; tags;
//! history; the state-change event to the rules of the default bus; SNS and Lambda actions where the
//! topic's or function's policy lets alarms in (`actions`).
//!
//! # What is left out
//!
//! - Refused, with the reason: metric math, queries, percentiles, bands, composite alarms, metrics
//!   without dimensions (the emulator mixes them with all others), actions of other kinds, and calls
//!   about alarms in the query protocol.
//! - Silently: the event of a changed configuration, the delay of a real alarm (a period is judged one
//!   second after its end, on AWS seconds to minutes), and state that outlives the cloud. `Unit` is
//!   compared with the unit that the emulator gives, the first one of the range.

mod actions;
mod api;
mod book;
mod definition;
mod history;
mod judge;
mod metric;
mod metrics;
mod notice;
mod protocol;
mod reason;
mod relay;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use local_wire::{Authorize, Deliver, Wire, front::Upstream};
use tokio::time::MissedTickBehavior;

use actions::Actions;
use book::{Book, Change, Due};
use metrics::HighResolution;

/// How often it is looked which alarms are due.
const TICK: Duration = Duration::from_secs(1);
/// What calls to CloudWatch are signed for.
pub const SIGNING_NAME: &str = "monitoring";
/// What `X-Amz-Target` starts with.
pub const TARGET: &str = "GraniteServiceVersion20100801";

/// Where the alarms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// AWS region (`ap-southeast-1`).
    pub region: String,
    /// Account id, 12 digits.
    pub account: String,
}

/// The front of CloudWatch.
pub struct Alarms {
    upstream: Upstream,
    wire: Wire,
    place: Place,
    authorize: Arc<dyn Authorize>,
    book: Arc<Book>,
    high_resolution: HighResolution,
    actions: Arc<Actions>,
}

impl Alarms {
    /// What it doesn't answer itself goes to `upstream`; `wire` calls the emulator as its root user.
    pub fn new(
        upstream: Upstream,
        wire: Wire,
        place: Place,
        authorize: Arc<dyn Authorize>,
        deliver: Arc<dyn Deliver>,
    ) -> Self {
        let book = Arc::<Book>::default();
        let actions = Actions {
            wire: wire.clone(),
            place: place.clone(),
            deliver,
            book: Arc::clone(&book),
        };
        Self {
            upstream,
            wire,
            place,
            authorize,
            book,
            high_resolution: HighResolution::default(),
            actions: Arc::new(actions),
        }
    }

    /// Evaluates alarms as they become due, until `shutdown` completes.
    pub async fn watch(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = ticks.tick() => {}
            }
            for due in self.book.due(Timestamp::now()) {
                if let Err(error) = self.evaluate(&due).await {
                    // It stays due: the next tick tries again.
                    let alarm = &due.definition.name;
                    tracing::warn!(alarm, error = format!("{error:#}"), "not evaluated");
                }
            }
        }
    }

    async fn evaluate(&self, due: &Due) -> anyhow::Result<()> {
        let definition = &due.definition;
        let range = metrics::read(&self.wire, &self.high_resolution, definition, due.end).await?;
        let decision = judge::judge(&definition.rule, &range);
        let data = reason::data(definition, Timestamp::now(), &range);
        let change = self.book.settle(due, decision, data);
        self.tell(change);
        Ok(())
    }

    /// Lets the world know of a change, which has happened whether or not it does.
    fn tell(&self, change: Option<Change>) {
        let Some(change) = change else {
            return;
        };
        let alarm = &change.definition.name;
        let (from, to) = (change.from.state.name(), change.to.state.name());
        tracing::info!(
            alarm,
            from,
            to,
            reason = change.to.reason,
            "an alarm changed"
        );
        let actions = Arc::clone(&self.actions);
        tokio::spawn(async move { actions.follow(&change).await });
    }
}
