//! The alarms of a release: which, on what, under which names.
//!
//! The owner's names (`RetailForecast-API-Error-Rate-{namespace}`, `…-Latency-…`) always watch the live
//! release. While a release is a candidate it has alarms of its own, with `-{release}` appended, so that
//! the old one's errors aren't laid to it; they go when it is live or gone.
//!
//! The service publishes no rate for a period without requests, and a request count for every period. So
//! a silent period is good for error rate and latency (a quiet night isn't an outage), and a third alarm
//! tells people when not even the request count comes any more. It watches the count of the whole service
//! (dimension `Service`), whichever release speaks: while an endpoint's update bakes, what is still known good
//! has no pods any more, and that is no outage.

use std::collections::BTreeMap;

use crate::{Result, ports::AlarmSpec, settings::Settings};

/// What the names of all alarms of the API begin with.
pub const PREFIX: &str = "RetailForecast-API-";
/// The kinds of alarm that speak against a release.
pub const AGAINST_A_RELEASE: [&str; 2] = ["Error-Rate", "Latency"];
const SILENCE: &str = "Silence";
/// The dimension under which the service counts its requests, whichever release answers.
pub const OF_SERVICE: (&str, &str) = ("Service", "retail-forecast-api");

/// What alarms are made with.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmSettings {
    /// Kubernetes namespace, which the names end in.
    pub namespace: String,
    /// Topic that reaches people.
    pub topic_arn: String,
    /// The rollback, which an alarm that speaks against a release invokes.
    pub rollback_arn: String,
    /// Highest error rate, percent.
    pub error_rate_percent: f64,
    /// Highest mean latency, milliseconds.
    pub latency_ms: f64,
    /// Length of a period, seconds.
    pub period_s: i32,
    /// How many periods in a row.
    pub periods: i32,
}

impl AlarmSettings {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            namespace: settings.text("NAMESPACE")?,
            topic_arn: settings.text("ALERTS_TOPIC_ARN")?,
            rollback_arn: settings.text("ROLLBACK_FUNCTION_ARN")?,
            error_rate_percent: settings.parsed("ALARM_ERROR_RATE_PERCENT")?,
            latency_ms: settings.parsed("ALARM_LATENCY_MS")?,
            period_s: settings.parsed("ALARM_PERIOD_S")?,
            periods: settings.parsed("ALARM_PERIODS")?,
        })
    }

    /// The alarms while a release is live: two on it, under the owner's names, and one on silence.
    pub fn live(&self, release: &str) -> Vec<AlarmSpec> {
        let (dimension, service) = OF_SERVICE;
        let mut alarms = self.against(release, "");
        alarms.push(AlarmSpec {
            description: format!(
                "API in {}: no pod reports for {} periods of {} s",
                self.namespace, self.periods, self.period_s
            ),
            dimensions: BTreeMap::from([(dimension.to_owned(), service.to_owned())]),
            tells_silence: true,
            actions: vec![self.topic_arn.clone()],
            ..self.alarm(SILENCE, "", "RequestCount", 1e15, release)
        });
        alarms
    }

    /// The alarms of a release that isn't live yet.
    pub fn candidate(&self, release: &str) -> Vec<AlarmSpec> {
        self.against(release, &format!("-{release}"))
    }

    fn against(&self, release: &str, suffix: &str) -> Vec<AlarmSpec> {
        let [errors, latency] = AGAINST_A_RELEASE;
        vec![
            self.alarm(
                errors,
                suffix,
                "ErrorRate",
                self.error_rate_percent,
                release,
            ),
            self.alarm(latency, suffix, "Latency", self.latency_ms, release),
        ]
    }

    fn alarm(
        &self,
        kind: &str,
        suffix: &str,
        metric: &str,
        threshold: f64,
        release: &str,
    ) -> AlarmSpec {
        let namespace = &self.namespace;
        AlarmSpec {
            name: format!("{PREFIX}{kind}-{namespace}{suffix}"),
            description: format!(
                "API in {namespace}, {release}: {metric} is above {threshold} for {} periods of {} s",
                self.periods, self.period_s
            ),
            metrics: format!("RetailForecast/{namespace}"),
            metric: metric.to_owned(),
            dimensions: BTreeMap::from([("DeploymentId".to_owned(), release.to_owned())]),
            threshold,
            period_s: self.period_s,
            periods: self.periods,
            tells_silence: false,
            actions: vec![self.topic_arn.clone(), self.rollback_arn.clone()],
        }
    }
}

/// Name of the alarm on the service's silence.
pub fn silence_name(namespace: &str) -> String {
    format!("{PREFIX}{SILENCE}-{namespace}")
}

/// Names of the alarms of a candidate.
pub fn candidate_names(namespace: &str, release: &str) -> Vec<String> {
    AGAINST_A_RELEASE
        .map(|kind| format!("{PREFIX}{kind}-{namespace}-{release}"))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_names_watch_the_live_release_and_a_candidates_are_its_own() {
        let settings = AlarmSettings {
            namespace: "retail-forecast-dev".to_owned(),
            topic_arn: "topic".to_owned(),
            rollback_arn: "rollback".to_owned(),
            error_rate_percent: 5.0,
            latency_ms: 1000.0,
            period_s: 60,
            periods: 3,
        };
        let names = |alarms: Vec<AlarmSpec>| -> Vec<String> {
            alarms.into_iter().map(|alarm| alarm.name).collect()
        };
        assert_eq!(
            names(settings.live("release-a")),
            [
                "RetailForecast-API-Error-Rate-retail-forecast-dev",
                "RetailForecast-API-Latency-retail-forecast-dev",
                &silence_name("retail-forecast-dev"),
            ]
        );
        assert_eq!(
            names(settings.candidate("release-a")),
            candidate_names("retail-forecast-dev", "release-a")
        );
        let silent: Vec<bool> = settings
            .live("release-a")
            .iter()
            .map(|alarm| alarm.tells_silence)
            .collect();
        assert_eq!(silent, [false, false, true]);
        let silence = settings.live("release-a").pop().unwrap();
        assert_eq!(silence.dimensions["Service"], "retail-forecast-api");
        assert_eq!(silence.dimensions.len(), 1);
        // Silence tells people; it says nothing against the release.
        let told: Vec<usize> = settings
            .live("release-a")
            .iter()
            .map(|alarm| alarm.actions.len())
            .collect();
        assert_eq!(told, [2, 2, 1]);
    }
}
