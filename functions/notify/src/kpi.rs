//! What a deployment's end says of the pipeline itself, for the dashboard's fourth widget.
//!
//! It is written to the log as an embedded metric (CloudWatch's embedded metric format): CloudWatch Logs makes
//! metrics of the line, so that the function needs no grant for it. Namespace `RetailForecast/Pipeline`, dimension
//! `Environment`:
//!
//! | metric | value of one deployment | read as |
//! |---|---|---|
//! | `DeploymentCount`, `DeploymentFrequency` | 1 | sum; over a day it is the frequency |
//! | `DeploymentSuccess` | 1 when it was verified, 0 when it failed | sum |
//! | `FailureRate` | 0 or 100 | average: percent of the deployments that failed |
//! | `LeadTimeMinutes`, `LeadTime` | from its cause (approval, scan, request) to its verification; none when it failed | average, minutes |

use events::{Announced, Event, Received, announced::CANARY_NO_DATA};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

const NAMESPACE: &str = "RetailForecast/Pipeline";

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kpi {
    /// When.
    pub at: Timestamp,
    /// Minutes from its cause to its verification; `None` when it failed.
    pub lead_time_minutes: Option<f64>,
}

impl Kpi {
    /// What a received event says.
    pub fn of_event(received: &Received) -> Option<Self> {
        match &received.event {
            Event::Announced(event) => Self::of(event, received.time),
            _ => None,
        }
    }

    /// What an event that was announced at a time says. A canary that nobody asked anything is no deployment
    /// yet: a newer event tries it again. A way back is none either.
    pub fn of(event: &Announced, at: Timestamp) -> Option<Self> {
        let lead_time_minutes = match event {
            Announced::ReleaseVerified(verified) => {
                let lead = at.duration_since(verified.caused_at).as_secs_f64() / 60.0;
                Some(lead.max(0.0))
            }
            Announced::ReleaseFailed(failed) if failed.stage != CANARY_NO_DATA => None,
            _ => return None,
        };
        Some(Self {
            at,
            lead_time_minutes,
        })
    }

    /// The line that CloudWatch Logs makes metrics of.
    pub fn embedded(&self, environment: &str) -> Value {
        let succeeded = self.lead_time_minutes.is_some();
        let mut values = vec![
            ("DeploymentCount", "Count", 1.0),
            ("DeploymentFrequency", "Count", 1.0),
            ("DeploymentSuccess", "Count", f64::from(u8::from(succeeded))),
            (
                "FailureRate",
                "Percent",
                if succeeded { 0.0 } else { 100.0 },
            ),
        ];
        if let Some(minutes) = self.lead_time_minutes {
            values.extend(["LeadTimeMinutes", "LeadTime"].map(|name| (name, "None", minutes)));
        }
        let metrics = values
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}));
        let mut line = json!({
            "_aws": {
                "Timestamp": self.at.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Environment"]],
                    "Metrics": metrics.collect::<Vec<_>>(),
                }],
            },
            "Environment": environment,
        });
        for (name, _, value) in values {
            line[name] = value.into();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use events::announced::{ReleaseFailed, ReleaseVerified};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn verified() -> Announced {
        Announced::ReleaseVerified(ReleaseVerified {
            release: "release-a".into(),
            package_arn: "arn".into(),
            image: "image".into(),
            build: None,
            checks: vec![],
            caused_at: at(1000),
        })
    }

    fn failed(stage: &str) -> Announced {
        Announced::ReleaseFailed(ReleaseFailed {
            release: "release-a".into(),
            stage: stage.into(),
            reason: "r".into(),
            build: None,
            caused_at: at(1000),
        })
    }

    fn line(event: &Announced) -> Value {
        Kpi::of(event, at(1090)).unwrap().embedded("dev")
    }

    #[test]
    fn a_deployment_counts_once_with_its_lead_time() {
        let line = line(&verified());
        for (name, value) in [
            ("DeploymentCount", 1.0),
            ("DeploymentFrequency", 1.0),
            ("DeploymentSuccess", 1.0),
            ("FailureRate", 0.0),
            ("LeadTimeMinutes", 1.5),
            ("LeadTime", 1.5),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        assert_eq!(line["Environment"], "dev");
        assert_eq!(line["_aws"]["Timestamp"], 1_090_000);
    }

    #[test]
    fn each_metric_that_is_declared_has_its_value() {
        for event in [verified(), failed("health")] {
            let line = line(&event);
            let declared = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(declared["Namespace"], "RetailForecast/Pipeline");
            assert_eq!(declared["Dimensions"], json!([["Environment"]]));
            let metrics = declared["Metrics"].as_array().unwrap();
            for metric in metrics {
                assert!(
                    line[metric["Name"].as_str().unwrap()].is_number(),
                    "{metric}"
                );
            }
            // And no value is left undeclared: it would be no metric.
            let numbers = line
                .as_object()
                .unwrap()
                .values()
                .filter(|value| value.is_number());
            assert_eq!(numbers.count(), metrics.len());
        }
    }

    #[test]
    fn a_failed_deployment_has_no_lead_time() {
        let line = line(&failed("health"));
        assert_eq!(line["FailureRate"], 100.0);
        assert_eq!(line["DeploymentSuccess"], 0.0);
        assert_eq!(line["LeadTime"], Value::Null);
    }

    #[test]
    fn the_dashboard_shows_what_is_published() {
        let dashboard = include_str!("../../../infra/modules/dashboard/main.tf");
        let shown = dashboard
            .lines()
            .find_map(|line| line.split_once("for metric, stat in {"))
            .and_then(|(_, rest)| rest.split_once('}'))
            .map(|(shown, _)| {
                shown
                    .split(',')
                    .map(|one| one.split_once('=').unwrap().0.trim())
            })
            .unwrap();
        let line = line(&verified());
        assert!(dashboard.contains(&format!("[\"{NAMESPACE}\", metric, \"Environment\"")));
        let unpublished: Vec<_> = shown.filter(|name| !line[*name].is_number()).collect();
        assert_eq!(unpublished, Vec::<&str>::new());
    }

    #[test]
    fn what_is_no_deployment_is_not_counted() {
        assert_eq!(Kpi::of(&failed(CANARY_NO_DATA), at(1090)), None);
        let started = Announced::DeploymentStarted(events::announced::DeploymentStarted {
            release: "release-a".into(),
            generation: 1,
            cause: "c".into(),
            caused_at: None,
        });
        assert_eq!(Kpi::of(&started, at(1090)), None);
    }
}
