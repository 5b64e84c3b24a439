//! What a change of state is told with: the event, the Lambda action's payload, the SNS message.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    book::{Change, Standing},
    reason::moment,
};
use crate::Place;

/// The ARN of an alarm.
pub(crate) fn arn(place: &Place, name: &str) -> String {
    format!(
        "arn:aws:cloudwatch:{}:{}:alarm:{name}",
        place.region, place.account
    )
}

/// `CloudWatch Alarm State Change`, a whole envelope.
pub(crate) fn event(change: &Change, place: &Place) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": place.account,
        "time": change.to.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": place.region,
        "resources": [arn(place, &change.definition.name)],
        "detail": alarm(change),
    })
}

/// What a function gets whose ARN is an alarm's action.
pub(crate) fn direct(change: &Change, place: &Place) -> Value {
    json!({
        "source": "aws.cloudwatch",
        "alarmArn": arn(place, &change.definition.name),
        "accountId": place.account,
        "time": moment(change.to.since),
        "region": place.region,
        "alarmData": alarm(change),
    })
}

fn alarm(change: &Change) -> Value {
    let definition = &change.definition;
    let metric = &definition.metric;
    let mut configuration = json!({
        "metrics": [{
            "id": definition.metric_id,
            "metricStat": {
                "metric": {
                    "namespace": metric.namespace,
                    "name": metric.name,
                    "dimensions": metric.dimensions,
                },
                "period": definition.period_s,
                "stat": definition.statistic.name(),
            },
            "returnData": true,
        }],
    });
    if let Some(unit) = &definition.unit {
        configuration["metrics"][0]["metricStat"]["unit"] = json!(unit);
    }
    if let Some(description) = &definition.description {
        configuration["description"] = json!(description);
    }
    json!({
        "alarmName": definition.name,
        "state": standing(&change.to),
        "previousState": standing(&change.from),
        "configuration": configuration,
    })
}

fn standing(standing: &Standing) -> Value {
    let mut told = json!({
        "value": standing.state.name(),
        "reason": standing.reason,
        "timestamp": moment(standing.since),
    });
    if let Some(data) = &standing.data {
        told["reasonData"] = json!(data);
    }
    told
}

/// Subject and text of the message to a topic.
pub(crate) fn message(change: &Change, place: &Place) -> (String, Value) {
    let definition = &change.definition;
    let described = definition.describe();
    let region = region_name(&place.region);
    let state = change.to.state.name();
    let mut trigger = json!({
        "MetricName": definition.metric.name,
        "Namespace": definition.metric.namespace,
        "StatisticType": "Statistic",
        "Statistic": definition.statistic.name().to_uppercase(),
        "Unit": definition.unit,
        "Dimensions": definition.metric.described(["name", "value"]),
        "Period": definition.period_s,
        "EvaluationPeriods": definition.rule.periods,
        "ComparisonOperator": described["ComparisonOperator"],
        "Threshold": definition.rule.threshold,
        "TreatMissingData": described["TreatMissingData"].as_str().unwrap_or_default(),
        "EvaluateLowSampleCountPercentile": "",
    });
    if let Some(datapoints) = definition.rule.datapoints_to_alarm {
        trigger["DatapointsToAlarm"] = json!(datapoints);
    }
    let message = json!({
        "AlarmName": definition.name,
        "AlarmDescription": definition.description,
        "AWSAccountId": place.account,
        "AlarmConfigurationUpdatedTimestamp": moment(change.configured),
        "NewStateValue": state,
        "NewStateReason": change.to.reason,
        "StateChangeTime": moment(change.to.since),
        "Region": region,
        "AlarmArn": arn(place, &definition.name),
        "OldStateValue": change.from.state.name(),
        "OKActions": definition.ok_actions,
        "AlarmActions": definition.alarm_actions,
        "InsufficientDataActions": definition.insufficient_data_actions,
        "Trigger": trigger,
    });
    let subject = format!("{state}: \"{}\" in {region}", definition.name);
    // Most characters that SNS takes.
    (subject.chars().take(100).collect(), message)
}

/// What messages call a region; its code where we don't know.
fn region_name(code: &str) -> &str {
    match code {
        "ap-southeast-1" => "Asia Pacific (Singapore)",
        "eu-central-1" => "EU (Frankfurt)",
        "eu-west-1" => "EU (Ireland)",
        "us-east-1" => "US East (N. Virginia)",
        "us-west-2" => "US West (Oregon)",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

    use jiff::Timestamp;
    use serde_json::Value;

    use super::{direct, event, message};
    use crate::{
        book::{Change, Standing},
        definition::{
            Definition,
            tests::{input, place},
        },
        judge::{Decision, Point, Slot, State, judge},
        reason,
    };

    fn change() -> Change {
        let definition = Definition::read(&input(), &place()).unwrap();
        let start: Timestamp = "2026-11-02T09:30:00Z".parse().unwrap();
        let slot = |age: i64, value: f64| Slot {
            start: Timestamp::from_second(start.as_second() - 60 * age).unwrap(),
            point: Some(Point {
                value,
                samples: 60.0,
            }),
        };
        let standing = |range: &[Slot], asked: &str, since: &str| {
            let Decision::Be(state, reason) = judge(&definition.rule, range) else {
                panic!("the state isn't kept");
            };
            Standing {
                state,
                reason,
                data: Some(reason::data(&definition, asked.parse().unwrap(), range)),
                since: since.parse().unwrap(),
            }
        };
        let bad = [slot(0, 12.5), slot(1, 11.1), slot(2, 9.8)];
        let good = [slot(12, 0.0), slot(13, 0.0), slot(14, 0.0)];
        Change {
            from: standing(&good, "2026-11-02T09:18:03Z", "2026-11-02T09:18:03.417Z"),
            to: standing(&bad, "2026-11-02T09:31:03Z", "2026-11-02T09:31:03.417Z"),
            configured: start,
            definition: Arc::new(definition),
        }
    }

    fn sample(path: &str) -> Value {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/samples");
        serde_json::from_slice(&fs::read(root.join(path)).unwrap()).unwrap()
    }

    /// Members and items of a value, each by its path; texts of JSON are looked into.
    fn paths(at: &str, value: &Value, found: &mut BTreeSet<String>) {
        let inner: Option<Value> = value
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        match inner
            .as_ref()
            .filter(|inner| inner.is_object())
            .unwrap_or(value)
        {
            Value::Object(map) => map
                .iter()
                .for_each(|(key, value)| paths(&format!("{at}.{key}"), value, found)),
            Value::Array(list) => list
                .iter()
                .for_each(|value| paths(&format!("{at}[]"), value, found)),
            _ => drop(found.insert(at.to_owned())),
        }
    }

    fn assert_same_shape(ours: &Value, sample: &Value) {
        let all = |value: &Value| {
            let mut found = BTreeSet::new();
            paths("", value, &mut found);
            found
        };
        assert_eq!(all(ours), all(sample));
    }

    #[test]
    fn an_event_is_what_the_sample_is() {
        let mut event = event(&change(), &place());
        let mut sample = sample("cloudwatch-alarm-state-change/alarm.json");
        assert_same_shape(&event, &sample);
        for both in [&mut event, &mut sample] {
            both["id"] = Value::Null;
            both["detail"]["configuration"]["metrics"][0]["id"] = Value::Null;
            // The sample's was evaluated over one period only.
            both["detail"]["previousState"] = Value::Null;
            let data = &mut both["detail"]["state"]["reasonData"];
            *data = serde_json::from_str(data.as_str().unwrap()).unwrap();
        }
        assert_eq!(event, sample);
    }

    #[test]
    fn a_functions_payload_is_shaped_as_the_sample() {
        let direct = direct(&change(), &place());
        assert_same_shape(&direct, &sample("cloudwatch-alarm-direct/alarm.json"));
        assert_eq!(direct["time"], "2026-11-02T09:31:03.417+0000");
    }

    #[test]
    fn a_message_tells_what_cloudwatch_tells() {
        let (subject, message) = message(&change(), &place());
        let expected = "ALARM: \"RetailForecast-API-Error-Rate-retail-forecast-dev\" in Asia Pacific (Singapore)";
        assert_eq!(subject, expected);
        for (member, value) in [
            (
                "AlarmName",
                "RetailForecast-API-Error-Rate-retail-forecast-dev",
            ),
            ("AWSAccountId", "123456789012"),
            ("NewStateValue", State::Alarm.name()),
            ("OldStateValue", "OK"),
            ("StateChangeTime", "2026-11-02T09:31:03.417+0000"),
            ("Region", "Asia Pacific (Singapore)"),
        ] {
            assert_eq!(message[member], value, "{member}");
        }
        assert_eq!(message["Trigger"]["Statistic"], "AVERAGE");
        assert_eq!(message["Trigger"]["Dimensions"][0]["name"], "DeploymentId");
        assert_eq!(message["Trigger"]["Threshold"], 5.0);
    }
}
