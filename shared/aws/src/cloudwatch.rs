//! Metrics in CloudWatch.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudwatch::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{ComparisonOperator, Dimension, MetricDatum, StandardUnit, Statistic},
};
use domain::{
    Result,
    ports::{AlarmSpec, Alarms},
};

use crate::{Context, failure::failed};

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

/// Publishes metrics.
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

    /// Puts data points `(name, value, unit)`, dated now, one for each `period`: shorter ones than a
    /// minute are kept with the high resolution that alarms on shorter periods need. A metric is read back only with exactly the
    /// dimensions it was written with.
    pub async fn put(
        &self,
        namespace: &str,
        dimensions: &BTreeMap<String, String>,
        values: Vec<(String, f64, Unit)>,
        period: Duration,
    ) -> Result<()> {
        let resolution = (period < Duration::from_mins(1)).then_some(1);
        let dimensions = self::dimensions(dimensions);
        let data: Vec<MetricDatum> = values
            .into_iter()
            .map(|(name, value, unit)| {
                MetricDatum::builder()
                    .metric_name(name)
                    .value(value)
                    .unit(unit.into())
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
