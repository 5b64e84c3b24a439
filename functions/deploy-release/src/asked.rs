//! A deployment that a person or a pipeline asks for: an image that is there already makes no event of ECR's.
//!
//! It is decided on like the image's own events. Whatever keeps it from being deployed is told to whoever asked.

use domain::{Result, ports::Bus};
use events::{
    Announced, Event,
    announced::{DeploymentRequested, RequestRefused},
};
use jiff::Timestamp;

use crate::decide::{Decision, Facts};

/// The request that the event is, if it is one.
pub(crate) fn request(event: &Event) -> Option<&DeploymentRequested> {
    match event {
        Event::Announced(Announced::DeploymentRequested(request)) => Some(request),
        _ => None,
    }
}

/// What is decided on the parts that a request is about, as its answer: that they are live already is news
/// for who asked. What the request itself made live is none: then it came twice.
pub(crate) fn answer(request: &DeploymentRequested, decision: Decision, facts: &Facts) -> Decision {
    let target = facts.pointer.target.as_ref();
    let reason = match &decision {
        Decision::NotForThisFunction { reason } | Decision::Skip { reason, .. } => reason.clone(),
        Decision::AlreadyLive { release, reason }
            if target.is_some_and(|target| target.caused_at < facts.caused_at) =>
        {
            format!("{release}, this image with the live model, is {reason}")
        }
        _ => return decision,
    };
    refused(request, reason, facts.caused_at)
}

/// Nothing is done, for this reason.
pub(crate) fn refused(
    request: &DeploymentRequested,
    reason: String,
    asked_at: Timestamp,
) -> Decision {
    let image = request.image.as_deref().unwrap_or("the tagged image");
    Decision::Refuse(RequestRefused {
        request: format!("deployment of {image} (request {})", request.request),
        by: request.by.clone(),
        reason,
        asked_at,
    })
}

/// Tells who asked.
pub(crate) async fn tell(bus: &impl Bus, refused: &RequestRefused) -> Result<()> {
    let refused = Announced::RequestRefused(refused.clone());
    bus.announce(&refused.announcement()?).await
}
