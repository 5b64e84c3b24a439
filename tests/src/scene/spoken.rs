//! What speaks against a release: people and alarms.

use domain::ports::Clock as _;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;

use crate::Pipeline;

/// A person asks to go back to what is known good.
pub fn ask_to_go_back(pipeline: &mut Pipeline) {
    let detail = serde_json::json!({
        "request": "7",
        "by": "ann",
        "reason": "what held it up is gone",
        "id": "00000000000d",
    });
    let asked = "RollbackRequested";
    let event = pipeline
        .world
        .envelope("retail-forecast", asked, &[], &detail);
    pipeline.deliver(&event);
    pipeline.settle();
}

/// A person asks to go back from this release, by its name; all that follows happens.
pub fn ask_to_go_back_from(pipeline: &mut Pipeline, release: &str) {
    let event = asked_to_go_back(pipeline, Some(release), "8");
    pipeline.deliver(&event);
    pipeline.settle();
}

/// A person's request to go back, from this release or from what is live.
pub fn asked_to_go_back(pipeline: &Pipeline, release: Option<&str>, request: &str) -> Value {
    let detail = serde_json::json!({
        "release": release,
        "request": request,
        "by": "ann",
        "reason": "customers complain",
        "id": request,
    });
    let asked = "RollbackRequested";
    pipeline
        .world
        .envelope("retail-forecast", asked, &[], &detail)
}

/// CloudWatch's event of an alarm that watches a release's metric, in the state ALARM.
pub fn alarm(pipeline: &Pipeline, name: &str, release: &str) -> Value {
    let name = format!("RetailForecast-API-{name}-retail-forecast-dev");
    let dimensions = serde_json::json!({"DeploymentId": release});
    alarm_event(pipeline, &name, &dimensions)
}

/// The same of an alarm that watches an endpoint configuration.
pub fn endpoint_alarm(pipeline: &Pipeline, config: &str) -> Value {
    let name = format!("RetailForecast-Endpoint-Error-Rate-{config}");
    let dimensions = serde_json::json!({"EndpointConfigName": config});
    alarm_event(pipeline, &name, &dimensions)
}

fn alarm_event(pipeline: &Pipeline, name: &str, dimensions: &Value) -> Value {
    // A state's time is exact; the event's own is cut to seconds.
    let since = pipeline.world.now().saturating_add(417.milliseconds());
    let since = since.unwrap_or(Timestamp::MAX);
    let since = since.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string();
    let detail = serde_json::json!({
        "alarmName": name,
        "configuration": {"metrics": [{"metricStat": {"metric": {"dimensions": dimensions}}}]},
        "previousState": {"value": "OK"},
        "state": {
            "value": "ALARM",
            "reason": "Threshold Crossed: 3 out of the last 3 datapoints",
            "timestamp": since,
        },
    });
    let changed = "CloudWatch Alarm State Change";
    pipeline
        .world
        .envelope("aws.cloudwatch", changed, &[], &detail)
}

/// What the alarm of an event hands to a function by its own action.
pub fn direct(event: &Value) -> Value {
    serde_json::json!({
        "source": "aws.cloudwatch",
        "time": event["detail"]["state"]["timestamp"],
        "alarmData": event["detail"],
    })
}
