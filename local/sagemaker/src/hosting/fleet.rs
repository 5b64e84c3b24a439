//! The processes of a configuration in service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::configs::VariantPlan;
use crate::{
    models::Container,
    service::Service,
    serving::{Server, StartError},
};

/// Pauses before a program that ended is started again: the first, doubled up to the last; one that
/// ran longer than the last begins anew.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Containers that answer, one for each variant. They end when the fleet goes.
#[derive(Debug)]
pub(super) struct Fleet {
    /// Name of the configuration that it serves.
    pub(super) config: String,
    members: Vec<Member>,
    calls: AtomicU64,
    points: AtomicU64,
}

#[derive(Debug)]
struct Member {
    variant: String,
    port: u16,
    supervisor: AbortHandle,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            member.supervisor.abort();
        }
    }
}

impl Fleet {
    /// Starts every variant of the plan of `config`; `label` names folders and logs. An error names the
    /// variant.
    pub(super) async fn start(
        service: &Arc<Service>,
        plan: &[(VariantPlan, Container)],
        config: &str,
        label: &str,
    ) -> Result<Self, String> {
        let mut fleet = Self {
            config: config.to_owned(),
            members: Vec::new(),
            calls: AtomicU64::new(0),
            points: AtomicU64::new(0),
        };
        for (variant, container) in plan {
            let label = format!("{label}-{}", variant.name);
            let nothing = BTreeMap::new();
            let limit = variant.start_limit;
            let server = Server::start(service, container, &label, &nothing, limit).await;
            let server = server.map_err(|error| why(&variant.name, &error))?;
            fleet.members.push(Member {
                variant: variant.name.clone(),
                port: server.port(),
                supervisor: service.tasks.spawn(keep_running(server)),
            });
        }
        Ok(fleet)
    }

    /// The port of a named variant.
    pub(super) fn port_of(&self, variant: &str) -> Option<u16> {
        let found = self.members.iter().find(|m| m.variant == variant)?;
        Some(found.port)
    }

    /// A point of the unit interval that tells whether the next call is this fleet's or, below a share,
    /// another's.
    pub(super) fn point(&self) -> f64 {
        even(&self.points)
    }

    /// The variant of the next call, so that calls are spread evenly by the weights.
    pub(super) fn next(&self, weight_of: impl Fn(&str) -> f64) -> Option<&str> {
        let total: f64 = self.members.iter().map(|m| weight_of(&m.variant)).sum();
        let mut point = even(&self.calls) * total;
        for member in &self.members {
            point -= weight_of(&member.variant);
            if point < 0.0 {
                return Some(&member.variant);
            }
        }
        self.members.first().map(|member| member.variant.as_str())
    }
}

/// Multiples of the golden ratio fill the unit interval evenly at every length.
fn even(counter: &AtomicU64) -> f64 {
    let count = counter.fetch_add(1, Ordering::Relaxed);
    (count as f64 * 0.618_033_988_749_894_9).fract()
}

fn why(variant: &str, error: &StartError) -> String {
    match error {
        StartError::Unhealthy(reason) => format!(
            "The primary container for production variant {variant} did not pass the ping health \
             check. Please check CloudWatch logs for this endpoint. ({reason})"
        ),
        StartError::ModelData(reason) => reason.clone(),
        StartError::Image(_) | StartError::Machine(_) => format!(
            "The primary container for production variant {variant} can't be started: {error}"
        ),
    }
}

/// Starts a container's program again whenever it ends, as SageMaker does.
async fn keep_running(mut server: Server) {
    let mut pause = FIRST_PAUSE;
    let mut since = Instant::now();
    loop {
        let ended = server.ended().await;
        tracing::warn!(log = %server.log().display(), ?ended, "an endpoint's program ended");
        if since.elapsed() > LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
            match server.restart().await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "an endpoint's program can't be started"),
            }
        }
        since = Instant::now();
    }
}
