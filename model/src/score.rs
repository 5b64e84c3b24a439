//! How good forecasts are.

use serde::{Deserialize, Serialize};

/// Errors of forecasts against what was sold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Forecasts compared.
    pub count: usize,
    /// 1 − WAPE: one minus the sum of absolute errors over the sum of units.
    pub accuracy: f64,
    /// Root of the mean squared error, units.
    pub rmse: f64,
    /// Mean absolute error, units.
    pub mae: f64,
}

impl Score {
    /// Compares pairs of (actual, forecast); `None` without any, or where nothing was sold.
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut count = 0;
        let (mut units, mut absolute, mut squared) = (0.0, 0.0, 0.0);
        for (actual, forecast) in pairs {
            let error = actual - forecast;
            count += 1;
            units += actual;
            absolute += error.abs();
            squared += error * error;
        }
        (units > 0.0).then(|| Self {
            count,
            accuracy: 1.0 - absolute / units,
            rmse: (squared / count as f64).sqrt(),
            mae: absolute / count as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_weighed_by_units() {
        let score = Score::of([(10.0, 8.0), (30.0, 34.0)]).unwrap();
        assert_eq!(score.count, 2);
        assert!((score.accuracy - (1.0 - 6.0 / 40.0)).abs() < 1e-12);
        assert!((score.rmse - 10.0_f64.sqrt()).abs() < 1e-12);
        assert!((score.mae - 3.0).abs() < 1e-12);
        assert_eq!(Score::of([(0.0, 1.0)]), None);
        assert_eq!(Score::of([]), None);
    }
}
