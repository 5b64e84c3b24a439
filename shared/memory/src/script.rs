//! How the services are to behave.

use std::rc::Rc;

use crate::World;

/// How something that takes time ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As its owner hopes. The default.
    Completes,
    /// It fails for this reason: a job is `Failed`; an endpoint is back on its old configuration, or
    /// `Failed` when it never had one; a rollout exceeds its progress deadline; a scan is
    /// `FAILED`, or `UNSUPPORTED_IMAGE` where that is the reason.
    Fails(String),
    /// Somebody stops it: a job is `Stopped`, without a reason. Elsewhere the same as failing.
    Stops,
    /// It goes on and on: a training job until its time limit stops it, all else until another script
    /// says otherwise.
    RunsOn,
}

type Matches = Rc<dyn Fn(&str) -> bool>;

/// Scripts, the newest last.
#[derive(Clone, Default)]
pub(crate) struct Scripts(Vec<(Matches, Outcome)>);

impl Scripts {
    /// How `{kind} {name}` ends: as the newest script that matches it says.
    pub(crate) fn outcome(&self, kind: &str, name: &str) -> Outcome {
        let subject = format!("{kind} {name}");
        self.0
            .iter()
            .rev()
            .find(|(matches, _)| matches(&subject))
            .map_or(Outcome::Completes, |(_, outcome)| outcome.clone())
    }
}

impl World {
    /// Says how things end whose subject matches; a newer script wins. Subjects are
    /// - `training {job}`, `transform {job}`,
    /// - `endpoint {configuration}`,
    /// - `rollout {DEPLOYMENT_ID of the pods, or their image when they have none}`,
    /// - `scan {repository}@{digest}`.
    ///
    /// A training job also fails when a channel is empty, a transform when model, input or a row is
    /// missing or malformed, and a rollout stalls when `MODEL_URI` isn't there or isn't the file that
    /// `MODEL_DIGEST` names: as the real ones do, unscripted.
    pub fn script(&self, matches: impl Fn(&str) -> bool + 'static, outcome: Outcome) {
        let mut state = self.state.borrow_mut();
        state.scripts.0.push((Rc::new(matches), outcome));
    }
}
