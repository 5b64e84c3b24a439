//! The canary beside what is live, in the same periods.

use domain::{Result, ports::Measured, settings::Settings};
use serde::Serialize;

/// Fewest 5xx above what the live release's rate lets expect that speak against a canary: among 50 requests a
/// stray one would be two per cent already.
const FEWEST_ERRORS: f64 = 3.0;

/// What the comparison allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Fewest requests that each of the two must have answered.
    pub min_requests: f64,
    /// How much higher the canary's error rate may be, percentage points.
    pub error_margin_percent: f64,
    /// How many times as high its mean latency may be.
    pub latency_ratio: f64,
    /// A mean latency that is higher by less than this passes whatever the ratio, milliseconds: beside
    /// a very fast service a ratio tells nothing.
    pub latency_margin_ms: f64,
}

impl Limits {
    /// Reads the settings.
    pub fn read(settings: &Settings) -> Result<Self> {
        Ok(Self {
            min_requests: settings.parsed("CANARY_MIN_REQUESTS")?,
            error_margin_percent: settings.parsed("CANARY_ERROR_MARGIN_PERCENT")?,
            latency_ratio: settings.parsed("CANARY_LATENCY_RATIO")?,
            latency_margin_ms: settings.parsed("CANARY_LATENCY_MARGIN_MS")?,
        })
    }
}

/// What the two releases measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Periods {
    /// The canary's periods with requests.
    pub canary: Vec<Measured>,
    /// The live release's.
    pub live: Vec<Measured>,
}

/// One release over the periods that both have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Total {
    /// Requests.
    pub requests: f64,
    /// Percent of them that were answered 5xx.
    pub error_rate_percent: f64,
    /// Mean, milliseconds.
    pub latency_ms: f64,
}

/// What the comparison says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Too few requests.
    NoData(String),
    /// Every check passed.
    Pass(Vec<String>),
    /// The checks that didn't.
    Fail(Vec<String>),
}

/// Holds the two beside each other.
pub fn compare(periods: &Periods, limits: &Limits) -> Verdict {
    let common = |one: &[Measured], other: &[Measured]| {
        let both = |measured: &&Measured| {
            other
                .iter()
                .any(|elsewhere| elsewhere.start == measured.start)
        };
        (
            total(one.iter().filter(both)),
            one.iter().filter(both).count(),
        )
    };
    let (canary, count) = common(&periods.canary, &periods.live);
    let (live, _) = common(&periods.live, &periods.canary);
    if canary.requests < limits.min_requests || live.requests < limits.min_requests {
        return Verdict::NoData(format!(
            "the canary answered {} requests and the live release {} in the {count} periods that both have; {} each are needed",
            canary.requests, live.requests, limits.min_requests
        ));
    }
    let errors = format!(
        "error rate {:.2} % of {} requests, the live release's {:.2} % of {} (at most {} percentage points more, or less than {FEWEST_ERRORS} errors more than by that rate)",
        canary.error_rate_percent,
        canary.requests,
        live.error_rate_percent,
        live.requests,
        limits.error_margin_percent
    );
    let latency = format!(
        "mean latency {:.1} ms, the live release's {:.1} ms (at most {} times as much, or {} ms more)",
        canary.latency_ms, live.latency_ms, limits.latency_ratio, limits.latency_margin_ms
    );
    let more_percent = canary.error_rate_percent - live.error_rate_percent;
    let more_errors = canary.requests * more_percent / 100.0;
    let errors_pass = more_percent <= limits.error_margin_percent || more_errors < FEWEST_ERRORS;
    let slowest =
        (live.latency_ms * limits.latency_ratio).max(live.latency_ms + limits.latency_margin_ms);
    let latency_passes = canary.latency_ms <= slowest;
    let checks = [(errors_pass, errors), (latency_passes, latency)];
    let failed: Vec<String> = checks
        .iter()
        .filter(|(passes, _)| !passes)
        .map(|(_, words)| words.clone())
        .collect();
    if failed.is_empty() {
        Verdict::Pass(checks.into_iter().map(|(_, words)| words).collect())
    } else {
        Verdict::Fail(failed)
    }
}

/// Rates and latencies weighted by their requests.
fn total<'a>(periods: impl Iterator<Item = &'a Measured>) -> Total {
    let (mut requests, mut errors, mut time) = (0.0, 0.0, 0.0);
    for period in periods {
        requests += period.requests;
        errors += period.requests * period.error_rate_percent;
        time += period.requests * period.latency_ms;
    }
    if requests <= 0.0 {
        return Total::default();
    }
    Total {
        requests,
        error_rate_percent: errors / requests,
        latency_ms: time / requests,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const LIMITS: Limits = Limits {
        min_requests: 50.0,
        error_margin_percent: 1.0,
        latency_ratio: 1.5,
        latency_margin_ms: 20.0,
    };

    /// Periods of a minute from the first one on: requests, percent, milliseconds.
    fn periods(first: i64, of: &[(f64, f64, f64)]) -> Vec<Measured> {
        (first..)
            .zip(of)
            .map(|(minute, (requests, percent, ms))| Measured {
                start: Timestamp::from_second(60 * minute).unwrap(),
                requests: *requests,
                error_rate_percent: *percent,
                latency_ms: *ms,
            })
            .collect()
    }

    fn verdict(canary: &[(f64, f64, f64)], live: &[(f64, f64, f64)]) -> Verdict {
        let periods = Periods {
            canary: periods(0, canary),
            live: periods(0, live),
        };
        compare(&periods, &LIMITS)
    }

    #[test]
    fn a_canary_passes_that_does_no_worse() {
        type Cases = [(&'static str, (f64, f64, f64), (f64, f64, f64), bool); 10];
        let cases: Cases = [
            ("the same", (100.0, 0.0, 10.0), (400.0, 0.0, 10.0), true),
            ("better", (100.0, 0.0, 5.0), (400.0, 3.0, 10.0), true),
            (
                "errors at the margin",
                (100.0, 1.0, 10.0),
                (400.0, 0.0, 10.0),
                true,
            ),
            (
                "errors above it",
                (1000.0, 1.1, 10.0),
                (400.0, 0.0, 10.0),
                false,
            ),
            (
                "a stray error or two",
                (50.0, 4.0, 10.0),
                (400.0, 0.0, 10.0),
                true,
            ),
            (
                "three of them",
                (50.0, 6.0, 10.0),
                (400.0, 0.0, 10.0),
                false,
            ),
            (
                "errors that the live one has too",
                (100.0, 30.0, 10.0),
                (400.0, 30.0, 10.0),
                true,
            ),
            (
                "three times a very short latency",
                (100.0, 0.0, 3.0),
                (400.0, 0.0, 1.0),
                true,
            ),
            (
                "latency at the ratio",
                (100.0, 0.0, 150.0),
                (400.0, 0.0, 100.0),
                true,
            ),
            (
                "latency above it",
                (100.0, 0.0, 151.0),
                (400.0, 0.0, 100.0),
                false,
            ),
        ];
        for (name, canary, live, passes) in cases {
            let verdict = verdict(&[canary], &[live]);
            assert_eq!(
                matches!(verdict, Verdict::Pass(_)),
                passes,
                "{name}: {verdict:?}"
            );
        }
    }

    #[test]
    fn only_the_minutes_that_both_have_are_compared() {
        // The live release's bad minute came before the canary's first.
        let outage = periods(0, &[(1000.0, 90.0, 900.0), (100.0, 0.0, 10.0)]);
        let periods = Periods {
            canary: periods(1, &[(60.0, 20.0, 10.0), (500.0, 0.0, 10.0)]),
            live: outage,
        };
        let Verdict::Fail(checks) = compare(&periods, &LIMITS) else {
            panic!("{:?}", compare(&periods, &LIMITS));
        };
        assert!(checks[0].contains("20.00 % of 60"), "{checks:?}");
        assert!(checks[0].contains("0.00 % of 100"), "{checks:?}");
    }

    #[test]
    fn rates_are_weighted_by_requests() {
        let canary = [(10.0, 100.0, 10.0), (990.0, 0.0, 10.0)];
        let live = [(100.0, 0.0, 10.0), (100.0, 0.0, 10.0)];
        assert!(matches!(verdict(&canary, &live), Verdict::Pass(_)));
    }

    #[test]
    fn too_few_requests_of_either_say_nothing() {
        let enough = [(100.0, 0.0, 10.0)];
        let few = [(49.0, 100.0, 10.0)];
        for (canary, live) in [(&few, &enough), (&enough, &few)] {
            assert!(matches!(verdict(canary, live), Verdict::NoData(_)));
        }
        assert!(matches!(verdict(&[], &enough), Verdict::NoData(_)));
    }
}
