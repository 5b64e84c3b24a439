//! Metrics in CloudWatch.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::{
    Client,
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

    /// Puts data points `(name, value, unit)`, dated now. A metric is read back only with exactly the
    /// dimensions it was written with.
    pub async fn put(
        &self,
        namespace: &str,
        dimensions: &BTreeMap<String, String>,
        values: Vec<(String, f64, Unit)>,
    ) -> Result<()> {
        let dimensions: Vec<Dimension> = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(name).value(value).build())
            .collect();
        let data: Vec<MetricDatum> = values
            .into_iter()
            .map(|(name, value, unit)| {
                MetricDatum::builder()
                    .metric_name(name)
                    .value(value)
                    .unit(unit.into())
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

impl Alarms for CloudWatch {
    async fn ensure_alarm(&self, spec: &AlarmSpec) -> Result<()> {
        let missing = if spec.silence_alarms {
            "breaching"
        } else {
            "notBreaching"
        };
        self.client
            .put_metric_alarm()
            .alarm_name(&spec.name)
            .alarm_description(&spec.description)
            .namespace(&spec.metrics)
            .metric_name(&spec.metric)
            .dimensions(
                Dimension::builder()
                    .name("DeploymentId")
                    .value(&spec.release)
                    .build(),
            )
            .statistic(Statistic::Average)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .threshold(spec.threshold)
            .period(spec.period_s)
            .evaluation_periods(spec.periods)
            .datapoints_to_alarm(spec.periods)
            .treat_missing_data(missing)
            .set_alarm_actions(Some(spec.actions.clone()))
            .send()
            .await
            .map_err(|error| {
                let doing = format!("setting the alarm {}", spec.name);
                failed(doing, "cloudwatch:PutMetricAlarm", error)
            })?;
        Ok(())
    }

    async fn remove_alarms(&self, names: &[String]) -> Result<()> {
        let doing = format!("removing the alarms {}", names.join(", "));
        // One name that isn't there would keep all of them.
        let found = self
            .client
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| failed(&doing, "cloudwatch:DescribeAlarms", error))?;
        let found: Vec<String> = found
            .metric_alarms
            .unwrap_or_default()
            .into_iter()
            .filter_map(|alarm| alarm.alarm_name)
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        self.client
            .delete_alarms()
            .set_alarm_names(Some(found))
            .send()
            .await
            .map_err(|error| failed(&doing, "cloudwatch:DeleteAlarms", error))?;
        Ok(())
    }
}
