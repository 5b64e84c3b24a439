//! A verdict is kept, then the pointer says it, then it is announced.
//!
//! Between the last two the process may die, and before its message is back the next release may have become the
//! target. The pointer remembers what was judged before, and by that the kept verdict is found and announced:
//! people hear how each deployment and each way back ended.

use domain::{
    Result,
    layout::Location,
    names,
    ports::ObjectStore,
    records::{self, Versioned},
    release::{Pointer, Target},
};
use events::Announced;
use jiff::Timestamp;

use crate::{Config, NAME, decide::Decision, started::Started};

/// What is announced of a decision; `None` of what isn't a verdict.
pub(crate) fn announced(decision: &Decision) -> Option<Announced> {
    match decision {
        Decision::Verified { verified } => Some(Announced::ReleaseVerified(verified.clone())),
        Decision::Restored { restored } => Some(Announced::RollbackSucceeded(restored.clone())),
        Decision::Failed { failed } => Some(Announced::ReleaseFailed(failed.clone())),
        Decision::NotRestored { failed } => Some(Announced::RollbackFailed(failed.clone())),
        Decision::NotYet { .. }
        | Decision::Superseded { .. }
        | Decision::NotForThisFunction { .. } => None,
    }
}

/// Keeps the verdict, then moves the pointer to what it says next.
pub(crate) async fn settle(
    config: &Config,
    store: &impl ObjectStore,
    target: &Target,
    decision: &Decision,
    (read, next): (&Versioned<Pointer>, Option<Pointer>),
) -> Result<()> {
    // Judged before: a crash came between the pointer and the announcement.
    if !target.progress.is_open() {
        return Ok(());
    }
    let artifacts = config.artifacts();
    let judged = next.as_ref().and_then(|next| next.target.as_ref());
    let kept = judged.and_then(|judged| place(config, judged));
    if let Some(at) = kept {
        records::keep_at(store, &at, decision).await?;
    } else {
        let release = &target.release;
        records::keep_decision(store, &artifacts, NAME, release, decision).await?;
    }
    match next {
        Some(next) => {
            records::swap(store, &artifacts.pointer(&config.environment), read, &next).await
        }
        None => Ok(()),
    }
}

/// The verdict on what began, where that was judged before the pointer's target came.
pub(crate) async fn before(
    config: &Config,
    store: &impl ObjectStore,
    started: &Started,
    pointer: &Pointer,
) -> Result<Option<Decision>> {
    let before = pointer.before.as_ref();
    let before = before.filter(|before| before.release == started.release());
    let of_this = before.filter(|before| started.is_of(before));
    match of_this.and_then(|judged| place(config, judged)) {
        Some(at) => records::read(store, &at).await,
        None => Ok(None),
    }
}

/// Where the verdict on a target is kept: named by when it was caused and when it was judged, which the pointer
/// says.
fn place(config: &Config, judged: &Target) -> Option<Location> {
    let at = [judged.caused_at, judged.judged_at?].map(|at: Timestamp| at.to_string());
    let digest = names::digest(&[&at[0], &at[1]]);
    let artifacts = config.artifacts();
    Some(artifacts.decision(NAME, &judged.release, names::short(&digest)))
}
