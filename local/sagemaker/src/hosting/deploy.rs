//! Bringing a configuration into service, beside the one that is; and back, when that fails.
//!
//! The old containers take every call until the new ones answer `/ping`. Then the new ones take their
//! share, step by step, and while each step bakes the update's alarms are looked at. An alarm in `ALARM`, a
//! container that doesn't come up, or the limit of the whole update takes it back: `RollingBack`, then
//! `InService` on the old configuration with the reason. AWS doesn't document how it words an alarm's
//! reason; the words here are ours.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::{
    configs::VariantPlan,
    endpoint::{Endpoint, Green, Status, Variant},
    fleet::Fleet,
    shift::Shift,
};
use crate::{
    events::Subject,
    models::Container,
    service::{Service, State},
};

/// How often alarms are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an endpoint is `RollingBack` at least: minutes on AWS.
const ROLLING_BACK: Duration = Duration::from_millis(200);

/// A configuration with everything resolved that it names.
pub(super) type Plan = Vec<(VariantPlan, Container)>;

/// Containers that answer, as variants.
struct New {
    fleet: Arc<Fleet>,
    variants: Vec<Variant>,
}

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

    /// The role that a configuration runs with: its own, or its first model's.
    pub(super) fn role(state: &State, config: &str, variants: &[VariantPlan]) -> Option<String> {
        let own = state.endpoint_configs.get(config).and_then(|c| c.role());
        let model = || state.models.get(&variants.first()?.model)?.role();
        own.or_else(model).map(str::to_owned)
    }

    /// Starts the containers of `config` and shifts the calls to them; or the endpoint `name` goes on as
    /// it was, with the reason.
    pub(super) async fn deploy(
        self: Arc<Self>,
        name: String,
        config: String,
        plan: Result<Plan, String>,
        shift: Shift,
    ) {
        let changed_over = async {
            let new = self.start(&name, &config, plan?).await?;
            self.change_over(&name, &new, &shift).await?;
            Ok(new)
        };
        let outcome = match timeout(shift.limit, changed_over).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!(
                "The deployment took longer than its limit of {} seconds.",
                shift.limit.as_secs()
            )),
        };
        match outcome {
            Ok(new) => self.settle(&name, |endpoint| {
                endpoint.variants = new.variants;
                endpoint.config = config;
                endpoint.failure = None;
                endpoint.enter(Status::InService);
                endpoint.fleet.replace(new.fleet)
            }),
            Err(reason) => self.go_back(&name, &config, &reason).await,
        }
    }

    async fn start(self: &Arc<Self>, name: &str, config: &str, plan: Plan) -> Result<New, String> {
        let label = format!("endpoint-{name}-{config}");
        let fleet = Fleet::start(self, &plan, config, &label).await?;
        let now = Timestamp::now();
        let variants = plan.into_iter().map(|(variant, container)| Variant {
            name: variant.name,
            image: container.image,
            count: variant.count,
            weight: variant.weight,
            since: now,
        });
        Ok(New {
            fleet: Arc::new(fleet),
            variants: variants.collect(),
        })
    }

    /// Shifts the calls and bakes; an endpoint that is being created has none to shift.
    async fn change_over(&self, name: &str, new: &New, shift: &Shift) -> Result<(), String> {
        let exists = |endpoint: &&mut Endpoint| endpoint.fleet.is_some();
        for share in &shift.shares {
            match self.state().endpoints.get_mut(name).filter(exists) {
                Some(endpoint) => {
                    endpoint.green = Some(Green {
                        fleet: Arc::clone(&new.fleet),
                        variants: new.variants.clone(),
                        share: *share,
                    });
                }
                None => return Ok(()),
            }
            self.bake(shift, shift.bake).await?;
        }
        self.bake(shift, shift.keep_old).await
    }

    /// Lets time pass; an error when an alarm speaks meanwhile, or nobody could have heard it.
    async fn bake(&self, shift: &Shift, how_long: Duration) -> Result<(), String> {
        let end = Instant::now() + how_long;
        let mut unheard = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return unheard.map_or(Ok(()), |reason| {
                    Err(format!(
                        "The auto-rollback alarms couldn't be described: {reason}"
                    ))
                });
            }
            sleep(LOOK.min(left)).await;
            if shift.alarms.is_empty() {
                continue;
            }
            let role = shift.role.as_deref().unwrap_or_default();
            match self.watch.alarms(role, &shift.alarms).await {
                Err(reason) => {
                    tracing::warn!(reason, "an update's alarms couldn't be looked at");
                    unheard = Some(reason);
                }
                Ok(states) => {
                    unheard = shift
                        .alarms
                        .iter()
                        .find(|name| states.iter().all(|alarm| alarm.name != **name))
                        .map(|missing| format!("there is no alarm {missing}"));
                    if let Some(alarm) = states.iter().find(|alarm| alarm.state == "ALARM") {
                        return Err(format!(
                            "The deployment was rolled back because the CloudWatch alarm {} is in the \
                             ALARM state: {}",
                            alarm.name, alarm.reason
                        ));
                    }
                }
            }
        }
    }

    /// What served takes all calls again; an endpoint that never served has failed.
    async fn go_back(&self, name: &str, config: &str, reason: &str) {
        tracing::warn!(endpoint = name, config, reason, "a deployment failed");
        let green = {
            let mut state = self.state();
            let endpoint = state.endpoints.get_mut(name);
            let serves = endpoint.filter(|endpoint| endpoint.fleet.is_some());
            let green = serves.map(|endpoint| {
                endpoint.enter(Status::RollingBack);
                endpoint.green.take()
            });
            if green.is_some() {
                self.announce_endpoint(&state, name);
            }
            green
        };
        if green.is_some() {
            sleep(ROLLING_BACK).await;
        }
        self.settle(name, |endpoint| {
            endpoint.failure = Some(reason.chars().take(1_024).collect());
            endpoint.enter(if endpoint.fleet.is_some() {
                Status::InService
            } else {
                Status::Failed
            });
        });
    }

    /// Ends a deployment. What it replaces is dropped without holding up the service.
    fn settle<T>(&self, name: &str, end: impl FnOnce(&mut Endpoint) -> T) {
        let mut state = self.state();
        let Some(endpoint) = state.endpoints.get_mut(name) else {
            return;
        };
        endpoint.pending = None;
        let green = endpoint.green.take();
        let replaced = end(endpoint);
        self.announce_endpoint(&state, name);
        drop(state);
        drop((green, replaced));
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
