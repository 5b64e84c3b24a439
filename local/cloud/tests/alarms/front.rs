//! Who may call CloudWatch here, in which protocols, and what is refused.

use aws_smithy_cbor::Encoder;
use local_wire::{CallError, Method, Wire};
use serde_json::{Value, json};

use crate::{
    NAMESPACE, alarm, becomes, put_alarm, start,
    support::{self, Project, is_emulator_installed},
};

const TARGET: &str = "GraniteServiceVersion20100801";

async fn call(wire: &Wire, operation: &str, input: Value) -> Result<Value, CallError> {
    wire.json("monitoring", &format!("{TARGET}.{operation}"), input)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_and_what_isnt_evaluated_too() {
    if !is_emulator_installed() {
        return;
    }
    let cloud = start(&Project::new()).await;
    let front = cloud.wire().at(&cloud.addresses().cloudwatch);
    let role = &cloud.function("probe").unwrap().name;
    let function = cloud.identity().assume_role(role).await.unwrap();
    let function = front.with_credentials(function);
    let pod = cloud
        .identity()
        .assume_role(&cloud.place().api_role())
        .await
        .unwrap();
    let pod = front.with_credentials(pod);
    let datum = json!({"Namespace": NAMESPACE, "MetricData": [{"MetricName": "M", "Value": 1.0}]});
    for (operation, input, resource) in [
        ("DescribeAlarms", json!({"AlarmNames": ["x"]}), "alarm:*"),
        ("PutMetricAlarm", alarm("x", "a", "missing"), "alarm:x"),
        ("DeleteAlarms", json!({"AlarmNames": ["x"]}), "alarm:x"),
        (
            "SetAlarmState",
            json!({"AlarmName": "x", "StateValue": "OK", "StateReason": "r"}),
            "alarm:x",
        ),
    ] {
        let error = call(&function, operation, input).await.unwrap_err();
        assert_eq!(
            (error.code(), error.status()),
            (Some("AccessDenied"), Some(403)),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "not authorized to perform: cloudwatch:{operation}"
            )),
            "{text}"
        );
        assert!(text.contains(resource), "{text}");
    }
    // What is passed on is refused by the emulator, which lets in whom it should.
    let error = call(&function, "PutMetricData", datum.clone())
        .await
        .unwrap_err();
    assert!(error.code().unwrap().starts_with("AccessDenied"), "{error}");
    // The API's pods measure in their own namespace only.
    let mut others = datum.clone();
    others["Namespace"] = json!("Others");
    let error = call(&pod, "PutMetricData", others).await.unwrap_err();
    assert!(error.code().unwrap().starts_with("AccessDenied"), "{error}");
    call(&pod, "PutMetricData", datum).await.unwrap();

    let mut math = alarm("x", "a", "missing");
    math["Metrics"] = json!([{"Id": "e1", "Expression": "m1/m2"}]);
    let composite = json!({"AlarmName": "x", "AlarmRule": "ALARM(y)"});
    for (operation, input) in [("PutMetricAlarm", math), ("PutCompositeAlarm", composite)] {
        let error = call(&front, operation, input).await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationError"));
        assert!(
            error.to_string().contains("stand-in of CloudWatch"),
            "{error}"
        );
    }
    let missing = call(&front, "DeleteAlarms", json!({"AlarmNames": ["x"]})).await;
    assert_eq!(missing.unwrap_err().code(), Some("ResourceNotFound"));

    cloud.stop().await;
}

/// `PutMetricData` in RPC v2 CBOR, as the SDKs write it: `{"Namespace": …, "MetricData": [{…}]}`.
fn put_in_cbor(namespace: &str, release: &str, value: f64) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.begin_map().str("Namespace").str(namespace);
    encoder.str("MetricData").array(1).begin_map();
    encoder.str("MetricName").str("ErrorRate");
    encoder.str("Dimensions").array(1).begin_map();
    encoder.str("Name").str("DeploymentId");
    encoder.str("Value").str(release).end();
    encoder.str("Value").double(value);
    encoder.str("StorageResolution").integer(1);
    encoder.end().end();
    encoder.into_writer()
}

async fn in_cbor(wire: &Wire, operation: &str, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    let path = format!("/service/{TARGET}/operation/{operation}");
    let headers = [
        ("content-type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
    ];
    let answer = wire.rest("monitoring", Method::POST, &path, &headers, body);
    let answer = answer.await?;
    assert_eq!(answer.headers["smithy-protocol"], "rpc-v2-cbor");
    Ok(answer.body.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdks_put_in_cbor_moves_alarms() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    let mut policy = support::policy();
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.push(
        json!({"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}}),
    );
    project.write("infra/policies/probe.json", &policy);
    let cloud = start(&project).await;
    let front = cloud.wire().at(&cloud.addresses().cloudwatch);
    let role = &cloud.function("probe").unwrap().name;
    let function = front.with_credentials(cloud.identity().assume_role(role).await.unwrap());
    put_alarm(&cloud, alarm("spoken", "a", "missing")).await;
    let body = put_in_cbor(NAMESPACE, "a", 50.0);
    in_cbor(&function, "PutMetricData", body).await.unwrap();
    let others = put_in_cbor("Others", "a", 50.0);
    let refused = in_cbor(&function, "PutMetricData", others).await;
    assert_eq!(refused.unwrap_err().status(), Some(403));
    becomes(&cloud, "spoken", "ALARM").await;
    let described = in_cbor(&front, "DescribeAlarms", vec![0xa0]).await.unwrap();
    assert!(described.windows(6).any(|bytes| bytes == b"spoken"));
    cloud.stop().await;
}
