//! Endpoint configurations, endpoints, and requests to them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ARN, Cloud, PATIENCE, ROLE};

pub(crate) const EVENT: &str = "SageMaker Endpoint State Change";

/// A cloud with the configurations `c-1` and `c-2` (good, models `m1` and `m2`) and `c-bad` (its
/// container ends at once).
pub(crate) async fn cloud() -> anyhow::Result<Cloud> {
    let cloud = Cloud::start().await?;
    cloud.serving_image("server", "good")?;
    cloud.broken_image("breaks", "echo cannot load; exit 4")?;
    for (n, image) in [("1", "server"), ("2", "server"), ("bad", "breaks")] {
        cloud
            .model(&format!("m-{n}"), image, &format!("m{n}"))
            .await?;
        config(&cloud, &format!("c-{n}"), &format!("m-{n}")).await?;
    }
    Ok(cloud)
}

pub(crate) async fn config(cloud: &Cloud, name: &str, model: &str) -> anyhow::Result<()> {
    let request = json!({
        "EndpointConfigName": name,
        "ExecutionRoleArn": ROLE,
        "ProductionVariants": [{
            "VariantName": "default", "ModelName": model, "InstanceType": "ml.t2.medium",
            "InitialInstanceCount": 1, "InitialVariantWeight": 1.0,
        }],
    });
    cloud.ok("CreateEndpointConfig", request).await?;
    Ok(())
}

pub(crate) async fn settled(cloud: &Cloud) -> anyhow::Result<Value> {
    let settled = |endpoint: &Value| {
        let status = endpoint["EndpointStatus"].as_str();
        matches!(status, Some("InService" | "Failed"))
    };
    cloud
        .until("DescribeEndpoint", json!({"EndpointName": "api"}), settled)
        .await
}

pub(crate) async fn create(cloud: &Cloud, config: &str) -> anyhow::Result<Value> {
    let request = json!({"EndpointName": "api", "EndpointConfigName": config});
    let answer = cloud.ok("CreateEndpoint", request).await?;
    assert_eq!(answer["EndpointArn"], format!("{ARN}:endpoint/api"));
    settled(cloud).await
}

async fn update(cloud: &Cloud, config: &str) -> anyhow::Result<Value> {
    let request = json!({"EndpointName": "api", "EndpointConfigName": config});
    cloud.ok("UpdateEndpoint", request).await?;
    settled(cloud).await
}

pub(crate) async fn answer(cloud: &Cloud) -> anyhow::Result<String> {
    let answer = cloud.invoke("api", "1,1,2023-06-15").await?;
    assert_eq!(answer.status(), 200);
    Ok(answer.text().await?)
}

pub(crate) fn statuses(cloud: &Cloud) -> Vec<String> {
    let mut details = cloud.events.details(EVENT);
    details.sort_by(|a, b| {
        let time = |d: &Value| d["LastModifiedTime"].as_f64().unwrap_or_default();
        time(a).total_cmp(&time(b))
    });
    let statuses = details.iter().filter_map(|d| d["EndpointStatus"].as_str());
    statuses.map(str::to_owned).collect()
}

#[tokio::test]
async fn an_endpoint_comes_up_and_answers() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let endpoint = create(&cloud, "c-1").await?;
    assert_eq!(endpoint["EndpointStatus"], "InService", "{endpoint:#}");
    assert_eq!(endpoint["EndpointConfigName"], "c-1");
    let variant = &endpoint["ProductionVariants"][0];
    assert_eq!(variant["VariantName"], "default");
    assert_eq!(variant["CurrentInstanceCount"], 1);
    assert_eq!(variant["DesiredInstanceCount"], 1);
    assert_eq!(variant["CurrentWeight"], 1.0);
    assert_eq!(variant["DeployedImages"][0]["SpecifiedImage"], "server");
    assert!(endpoint.get("PendingDeploymentSummary").is_none());

    let answer = cloud.invoke("api", "1,1,2023-06-15").await?;
    assert_eq!(
        answer.headers()["x-amzn-invoked-production-variant"],
        "default"
    );
    assert_eq!(answer.text().await?, "1,1,2023-06-15,m1");

    let told = cloud.events.wait(EVENT, 2).await?;
    let up = told
        .iter()
        .find(|d| d["EndpointStatus"] == "IN_SERVICE")
        .expect("told");
    assert_eq!(up["EndpointConfigName"], "c-1");
    assert_eq!(up["ProductionVariants"][0]["DesiredInstanceCount"], 1);
    assert!(up["CreationTime"].is_f64());

    let again = json!({"EndpointName": "api", "EndpointConfigName": "c-1"});
    let refusal = cloud.refused("CreateEndpoint", again).await?;
    let expected = format!("Cannot create already existing endpoint \"{ARN}:endpoint/api\".");
    assert_eq!(refusal.message, expected);
    Ok(())
}

#[tokio::test]
async fn an_update_switches_once_the_new_one_answers() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    // Not up before it was seen what is so until then.
    cloud.held_image("held")?;
    cloud.model("m-held", "held", "held").await?;
    config(&cloud, "c-held", "m-held").await?;
    create(&cloud, "c-1").await?;
    let request = json!({
        "EndpointName": "api", "EndpointConfigName": "c-held", "RetainAllVariantProperties": true,
        "DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}},
    });
    cloud.ok("UpdateEndpoint", request.clone()).await?;
    let during = cloud
        .ok("DescribeEndpoint", json!({"EndpointName": "api"}))
        .await?;
    assert_eq!(during["EndpointStatus"], "Updating");
    assert_eq!(
        during["EndpointConfigName"], "c-1",
        "the old one is in service"
    );
    assert_eq!(
        during["PendingDeploymentSummary"]["EndpointConfigName"],
        "c-held"
    );
    let refusal = cloud.refused("UpdateEndpoint", request.clone()).await?;
    let expected = format!("Cannot update in-progress endpoint \"{ARN}:endpoint/api\".");
    assert_eq!(refusal.message, expected);
    let refusal = cloud
        .refused("DeleteEndpoint", json!({"EndpointName": "api"}))
        .await?;
    assert_eq!(refusal.message, expected);
    assert_eq!(answer(&cloud).await?, "1,1,2023-06-15,m1", "no gap");

    cloud.release()?;
    let endpoint = settled(&cloud).await?;
    assert_eq!(endpoint["EndpointStatus"], "InService");
    assert_eq!(endpoint["EndpointConfigName"], "c-held");
    assert_eq!(
        endpoint["LastDeploymentConfig"],
        request["DeploymentConfig"]
    );
    assert_eq!(answer(&cloud).await?, "1,1,2023-06-15,held");
    cloud.events.wait(EVENT, 4).await?;
    assert_eq!(
        statuses(&cloud),
        ["CREATING", "IN_SERVICE", "UPDATING", "IN_SERVICE"]
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_update_returns_to_the_old_configuration() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    create(&cloud, "c-1").await?;
    let endpoint = update(&cloud, "c-bad").await?;
    assert_eq!(endpoint["EndpointStatus"], "InService");
    assert_eq!(endpoint["EndpointConfigName"], "c-1");
    let reason = endpoint["FailureReason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with(
            "The primary container for production variant default did not pass the ping health check."
        ),
        "{reason}"
    );
    assert_eq!(answer(&cloud).await?, "1,1,2023-06-15,m1");
    let told = cloud.events.wait(EVENT, 5).await?;
    assert_eq!(
        statuses(&cloud),
        [
            "CREATING",
            "IN_SERVICE",
            "UPDATING",
            "ROLLING_BACK",
            "IN_SERVICE"
        ]
    );
    let last = told
        .iter()
        .find(|d| d.get("FailureReason").is_some())
        .expect("told");
    assert_eq!(last["EndpointStatus"], "IN_SERVICE");
    assert_eq!(last["EndpointConfigName"], "c-1");

    let endpoint = update(&cloud, "c-2").await?;
    assert_eq!(endpoint["EndpointConfigName"], "c-2");
    assert!(
        endpoint.get("FailureReason").is_none(),
        "a good update clears the reason"
    );
    Ok(())
}

#[tokio::test]
async fn an_endpoint_can_be_updated_to_the_configuration_it_has() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    create(&cloud, "c-1").await?;
    let endpoint = update(&cloud, "c-1").await?;
    assert_eq!(endpoint["EndpointStatus"], "InService", "{endpoint:#}");
    assert_eq!(answer(&cloud).await?, "1,1,2023-06-15,m1");
    Ok(())
}

#[tokio::test]
async fn requests_under_way_outlive_the_switch() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.serving_image("slow", "slow")?;
    cloud.model("m-slow", "slow", "slow").await?;
    config(&cloud, "c-slow", "m-slow").await?;
    create(&cloud, "c-slow").await?;
    let switched = async {
        let start = Instant::now();
        while !cloud.log("endpoint-api-c-slow-default").contains("asked") {
            anyhow::ensure!(start.elapsed() < PATIENCE, "no request is under way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let updated = update(&cloud, "c-2").await?;
        assert_eq!(updated["EndpointConfigName"], "c-2");
        assert_eq!(answer(&cloud).await?, "1,1,2023-06-15,m2");
        cloud.release()
    };
    let (slow, switched) = tokio::join!(answer(&cloud), switched);
    switched?;
    assert_eq!(slow?, "1,1,2023-06-15,slow");
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_never_came_up_can_only_be_deleted() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let endpoint = create(&cloud, "c-bad").await?;
    assert_eq!(endpoint["EndpointStatus"], "Failed");
    assert!(endpoint["FailureReason"].is_string());
    assert!(
        cloud
            .log("endpoint-api-c-bad-default")
            .contains("cannot load")
    );
    let request = json!({"EndpointName": "api", "EndpointConfigName": "c-1"});
    assert_eq!(
        cloud.refused("UpdateEndpoint", request).await?.code,
        "ValidationException"
    );
    let answer = cloud.invoke("api", "x").await?;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["x-amzn-errortype"], "ValidationError");

    cloud
        .ok("DeleteEndpoint", json!({"EndpointName": "api"}))
        .await?;
    let refusal = cloud
        .refused("DescribeEndpoint", json!({"EndpointName": "api"}))
        .await?;
    assert_eq!(refusal.code, "ValidationException");
    assert_eq!(
        refusal.message,
        format!("Could not find endpoint \"{ARN}:endpoint/api\".")
    );
    cloud.events.wait(EVENT, 3).await?;
    assert_eq!(statuses(&cloud), ["CREATING", "FAILED", "DELETING"]);
    Ok(())
}

#[tokio::test]
async fn counts_survive_an_update_only_when_retained() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    create(&cloud, "c-1").await?;
    let scale = json!({
        "EndpointName": "api",
        "DesiredWeightsAndCapacities": [{"VariantName": "default", "DesiredInstanceCount": 3}],
    });
    cloud
        .ok("UpdateEndpointWeightsAndCapacities", scale)
        .await?;
    let count =
        |endpoint: &Value| endpoint["ProductionVariants"][0]["DesiredInstanceCount"].clone();
    assert_eq!(count(&settled(&cloud).await?), 3);

    let retain = json!({
        "EndpointName": "api", "EndpointConfigName": "c-2", "RetainAllVariantProperties": true,
    });
    cloud.ok("UpdateEndpoint", retain).await?;
    assert_eq!(count(&settled(&cloud).await?), 3);
    assert_eq!(
        count(&update(&cloud, "c-1").await?),
        1,
        "the configuration's own count"
    );
    Ok(())
}

#[tokio::test]
async fn a_program_that_dies_is_started_again() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.serving_image("dies", "dies")?;
    cloud.model("m-dies", "dies", "d").await?;
    config(&cloud, "c-dies", "m-dies").await?;
    create(&cloud, "c-dies").await?;
    let served = || {
        cloud
            .log("endpoint-api-c-dies-default")
            .matches("serving d")
            .count()
    };
    assert_eq!(served(), 1);
    let answer = cloud.invoke("api", "x").await?;
    assert_eq!(answer.status(), 424);
    assert_eq!(answer.headers()["x-amzn-errortype"], "ModelError");
    let start = Instant::now();
    while served() < 2 {
        anyhow::ensure!(start.elapsed() < PATIENCE, "it stays down");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_models_refusal_reaches_the_caller() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.serving_image("refuses", "refuses")?;
    cloud.model("m-refuses", "refuses", "r").await?;
    config(&cloud, "c-refuses", "m-refuses").await?;
    create(&cloud, "c-refuses").await?;
    let answer = cloud.invoke("api", "x").await?;
    assert_eq!(answer.status(), 424);
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    assert_eq!(body["OriginalStatusCode"], 400);
    assert_eq!(body["OriginalMessage"], "no such feature");
    Ok(())
}

#[tokio::test]
async fn variants_share_the_calls_by_weight() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let variant = |name: &str, model: &str, weight: f64| {
        json!({
            "VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1, "InitialVariantWeight": weight,
        })
    };
    let request = json!({
        "EndpointConfigName": "c-two",
        "ProductionVariants": [variant("champion", "m-1", 9.0), variant("challenger", "m-2", 1.0)],
    });
    cloud.ok("CreateEndpointConfig", request).await?;
    create(&cloud, "c-two").await?;
    let mut challenged = 0;
    for _ in 0..100 {
        if answer(&cloud).await?.ends_with("m2") {
            challenged += 1;
        }
    }
    assert!((9..=11).contains(&challenged), "{challenged} of 100");
    let target = [("x-amzn-sagemaker-target-variant", "challenger")];
    let answer = cloud.invoke_with("api", "1", &target).await?;
    assert_eq!(answer.text().await?, "1,m2");
    let target = [("x-amzn-sagemaker-target-variant", "none")];
    assert_eq!(cloud.invoke_with("api", "1", &target).await?.status(), 400);
    Ok(())
}

#[tokio::test]
async fn configurations_are_checked_described_and_deleted() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let arn = |name: &str| format!("{ARN}:endpoint-config/{name}");
    let described = cloud
        .ok(
            "DescribeEndpointConfig",
            json!({"EndpointConfigName": "c-1"}),
        )
        .await?;
    assert_eq!(described["EndpointConfigArn"], arn("c-1"));
    assert_eq!(
        described["ProductionVariants"][0]["InstanceType"],
        "ml.t2.medium"
    );

    let variant =
        json!({"VariantName": "default", "ModelName": "m-1", "InstanceType": "ml.t2.medium"});
    let again = json!({"EndpointConfigName": "c-1", "ProductionVariants": [variant]});
    let refusal = cloud.refused("CreateEndpointConfig", again.clone()).await?;
    let expected = format!(
        "Cannot create already existing endpoint configuration \"{}\".",
        arn("c-1")
    );
    assert_eq!(refusal.message, expected);
    let mut orphan = again.clone();
    orphan["EndpointConfigName"] = json!("c-9");
    orphan["ProductionVariants"][0]["ModelName"] = json!("m-9");
    let refusal = cloud.refused("CreateEndpointConfig", orphan).await?;
    assert_eq!(
        refusal.message,
        format!("Could not find model \"{ARN}:model/m-9\".")
    );
    let mut serverless = again;
    serverless["EndpointConfigName"] = json!("c-9");
    serverless["ProductionVariants"][0]["ServerlessConfig"] = json!({"MaxConcurrency": 1});
    let refusal = cloud.refused("CreateEndpointConfig", serverless).await?;
    assert!(
        refusal.message.contains("ServerlessConfig"),
        "{}",
        refusal.message
    );

    create(&cloud, "c-1").await?;
    let unknown = json!({"EndpointName": "api", "EndpointConfigName": "c-9"});
    let refusal = cloud.refused("UpdateEndpoint", unknown).await?;
    let missing = |name: &str| format!("Could not find endpoint configuration \"{}\".", arn(name));
    assert_eq!(refusal.message, missing("c-9"));
    cloud
        .ok("DeleteEndpointConfig", json!({"EndpointConfigName": "c-1"}))
        .await?;
    let request = json!({"EndpointName": "api", "EndpointConfigName": "c-2"});
    let refusal = cloud.refused("UpdateEndpoint", request).await?;
    assert_eq!(
        refusal.message,
        missing("c-1"),
        "there is nothing to go back to"
    );
    let listed = cloud
        .ok("ListEndpointConfigs", json!({"NameContains": "c-2"}))
        .await?;
    assert_eq!(listed["EndpointConfigs"].as_array().map(Vec::len), Some(1));
    let listed = cloud
        .ok("ListEndpoints", json!({"StatusEquals": "InService"}))
        .await?;
    assert_eq!(listed["Endpoints"][0]["EndpointName"], "api");
    Ok(())
}
