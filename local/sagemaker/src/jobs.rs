//! Jobs: processes that start, end, fail and can be stopped.

pub(crate) mod batches;
pub(crate) mod training;
mod training_request;
mod training_run;
pub(crate) mod transform;
mod transform_run;

use std::time::Duration;

/// Longest reason of a failure, in characters.
const REASON_LIMIT: usize = 1_024;
/// What a program gets between SIGTERM and SIGKILL to save its work, as on AWS.
const STOP_GRACE: Duration = Duration::from_mins(2);
/// The statuses of [`Status`], for filters.
const STATUSES: [&str; 5] = ["InProgress", "Completed", "Failed", "Stopping", "Stopped"];

/// Status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Runs.
    InProgress,
    /// Did its work.
    Completed,
    /// Ended without doing its work; there is a reason.
    Failed,
    /// Was told to end.
    Stopping,
    /// Ended because it was told to, or ran too long.
    Stopped,
}

impl Status {
    /// As the API writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
        }
    }

    /// Nothing will change any more.
    pub(crate) fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }
}

/// How the run of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did its work.
    Completed,
    /// It didn't, for this reason (`ClientError: …`, `AlgorithmError: …`).
    Failed(String),
    /// It was stopped on request.
    Stopped,
    /// It ran longer than it was allowed to.
    OutOfTime,
}

/// A reason cut to what the API carries.
fn reason(text: &str) -> String {
    text.chars().take(REASON_LIMIT).collect()
}
