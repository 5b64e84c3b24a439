//! The service's own metrics, period by period.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::serve::Service;
use crate::serve::settings::Settings;
use crate::serve::telemetry::{PublishMetrics, namespace};

/// Publishes what the service counted.
#[derive(Clone)]
pub struct Publisher {
    target: Option<(String, String)>,
    service: Arc<Service>,
    metrics: Arc<dyn PublishMetrics>,
}

impl Publisher {
    /// Publishes nowhere when the settings name no namespace or no release, and says so.
    pub fn new(
        settings: &Settings,
        service: Arc<Service>,
        metrics: Arc<dyn PublishMetrics>,
    ) -> Self {
        let name = settings.namespace.as_deref().map(namespace);
        let target = name.zip(settings.release.clone());
        if target.is_none() {
            warn!("no metrics are published: NAMESPACE or DEPLOYMENT_ID is not set");
        }
        Self {
            target,
            service,
            metrics,
        }
    }

    /// Publishes at the end of each period, for ever.
    pub async fn run(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.publish().await;
        }
    }

    /// Publishes what was counted since the last time.
    pub async fn publish(&self) {
        let data = self.service.recorder.take();
        if let Some((namespace, release)) = &self.target
            && let Err(error) = self.metrics.publish(namespace, release, &data).await
        {
            warn!(error = format!("{error:#}"), "metrics were not published");
        }
    }
}
