//! What SageMaker measures of invocations, in CloudWatch's namespace `AWS/SageMaker`.
//!
//! Each metric is there twice, as on AWS: for the endpoint's variant, and for the variant on one endpoint
//! configuration. AWS publishes every minute unless enhanced metrics say otherwise (10 s at the shortest);
//! here it is as often as the stand-in is told, with high resolution.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::service::Service;

const NAMESPACE: &str = "AWS/SageMaker";
/// Most data points of a call.
const PER_CALL: usize = 1000;

/// Whose invocations are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Served {
    pub(super) endpoint: String,
    pub(super) variant: String,
    pub(super) config: String,
}

/// One invocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invocation {
    /// HTTP status of the container; 0 when it didn't answer.
    pub(super) status: u16,
    /// From the request to the container until its answer.
    pub(super) model: Duration,
    /// The rest of the time between the caller's request and the answer.
    pub(super) overhead: Duration,
}

/// Sum, extremes and count of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    samples: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl Summary {
    fn add(so_far: Option<Self>, value: f64) -> Self {
        let Some(so_far) = so_far else {
            return Self {
                samples: 1.0,
                sum: value,
                minimum: value,
                maximum: value,
            };
        };
        Self {
            samples: so_far.samples + 1.0,
            sum: so_far.sum + value,
            minimum: so_far.minimum.min(value),
            maximum: so_far.maximum.max(value),
        }
    }
}

type Sums = BTreeMap<(Served, &'static str), Summary>;

/// Counts invocations until they are published.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Sums>);

impl Meter {
    /// Counts an invocation.
    pub(super) fn count(&self, served: &Served, invocation: Invocation) {
        let is = |wanted: bool| if wanted { 1.0 } else { 0.0 };
        let status = invocation.status;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (metric, value) in [
            ("Invocations", 1.0),
            ("Invocation4XXErrors", is((400..500).contains(&status))),
            ("Invocation5XXErrors", is(status == 0 || status >= 500)),
            ("ModelLatency", micros(invocation.model)),
            ("OverheadLatency", micros(invocation.overhead)),
        ] {
            let key = (served.clone(), metric);
            let summary = Summary::add(sums.get(&key).copied(), value);
            sums.insert(key, summary);
        }
    }

    /// What was counted since the last time, as `MetricData`.
    fn take(&self) -> Vec<Value> {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *sums);
        drop(sums);
        // The variant's own are over all configurations.
        let mut variants: BTreeMap<(String, String, &str), Vec<Summary>> = BTreeMap::new();
        for ((served, metric), summary) in &taken {
            let key = (served.endpoint.clone(), served.variant.clone(), *metric);
            variants.entry(key).or_default().push(*summary);
        }
        let of_config = taken.iter().map(|((served, metric), summary)| {
            let dimensions = [
                ("EndpointName", &served.endpoint),
                ("VariantName", &served.variant),
                ("EndpointConfigName", &served.config),
            ];
            datum(metric, &dimensions, *summary)
        });
        let of_variant = variants.iter().map(|((endpoint, variant, metric), all)| {
            let dimensions = [("EndpointName", endpoint), ("VariantName", variant)];
            datum(metric, &dimensions, total(all))
        });
        of_config.chain(of_variant).collect()
    }
}

fn total(all: &[Summary]) -> Summary {
    let fold = |of: fn(&Summary) -> f64, with: fn(f64, f64) -> f64| {
        all.iter().map(of).reduce(with).unwrap_or_default()
    };
    Summary {
        samples: fold(|one| one.samples, |a, b| a + b),
        sum: fold(|one| one.sum, |a, b| a + b),
        minimum: fold(|one| one.minimum, f64::min),
        maximum: fold(|one| one.maximum, f64::max),
    }
}

fn datum(metric: &str, dimensions: &[(&str, &String)], summary: Summary) -> Value {
    let dimensions: Vec<Value> = dimensions
        .iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    json!({
        "MetricName": metric,
        "Dimensions": dimensions,
        "StatisticValues": {
            "SampleCount": summary.samples,
            "Sum": summary.sum,
            "Minimum": summary.minimum,
            "Maximum": summary.maximum,
        },
        "Unit": if metric.ends_with("Latency") { "Microseconds" } else { "None" },
        "StorageResolution": 1,
    })
}

impl Service {
    /// Publishes what was counted, for ever.
    pub(crate) async fn publish(self: Arc<Self>, period: Duration) {
        loop {
            sleep(period).await;
            for data in self.meter.take().chunks(PER_CALL) {
                if let Err(reason) = self.watch.put_metrics(NAMESPACE, data.to_vec()).await {
                    tracing::warn!(reason, "metrics of endpoints are lost");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_measured_as_a_whole_and_by_configuration() {
        let meter = Meter::default();
        let served = |config: &str| Served {
            endpoint: "e".to_owned(),
            variant: "default".to_owned(),
            config: config.to_owned(),
        };
        for (config, status, millis) in [("old", 200, 1), ("new", 500, 3), ("new", 0, 5)] {
            let invocation = Invocation {
                status,
                model: Duration::from_millis(millis),
                overhead: Duration::ZERO,
            };
            meter.count(&served(config), invocation);
        }
        let data = meter.take();
        let find = |metric: &str, config: Option<&str>| {
            let found = data.iter().find(|datum| {
                let of = datum["Dimensions"].as_array().expect("dimensions");
                let named = of.iter().find(|d| d["Name"] == "EndpointConfigName");
                datum["MetricName"] == metric && named.and_then(|d| d["Value"].as_str()) == config
            });
            found.expect(metric)["StatisticValues"].clone()
        };
        let errors = find("Invocation5XXErrors", Some("new"));
        assert_eq!(
            (&errors["Sum"], &errors["SampleCount"]),
            (&json!(2.0), &json!(2.0))
        );
        assert_eq!(find("Invocation5XXErrors", Some("old"))["Sum"], 0.0);
        let all = find("ModelLatency", None);
        assert_eq!(
            (&all["Minimum"], &all["Maximum"], &all["SampleCount"]),
            (&json!(1000.0), &json!(5000.0), &json!(3.0))
        );
        assert!(meter.take().is_empty());
    }
}
