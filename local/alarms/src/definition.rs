//! What an alarm is: `PutMetricAlarm`, read and checked.
//!
//! What AWS knows and the stand-in doesn't evaluate is refused and says so: metric math and queries,
//! percentiles, bands, wall-clock windows, actions other than SNS topics and Lambda functions.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    judge::{Rule, State, Treatment},
    metric::{Dimension, Metric, Statistic, dimensions},
    protocol::Fault,
};
use crate::Place;

/// Most actions of one state.
const ACTIONS: usize = 5;
const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3600;

/// A metric alarm, as defined.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) actions_enabled: bool,
    pub(crate) ok_actions: Vec<String>,
    pub(crate) alarm_actions: Vec<String>,
    pub(crate) insufficient_data_actions: Vec<String>,
    pub(crate) metric: Metric,
    pub(crate) statistic: Statistic,
    pub(crate) unit: Option<String>,
    pub(crate) period_s: u32,
    pub(crate) rule: Rule,
    operator_name: String,
    missing_name: Option<String>,
    /// Names the metric in events; AWS makes up one too.
    pub(crate) metric_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Asked {
    alarm_name: String,
    alarm_description: Option<String>,
    #[serde(default = "yes")]
    actions_enabled: bool,
    #[serde(default, rename = "OKActions")]
    ok_actions: Vec<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
    #[serde(default)]
    insufficient_data_actions: Vec<String>,
    metric_name: String,
    namespace: String,
    statistic: Statistic,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: u32,
    unit: Option<String>,
    evaluation_periods: usize,
    datapoints_to_alarm: Option<usize>,
    threshold: f64,
    comparison_operator: String,
    treat_missing_data: Option<String>,
    /// Kept by whoever reads the call.
    #[serde(default, rename = "Tags")]
    _tags: Value,
}

fn yes() -> bool {
    true
}

/// Members of `PutMetricAlarm` that ask for what isn't evaluated here.
const BEYOND: [(&str, &str); 5] = [
    ("Metrics", "metric math and metric queries"),
    ("ExtendedStatistic", "percentiles"),
    ("ThresholdMetricId", "anomaly detection"),
    ("EvaluationWindow", "evaluation windows"),
    ("EvaluationCriteria", "queries"),
];

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationError", message)
}

impl Definition {
    /// Reads `PutMetricAlarm`'s input.
    pub(crate) fn read(input: &Value, place: &Place) -> Result<Self, Fault> {
        for (member, what) in BEYOND {
            if input.get(member).is_some_and(|given| !given.is_null()) {
                return Err(invalid(format!(
                    "{member}: this stand-in of CloudWatch doesn't evaluate {what}"
                )));
            }
        }
        let asked: Asked = serde_json::from_value(input.clone())
            .map_err(|error| invalid(format!("PutMetricAlarm: {error}")))?;
        let operator = named(&asked.comparison_operator).ok_or_else(|| {
            invalid(format!(
                "ComparisonOperator {}: this stand-in of CloudWatch compares with one threshold only",
                asked.comparison_operator
            ))
        })?;
        let missing_name = asked.treat_missing_data.as_deref().unwrap_or("missing");
        let missing: Treatment = named(missing_name)
            .ok_or_else(|| invalid(format!("Unknown TreatMissingData: {missing_name}")))?;
        asked.check(place)?;
        Ok(Self {
            rule: Rule {
                operator,
                threshold: asked.threshold,
                periods: asked.evaluation_periods,
                datapoints_to_alarm: asked.datapoints_to_alarm,
                missing,
            },
            name: asked.alarm_name,
            description: asked.alarm_description,
            actions_enabled: asked.actions_enabled,
            ok_actions: asked.ok_actions,
            alarm_actions: asked.alarm_actions,
            insufficient_data_actions: asked.insufficient_data_actions,
            metric: Metric {
                namespace: asked.namespace,
                name: asked.metric_name,
                dimensions: dimensions(asked.dimensions),
            },
            statistic: asked.statistic,
            unit: asked.unit,
            period_s: asked.period,
            operator_name: asked.comparison_operator,
            missing_name: asked.treat_missing_data,
            metric_id: Uuid::new_v4().to_string(),
        })
    }

    /// What is done when the alarm gets into a state.
    pub(crate) fn actions(&self, state: State) -> &[String] {
        match state {
            State::Ok => &self.ok_actions,
            State::Alarm => &self.alarm_actions,
            State::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// How often it is evaluated, seconds: high-resolution alarms every 10 s, the others each minute.
    pub(crate) fn step_s(&self) -> u32 {
        if self.is_high_resolution() { 10 } else { 60 }
    }

    /// Whether its periods are shorter than a minute.
    pub(crate) fn is_high_resolution(&self) -> bool {
        self.period_s < 60
    }

    /// The members of the API's `MetricAlarm` that were defined.
    pub(crate) fn describe(&self) -> Value {
        let mut described = json!({
            "AlarmName": self.name,
            "ActionsEnabled": self.actions_enabled,
            "OKActions": self.ok_actions,
            "AlarmActions": self.alarm_actions,
            "InsufficientDataActions": self.insufficient_data_actions,
            "MetricName": self.metric.name,
            "Namespace": self.metric.namespace,
            "Statistic": self.statistic.name(),
            "Dimensions": self.metric.described(["Name", "Value"]),
            "Period": self.period_s,
            "EvaluationPeriods": self.rule.periods,
            "Threshold": self.rule.threshold,
            "ComparisonOperator": self.operator_name,
        });
        let optional = [
            (
                "AlarmDescription",
                self.description.clone().map(Value::from),
            ),
            ("Unit", self.unit.clone().map(Value::from)),
            (
                "TreatMissingData",
                self.missing_name.clone().map(Value::from),
            ),
            (
                "DatapointsToAlarm",
                self.rule.datapoints_to_alarm.map(Value::from),
            ),
        ];
        for (member, value) in optional {
            if let Some(value) = value {
                described[member] = value;
            }
        }
        described
    }
}

impl Asked {
    fn check(&self, place: &Place) -> Result<(), Fault> {
        let length = self.alarm_name.chars().count();
        if !(1..=255).contains(&length) {
            return Err(invalid("AlarmName must have 1 to 255 characters"));
        }
        if !(matches!(self.period, 10 | 20 | 30)
            || self.period > 0 && self.period.is_multiple_of(60))
        {
            return Err(invalid("Period must be 10, 20, 30 or a multiple of 60"));
        }
        if self.evaluation_periods < 1 {
            return Err(invalid("EvaluationPeriods must be at least 1"));
        }
        let period = u64::from(self.period);
        let days = if period < HOUR_S { 1 } else { 7 };
        let total = period.saturating_mul(self.evaluation_periods as u64);
        if total > days * DAY_S {
            return Err(invalid(format!(
                "Metrics cannot be checked across more than {days} day(s) (EvaluationPeriods * Period \
                 must be <= {})",
                days * DAY_S
            )));
        }
        let to_alarm = self.datapoints_to_alarm.unwrap_or(1);
        if !(1..=self.evaluation_periods).contains(&to_alarm) {
            return Err(invalid(
                "DatapointsToAlarm must be at least 1 and not more than EvaluationPeriods",
            ));
        }
        if !self.threshold.is_finite() {
            return Err(invalid("Threshold must be a finite number"));
        }
        if self.dimensions.len() > 30 {
            return Err(invalid("an alarm has at most 30 dimensions"));
        }
        if self.dimensions.is_empty() {
            // The emulator answers a request without dimensions with the data of all of them.
            return Err(invalid(
                "Dimensions: this stand-in of CloudWatch doesn't evaluate metrics without dimensions",
            ));
        }
        for actions in [
            &self.ok_actions,
            &self.alarm_actions,
            &self.insufficient_data_actions,
        ] {
            check_actions(actions, place)?;
        }
        Ok(())
    }
}

fn check_actions(actions: &[String], place: &Place) -> Result<(), Fault> {
    if actions.len() > ACTIONS {
        return Err(invalid(format!("a state has at most {ACTIONS} actions")));
    }
    let distinct: BTreeSet<_> = actions.iter().collect();
    if distinct.len() < actions.len() {
        return Err(invalid("an action is named twice"));
    }
    for action in actions {
        let parts: Vec<_> = action.split(':').collect();
        let here = |region: &str, account: &str| region == place.region && account == place.account;
        match parts[..] {
            ["arn", _, "sns", region, account, topic]
                if here(region, account) && !topic.is_empty() => {}
            ["arn", _, "lambda", region, account, "function", function]
            | ["arn", _, "lambda", region, account, "function", function, _]
                if here(region, account) && !function.is_empty() => {}
            _ => {
                return Err(invalid(format!(
                    "Invalid arn syntax: {action} (this stand-in of CloudWatch knows SNS topics and \
                     Lambda functions of its own region and account)"
                )));
            }
        }
    }
    Ok(())
}

fn named<T: for<'a> Deserialize<'a>>(name: &str) -> Option<T> {
    serde_json::from_value(Value::from(name)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::Definition;
    use crate::Place;

    pub(crate) fn place() -> Place {
        Place {
            region: "ap-southeast-1".to_owned(),
            account: "123456789012".to_owned(),
        }
    }

    pub(crate) fn input() -> Value {
        json!({
            "AlarmName": "RetailForecast-API-Error-Rate-retail-forecast-dev",
            "AlarmDescription": "Error rate of the API in retail-forecast-dev is above 5 %.",
            "AlarmActions": [
                "arn:aws:sns:ap-southeast-1:123456789012:retail-forecast-alerts",
                "arn:aws:lambda:ap-southeast-1:123456789012:function:f:live",
            ],
            "Namespace": "RetailForecast/retail-forecast-dev",
            "MetricName": "ErrorRate",
            "Dimensions": [{"Name": "DeploymentId", "Value": "release-0a1b2c3d4e5f"}],
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 3,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "Tags": [{"Key": "Project", "Value": "retail-forecast"}],
        })
    }

    #[test]
    fn an_alarm_is_described_as_it_was_defined() {
        let described = Definition::read(&input(), &place()).unwrap().describe();
        for (member, given) in input().as_object().unwrap() {
            match member.as_str() {
                "Tags" => assert_eq!(described.get("Tags"), None),
                "Threshold" => assert_eq!(described["Threshold"], json!(5.0)),
                _ => assert_eq!(&described[member], given, "{member}"),
            }
        }
    }

    #[test]
    fn what_aws_refuses_or_isnt_evaluated_here_is_refused() {
        for (member, value, expected) in [
            (
                "Metrics",
                json!([{"Id": "e1"}]),
                "doesn't evaluate metric math",
            ),
            ("ExtendedStatistic", json!("p99"), "percentiles"),
            ("ThresholdMetricId", json!("t1"), "anomaly detection"),
            (
                "ComparisonOperator",
                json!("GreaterThanUpperThreshold"),
                "one threshold only",
            ),
            ("Dimensions", json!([]), "without dimensions"),
            ("Period", json!(45), "multiple of 60"),
            ("Period", json!(0), "multiple of 60"),
            ("EvaluationPeriods", json!(1441), "more than 1 day"),
            ("EvaluationPeriods", json!(2), "DatapointsToAlarm"),
            ("DatapointsToAlarm", json!(0), "DatapointsToAlarm"),
            (
                "TreatMissingData",
                json!("good"),
                "Unknown TreatMissingData",
            ),
            ("Statistic", json!("p50"), "unknown variant"),
            ("Threshold", json!(null), "expected f64"),
            ("AlarmName", json!(""), "1 to 255"),
            (
                "AlarmActions",
                json!(["arn:aws:automate:ap-southeast-1:ec2:stop"]),
                "Invalid arn",
            ),
            (
                "AlarmActions",
                json!(["arn:aws:sns:us-east-1:123456789012:t"]),
                "Invalid arn",
            ),
            (
                "OKActions",
                json!([
                    "arn:aws:sns:ap-southeast-1:123456789012:t",
                    "arn:aws:sns:ap-southeast-1:123456789012:t"
                ]),
                "twice",
            ),
            ("Colour", json!("red"), "unknown field `Colour`"),
        ] {
            let mut input = input();
            input[member] = value;
            let fault = Definition::read(&input, &place()).unwrap_err();
            assert_eq!(fault.code, "ValidationError");
            assert!(
                fault.message.contains(expected),
                "{member}: {}",
                fault.message
            );
        }
    }
}
