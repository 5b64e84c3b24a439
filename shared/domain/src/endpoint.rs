//! How the SageMaker endpoint changes over, and the alarms that watch each of its configurations.
//!
//! An update is blue/green: the old instances serve until the new ones answer, then traffic shifts, and
//! while the update bakes SageMaker watches alarms and goes back by itself when one speaks. The alarms are
//! those of one configuration: SageMaker's metrics bear the dimension `EndpointConfigName` beside endpoint
//! and variant, so that neither the old instances' errors nor a state left from them end an update. They
//! are made before the update, stay while the configuration is live, and go with it. A name holds the
//! configuration's, and so the environment.
//!
//! What SageMaker asks for: waits of up to an hour, a limit of 600 to 28,800 s for all of it, a canary of
//! at most half of the instances, the same variant before and after. `CreateEndpoint` has nothing to go
//! back to: the first configuration is watched by its alarms only.

use crate::{
    Error, Result,
    ports::{AlarmSpec, BlueGreen},
    settings::Settings,
};

/// What the names of all alarms of an endpoint begin with.
pub const PREFIX: &str = "RetailForecast-Endpoint-";
/// The endpoint's only variant: all traffic.
pub const VARIANT: &str = "default";
/// The kinds of alarm.
const KINDS: [&str; 2] = ["Error-Rate", "Latency"];

/// What an endpoint's alarms are made with.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointAlarms {
    /// Endpoint name.
    pub endpoint: String,
    /// Topic that reaches people, and the rollback.
    pub actions: Vec<String>,
    /// Highest share of answers with a 5XX status, percent.
    pub error_rate_percent: f64,
    /// Highest mean latency of the model, milliseconds.
    pub latency_ms: f64,
    /// Length of a period, seconds.
    pub period_s: i32,
    /// How many periods in a row.
    pub periods: i32,
}

impl EndpointAlarms {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            endpoint: settings.text("ENDPOINT_NAME")?,
            actions: vec![
                settings.text("ALERTS_TOPIC_ARN")?,
                settings.text("ROLLBACK_FUNCTION_ARN")?,
            ],
            error_rate_percent: settings.parsed("ENDPOINT_ALARM_ERROR_RATE_PERCENT")?,
            latency_ms: settings.parsed("ENDPOINT_ALARM_LATENCY_MS")?,
            period_s: settings.parsed("ENDPOINT_ALARM_PERIOD_S")?,
            periods: settings.parsed("ENDPOINT_ALARM_PERIODS")?,
        })
    }

    /// The alarms of a configuration.
    pub fn of(&self, config: &str) -> Vec<AlarmSpec> {
        let [errors, latency] = KINDS;
        vec![
            // SageMaker sends 1 for an answer with a 5XX status and 0 for any other.
            self.alarm(
                errors,
                config,
                "Invocation5XXErrors",
                self.error_rate_percent / 100.0,
                format!(
                    "more than {} % of the answers are 5XX",
                    self.error_rate_percent
                ),
            ),
            // Microseconds.
            self.alarm(
                latency,
                config,
                "ModelLatency",
                self.latency_ms * 1000.0,
                format!("the model takes more than {} ms", self.latency_ms),
            ),
        ]
    }

    fn alarm(
        &self,
        kind: &str,
        config: &str,
        metric: &str,
        threshold: f64,
        what: String,
    ) -> AlarmSpec {
        let dimensions = [
            ("EndpointName", self.endpoint.as_str()),
            ("VariantName", VARIANT),
            ("EndpointConfigName", config),
        ];
        AlarmSpec {
            name: name(kind, config),
            description: format!(
                "Endpoint {}, {config}: {what} for {} periods of {} s",
                self.endpoint, self.periods, self.period_s
            ),
            metrics: "AWS/SageMaker".to_owned(),
            metric: metric.to_owned(),
            dimensions: dimensions
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            threshold,
            period_s: self.period_s,
            periods: self.periods,
            tells_silence: false,
            actions: self.actions.clone(),
        }
    }
}

fn name(kind: &str, config: &str) -> String {
    format!("{PREFIX}{kind}-{config}")
}

/// Names of the alarms of a configuration.
pub fn alarm_names(config: &str) -> Vec<String> {
    KINDS.map(|kind| name(kind, config)).to_vec()
}

/// How updates change over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePolicy(BlueGreen);

impl UpdatePolicy {
    /// Reads the settings, and refuses what SageMaker would refuse, or what would let an update pass
    /// before its alarms can speak.
    pub fn read(settings: &Settings) -> Result<Self> {
        let instances: i32 = settings.parsed("ENDPOINT_INSTANCE_COUNT")?;
        let canary_percent = match settings.text("ENDPOINT_TRAFFIC")?.as_str() {
            "ALL_AT_ONCE" => None,
            "CANARY" => Some(settings.parsed("ENDPOINT_CANARY_PERCENT")?),
            other => {
                return Err(Error::permanent(format!(
                    "ENDPOINT_TRAFFIC is `{other}`: ALL_AT_ONCE or CANARY expected"
                )));
            }
        };
        let policy = BlueGreen {
            canary_percent,
            bake_s: settings.parsed("ENDPOINT_BAKE_S")?,
            keep_old_s: settings.parsed("ENDPOINT_KEEP_OLD_S")?,
            limit_s: settings.parsed("ENDPOINT_UPDATE_LIMIT_S")?,
            alarms: vec![],
        };
        let alarms = EndpointAlarms::read(settings)?;
        match trouble(&policy, &alarms, instances) {
            Some(trouble) => Err(Error::permanent(trouble)),
            None => Ok(Self(policy)),
        }
    }

    /// How an update goes that these alarms watch.
    pub fn watched_by(&self, alarms: &[AlarmSpec]) -> BlueGreen {
        BlueGreen {
            alarms: alarms.iter().map(|alarm| alarm.name.clone()).collect(),
            ..self.0.clone()
        }
    }
}

fn trouble(policy: &BlueGreen, alarms: &EndpointAlarms, instances: i32) -> Option<String> {
    let waits = [
        ("ENDPOINT_BAKE_S", policy.bake_s),
        ("ENDPOINT_KEEP_OLD_S", policy.keep_old_s),
    ];
    if let Some((name, wait)) = waits.iter().find(|(_, wait)| !(0..=3600).contains(wait)) {
        return Some(format!("{name} is {wait}: SageMaker waits 0 to 3600 s"));
    }
    if let Some(percent) = policy.canary_percent {
        if !(1..=50).contains(&percent) {
            return Some(format!(
                "ENDPOINT_CANARY_PERCENT is {percent}: SageMaker takes at most half of the instances, 1 to 50"
            ));
        }
        if instances < 2 {
            return Some(format!(
                "ENDPOINT_TRAFFIC is CANARY and ENDPOINT_INSTANCE_COUNT is {instances}: half of one instance is none; use 2 or more, or ALL_AT_ONCE"
            ));
        }
    }
    let shifts = if policy.canary_percent.is_some() {
        2
    } else {
        1
    };
    let waiting = shifts * policy.bake_s + policy.keep_old_s;
    if !(600..=28_800).contains(&policy.limit_s) || policy.limit_s <= waiting {
        return Some(format!(
            "ENDPOINT_UPDATE_LIMIT_S is {}: SageMaker takes 600 to 28800 s, and the waits alone are {waiting} s",
            policy.limit_s
        ));
    }
    let speaks_after = alarms.period_s.saturating_mul(alarms.periods);
    (policy.bake_s <= speaks_after).then(|| {
        format!(
            "ENDPOINT_BAKE_S is {}: the endpoint's alarms need {speaks_after} s ({} periods of {} s) to speak",
            policy.bake_s, alarms.periods, alarms.period_s
        )
    })
}

/// Words of SageMaker's by which it says that it had no instance to give: the region has none of the type
/// (<https://repost.aws/knowledge-center/sagemaker-endpoint-creation-fail>), or the account's quota is used up.
const NO_INSTANCES: [&str; 5] = [
    "InsufficientInstanceCapacity",
    "CapacityError",
    "Unable to provision requested ML compute capacity",
    "ResourceLimitExceeded",
    "account-level service limit",
];

/// Whether an endpoint failed for want of instances, as its failure reason says: that is no release's doing.
pub fn lacks_instances(reason: &str) -> bool {
    NO_INSTANCES.iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(change: &[(&str, &str)]) -> Settings {
        let mut all = BTreeMap::from([
            ("ENDPOINT_NAME", "retail-forecast-dev"),
            ("ALERTS_TOPIC_ARN", "topic"),
            ("ROLLBACK_FUNCTION_ARN", "rollback"),
            ("ENDPOINT_INSTANCE_COUNT", "2"),
            ("ENDPOINT_TRAFFIC", "ALL_AT_ONCE"),
            ("ENDPOINT_CANARY_PERCENT", "25"),
            ("ENDPOINT_BAKE_S", "300"),
            ("ENDPOINT_KEEP_OLD_S", "60"),
            ("ENDPOINT_UPDATE_LIMIT_S", "1800"),
            ("ENDPOINT_ALARM_ERROR_RATE_PERCENT", "5"),
            ("ENDPOINT_ALARM_LATENCY_MS", "1000"),
            ("ENDPOINT_ALARM_PERIOD_S", "60"),
            ("ENDPOINT_ALARM_PERIODS", "2"),
        ]);
        all.extend(change.iter().copied());
        let all = all.into_iter();
        Settings::new(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn each_configuration_has_alarms_of_its_own_in_sagemakers_units() {
        let alarms = EndpointAlarms::read(&settings(&[])).unwrap();
        let of = alarms.of("retail-forecast-dev-0a1b");
        let names: Vec<&str> = of.iter().map(|alarm| alarm.name.as_str()).collect();
        assert_eq!(names, alarm_names("retail-forecast-dev-0a1b"));
        assert_eq!(
            names,
            [
                "RetailForecast-Endpoint-Error-Rate-retail-forecast-dev-0a1b",
                "RetailForecast-Endpoint-Latency-retail-forecast-dev-0a1b"
            ]
        );
        let thresholds: Vec<f64> = of.iter().map(|alarm| alarm.threshold).collect();
        assert_eq!(thresholds, [0.05, 1_000_000.0]);
        assert_eq!(
            of[0].dimensions["EndpointConfigName"],
            "retail-forecast-dev-0a1b"
        );
        assert_eq!(of[1].actions, ["topic", "rollback"]);
        let policy = UpdatePolicy::read(&settings(&[])).unwrap();
        assert_eq!(policy.watched_by(&of).alarms, names);
    }

    #[test]
    fn what_sagemaker_refuses_or_what_nobody_would_see_is_refused_at_once() {
        for (change, word) in [
            (
                &[("ENDPOINT_TRAFFIC", "SLOWLY")][..],
                "ALL_AT_ONCE or CANARY",
            ),
            (&[("ENDPOINT_BAKE_S", "3601")], "0 to 3600"),
            (&[("ENDPOINT_KEEP_OLD_S", "-1")], "0 to 3600"),
            (&[("ENDPOINT_BAKE_S", "120")], "need 120 s"),
            (&[("ENDPOINT_UPDATE_LIMIT_S", "599")], "600 to 28800"),
            (
                &[
                    ("ENDPOINT_BAKE_S", "700"),
                    ("ENDPOINT_UPDATE_LIMIT_S", "700"),
                ],
                "the waits alone are 760 s",
            ),
            (
                &[
                    ("ENDPOINT_TRAFFIC", "CANARY"),
                    ("ENDPOINT_CANARY_PERCENT", "60"),
                ],
                "at most half",
            ),
            (
                &[
                    ("ENDPOINT_TRAFFIC", "CANARY"),
                    ("ENDPOINT_INSTANCE_COUNT", "1"),
                ],
                "half of one instance",
            ),
        ] {
            let error = UpdatePolicy::read(&settings(change)).unwrap_err();
            assert!(error.to_string().contains(word), "{change:?}: {error}");
        }
        let canary = UpdatePolicy::read(&settings(&[("ENDPOINT_TRAFFIC", "CANARY")])).unwrap();
        assert_eq!(canary.watched_by(&[]).canary_percent, Some(25));
    }

    #[test]
    fn a_want_of_instances_is_told_from_a_container_that_does_not_come_up() {
        for reason in [
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different ML instance type or after some time.",
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.",
            "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances. Please contact AWS support to request an increase for this limit.",
        ] {
            assert!(lacks_instances(reason), "{reason}");
        }
        for reason in [
            "The primary container for production variant default did not pass the ping health check. Please check CloudWatch logs for this endpoint.",
            "no reason given",
        ] {
            assert!(!lacks_instances(reason), "{reason}");
        }
    }
}
