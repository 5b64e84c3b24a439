//! Endpoints and their configurations.

use aws_sdk_sagemaker::{
    error::ProvideErrorMetadata as _,
    operation::{
        describe_endpoint::DescribeEndpointOutput,
        describe_endpoint_config::DescribeEndpointConfigOutput,
    },
    types::{
        Alarm, AutoRollbackConfig, BlueGreenUpdatePolicy, CapacitySize, CapacitySizeType,
        DeploymentConfig, EndpointStatus, ProductionVariant, ProductionVariantInstanceType,
        TrafficRoutingConfig, TrafficRoutingConfigType,
    },
};
use domain::{
    Error, Result,
    endpoint::VARIANT,
    ports::{BlueGreen, Endpoint, EndpointSpec, Endpoints, Ensured},
};

use super::{SageMaker, found, may_exist, models::Parts, number, same, tags};
use crate::failure::failed;

impl SageMaker {
    async fn describe_endpoint(&self, name: &str) -> Result<Option<DescribeEndpointOutput>> {
        let answer = self
            .client
            .describe_endpoint()
            .endpoint_name(name)
            .send()
            .await;
        let doing = format!("reading the endpoint {name}");
        found(answer, doing, "sagemaker:DescribeEndpoint")
    }

    async fn describe_config(&self, name: &str) -> Result<Option<DescribeEndpointConfigOutput>> {
        let answer = self
            .client
            .describe_endpoint_config()
            .endpoint_config_name(name)
            .send()
            .await;
        let doing = format!("reading the endpoint configuration {name}");
        found(answer, doing, "sagemaker:DescribeEndpointConfig")
    }

    async fn ensure_config(&self, spec: &EndpointSpec) -> Result<Ensured> {
        let count = number("instance count", spec.instance_count)?;
        if let Some(config) = self.describe_config(&spec.config).await? {
            return same_config(spec, &config);
        }
        let variant = ProductionVariant::builder()
            .variant_name(VARIANT)
            .model_name(&spec.config)
            .instance_type(ProductionVariantInstanceType::from(
                spec.instance_type.as_str(),
            ))
            .initial_instance_count(count)
            .initial_variant_weight(1.0)
            .build();
        let answer = self
            .client
            .create_endpoint_config()
            .endpoint_config_name(&spec.config)
            .production_variants(variant)
            .set_tags(Some(tags(&spec.tags)))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        if may_exist(refused.code())
            && let Some(config) = self.describe_config(&spec.config).await?
        {
            return same_config(spec, &config);
        }
        let doing = format!("making the endpoint configuration {}", spec.config);
        Err(failed(doing, "sagemaker:CreateEndpointConfig", refused))
    }

    async fn create_endpoint(&self, spec: &EndpointSpec) -> Result<Ensured> {
        let answer = self
            .client
            .create_endpoint()
            .endpoint_name(&spec.endpoint)
            .endpoint_config_name(&spec.config)
            .set_tags(Some(tags(&spec.tags)))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        // Somebody made it meanwhile: with this configuration all is well; else a repeat updates it.
        if may_exist(refused.code())
            && let Some(endpoint) = self.describe_endpoint(&spec.endpoint).await?
        {
            return match stand(&endpoint, &spec.config) {
                Stand::There => Ok(Ensured::AlreadySo),
                _ => Err(Error::transient(format!(
                    "creating the endpoint {}: it appeared meanwhile, with another configuration",
                    spec.endpoint
                ))),
            };
        }
        let doing = format!("creating the endpoint {}", spec.endpoint);
        Err(failed(doing, "sagemaker:CreateEndpoint", refused))
    }

    async fn update_endpoint(&self, spec: &EndpointSpec) -> Result<Ensured> {
        let answer = self
            .client
            .update_endpoint()
            .endpoint_name(&spec.endpoint)
            .endpoint_config_name(&spec.config)
            // Else the counts that autoscaling chose are reset to the configuration's.
            .retain_all_variant_properties(true)
            .set_deployment_config(spec.update.as_ref().map(deployment_config))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        // An update that began meanwhile is refused like a mistake is.
        if may_exist(refused.code())
            && let Some(endpoint) = self.describe_endpoint(&spec.endpoint).await?
        {
            match stand(&endpoint, &spec.config) {
                Stand::There => return Ok(Ensured::AlreadySo),
                Stand::Changing => return Err(changing(spec, &endpoint)),
                Stand::Dead | Stand::Elsewhere => {}
            }
        }
        let doing = format!("updating the endpoint {} to {}", spec.endpoint, spec.config);
        Err(failed(doing, "sagemaker:UpdateEndpoint", refused))
    }
}

fn deployment_config(update: &BlueGreen) -> DeploymentConfig {
    let (shift, canary) = match update.canary_percent {
        None => (TrafficRoutingConfigType::AllAtOnce, None),
        Some(percent) => (
            TrafficRoutingConfigType::Canary,
            Some(
                CapacitySize::builder()
                    .r#type(CapacitySizeType::CapacityPercent)
                    .value(percent)
                    .build(),
            ),
        ),
    };
    let traffic = TrafficRoutingConfig::builder()
        .r#type(shift)
        .set_canary_size(canary)
        .wait_interval_in_seconds(update.bake_s)
        .build();
    let policy = BlueGreenUpdatePolicy::builder()
        .traffic_routing_configuration(traffic)
        .termination_wait_in_seconds(update.keep_old_s)
        .maximum_execution_timeout_in_seconds(update.limit_s)
        .build();
    let alarms = update.alarms.iter();
    let alarms = alarms.map(|name| Alarm::builder().alarm_name(name).build());
    let undo = AutoRollbackConfig::builder()
        .set_alarms(Some(alarms.collect()))
        .build();
    DeploymentConfig::builder()
        .blue_green_update_policy(policy)
        .auto_rollback_configuration(undo)
        .build()
}

/// How an endpoint stands towards a configuration.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    /// Serves it, or is on its way to it.
    There,
    /// Serves another one, and can be updated.
    Elsewhere,
    /// Is changing to something else right now.
    Changing,
    /// Was never created; only deletion helps.
    Dead,
}

fn stand(endpoint: &DescribeEndpointOutput, config: &str) -> Stand {
    let serves = endpoint.endpoint_config_name() == Some(config);
    // While updating, the endpoint still serves the old configuration; the new one is pending.
    let heading = endpoint
        .pending_deployment_summary()
        .and_then(|pending| pending.endpoint_config_name())
        .map_or(serves, |pending| pending == config);
    match endpoint.endpoint_status() {
        Some(EndpointStatus::Failed) => Stand::Dead,
        Some(
            EndpointStatus::Creating | EndpointStatus::Updating | EndpointStatus::SystemUpdating,
        ) if heading => Stand::There,
        Some(
            EndpointStatus::Creating
            | EndpointStatus::Updating
            | EndpointStatus::SystemUpdating
            | EndpointStatus::RollingBack
            | EndpointStatus::Deleting,
        )
        | None => Stand::Changing,
        // A mix of two configurations serves after a failed rollback, whatever the name says.
        Some(EndpointStatus::UpdateRollbackFailed) => Stand::Elsewhere,
        Some(_) if serves => Stand::There,
        Some(_) => Stand::Elsewhere,
    }
}

fn status(endpoint: &DescribeEndpointOutput) -> &str {
    endpoint
        .endpoint_status()
        .map_or("unknown", EndpointStatus::as_str)
}

fn changing(spec: &EndpointSpec, endpoint: &DescribeEndpointOutput) -> Error {
    Error::transient(format!(
        "the endpoint {} is {}: it takes {} afterwards",
        spec.endpoint,
        status(endpoint),
        spec.config
    ))
}

fn same_config(spec: &EndpointSpec, config: &DescribeEndpointConfigOutput) -> Result<Ensured> {
    let variant = config.production_variants().first();
    let model = variant.and_then(|variant| variant.model_name());
    let instance_type = variant
        .and_then(|variant| variant.instance_type())
        .map_or("", ProductionVariantInstanceType::as_str);
    let count = variant.map_or(0, |variant| {
        variant.initial_instance_count.unwrap_or_default()
    });
    same(
        &format!("endpoint configuration {}", spec.config),
        &[
            (
                "model",
                model.unwrap_or_default().to_owned(),
                spec.config.clone(),
            ),
            (
                "instance type",
                instance_type.to_owned(),
                spec.instance_type.clone(),
            ),
            (
                "instance count",
                count.to_string(),
                spec.instance_count.to_string(),
            ),
        ],
    )
}

impl Endpoints for SageMaker {
    async fn ensure_endpoint(&self, spec: &EndpointSpec) -> Result<Ensured> {
        let parts = Parts::Package(&spec.package_arn);
        self.ensure_model(&spec.config, &parts, &spec.role_arn, &spec.tags)
            .await?;
        self.ensure_config(spec).await?;
        let Some(endpoint) = self.describe_endpoint(&spec.endpoint).await? else {
            return self.create_endpoint(spec).await;
        };
        match stand(&endpoint, &spec.config) {
            Stand::There => Ok(Ensured::AlreadySo),
            Stand::Elsewhere => self.update_endpoint(spec).await,
            Stand::Changing => Err(changing(spec, &endpoint)),
            Stand::Dead => Err(Error::permanent(format!(
                "the endpoint {} couldn't be created and takes no update; delete it (`aws sagemaker delete-endpoint`): {}",
                spec.endpoint,
                endpoint.failure_reason().unwrap_or("no reason given")
            ))),
        }
    }

    async fn endpoint(&self, name: &str) -> Result<Option<Endpoint>> {
        let Some(endpoint) = self.describe_endpoint(name).await? else {
            return Ok(None);
        };
        let status = status(&endpoint).to_owned();
        Ok(Some(Endpoint {
            config: endpoint.endpoint_config_name.unwrap_or_default(),
            status,
            failure_reason: endpoint.failure_reason,
        }))
    }
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
