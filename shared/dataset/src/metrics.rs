//! How good a forecast is: the metrics of the evaluation and its gates, in one pass.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Metrics over n pairs of a truth y and a prediction p, with the error e = y - p and the mean truth
/// ȳ. They are null in JSON where they are undefined.
///
/// Definitions of MSE, RMSE, MAE and R² as in scikit-learn's user guide, "Metrics and scoring:
/// regression metrics", which says 0 or 1 where R² is undefined; WAPE (also MAD/Mean) as in
/// S. Kolassa and W. Schütz, "Advantages of the MAD/Mean ratio over the MAPE", Foresight 6 (2007).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of pairs.
    pub samples: u64,
    /// Mean squared error, Σe²/n, in units².
    pub mse: f64,
    /// Root mean squared error, √MSE, in units.
    pub rmse: f64,
    /// Mean absolute error, Σ|e|/n, in units.
    pub mae: f64,
    /// Coefficient of determination, 1 − Σe²/Σ(y − ȳ)²: 1 is perfect, 0 as good as the mean,
    /// unbounded below. Undefined if all truths are equal.
    pub r2_score: Option<f64>,
    /// Weighted absolute percentage error, Σ|e|/Σ|y|, as a share: 0 is perfect, unbounded above.
    /// Undefined if all truths are 0.
    pub wape: Option<f64>,
    /// 1 − WAPE: 1 is perfect, unbounded below. Undefined if all truths are 0.
    pub accuracy: Option<f64>,
}

/// Gathers [`Metrics`] pair by pair.
#[derive(Debug, Clone, Default)]
pub struct MetricsAccumulator {
    samples: u64,
    squared_errors: Sum,
    absolute_errors: Sum,
    truths: Sum,
    mean_truth: f64,
    /// Sum of squared distances of the truths from their mean, by Welford's update.
    truth_squares: f64,
}

impl MetricsAccumulator {
    /// Adds a pair.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if either is NaN or infinite; the pair is then not counted.
    pub fn add(&mut self, truth: f64, prediction: f64) -> Result<(), Error> {
        for (what, value) in [("the truth", truth), ("the prediction", prediction)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { what, value });
            }
        }
        let error = truth - prediction;
        self.samples += 1;
        self.squared_errors.add(error * error);
        self.absolute_errors.add(error.abs());
        self.truths.add(truth.abs());
        let distance = truth - self.mean_truth;
        self.mean_truth += distance / self.samples as f64;
        self.truth_squares += distance * (truth - self.mean_truth);
        Ok(())
    }

    /// The metrics; none if no pair was added: nothing measured is not a result.
    pub fn finish(&self) -> Option<Metrics> {
        if self.samples == 0 {
            return None;
        }
        let samples = self.samples as f64;
        let (squared, absolute) = (self.squared_errors.value(), self.absolute_errors.value());
        let mse = squared / samples;
        let truths = self.truths.value();
        let wape = (truths > 0.0).then(|| absolute / truths);
        Some(Metrics {
            samples: self.samples,
            mse,
            rmse: mse.sqrt(),
            mae: absolute / samples,
            r2_score: (self.truth_squares > 0.0).then(|| 1.0 - squared / self.truth_squares),
            wape,
            accuracy: wape.map(|wape| 1.0 - wape),
        })
    }
}

/// A sum of numbers of 0 or more whose error does not grow with their count. Compensation by
/// A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54
/// (1974), 39–51.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum >= value {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(pairs: &[(f64, f64)]) -> Metrics {
        let mut accumulator = MetricsAccumulator::default();
        for &(truth, prediction) in pairs {
            accumulator.add(truth, prediction).unwrap();
        }
        accumulator.finish().unwrap()
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-12 * right.abs().max(1.0)
    }

    #[test]
    fn computed_by_hand() {
        // Errors 0.5, -0.5, 0, -1: squares sum to 1.5, absolutes to 2. Truths sum to 12.5 in
        // magnitude, their mean is 2.875, their squared distances from it sum to 29.1875.
        let metrics = metrics(&[(3.0, 2.5), (-0.5, 0.0), (2.0, 2.0), (7.0, 8.0)]);
        assert_eq!(metrics.samples, 4);
        assert!(close(metrics.mse, 0.375));
        assert!(close(metrics.rmse, 0.375_f64.sqrt()));
        assert!(close(metrics.mae, 0.5));
        assert!(close(metrics.r2_score.unwrap(), 1.0 - 1.5 / 29.1875));
        assert!(close(metrics.wape.unwrap(), 0.16));
        assert!(close(metrics.accuracy.unwrap(), 0.84));
    }

    #[test]
    fn a_perfect_forecast_and_one_worse_than_nothing() {
        let perfect = metrics(&[(1.0, 1.0), (2.0, 2.0)]);
        assert_eq!((perfect.mse, perfect.r2_score), (0.0, Some(1.0)));
        assert_eq!(perfect.accuracy, Some(1.0));
        assert_eq!(metrics(&[(1.0, 4.0)]).accuracy, Some(-2.0));
    }

    #[test]
    fn what_is_undefined_is_said_so() {
        let no_sales = metrics(&[(0.0, 1.0), (0.0, 0.0)]);
        assert_eq!((no_sales.wape, no_sales.accuracy), (None, None));
        assert_eq!((no_sales.r2_score, no_sales.mae), (None, 0.5));
        assert_eq!(metrics(&[(5.0, 5.0)]).r2_score, None);
        assert_eq!(MetricsAccumulator::default().finish(), None);
    }

    #[test]
    fn what_is_not_finite_is_an_error_and_not_counted() {
        let mut accumulator = MetricsAccumulator::default();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(accumulator.add(1.0, bad).is_err());
            assert!(accumulator.add(bad, 1.0).is_err());
        }
        accumulator.add(1.0, 2.0).unwrap();
        assert_eq!(accumulator.finish().unwrap().samples, 1);
    }

    #[test]
    fn sound_over_many_and_far_from_zero() {
        let mut accumulator = MetricsAccumulator::default();
        for step in 0..1_000_000 {
            let truth = 1e8 + f64::from(step % 2);
            accumulator.add(truth, truth + 0.1).unwrap();
        }
        let metrics = accumulator.finish().unwrap();
        // Truths alternate around their mean at a distance of 0.5.
        assert!((metrics.r2_score.unwrap() - (1.0 - 0.01 / 0.25)).abs() < 1e-6);
        assert!((metrics.mae - 0.1).abs() < 1e-7);

        let mut sum = Sum::default();
        (0..10_000_000).for_each(|_| sum.add(0.1));
        assert!((sum.value() - 1e6).abs() < 1e-9);
    }
}
