//! Endpoints: the API.

use std::sync::Arc;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Value, json};

use super::{
    configs::{self, VariantPlan},
    endpoint::{Endpoint, Pending, STATUSES, Status},
    shift::Shift,
};
use crate::{
    error::ApiError,
    input::Input,
    paging::{self, Order},
    service::Service,
    tags,
};

impl Service {
    /// `CreateEndpoint`.
    pub(crate) async fn create_endpoint(
        self: &Arc<Self>,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let name = input.required("EndpointName")?;
        let config = input.required("EndpointConfigName")?;
        let arn = self.names.arn("endpoint", name);
        let config_arn = self.names.arn("endpoint-config", config);
        let tags = tags::read(input)?;
        for resource in [&arn, &config_arn] {
            self.allow(caller, "sagemaker:CreateEndpoint", resource)
                .await?;
        }
        self.allow_with(caller, input, &arn, None).await?;

        let mut state = self.state();
        if state.endpoints.contains_key(name) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing endpoint \"{arn}\"."
            )));
        }
        let found = state.endpoint_configs.get(config);
        let variants = found.ok_or_else(|| configs::not_found(&config_arn))?.plan();
        let plan = Self::plan(&state, variants);
        let deployment = input.at("DeploymentConfig").cloned();
        let shift = Shift::none();
        let endpoint = Endpoint::new(arn.clone(), name.to_owned(), config.to_owned(), deployment);
        state.tags.insert(arn.clone(), tags);
        state.endpoints.insert(name.to_owned(), endpoint);
        self.announce_endpoint(&state, name);
        let deploy = Arc::clone(self).deploy(name.to_owned(), config.to_owned(), plan, shift);
        self.tasks.spawn(deploy);
        Ok(json!({"EndpointArn": arn}))
    }

    /// `UpdateEndpoint`.
    pub(crate) async fn update_endpoint(
        self: &Arc<Self>,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let name = input.required("EndpointName")?;
        let config = input.required("EndpointConfigName")?;
        let arn = self.names.arn("endpoint", name);
        let config_arn = self.names.arn("endpoint-config", config);
        for resource in [&arn, &config_arn] {
            self.allow(caller, "sagemaker:UpdateEndpoint", resource)
                .await?;
        }

        let mut state = self.state();
        let current = state.endpoints.get(name).ok_or_else(|| not_found(&arn))?;
        can_change(current)?;
        if !state.endpoint_configs.contains_key(&current.config) {
            // AWS needs the old configuration to go back to.
            let arn = self.names.arn("endpoint-config", &current.config);
            return Err(configs::not_found(&arn));
        }
        let found = state.endpoint_configs.get(config);
        let mut variants = found.ok_or_else(|| configs::not_found(&config_arn))?.plan();
        if input.flag("RetainAllVariantProperties") {
            retain(&mut variants, current, input);
        }
        let deployment = if input.flag("RetainDeploymentConfig") {
            current.deployment.clone()
        } else {
            input.at("DeploymentConfig").cloned()
        };
        let role = Self::role(&state, config, &variants);
        let shift = Shift::read(deployment.as_ref(), &variants, role)?;
        let plan = Self::plan(&state, variants);
        let endpoint = state.endpoints.get_mut(name);
        let endpoint = endpoint.ok_or_else(|| not_found(&arn))?;
        endpoint.deployment = deployment;
        endpoint.failure = None;
        endpoint.pending = Some(Pending {
            config: config.to_owned(),
            since: Timestamp::now(),
        });
        endpoint.enter(Status::Updating);
        self.announce_endpoint(&state, name);
        let deploy = Arc::clone(self).deploy(name.to_owned(), config.to_owned(), plan, shift);
        self.tasks.spawn(deploy);
        Ok(json!({"EndpointArn": arn}))
    }

    /// `UpdateEndpointWeightsAndCapacities`: nothing has to start for it here, so the endpoint is in
    /// service again at once.
    pub(crate) async fn update_weights(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        input
            .checks()
            .required("EndpointName")
            .required("DesiredWeightsAndCapacities")
            .finish()?;
        let name = input.required("EndpointName")?;
        let arn = self.names.arn("endpoint", name);
        self.allow(caller, "sagemaker:UpdateEndpointWeightsAndCapacities", &arn)
            .await?;
        let mut state = self.state();
        let endpoint = state.endpoints.get_mut(name);
        let endpoint = endpoint.ok_or_else(|| not_found(&arn))?;
        can_change(endpoint)?;
        let mut variants = endpoint.variants.clone();
        for desired in input.list("DesiredWeightsAndCapacities") {
            let wanted = desired["VariantName"].as_str().unwrap_or_default();
            let variant = variants.iter_mut().find(|v| v.name == wanted);
            let variant = variant.ok_or_else(|| {
                ApiError::validation(format!(
                    "The variant name(s) \"{wanted}\" is/are not present within endpoint \"{arn}\"."
                ))
            })?;
            if let Some(weight) = desired["DesiredWeight"].as_f64() {
                variant.weight = weight;
            }
            if let Some(count) = desired["DesiredInstanceCount"].as_u64() {
                variant.count = count;
            }
        }
        endpoint.enter(Status::Updating);
        self.announce_endpoint(&state, name);
        if let Some(endpoint) = state.endpoints.get_mut(name) {
            endpoint.variants = variants;
            endpoint.enter(Status::InService);
        }
        self.announce_endpoint(&state, name);
        Ok(json!({"EndpointArn": arn}))
    }

    /// `DescribeEndpoint`.
    pub(crate) async fn describe_endpoint(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("EndpointName")?;
        let arn = self.names.arn("endpoint", name);
        self.allow(caller, "sagemaker:DescribeEndpoint", &arn)
            .await?;
        let state = self.state();
        let endpoint = state.endpoints.get(name).ok_or_else(|| not_found(&arn))?;
        Ok(endpoint.describe())
    }

    /// `DeleteEndpoint`: requests under way get their answers.
    pub(crate) async fn delete_endpoint(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("EndpointName")?;
        let arn = self.names.arn("endpoint", name);
        self.allow(caller, "sagemaker:DeleteEndpoint", &arn).await?;
        let mut state = self.state();
        let endpoint = state.endpoints.get_mut(name);
        let endpoint = endpoint.ok_or_else(|| not_found(&arn))?;
        if endpoint.status.in_progress() {
            return Err(in_progress(endpoint));
        }
        endpoint.enter(Status::Deleting);
        self.announce_endpoint(&state, name);
        state.tags.remove(&arn);
        let removed = state.endpoints.remove(name);
        drop(state);
        drop(removed);
        Ok(Value::Null)
    }

    /// `ListEndpoints`.
    pub(crate) async fn list_endpoints(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime", "Status"])?;
        input.checks().one_of("StatusEquals", &STATUSES).finish()?;
        self.allow(caller, "sagemaker:ListEndpoints", "*").await?;
        let rows = self.state().endpoints.values().map(Endpoint::row).collect();
        paging::page(input, "Endpoints", Order::Descending, rows)
    }
}

fn check(input: &Input) -> Result<(), ApiError> {
    input
        .checks()
        .required("EndpointName")
        .name("EndpointName")
        .required("EndpointConfigName")
        .name("EndpointConfigName")
        .length("Tags", 50)
        .finish()
}

fn not_found(arn: &str) -> ApiError {
    ApiError::validation(format!("Could not find endpoint \"{arn}\"."))
}

fn in_progress(endpoint: &Endpoint) -> ApiError {
    ApiError::validation(format!(
        "Cannot update in-progress endpoint \"{}\".",
        endpoint.arn
    ))
}

/// "DeleteEndpoint is the only operation that can be performed on a failed endpoint."
fn can_change(endpoint: &Endpoint) -> Result<(), ApiError> {
    if endpoint.status.in_progress() {
        return Err(in_progress(endpoint));
    }
    if endpoint.status == Status::Failed {
        return Err(ApiError::validation(format!(
            "Cannot update failed endpoint \"{}\".",
            endpoint.arn
        )));
    }
    Ok(())
}

/// Keeps the counts and weights of variants that stay, but for what the request excludes.
fn retain(variants: &mut [VariantPlan], current: &Endpoint, input: &Input) {
    let excluded = |property: &str| {
        let list = input.list("ExcludeRetainedVariantProperties");
        list.iter().any(|e| e["VariantPropertyType"] == property)
    };
    for variant in variants {
        let Some(old) = current.variants.iter().find(|v| v.name == variant.name) else {
            continue;
        };
        if !excluded("DesiredInstanceCount") {
            variant.count = old.count;
        }
        if !excluded("DesiredWeight") {
            variant.weight = old.weight;
        }
    }
}
