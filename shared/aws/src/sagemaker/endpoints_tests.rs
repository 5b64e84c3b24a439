//! An endpoint is created, updated, left alone or waited for.

use std::collections::BTreeMap;

use super::*;
use crate::stub::Stub;
use domain::Class;
use serde_json::{Value, json};

type Reply = (u16, Value);

fn spec() -> EndpointSpec {
    EndpointSpec {
        endpoint: "retail-forecast-dev".to_owned(),
        config: "new".to_owned(),
        package_arn: "arn:aws:sagemaker:r:1:model-package/retail-forecast-models/2".to_owned(),
        role_arn: "arn:aws:iam::1:role/sagemaker-exec-role".to_owned(),
        instance_type: "ml.t2.medium".to_owned(),
        instance_count: 1,
        tags: BTreeMap::new(),
        update: None,
    }
}

fn refused(words: &str) -> Reply {
    (
        400,
        json!({"__type": "ValidationException", "message": words}),
    )
}

fn missing() -> Reply {
    refused("Could not find endpoint \"arn\".")
}

fn model() -> Reply {
    let container = json!({"ModelPackageName": spec().package_arn});
    (200, json!({"ModelName": "new", "Containers": [container]}))
}

fn config(instance_type: &str) -> Reply {
    let variant = json!({
        "VariantName": "default",
        "ModelName": "new",
        "InstanceType": instance_type,
        "InitialInstanceCount": 1
    });
    (
        200,
        json!({"EndpointConfigName": "new", "ProductionVariants": [variant]}),
    )
}

fn endpoint(config: &str, status: &str) -> Reply {
    let endpoint = json!({
        "EndpointName": "retail-forecast-dev",
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "FailureReason": "no capacity"
    });
    (200, endpoint)
}

fn done() -> Reply {
    (200, json!({}))
}

async fn ensure(answers: Vec<Reply>) -> (Result<Ensured>, Stub) {
    ensure_as(&spec(), answers).await
}

async fn ensure_as(spec: &EndpointSpec, answers: Vec<Reply>) -> (Result<Ensured>, Stub) {
    let stub = Stub::new(answers);
    let outcome = SageMaker::new(&stub.context()).ensure_endpoint(spec).await;
    (outcome, stub)
}

#[tokio::test]
async fn everything_is_made_the_first_time() {
    let (outcome, stub) = ensure(vec![
        missing(),
        done(),
        missing(),
        done(),
        missing(),
        done(),
    ])
    .await;
    assert_eq!(outcome.unwrap(), Ensured::Made);
    let requests = stub.requests();
    assert_eq!(
        requests[1].json()["PrimaryContainer"],
        json!({"ModelPackageName": spec().package_arn})
    );
    assert_eq!(
        requests[3].json()["ProductionVariants"][0],
        json!({
            "VariantName": "default",
            "ModelName": "new",
            "InitialInstanceCount": 1,
            "InstanceType": "ml.t2.medium",
            "InitialVariantWeight": 1.0
        })
    );
    assert_eq!(requests[5].operation(), "CreateEndpoint");
}

#[tokio::test]
async fn an_update_keeps_what_autoscaling_chose() {
    let (outcome, stub) = ensure(vec![
        model(),
        config("ml.t2.medium"),
        endpoint("old", "InService"),
        done(),
    ])
    .await;
    assert_eq!(outcome.unwrap(), Ensured::Made);
    let update = &stub.requests()[3];
    assert_eq!(update.operation(), "UpdateEndpoint");
    assert_eq!(update.json()["RetainAllVariantProperties"], true);
    // The way back: nothing shifts step by step, and no alarm stops it.
    assert_eq!(update.json()["DeploymentConfig"], Value::Null);
}

#[tokio::test]
async fn an_update_bakes_under_the_eyes_of_its_alarms() {
    for (canary_percent, traffic) in [
        (
            None,
            json!({"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}),
        ),
        (
            Some(25),
            json!({
                "Type": "CANARY", "WaitIntervalInSeconds": 300,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            }),
        ),
    ] {
        let update = BlueGreen {
            canary_percent,
            bake_s: 300,
            keep_old_s: 60,
            limit_s: 1800,
            alarms: vec!["errors".to_owned(), "latency".to_owned()],
        };
        let spec = EndpointSpec {
            update: Some(update),
            ..spec()
        };
        let answers = vec![
            model(),
            config("ml.t2.medium"),
            endpoint("old", "InService"),
            done(),
        ];
        let (outcome, stub) = ensure_as(&spec, answers).await;
        assert_eq!(outcome.unwrap(), Ensured::Made);
        assert_eq!(
            stub.requests()[3].json()["DeploymentConfig"],
            json!({
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": traffic,
                    "TerminationWaitInSeconds": 60,
                    "MaximumExecutionTimeoutInSeconds": 1800,
                },
                "AutoRollbackConfiguration": {
                    "Alarms": [{"AlarmName": "errors"}, {"AlarmName": "latency"}],
                },
            })
        );
    }
}

#[tokio::test]
async fn what_is_there_is_left_alone_and_what_is_changing_is_waited_for() {
    for (state, expected) in [
        (endpoint("new", "InService"), Ok(Ensured::AlreadySo)),
        (endpoint("new", "Creating"), Ok(Ensured::AlreadySo)),
        (endpoint("old", "Updating"), Err(Class::Transient)),
        (endpoint("old", "Creating"), Err(Class::Transient)),
        (endpoint("new", "RollingBack"), Err(Class::Transient)),
        (endpoint("new", "Failed"), Err(Class::Permanent)),
    ] {
        let shown = state.1.to_string();
        let (outcome, _stub) = ensure(vec![model(), config("ml.t2.medium"), state]).await;
        assert_eq!(outcome.map_err(|error| error.class()), expected, "{shown}");
    }
}

#[tokio::test]
async fn an_update_is_judged_by_where_it_leads() {
    for (serves, pending, expected) in [
        ("old", "new", Ok(Ensured::AlreadySo)),
        ("new", "other", Err(Class::Transient)),
    ] {
        let mut state = endpoint(serves, "Updating");
        state.1["PendingDeploymentSummary"] = json!({"EndpointConfigName": pending});
        let (outcome, _stub) = ensure(vec![model(), config("ml.t2.medium"), state]).await;
        assert_eq!(
            outcome.map_err(|error| error.class()),
            expected,
            "{pending}"
        );
    }
}

#[tokio::test]
async fn a_race_is_not_taken_for_a_mistake() {
    let (created, _stub) = ensure(vec![
        model(),
        config("ml.t2.medium"),
        missing(),
        refused("Cannot create already existing endpoint"),
        endpoint("new", "Creating"),
    ])
    .await;
    assert_eq!(created.unwrap(), Ensured::AlreadySo);
    let (updated, _stub) = ensure(vec![
        model(),
        config("ml.t2.medium"),
        endpoint("old", "InService"),
        refused("Cannot update in-progress endpoint"),
        endpoint("old", "Updating"),
    ])
    .await;
    assert_eq!(updated.unwrap_err().class(), Class::Transient);
}

#[tokio::test]
async fn another_configuration_under_the_name_is_an_error_that_says_so() {
    let (outcome, _stub) = ensure(vec![model(), config("ml.m5.large")]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(
        error
            .to_string()
            .contains("instance type is `ml.m5.large`, not `ml.t2.medium`"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_is_read_as_the_api_spells_it() {
    let stub = Stub::new([endpoint("old", "InService"), missing()]);
    let sagemaker = SageMaker::new(&stub.context());
    let there = sagemaker.endpoint("e").await.unwrap().unwrap();
    assert_eq!(
        (there.config.as_str(), there.status.as_str()),
        ("old", "InService")
    );
    assert_eq!(there.failure_reason.as_deref(), Some("no capacity"));
    assert_eq!(sagemaker.endpoint("e").await.unwrap(), None);
}
