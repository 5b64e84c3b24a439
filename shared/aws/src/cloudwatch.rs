//! Metrics in CloudWatch.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::{
    Client,
    types::{Dimension, MetricDatum, StandardUnit},
};
use domain::Result;

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
