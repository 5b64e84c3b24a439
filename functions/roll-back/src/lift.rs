//! A quarantined part is let go on a person's word, which stays on the list.

use domain::{
    Result, names,
    ports::{Bus, Clock, ObjectStore},
    quarantine::{Lifted, Quarantine},
    records,
};
use events::{
    Announced,
    announced::{LiftRequested, QuarantineLifted},
};
use jiff::Timestamp;

use crate::{Config, Decision, NAME, Ports, quarantine, refuse};

/// Lifts what the request names, which was asked for then; says so when that can't be done.
pub(crate) async fn lift<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    request: &LiftRequested,
    asked_at: Timestamp,
) -> Result<Decision>
where
    S: ObjectStore,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let list = quarantine(config, ports.store).await?;
    let decision = Decision::Lift {
        identity: request.identity.clone(),
        reason: format!("{} asked: {}", request.by, request.reason),
    };
    let lifted_at = match admit(request, asked_at, &list.value, config) {
        Ok(lifted_at) => lifted_at,
        Err(reason) => {
            let what = format!("lift of {}", request.identity);
            refuse(ports.bus, what, &request.by, &reason, asked_at).await?;
            return Ok(Decision::NotQuarantined { reason });
        }
    };
    let lifted = Lifted {
        by: request.by.clone(),
        reason: request.reason.clone(),
        at: lifted_at.unwrap_or(ports.clock.now()),
    };
    let shorter = list.value.lift(&request.identity, &lifted);
    if let (None, Some(shorter)) = (lifted_at, shorter) {
        let subject = names::digest(&[&request.identity]);
        let subject = format!("lift-{}", names::short(&subject));
        records::keep_decision(ports.store, &artifacts, NAME, &subject, &decision).await?;
        let at = artifacts.quarantine(&config.environment);
        records::swap(ports.store, &at, &list, &shorter).await?;
    }
    let event = QuarantineLifted {
        identity: request.identity.clone(),
        by: lifted.by,
        reason: lifted.reason,
        at: lifted.at,
    };
    ports
        .bus
        .announce(&Announced::QuarantineLifted(event).announcement()?)
        .await?;
    Ok(decision)
}

/// When the request was fulfilled, if it was; otherwise why it isn't.
fn admit(
    request: &LiftRequested,
    asked_at: Timestamp,
    list: &Quarantine,
    config: &Config,
) -> std::result::Result<Option<Timestamp>, String> {
    let identity = &request.identity;
    let entries = list.entries.iter().rev();
    let mut of_identity = entries.filter(|entry| entry.identity == *identity);
    let Some(entry) = of_identity.next() else {
        return Err(format!(
            "`{identity}` isn't quarantined in {}: the list is {}",
            config.environment,
            config.artifacts().quarantine(&config.environment)
        ));
    };
    match &entry.lifted {
        // A crash came between the list and the announcement.
        Some(before) if before.by == request.by && before.reason == request.reason => {
            Ok(Some(before.at))
        }
        Some(before) => Err(format!(
            "{identity} was lifted by {} at {}",
            before.by, before.at
        )),
        None if asked_at.as_second() < entry.since.as_second() => Err(format!(
            "it was asked at {asked_at}, and {identity} is quarantined since {}: {}",
            entry.since, entry.reason
        )),
        None => Ok(None),
    }
}
