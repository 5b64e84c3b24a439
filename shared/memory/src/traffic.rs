//! What releases answer their users, as CloudWatch would have measured it.

use std::{collections::BTreeMap, rc::Rc};

use domain::{
    Result,
    ports::{ApiMetrics, Measured},
};
use jiff::{SignedDuration, Timestamp};

use crate::{World, state::State};

/// What a release answers in each period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answers {
    /// How many requests.
    pub requests: f64,
    /// How many of them 5xx, percent.
    pub error_rate_percent: f64,
    /// Mean, milliseconds.
    pub latency_ms: f64,
}

type Script = Rc<dyn Fn(&str) -> Option<Answers>>;

/// What the pods of each release see.
#[derive(Clone, Default)]
pub(crate) struct Traffic(Option<Script>);

impl Traffic {
    fn of(&self, release: &str) -> Option<Answers> {
        let healthy = Answers {
            requests: 100.0,
            error_rate_percent: 0.0,
            latency_ms: 10.0,
        };
        self.0
            .as_ref()
            .map_or(Some(healthy), |script| script(release))
    }
}

/// Whether pods of the release answer: all of the Deployment's, or the canary's.
fn is_behind_the_service(state: &State, release: &str) -> bool {
    let of = |variables: &BTreeMap<String, String>| {
        variables.get("DEPLOYMENT_ID").map(String::as_str) == Some(release)
    };
    let canary = &state.canary.deployment;
    state.api.as_ref().is_some_and(|api| of(&api.serving))
        || canary.wanted > 0 && of(&canary.environment)
}

impl World {
    /// From now on releases are measured as `script` says; `None` is a release without requests. Until
    /// then each one that has pods answers 100 requests a period, all well and within 10 ms.
    pub fn measure(&self, script: impl Fn(&str) -> Option<Answers> + 'static) {
        self.state.borrow_mut().traffic = Traffic(Some(Rc::new(script)));
    }
}

impl ApiMetrics for World {
    async fn measured(
        &self,
        release: &str,
        from: Timestamp,
        to: Timestamp,
        period_s: u32,
    ) -> Result<Vec<Measured>> {
        self.look("measured", release, |state| {
            let Some(answers) = state
                .traffic
                .of(release)
                .filter(|_| is_behind_the_service(state, release))
            else {
                return vec![];
            };
            let step = SignedDuration::from_secs(i64::from(period_s).max(1));
            std::iter::successors(Some(from), |start| start.checked_add(step).ok())
                .take_while(|start| *start < to)
                .map(|start| Measured {
                    start,
                    requests: answers.requests,
                    error_rate_percent: answers.error_rate_percent,
                    latency_ms: answers.latency_ms,
                })
                .collect()
        })
        .await
    }
}
