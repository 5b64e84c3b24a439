//! CloudWatch's alarms on the local cloud, with the real emulator: what moves them, and who is told.
//! Without the emulator (`make` installs it, or `MINISTACK` names it) these tests do nothing but say
//! so.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

mod front;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use local_cloud::Cloud;
use serde_json::{Value, json};

use support::{Project, is_emulator_installed};

/// Longest a state is waited for. An alarm of 10 s loses sight of a datapoint within half a minute.
const LONG: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "RetailForecast/retail-forecast-dev";

/// A cloud whose `probe` gets the events of alarms.
async fn start(project: &Project) -> Cloud {
    let pattern = json!({
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"configuration": {"metrics": {"metricStat": {"metric": {"namespace": [NAMESPACE]}}}}},
    });
    project.write(
        "events/patterns/probe.json",
        &json!({"rules": {"alarms": {"description": "", "bus": "default", "pattern": pattern}}}),
    );
    Cloud::start(project.options.clone()).await.unwrap()
}

/// An alarm on the error rate of a release: above 5 % over the last 10 s.
fn alarm(name: &str, release: &str, missing: &str) -> Value {
    json!({
        "AlarmName": name,
        "Namespace": NAMESPACE,
        "MetricName": "ErrorRate",
        "Dimensions": [{"Name": "DeploymentId", "Value": release}],
        "Statistic": "Average",
        "Period": 10,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": missing,
    })
}

async fn put_alarm(cloud: &Cloud, alarm: Value) {
    cloud.cloudwatch("PutMetricAlarm", alarm).await.unwrap();
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Puts an error rate of this second.
async fn put_rate(cloud: &Cloud, release: &str, value: f64) {
    let datum = json!({
        "MetricName": "ErrorRate",
        "Dimensions": [{"Name": "DeploymentId", "Value": release}],
        "Value": value,
        "Unit": "Percent",
        "StorageResolution": 1,
        "Timestamp": now_s(),
    });
    let input = json!({"Namespace": NAMESPACE, "MetricData": [datum]});
    cloud.cloudwatch("PutMetricData", input).await.unwrap();
}

async fn state(cloud: &Cloud, alarm: &str) -> String {
    let alarm = cloud.alarm(alarm).await.unwrap().unwrap();
    alarm["StateValue"].as_str().unwrap().to_owned()
}

async fn becomes(cloud: &Cloud, alarm: &str, expected: &str) {
    let began = Instant::now();
    while state(cloud, alarm).await != expected {
        let late = began.elapsed() > LONG;
        assert!(
            !late,
            "{alarm} isn't {expected}: {:?}",
            cloud.alarm(alarm).await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Puts an error rate again and again, as a release that serves does, until each alarm is as expected.
/// One datapoint alone is out of an alarm's sight after half a minute, which a busy machine may take.
async fn reported_until(cloud: &Cloud, release: &str, value: f64, alarms: &[&str], expected: &str) {
    let began = Instant::now();
    loop {
        put_rate(cloud, release, value).await;
        let mut others = Vec::new();
        for alarm in alarms {
            let state = state(cloud, alarm).await;
            if state != expected {
                others.push((*alarm, state));
            }
        }
        if others.is_empty() {
            return;
        }
        assert!(began.elapsed() < LONG, "not {expected}: {others:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The states an alarm got into, as told to a function, once they are `count`.
async fn told(cloud: &Cloud, function: &str, alarm: &str, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let lines = cloud.logs(function).await.unwrap();
        let told = lines.iter().filter_map(|line| {
            let payload: Value = serde_json::from_str(&line[line.find('{')?..]).ok()?;
            // Through the queue it is an event's detail, past it the action's payload.
            let told = payload.get("alarmData").unwrap_or(&payload);
            (told["alarmName"] == alarm)
                .then(|| told["state"]["value"].as_str().unwrap().to_owned())
        });
        let told: Vec<_> = told.collect();
        if told.len() >= count {
            return told;
        }
        let late = began.elapsed() > support::WAIT;
        assert!(!late, "{function} was told {told:?} of {alarm}: {lines:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// ARN of `idle`, which the alarms may invoke that its settings name.
fn idle(cloud: &Cloud) -> String {
    cloud.place().function_arn("idle")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_follows_its_own_dimension_and_tells_each_change_once() {
    if !is_emulator_installed() {
        return;
    }
    let cloud = start(&Project::new()).await;
    let function = idle(&cloud);
    let actions = json!([cloud.place().alerts_topic_arn(), function]);
    let mut acting = alarm("permitted-a", "a", "missing");
    acting["AlarmActions"] = actions.clone();
    acting["OKActions"] = actions;
    // Two rates of one period would have an average that was never put.
    acting["Statistic"] = json!("Maximum");

    put_alarm(&cloud, acting).await;
    for missing in ["missing", "ignore", "notBreaching"] {
        put_alarm(&cloud, alarm(&format!("b-{missing}"), "b", missing)).await;
    }
    put_alarm(&cloud, alarm("nothing-breaching", "nobody", "breaching")).await;
    put_alarm(&cloud, alarm("nothing-missing", "nobody", "missing")).await;
    let of_b = ["b-missing", "b-ignore", "b-notBreaching"];
    reported_until(&cloud, "b", 50.0, &of_b, "ALARM").await;
    becomes(&cloud, "nothing-breaching", "ALARM").await;
    reported_until(&cloud, "a", 1.0, &["permitted-a"], "OK").await;
    assert_eq!(state(&cloud, "nothing-missing").await, "INSUFFICIENT_DATA");

    reported_until(&cloud, "a", 60.0, &["permitted-a"], "ALARM").await;
    let described = cloud.alarm("permitted-a").await.unwrap().unwrap();
    let reason = described["StateReason"].as_str().unwrap();
    assert!(
        reason.starts_with("Threshold Crossed: 1 out of the last 1 datapoints [60.0 (")
            && reason.ends_with("was greater than the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition)."),
        "{reason}"
    );
    reported_until(&cloud, "a", 2.0, &["permitted-a"], "OK").await;

    becomes(&cloud, "b-missing", "INSUFFICIENT_DATA").await;
    becomes(&cloud, "b-notBreaching", "OK").await;
    assert_eq!(state(&cloud, "b-ignore").await, "ALARM");

    // Nobody reports for `a` any more: that it starves may come on top, as an event alone.
    let all = ["OK", "ALARM", "OK"];
    assert_eq!(told(&cloud, "probe", "permitted-a", 3).await[..3], all);
    assert_eq!(told(&cloud, "idle", "permitted-a", 3).await, all);
    let changes = told(&cloud, "probe", "b-missing", 2).await;
    assert_eq!(changes, ["ALARM", "INSUFFICIENT_DATA"]);
    // The topic's message may be the last of what a change brings.
    let began = Instant::now();
    while cloud.inbox().await.unwrap().len() < 3 && began.elapsed() < support::WAIT {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let inbox = cloud.inbox().await.unwrap();
    let subjects: Vec<_> = inbox.iter().map(|alert| alert.subject.as_str()).collect();
    let [ok, alarm, ok_again] = subjects[..] else {
        panic!("{subjects:?}");
    };
    assert_eq!(ok, "OK: \"permitted-a\" in Asia Pacific (Singapore)");
    assert_eq!(alarm, "ALARM: \"permitted-a\" in Asia Pacific (Singapore)");
    assert_eq!(ok_again, ok);
    let message: Value = serde_json::from_str(&inbox[1].message).unwrap();
    assert_eq!(message["OldStateValue"], "OK");
    assert_eq!(
        message["Trigger"]["Dimensions"],
        json!([{"name": "DeploymentId", "value": "a"}])
    );
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_of_10_seconds_starves_on_a_metric_of_minutes() {
    if !is_emulator_installed() {
        return;
    }
    let cloud = start(&Project::new()).await;
    // The last second of the minute before counts as that minute's first 10 s: the range, of two
    // periods more than these, has the second in it and not the minute's beginning.
    let now = now_s();
    let periods = (now % 60 + 35) / 10 - 2;
    let datum = json!({"MetricName": "ErrorRate", "Value": 50.0, "Timestamp": now - now % 60 - 1,
        "Dimensions": [{"Name": "DeploymentId", "Value": "a"}]});
    let input = json!({"Namespace": NAMESPACE, "MetricData": [datum]});
    cloud.cloudwatch("PutMetricData", input).await.unwrap();
    let mut minutes = alarm("minutes", "a", "missing");
    minutes["Period"] = json!(60);
    put_alarm(&cloud, minutes).await;
    let mut seconds = alarm("seconds", "a", "missing");
    seconds["EvaluationPeriods"] = json!(periods);
    put_alarm(&cloud, seconds).await;
    // A state that it has until it was looked at.
    set_state(&cloud, "seconds", "OK").await;
    becomes(&cloud, "minutes", "ALARM").await;
    becomes(&cloud, "seconds", "INSUFFICIENT_DATA").await;
    let input = json!({"AlarmName": "seconds", "HistoryItemType": "StateUpdate"});
    let history = cloud.cloudwatch("DescribeAlarmHistory", input).await;
    let history = history.unwrap()["AlarmHistoryItems"].to_string();
    assert!(!history.contains("to ALARM"), "{history}");
    cloud.stop().await;
}

async fn set_state(cloud: &Cloud, alarm: &str, state: &str) {
    let input = json!({"AlarmName": alarm, "StateValue": state, "StateReason": "by hand"});
    cloud.cloudwatch("SetAlarmState", input).await.unwrap();
}

/// Summaries of an alarm's last actions, latest first, once there are `count`.
async fn actions(cloud: &Cloud, alarm: &str, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let input = json!({"AlarmName": alarm, "HistoryItemType": "Action"});
        let answer = cloud
            .cloudwatch("DescribeAlarmHistory", input)
            .await
            .unwrap();
        let items = answer["AlarmHistoryItems"].as_array().unwrap();
        let summaries = items
            .iter()
            .map(|item| item["HistorySummary"].as_str().unwrap());
        if items.len() >= count {
            return summaries.map(str::to_owned).collect();
        }
        assert!(
            began.elapsed() < support::WAIT,
            "actions of {alarm}: {items:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_aws_would_refuse_fails_and_is_told() {
    if !is_emulator_installed() {
        return;
    }
    let cloud = start(&Project::new()).await;
    let topic = cloud.place().alerts_topic_arn();
    let function = idle(&cloud);
    let mut acting = alarm("stranger", "a", "ignore");
    acting["AlarmActions"] = json!([topic, function]);
    put_alarm(&cloud, acting.clone()).await;
    set_state(&cloud, "stranger", "ALARM").await;
    // A topic's first policy lets the alarms of its account in; the function's names other alarms.
    let mut summaries = actions(&cloud, "stranger", 2).await;
    summaries.sort();
    let refused = format!(
        "Failed to execute action {function}. Received error: \"CloudWatch Alarms is not authorized \
         to perform: lambda:InvokeFunction"
    );
    assert!(summaries[0].starts_with(&refused), "{summaries:?}");
    assert_eq!(
        summaries[1],
        format!("Successfully executed action {topic}")
    );
    assert_eq!(told(&cloud, "probe", "stranger", 1).await, ["ALARM"]);
    assert_eq!(state(&cloud, "stranger").await, "ALARM");

    // Switched off, nothing is done; the event comes all the same.
    let names = json!({"AlarmNames": ["stranger"]});
    cloud
        .cloudwatch("DisableAlarmActions", names.clone())
        .await
        .unwrap();
    set_state(&cloud, "stranger", "OK").await;
    set_state(&cloud, "stranger", "ALARM").await;
    assert_eq!(told(&cloud, "probe", "stranger", 3).await.len(), 3);
    assert_eq!(actions(&cloud, "stranger", 2).await.len(), 2);

    // A policy of the topic's own shuts out whom it doesn't name.
    cloud.cloudwatch("EnableAlarmActions", names).await.unwrap();
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish", "Resource": topic}]})
    .to_string();
    let params = [
        ("TopicArn", topic.as_str()),
        ("AttributeName", "Policy"),
        ("AttributeValue", &policy),
    ];
    let wire = cloud.wire();
    wire.query("sns", "2010-03-31", "SetTopicAttributes", &params)
        .await
        .unwrap();
    set_state(&cloud, "stranger", "OK").await;
    set_state(&cloud, "stranger", "ALARM").await;
    let summaries = actions(&cloud, "stranger", 4).await;
    let shut_out =
        format!("Failed to execute action {topic}. Received error: \"CloudWatch Alarms is not");
    assert!(
        summaries[..2]
            .iter()
            .any(|summary| summary.starts_with(&shut_out)),
        "{summaries:?}"
    );
    assert_eq!(cloud.inbox().await.unwrap().len(), 1);
    let logs = cloud.logs("idle").await.unwrap();
    assert!(
        !logs.iter().any(|line| line.contains("stranger")),
        "{logs:?}"
    );
    cloud.stop().await;
}
