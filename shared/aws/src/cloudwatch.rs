//! Metrics and alarms in CloudWatch.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    Client,
    error::ProvideErrorMetadata as _,
    primitives::DateTime,
    types::{
        ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat,
        StandardUnit, Statistic, StatisticSet,
    },
};
use domain::{
    Error, Result,
    ports::{AlarmSpec, Alarms, ApiMetrics, Measured},
};
use jiff::Timestamp;

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
    /// high resolution that alarms on shorter periods need. A metric is read back only with exactly
    /// the dimensions it was written with.
    pub async fn put(
        &self,
        namespace: &str,
        dimensions: &BTreeMap<String, String>,
        data: Vec<Datum>,
        period: Duration,
    ) -> Result<()> {
        let resolution = (period < Duration::from_mins(1)).then_some(1);
        let dimensions = self::dimensions(dimensions);
        let data: Vec<MetricDatum> = data
            .into_iter()
            .map(|datum| {
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
                    .set_dimensions(Some(dimensions.clone()))
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

/// The metrics of the API in one namespace, `RetailForecast/{namespace}`.
#[derive(Debug, Clone)]
pub struct ReleaseMetrics {
    client: Client,
    namespace: String,
}

impl ReleaseMetrics {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context, namespace: &str) -> Self {
        Self {
            client: Client::new(&context.of("CLOUDWATCH")),
            namespace: format!("RetailForecast/{namespace}"),
        }
    }

    fn query(
        &self,
        release: &str,
        id: &str,
        metric: &str,
        stat: &str,
        period: i32,
    ) -> MetricDataQuery {
        let dimension = Dimension::builder().name(RELEASE).value(release).build();
        let metric = Metric::builder()
            .namespace(&self.namespace)
            .metric_name(metric)
            .dimensions(dimension)
            .build();
        let stat = MetricStat::builder()
            .metric(metric)
            .period(period)
            .stat(stat)
            .build();
        MetricDataQuery::builder().id(id).metric_stat(stat).build()
    }
}

impl ApiMetrics for ReleaseMetrics {
    async fn measured(
        &self,
        release: &str,
        from: Timestamp,
        to: Timestamp,
        period_s: u32,
    ) -> Result<Vec<Measured>> {
        let doing = format!("reading the metrics of {release} in {}", self.namespace);
        let period = i32::try_from(period_s)
            .map_err(|_| Error::permanent(format!("{doing}: a period of {period_s} s")))?;
        let queries = [
            self.query(release, "requests", "ErrorRate", "SampleCount", period),
            self.query(release, "errors", "ErrorRate", "Average", period),
            self.query(release, "latency", "Latency", "Average", period),
        ];
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.to_vec()))
            .start_time(DateTime::from_secs(from.as_second()))
            .end_time(DateTime::from_secs(to.as_second()))
            .into_paginator()
            .send();
        let mut values: BTreeMap<i64, HashMap<String, f64>> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(&doing, "cloudwatch:GetMetricData", error))?;
            for result in page.metric_data_results() {
                let id = result.id().unwrap_or_default();
                for (at, value) in result.timestamps().iter().zip(result.values()) {
                    let period = values.entry(at.secs()).or_default();
                    period.insert(id.to_owned(), *value);
                }
            }
        }
        let mut measured = vec![];
        for (second, found) in values {
            let start = Timestamp::from_second(second)
                .map_err(|error| Error::permanent(format!("{doing}: {error}")))?;
            let (Some(requests), Some(error_rate_percent), Some(latency_ms)) = (
                found.get("requests"),
                found.get("errors"),
                found.get("latency"),
            ) else {
                continue;
            };
            measured.push(Measured {
                start,
                requests: *requests,
                error_rate_percent: *error_rate_percent,
                latency_ms: *latency_ms,
            });
        }
        Ok(measured)
    }
}
