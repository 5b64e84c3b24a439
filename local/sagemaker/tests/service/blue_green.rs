//! Updates that bake: the alarms that end them, the shares of their steps, and what is measured.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    hosting::{EVENT, answer, cloud, config, create, settled, statuses},
    support::{Cloud, PATIENCE, ROLE, lock},
};

const ALARM: &str = "RetailForecast-Endpoint-Error-Rate-c-2";

fn update(to: &str, traffic: &Value) -> Value {
    json!({
        "EndpointName": "api", "EndpointConfigName": to, "RetainAllVariantProperties": true,
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
        },
    })
}

fn at_once(bake_s: u32) -> Value {
    json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake_s})
}

/// Asks until the model named answers.
async fn answers(cloud: &Cloud, model: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    while !answer(cloud).await?.ends_with(model) {
        anyhow::ensure!(began.elapsed() < PATIENCE, "{model} never answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn an_alarm_takes_a_baking_update_back() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    create(&cloud, "c-1").await?;
    cloud.alarms.set(ALARM, "OK");
    cloud
        .ok("UpdateEndpoint", update("c-2", &at_once(600)))
        .await?;
    answers(&cloud, "m2").await?;
    let baking = cloud
        .ok("DescribeEndpoint", json!({"EndpointName": "api"}))
        .await?;
    assert_eq!(baking["EndpointStatus"], "Updating");
    assert_eq!(baking["EndpointConfigName"], "c-1");

    cloud.alarms.set(ALARM, "ALARM");
    let endpoint = settled(&cloud).await?;
    assert_eq!(endpoint["EndpointStatus"], "InService");
    assert_eq!(endpoint["EndpointConfigName"], "c-1");
    let reason = endpoint["FailureReason"].as_str().unwrap_or_default();
    assert!(
        reason.contains(ALARM) && reason.contains("Threshold Crossed"),
        "{reason}"
    );
    assert!(endpoint.get("PendingDeploymentSummary").is_none());
    for _ in 0..10 {
        assert!(answer(&cloud).await?.ends_with("m1"), "the old one serves");
    }
    cloud.events.wait(EVENT, 5).await?;
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
    assert!(lock(&cloud.alarms.roles).iter().all(|role| role == ROLE));

    // The way back asks for no alarm, and goes at once.
    let plain = json!({"EndpointName": "api", "EndpointConfigName": "c-2"});
    cloud.ok("UpdateEndpoint", plain).await?;
    let endpoint = settled(&cloud).await?;
    assert_eq!(endpoint["EndpointConfigName"], "c-2");
    assert!(endpoint.get("LastDeploymentConfig").is_none());
    Ok(())
}

#[tokio::test]
async fn a_quiet_alarm_lets_it_pass_and_a_missing_one_does_not() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    create(&cloud, "c-1").await?;
    cloud.alarms.set(ALARM, "INSUFFICIENT_DATA");
    let began = Instant::now();
    cloud
        .ok("UpdateEndpoint", update("c-2", &at_once(2)))
        .await?;
    assert_eq!(settled(&cloud).await?["EndpointConfigName"], "c-2");
    assert!(began.elapsed() >= Duration::from_secs(2), "it baked");

    let mut other = update("c-1", &at_once(1));
    other["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"] = json!([{"AlarmName": "x"}]);
    cloud.ok("UpdateEndpoint", other).await?;
    let endpoint = settled(&cloud).await?;
    assert_eq!(endpoint["EndpointConfigName"], "c-2");
    let reason = endpoint["FailureReason"].as_str().unwrap_or_default();
    assert!(reason.contains("there is no alarm x"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_canary_takes_its_share_and_then_all() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    for (name, model) in [("w-1", "m-1"), ("w-2", "m-2")] {
        let request = json!({
            "EndpointConfigName": name,
            "ProductionVariants": [{
                "VariantName": "default", "ModelName": model, "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 4,
            }],
        });
        cloud.ok("CreateEndpointConfig", request).await?;
    }
    create(&cloud, "w-1").await?;
    cloud.alarms.set(ALARM, "OK");
    let size = json!({"Type": "INSTANCE_COUNT", "Value": 1});
    let baking = |s: u32| json!({"Type": "CANARY", "WaitIntervalInSeconds": s, "CanarySize": size});
    cloud
        .ok("UpdateEndpoint", update("w-2", &baking(600)))
        .await?;
    answers(&cloud, "m2").await?;
    let mut canary = 0;
    for _ in 0..100 {
        if answer(&cloud).await?.ends_with("m2") {
            canary += 1;
        }
    }
    assert!((23..=27).contains(&canary), "{canary} of 100");
    cloud.alarms.set(ALARM, "ALARM");
    assert_eq!(settled(&cloud).await?["EndpointConfigName"], "w-1");

    cloud.alarms.set(ALARM, "OK");
    cloud
        .ok("UpdateEndpoint", update("w-2", &baking(1)))
        .await?;
    assert_eq!(settled(&cloud).await?["EndpointConfigName"], "w-2");
    assert!(answer(&cloud).await?.ends_with("m2"));

    // One instance has no half.
    let refusal = cloud.refused("UpdateEndpoint", {
        let mut one = update("c-1", &baking(1));
        one["RetainAllVariantProperties"] = json!(false);
        one
    });
    let refusal = refusal.await?;
    assert!(
        refusal.message.contains("at most 50%"),
        "{}",
        refusal.message
    );
    Ok(())
}

#[tokio::test]
async fn invocations_are_measured_by_variant_and_configuration() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.serving_image("broken", "broken")?;
    cloud.model("m-broken", "broken", "b").await?;
    config(&cloud, "c-broken", "m-broken").await?;
    create(&cloud, "c-broken").await?;
    for _ in 0..3 {
        assert_eq!(cloud.invoke("api", "x").await?.status(), 424);
    }
    let of_config = |datum: &&Value| {
        let dimensions = datum["Dimensions"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        dimensions.contains(&json!({"Name": "EndpointConfigName", "Value": "c-broken"}))
    };
    let sum = |metric: &str| -> f64 {
        let data = lock(&cloud.alarms.data);
        let of = data.iter().filter(|datum| datum["MetricName"] == metric);
        let sums = of
            .filter(of_config)
            .filter_map(|d| d["StatisticValues"]["Sum"].as_f64());
        sums.sum()
    };
    let began = Instant::now();
    while sum("Invocations") < 3.0 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "nothing is published");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        (sum("Invocation5XXErrors"), sum("Invocation4XXErrors")),
        (3.0, 0.0)
    );
    assert!(sum("ModelLatency") > 0.0);
    Ok(())
}
