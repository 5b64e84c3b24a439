//! Bringing a configuration into service, beside the one that is.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    configs::VariantPlan,
    endpoint::{Status, Variant},
    fleet::Fleet,
};
use crate::{
    events::Subject,
    models::Container,
    service::{Service, State},
};

/// A configuration with everything resolved that it names.
pub(super) type Plan = Vec<(VariantPlan, Container)>;

impl Service {
    /// What a configuration runs. An error names what is missing.
    pub(super) fn plan(state: &State, variants: Vec<VariantPlan>) -> Result<Plan, String> {
        variants
            .into_iter()
            .map(|variant| {
                let container = state.container(&variant.model)?;
                Ok((variant, container))
            })
            .collect()
    }

    /// Starts the containers of `config`; then the endpoint `name` answers with them, or goes on as
    /// it was, with the reason.
    pub(super) async fn deploy(
        self: Arc<Self>,
        name: String,
        config: String,
        plan: Result<Plan, String>,
    ) {
        let started = match plan {
            Ok(plan) => {
                let label = format!("endpoint-{name}-{config}");
                let fleet = Fleet::start(&self, &plan, &label).await;
                fleet.map(|fleet| (fleet, plan))
            }
            Err(reason) => Err(reason),
        };
        let mut state = self.state();
        let Some(endpoint) = state.endpoints.get_mut(&name) else {
            return;
        };
        endpoint.pending = None;
        let replaced = match started {
            Ok((fleet, plan)) => {
                let now = Timestamp::now();
                let variants = plan.into_iter().map(|(variant, container)| Variant {
                    name: variant.name,
                    image: container.image,
                    count: variant.count,
                    weight: variant.weight,
                    since: now,
                });
                endpoint.variants = variants.collect();
                endpoint.config = config;
                endpoint.failure = None;
                endpoint.enter(Status::InService);
                endpoint.fleet.replace(Arc::new(fleet))
            }
            Err(reason) => {
                tracing::warn!(endpoint = name, config, reason, "a deployment failed");
                endpoint.failure = Some(reason.chars().take(1_024).collect());
                endpoint.enter(if endpoint.fleet.is_some() {
                    Status::InService
                } else {
                    Status::Failed
                });
                None
            }
        };
        self.announce_endpoint(&state, &name);
        drop(state);
        drop(replaced);
    }

    /// Tells of the status that an endpoint entered.
    pub(super) fn announce_endpoint(&self, state: &State, name: &str) {
        let Some(endpoint) = state.endpoints.get(name) else {
            return;
        };
        let mut detail = endpoint.detail();
        detail.insert("Tags".to_owned(), state.tags_of(&endpoint.arn));
        self.outbox
            .send(Subject::Endpoint, &endpoint.arn, &Value::Object(detail));
    }
}
