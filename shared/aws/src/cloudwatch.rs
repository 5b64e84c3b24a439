//! Metrics and alarms in CloudWatch.

mod measured;

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudwatch::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{ComparisonOperator, Dimension, MetricDatum, StandardUnit, Statistic, StatisticSet},
};
use domain::{
    Result,
    ports::{AlarmSpec, Alarms},
};
pub use measured::ReleaseMetrics;

use crate::{Context, failure::failed};

/// The dimension that tells one release's metrics from another's.
pub const RELEASE: &str = "DeploymentId";

/// Data points that one call takes.
const PER_CALL: usize = 1000;

/// Unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// 0 to 100.
    Percent,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A ratio or another figure without a unit; also minutes and days, which CloudWatch lacks.
    None,
}

impl From<Unit> for StandardUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Count => Self::Count,
            Unit::Percent => Self::Percent,
            Unit::Milliseconds => Self::Milliseconds,
            Unit::Seconds => Self::Seconds,
            Unit::Bytes => Self::Bytes,
            Unit::None => Self::None,
        }
    }
}

/// What many samples come to, so that averages over pods are weighted by what each pod saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// How many samples.
    pub samples: f64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
}

impl Statistics {
    /// One sample.
    pub fn of(value: f64) -> Self {
        Self {
            samples: 1.0,
            sum: value,
            minimum: value,
            maximum: value,
        }
    }
}

/// Samples of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Name of the metric.
    pub name: &'static str,
    /// The samples.
    pub statistics: Statistics,
    /// Their unit.
    pub unit: Unit,
}

/// Publishes and reads metrics, and keeps alarms.
#[derive(Debug, Clone)]
pub struct CloudWatch {
    client: Client,
}

impl CloudWatch {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context) -> Self {
        Self {
            client: Client::new(&context.of("CLOUDWATCH")),
        }
    }

    /// Puts samples, dated now, gathered over `period`: shorter ones than a minute are kept with the
    /// high resolution that alarms on shorter periods need. Each has one dimension, name and value; a
    /// metric is read back only with exactly the dimensions it was written with.
    pub async fn put(
        &self,
        namespace: &str,
        data: &[((&str, &str), Datum)],
        period: Duration,
    ) -> Result<()> {
        let resolution = (period < Duration::from_mins(1)).then_some(1);
        let data: Vec<MetricDatum> = data
            .iter()
            .map(|((dimension, value), datum)| {
                let dimension = Dimension::builder().name(*dimension).value(*value);
                let statistics = StatisticSet::builder()
                    .sample_count(datum.statistics.samples)
                    .sum(datum.statistics.sum)
                    .minimum(datum.statistics.minimum)
                    .maximum(datum.statistics.maximum);
                MetricDatum::builder()
                    .metric_name(datum.name)
                    .statistic_values(statistics.build())
                    .unit(datum.unit.into())
                    .set_storage_resolution(resolution)
                    .dimensions(dimension.build())
                    .build()
            })
            .collect();
        for data in data.chunks(PER_CALL) {
            self.client
                .put_metric_data()
                .namespace(namespace)
                .set_metric_data(Some(data.to_vec()))
                .send()
                .await
                .map_err(|error| {
                    failed(
                        format!("putting metrics in {namespace}"),
                        "cloudwatch:PutMetricData",
                        error,
                    )
                })?;
        }
        Ok(())
    }
}

fn dimensions(of: &BTreeMap<String, String>) -> Vec<Dimension> {
    of.iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect()
}

impl Alarms for CloudWatch {
    async fn ensure_alarm(&self, spec: &AlarmSpec) -> Result<()> {
        let actions = Some(spec.actions.clone());
        let (missing, when_alarming, when_silent) = if spec.tells_silence {
            ("missing", None, actions)
        } else {
            ("notBreaching", actions, None)
        };
        self.client
            .put_metric_alarm()
            .alarm_name(&spec.name)
            .alarm_description(&spec.description)
            .namespace(&spec.metrics)
            .metric_name(&spec.metric)
            .set_dimensions(Some(dimensions(&spec.dimensions)))
            .statistic(Statistic::Average)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .threshold(spec.threshold)
            .period(spec.period_s)
            .evaluation_periods(spec.periods)
            .datapoints_to_alarm(spec.periods)
            .treat_missing_data(missing)
            .set_alarm_actions(when_alarming)
            .set_insufficient_data_actions(when_silent)
            .send()
            .await
            .map_err(|error| {
                let doing = format!("setting the alarm {}", spec.name);
                failed(doing, "cloudwatch:PutMetricAlarm", error)
            })?;
        Ok(())
    }

    async fn remove_alarms(&self, names: &[String]) -> Result<()> {
        // One by one: a name that isn't there would keep all that are sent with it.
        for name in names {
            let answer = self.client.delete_alarms().alarm_names(name).send().await;
            match answer {
                Err(error) if error.code() == Some("ResourceNotFound") => {}
                Err(error) => {
                    let doing = format!("removing the alarm {name}");
                    return Err(failed(doing, "cloudwatch:DeleteAlarms", error));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_cbor::{Decoder, data::Type};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::stub::Stub;

    fn datum(name: &'static str, value: f64, unit: Unit) -> Datum {
        Datum {
            name,
            statistics: Statistics::of(value),
            unit,
        }
    }

    /// What the SDK writes: maps, lists, text and numbers.
    fn read(decoder: &mut Decoder<'_>) -> Value {
        let more = |decoder: &mut Decoder<'_>, length: Option<u64>, read: usize| match length {
            Some(length) => (read as u64) < length,
            None if decoder.datatype().unwrap() == Type::Break => {
                decoder.skip().unwrap();
                false
            }
            None => true,
        };
        match decoder.datatype().unwrap() {
            Type::Map | Type::MapIndef => {
                let (length, mut map) = (decoder.map().unwrap(), Map::new());
                while more(decoder, length, map.len()) {
                    let key = decoder.string().unwrap();
                    map.insert(key, read(decoder));
                }
                Value::Object(map)
            }
            Type::Array | Type::ArrayIndef => {
                let (length, mut list) = (decoder.list().unwrap(), Vec::new());
                while more(decoder, length, list.len()) {
                    list.push(read(decoder));
                }
                Value::Array(list)
            }
            Type::String | Type::StringIndef => json!(decoder.string().unwrap()),
            Type::F16 | Type::F32 | Type::F64 => json!(decoder.double().unwrap()),
            _ => json!(decoder.long().unwrap()),
        }
    }

    #[tokio::test]
    async fn data_points_carry_unit_dimensions_and_the_resolution_that_their_period_needs() {
        let stub = Stub::raw(vec![(200, String::new()); 2]);
        let metrics = CloudWatch::new(&stub.context());
        let (release, service) = ((RELEASE, "release-a"), ("Service", "api"));
        for seconds in [5, 60] {
            let values = [
                (release, datum("Latency", 12.5, Unit::Milliseconds)),
                (service, datum("ErrorRate", 0.25, Unit::Percent)),
            ];
            let period = Duration::from_secs(seconds);
            let put = metrics.put("RetailForecast/dev", &values, period);
            put.await.unwrap();
        }
        let requests = stub.requests();
        assert!(requests[0].path.ends_with("/operation/PutMetricData"));
        let bodies: Vec<Value> = requests
            .iter()
            .map(|request| read(&mut Decoder::new(&request.body)))
            .collect();
        let sent = |name: &str, value: f64, unit: &str, (dimension, of): (&str, &str)| {
            let statistics =
                json!({"SampleCount": 1.0, "Sum": value, "Minimum": value, "Maximum": value});
            json!({"MetricName": name, "StatisticValues": statistics, "Unit": unit,
                "Dimensions": [{"Name": dimension, "Value": of}]})
        };
        let mut data = json!([
            sent("Latency", 12.5, "Milliseconds", release),
            sent("ErrorRate", 0.25, "Percent", service)
        ]);
        assert_eq!(
            bodies[1],
            json!({"Namespace": "RetailForecast/dev", "MetricData": data})
        );
        for datum in data.as_array_mut().unwrap() {
            datum["StorageResolution"] = json!(1);
        }
        assert_eq!(bodies[0]["MetricData"], data);
    }

    #[tokio::test]
    async fn many_data_points_take_several_calls_and_a_failed_one_is_an_error() {
        let stub = Stub::raw(vec![
            (200, String::new()),
            (200, String::new()),
            (403, String::new()),
        ]);
        let metrics = CloudWatch::new(&stub.context());
        let put = async |count: usize| {
            let values = vec![((RELEASE, "release-a"), datum("M", 1.0, Unit::Count)); count];
            let period = Duration::from_mins(1);
            metrics.put("N", &values, period).await
        };
        put(0).await.unwrap();
        assert_eq!(stub.requests().len(), 0, "nothing to put");
        put(PER_CALL + 1).await.unwrap();
        assert_eq!(stub.requests().len(), 2);
        let error = put(1).await.unwrap_err();
        assert_eq!(error.class(), domain::Class::Permanent);
        assert!(
            error.to_string().contains("cloudwatch:PutMetricData"),
            "{error}"
        );
    }
}
