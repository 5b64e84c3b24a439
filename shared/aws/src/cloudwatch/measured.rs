//! What the API's pods measured, read back.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat},
};
use domain::{
    Error, Result,
    ports::{ApiMetrics, Measured},
};
use jiff::Timestamp;

use super::RELEASE;
use crate::{Context, failure::failed};

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
