//! The world in memory: every port of [`domain::ports`], with virtual time, scripted services and
//! injected faults, so that whole stories and every crash between two effects run in milliseconds.
//!
//! Three parties touch a [`World`]:
//! - a *function* under test, through the ports. Each mutating call is an effect point: it is listed
//!   in [`World::effects`] and can be where the process dies ([`World::crash_at`]);
//! - the *services*, which move only when told to: [`World::advance`] moves the clock,
//!   [`World::run_services`] lets jobs, endpoints, rollouts and scans go one step as scripted
//!   ([`World::script`]), and answers the events that AWS would send;
//! - the *test*, which uploads data, pushes images, approves packages, and looks at anything. What it
//!   does is never an effect point and never fails by injection.
//!
//! A `World` is a cheap handle on one shared state, for one thread; its futures never wait, unless the test takes turns
//! ([`World::take_turns`]). Closures
//! given to [`World::script`], [`World::predict_with`] and [`World::break_api`] run while the state is
//! borrowed and must not use the world; those given to [`World::interleave`] may.

mod alarms;
mod api;
mod cluster;
mod endpoints;
mod envelope;
mod fault;
mod images;
mod messages;
mod objects;
mod predictor;
mod registry;
mod script;
mod snapshot;
mod state;
mod traffic;
mod training;
mod transforms;

use std::{cell::RefCell, rc::Rc, time::Duration};

use domain::ports::Clock;
use jiff::Timestamp;
use serde_json::Value;

pub use api::ApiFault;
pub use cluster::{CONTAINER, FIELD_MANAGER};
pub use fault::{CrashPoint, Effect, When};
pub use predictor::{Row, demand};
pub use script::Outcome;
pub use snapshot::Snapshot;
pub use traffic::Answers;

use state::State;

/// The account of the world.
pub const ACCOUNT: &str = "000000000000";
/// The region of the world.
pub const REGION: &str = "ap-southeast-1";
/// Bucket of uploads.
pub const DATA_BUCKET: &str = "retail-mlops-data-000000000000-ap-southeast-1";
/// Bucket of everything that the system makes.
pub const ARTIFACTS_BUCKET: &str = "retail-mlops-artifacts-000000000000-ap-southeast-1";
/// Monday, 4 March 2024, 02:00 UTC: the time of the weekly check.
const START: Timestamp = Timestamp::constant(1_709_517_600, 0);

/// A handle on the world; clones share one state.
#[derive(Clone)]
pub struct World {
    state: Rc<RefCell<State>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with nothing in it but the Deployment that the manifests made (two pods of a
    /// placeholder image), on Monday, 4 March 2024, 02:00 UTC.
    pub fn new() -> Self {
        Self::starting(START)
    }

    /// The same world at another time.
    pub fn starting(now: Timestamp) -> Self {
        Self {
            state: Rc::new(RefCell::new(State::new(now))),
        }
    }

    /// Another world that begins as this one is now; from here on neither sees what is done to the other. So
    /// that many tests go on from one beginning. Scripts and predictors are shared; what
    /// [`World::interleave`] has yet to do stays here.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state.borrow().clone();
        Self {
            state: Rc::new(RefCell::new(state)),
        }
    }

    /// Moves the clock forward. Nothing else happens until [`World::run_services`].
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.borrow_mut();
        state.now = state.now.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Lets every service go one step, and answers the events that AWS sends about it, oldest first:
    /// those that the functions' own calls caused (a job has started, a package was registered), then
    /// those of the step. Jobs and endpoints end, a rollout is first observed and at the next step
    /// ends, scans end; each as [`World::script`] says.
    pub fn run_services(&self) -> Vec<Value> {
        let mut state = self.state.borrow_mut();
        training::run(&mut state);
        transforms::run(&mut state);
        endpoints::run(&mut state);
        cluster::run(&mut state);
        images::run(&mut state);
        std::mem::take(&mut state.events)
    }

    /// An EventBridge envelope of the world's account, region and time, with an id of its own: for
    /// events that nothing here sends by itself (schedules, alarms, manual requests).
    pub fn envelope(
        &self,
        source: &str,
        detail_type: &str,
        resources: &[String],
        detail: &Value,
    ) -> Value {
        self.state
            .borrow_mut()
            .envelope(source, detail_type, resources, detail)
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state.borrow().now
    }
}

/// Polls a future of the ports once: in this crate's tests nothing ever waits.
#[cfg(test)]
fn ready<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a port of the world in memory waited"),
    }
}
