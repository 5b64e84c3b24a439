//! Endpoint configurations.

use std::time::Duration;

use jiff::Timestamp;
use local_wire::Caller;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    input::Input,
    models,
    names::is_name,
    paging::{self, Order, Row},
    service::Service,
    tags,
    time::epoch_seconds,
};

/// Longest wait for a container when its variant doesn't say.
const START_LIMIT: Duration = Duration::from_secs(30);
const ECHOED: [&str; 6] = [
    "EndpointConfigName",
    "ProductionVariants",
    "DataCaptureConfig",
    "KmsKeyId",
    "ExecutionRoleArn",
    "VpcConfig",
];

/// An endpoint configuration.
#[derive(Debug)]
pub(crate) struct EndpointConfig {
    pub(crate) arn: String,
    request: Input,
    created: Timestamp,
}

/// A production variant as a configuration has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VariantPlan {
    pub(super) name: String,
    pub(super) model: String,
    pub(super) count: u64,
    pub(super) weight: f64,
    /// How long its container may take to answer.
    pub(super) start_limit: Duration,
}

impl EndpointConfig {
    /// The role that the configuration itself names.
    pub(super) fn role(&self) -> Option<&str> {
        self.request.text("ExecutionRoleArn")
    }

    /// The variants to run.
    pub(super) fn plan(&self) -> Vec<VariantPlan> {
        let variants = self.request.list("ProductionVariants").iter();
        variants
            .filter_map(|variant| {
                Some(VariantPlan {
                    name: variant["VariantName"].as_str()?.to_owned(),
                    model: variant["ModelName"].as_str()?.to_owned(),
                    count: variant["InitialInstanceCount"].as_u64().unwrap_or(1),
                    weight: variant["InitialVariantWeight"].as_f64().unwrap_or(1.0),
                    start_limit: variant["ContainerStartupHealthCheckTimeoutInSeconds"]
                        .as_u64()
                        .map_or(START_LIMIT, Duration::from_secs),
                })
            })
            .collect()
    }
}

impl Service {
    /// `CreateEndpointConfig`.
    pub(crate) async fn create_endpoint_config(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        check(input)?;
        let name = input.required("EndpointConfigName")?;
        let arn = self.names.arn("endpoint-config", name);
        let tags = tags::read(input)?;
        self.allow(caller, "sagemaker:CreateEndpointConfig", &arn)
            .await?;
        self.allow_with(caller, input, &arn, input.text("ExecutionRoleArn"))
            .await?;
        let mut state = self.state();
        if state.endpoint_configs.contains_key(name) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing endpoint configuration \"{arn}\"."
            )));
        }
        for variant in input.list("ProductionVariants") {
            let model = variant["ModelName"].as_str().unwrap_or_default();
            if !state.models.contains_key(model) {
                return Err(models::not_found(&self.names.arn("model", model)));
            }
        }
        state.tags.insert(arn.clone(), tags);
        let config = EndpointConfig {
            arn: arn.clone(),
            request: input.clone(),
            created: Timestamp::now(),
        };
        state.endpoint_configs.insert(name.to_owned(), config);
        Ok(json!({"EndpointConfigArn": arn}))
    }

    /// `DescribeEndpointConfig`.
    pub(crate) async fn describe_endpoint_config(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("EndpointConfigName")?;
        let arn = self.names.arn("endpoint-config", name);
        self.allow(caller, "sagemaker:DescribeEndpointConfig", &arn)
            .await?;
        let state = self.state();
        let config = state.endpoint_configs.get(name);
        let config = config.ok_or_else(|| not_found(&arn))?;
        let mut answer = config.request.keep(&ECHOED);
        for variant in answer
            .get_mut("ProductionVariants")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if variant["InitialVariantWeight"].is_null() {
                variant["InitialVariantWeight"] = json!(1.0);
            }
        }
        let isolated = config.request.flag("EnableNetworkIsolation");
        answer.insert("EnableNetworkIsolation".to_owned(), json!(isolated));
        answer.insert("EndpointConfigArn".to_owned(), json!(arn));
        answer.insert("CreationTime".to_owned(), epoch_seconds(config.created));
        Ok(Value::Object(answer))
    }

    /// `DeleteEndpointConfig`: an endpoint that uses it goes on, but can't be updated any more.
    pub(crate) async fn delete_endpoint_config(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        let name = input.required("EndpointConfigName")?;
        let arn = self.names.arn("endpoint-config", name);
        self.allow(caller, "sagemaker:DeleteEndpointConfig", &arn)
            .await?;
        let mut state = self.state();
        let removed = state.endpoint_configs.remove(name);
        removed.ok_or_else(|| not_found(&arn))?;
        state.tags.remove(&arn);
        Ok(Value::Null)
    }

    /// `ListEndpointConfigs`.
    pub(crate) async fn list_endpoint_configs(
        &self,
        caller: &Caller,
        input: &Input,
    ) -> Result<Value, ApiError> {
        paging::check(input, &["Name", "CreationTime"])?;
        self.allow(caller, "sagemaker:ListEndpointConfigs", "*")
            .await?;
        let state = self.state();
        let rows = state.endpoint_configs.iter().map(|(name, config)| Row {
            arn: config.arn.clone(),
            name: name.clone(),
            status: "",
            created: config.created,
            modified: config.created,
            summary: json!({
                "EndpointConfigName": name,
                "EndpointConfigArn": config.arn,
                "CreationTime": epoch_seconds(config.created),
            }),
        });
        paging::page(input, "EndpointConfigs", Order::Descending, rows.collect())
    }
}

/// AWS's answer for an unknown configuration.
pub(super) fn not_found(arn: &str) -> ApiError {
    ApiError::validation(format!("Could not find endpoint configuration \"{arn}\"."))
}

fn check(input: &Input) -> Result<(), ApiError> {
    input
        .checks()
        .required("EndpointConfigName")
        .name("EndpointConfigName")
        .required("ProductionVariants")
        .length("ProductionVariants", 10)
        .role("ExecutionRoleArn")
        .length("Tags", 50)
        .finish()?;
    input.without(&[
        "AsyncInferenceConfig",
        "ExplainerConfig",
        "ShadowProductionVariants",
    ])?;
    let variants = input.list("ProductionVariants");
    if variants.is_empty() {
        return Err(ApiError::validation(
            "1 validation error detected: Value '[]' at 'productionVariants' failed to satisfy \
             constraint: Member must have length greater than or equal to 1",
        ));
    }
    let mut seen = Vec::new();
    for variant in variants {
        check_variant(variant, &mut seen)?;
    }
    Ok(())
}

fn check_variant<'v>(variant: &'v Value, seen: &mut Vec<&'v str>) -> Result<(), ApiError> {
    for member in [
        "ServerlessConfig",
        "InstancePools",
        "ManagedInstanceScaling",
    ] {
        if !variant[member].is_null() {
            return Err(ApiError::left_out(member));
        }
    }
    let name = variant["VariantName"].as_str().unwrap_or_default();
    if !is_name(name) || seen.contains(&name) {
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value '{name}' at 'productionVariants.variantName' failed \
             to satisfy constraint: Member must be unique and satisfy regular expression pattern: \
             ^[a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}"
        )));
    }
    seen.push(name);
    if variant["ModelName"].as_str().is_none() {
        return Err(ApiError::left_out("variants without a model"));
    }
    let instance = variant["InstanceType"].as_str().unwrap_or_default();
    if !instance.starts_with("ml.") {
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value '{instance}' at 'productionVariants.instanceType' \
             failed to satisfy constraint: Member must be an instance type such as ml.t2.medium"
        )));
    }
    let count = variant["InitialInstanceCount"].as_i64().unwrap_or(1);
    let weight = variant["InitialVariantWeight"].as_f64().unwrap_or(1.0);
    let start = variant["ContainerStartupHealthCheckTimeoutInSeconds"].as_i64();
    if count < 1 || weight < 0.0 || !start.is_none_or(|limit| (60..=3_600).contains(&limit)) {
        return Err(ApiError::validation(format!(
            "1 validation error detected: variant '{name}' needs at least one instance, a weight of \
             at least 0, and a startup health check timeout of 60 to 3600 s"
        )));
    }
    Ok(())
}
