//! What a handler answers: a decision, or a decision to look again later.

use std::time::Duration;

/// The end of one invocation for one event. `D` is the function's own decision enum; it is the log
/// line and the answer to a direct invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step<D> {
    /// Nothing more to do for this event.
    Done(D),
    /// Look again after the delay: the message becomes visible again then. No invocation sleeps.
    Wait {
        /// Delay until the next look; SQS allows up to 12 hours.
        after: Duration,
        /// What is being waited for, and until when.
        decision: D,
    },
}

impl<D> Step<D> {
    /// The decision, whichever way the step ends.
    pub fn decision(&self) -> &D {
        match self {
            Self::Done(decision) | Self::Wait { decision, .. } => decision,
        }
    }
}
