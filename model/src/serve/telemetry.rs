//! What the service counts of its requests, and publishes each period.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use aws::{Datum, Statistics, Unit};
use axum::http::StatusCode;

use crate::serve::source::BoxFuture;

/// Publishes metrics, to CloudWatch for one.
pub trait PublishMetrics: Send + Sync {
    /// Publishes one period's values in `namespace` with the dimension `DeploymentId` = `release`, and the count
    /// of requests for the service as a whole, too, whichever release answered: dimension `Service`.
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

/// Name of the metric that is published for every period, also without requests.
pub(crate) const REQUEST_COUNT: &str = "RequestCount";

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
    shortest: Option<Duration>,
    longest: Duration,
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
        period.shortest = Some(period.shortest.map_or(took, |least| least.min(took)));
        period.longest = period.longest.max(took);
    }

    /// What came since the last call: the count of requests, and, if there were any, for each of them
    /// whether it was answered 5xx (100 or 0 percent) and its latency. A silent period has no rate:
    /// publishing 0 would tell an alarm that all is well.
    pub fn take(&self) -> Vec<Datum> {
        let period = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let requests = f64::from(period.requests);
        let mut data = vec![Datum {
            name: REQUEST_COUNT,
            statistics: Statistics::of(requests),
            unit: Unit::Count,
        }];
        if let Some(shortest) = period.shortest {
            let percent = |yes: bool| if yes { 100.0 } else { 0.0 };
            data.push(Datum {
                name: "ErrorRate",
                statistics: Statistics {
                    samples: requests,
                    sum: 100.0 * f64::from(period.errors),
                    minimum: percent(period.errors == period.requests),
                    maximum: percent(period.errors > 0),
                },
                unit: Unit::Percent,
            });
            data.push(Datum {
                name: "Latency",
                statistics: Statistics {
                    samples: requests,
                    sum: ms(period.time),
                    minimum: ms(shortest),
                    maximum: ms(period.longest),
                },
                unit: Unit::Milliseconds,
            });
        }
        data
    }
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_requests() -> Vec<Datum> {
        vec![Datum {
            name: REQUEST_COUNT,
            statistics: Statistics::of(0.0),
            unit: Unit::Count,
        }]
    }

    #[test]
    fn a_period_is_summed_up_once() {
        let recorder = Recorder::default();
        for (status, ms) in [(200, 10), (400, 20), (500, 30), (503, 40)] {
            let status = StatusCode::from_u16(status).unwrap();
            recorder.record(status, Duration::from_millis(ms));
        }
        let data = recorder.take();
        assert_eq!(data[0].statistics, Statistics::of(4.0));
        let errors = Statistics {
            samples: 4.0,
            sum: 200.0,
            minimum: 0.0,
            maximum: 100.0,
        };
        assert_eq!((data[1].name, data[1].statistics), ("ErrorRate", errors));
        let latency = data[2].statistics;
        assert!((latency.sum - 100.0).abs() < 1e-9);
        assert!((latency.minimum - 10.0).abs() < 1e-9);
        assert!((latency.maximum - 40.0).abs() < 1e-9);
        assert_eq!(recorder.take(), no_requests());
    }

    #[test]
    fn a_silent_period_has_a_count_of_zero_and_no_rates() {
        assert_eq!(Recorder::default().take(), no_requests());
    }
}
