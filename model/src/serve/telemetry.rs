//! What the service counts of its requests, and publishes each period.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;

use crate::serve::source::BoxFuture;

/// One value to publish, named and measured as CloudWatch does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Datum {
    /// `RequestCount`, `ErrorRate` or `Latency`.
    pub name: &'static str,
    /// The value over the period.
    pub value: f64,
    /// CloudWatch's name of the unit: `Count`, `Percent` or `Milliseconds`.
    pub unit: &'static str,
}

/// The name of the one dimension of every [`Datum`]; its value is the release.
pub const DIMENSION: &str = "DeploymentId";

/// Publishes metrics, to CloudWatch for one.
pub trait PublishMetrics: Send + Sync {
    /// Publishes one period's values in `namespace` with the dimension [`DIMENSION`] = `release`.
    ///
    /// # Errors
    ///
    /// Why it didn't work, in words for the log; the period's values are then lost.
    fn publish<'a>(
        &'a self,
        namespace: &'a str,
        release: &'a str,
        data: &'a [Datum],
    ) -> BoxFuture<'a, Result<()>>;
}

/// The metrics namespace of an environment's deployments.
pub fn namespace(name: &str) -> String {
    format!("RetailForecast/{name}")
}

/// Counts answers until they are taken.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Period>);

#[derive(Debug, Default)]
struct Period {
    requests: u32,
    errors: u32,
    time: Duration,
}

impl Recorder {
    /// Counts an answer and the time it took.
    pub fn record(&self, status: StatusCode, took: Duration) {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        period.requests = period.requests.saturating_add(1);
        period.errors = period
            .errors
            .saturating_add(u32::from(status.is_server_error()));
        period.time += took;
    }

    /// The values since the last call: the count of requests, and, if there were any, the
    /// percentage answered 5xx and the mean latency. A silent period has no rate: publishing 0 would
    /// tell an alarm that all is well.
    pub fn take(&self) -> Vec<Datum> {
        let period = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let requests = f64::from(period.requests);
        let mut data = vec![Datum {
            name: "RequestCount",
            value: requests,
            unit: "Count",
        }];
        if period.requests > 0 {
            let percent = 100.0 * f64::from(period.errors) / requests;
            let latency_ms = 1e3 * period.time.as_secs_f64() / requests;
            data.push(Datum {
                name: "ErrorRate",
                value: percent,
                unit: "Percent",
            });
            data.push(Datum {
                name: "Latency",
                value: latency_ms,
                unit: "Milliseconds",
            });
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_summed_up_once() {
        let recorder = Recorder::default();
        for (status, ms) in [(200, 10), (400, 20), (500, 30), (503, 40)] {
            let status = StatusCode::from_u16(status).unwrap();
            recorder.record(status, Duration::from_millis(ms));
        }
        let data = recorder.take();
        assert_eq!(
            data[0],
            Datum {
                name: "RequestCount",
                value: 4.0,
                unit: "Count"
            }
        );
        assert_eq!(
            data[1],
            Datum {
                name: "ErrorRate",
                value: 50.0,
                unit: "Percent"
            }
        );
        assert_eq!(data[2].name, "Latency");
        assert!((data[2].value - 25.0).abs() < 1e-9);
        assert_eq!(recorder.take().len(), 1);
    }

    #[test]
    fn a_silent_period_has_a_count_of_zero_and_no_rates() {
        let silent = Recorder::default().take();
        assert_eq!(
            silent,
            [Datum {
                name: "RequestCount",
                value: 0.0,
                unit: "Count"
            }]
        );
    }
}
