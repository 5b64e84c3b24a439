//! A quarantined part is let go on a person's word, which stays on the list.

use domain::{
    Result, names,
    ports::{Bus, Clock, ObjectStore},
    quarantine::Lifted,
    records,
};
use events::{
    Announced,
    announced::{LiftRequested, QuarantineLifted},
};

use crate::{Config, Decision, NAME, Ports, quarantine};

/// Lifts what the request names; says so when there is nothing of that name.
pub(crate) async fn lift<S, R, K, W, B, C>(
    config: &Config,
    ports: &Ports<'_, S, R, K, W, B, C>,
    request: &LiftRequested,
) -> Result<Decision>
where
    S: ObjectStore,
    B: Bus,
    C: Clock,
{
    let artifacts = config.artifacts();
    let list = quarantine(config, ports.store).await?;
    let lifted = Lifted {
        by: request.by.clone(),
        reason: request.reason.clone(),
        at: ports.clock.now(),
    };
    let entries = list.value.entries.iter().rev();
    let mut of_identity = entries.filter(|entry| entry.identity == request.identity);
    let decision = Decision::Lift {
        identity: request.identity.clone(),
        reason: format!("{} asked: {}", request.by, request.reason),
    };
    let at = match of_identity.next() {
        // A crash came between the list and the announcement.
        Some(entry) => match &entry.lifted {
            Some(before) if before.by == request.by && before.reason == request.reason => before.at,
            Some(before) => {
                return Ok(Decision::NotQuarantined {
                    reason: format!(
                        "{} was lifted by {} at {}",
                        request.identity, before.by, before.at
                    ),
                });
            }
            None => {
                let Some(shorter) = list.value.lift(&request.identity, &lifted) else {
                    return Ok(decision);
                };
                let subject = names::digest(&[&request.identity]);
                let subject = format!("lift-{}", names::short(&subject));
                records::keep_decision(ports.store, &artifacts, NAME, &subject, &decision).await?;
                let at = artifacts.quarantine(&config.environment);
                records::swap(ports.store, &at, &list, &shorter).await?;
                lifted.at
            }
        },
        None => {
            return Ok(Decision::NotQuarantined {
                reason: format!(
                    "`{}` isn't quarantined in {}: the list is {}",
                    request.identity,
                    config.environment,
                    artifacts.quarantine(&config.environment)
                ),
            });
        }
    };
    let event = QuarantineLifted {
        identity: request.identity.clone(),
        by: request.by.clone(),
        reason: request.reason.clone(),
        at,
    };
    ports
        .bus
        .announce(&Announced::QuarantineLifted(event).announcement()?)
        .await?;
    Ok(decision)
}
