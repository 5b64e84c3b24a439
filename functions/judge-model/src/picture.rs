//! What the plots show, gathered row by row in bounded memory.

use std::collections::BTreeMap;

use dataset::{Day, Row};

/// Pairs kept for the plots; of more rows, an even sample.
const PAIRS: u64 = 100_000;

/// Actual sales beside predicted ones.
#[derive(Debug)]
pub(crate) struct Picture {
    /// One in this many rows is in `pairs`.
    pub(crate) one_in: u64,
    /// Actual and predicted sales, units.
    pub(crate) pairs: Vec<(f64, f64)>,
    /// Errors of each day, over all rows.
    pub(crate) days: BTreeMap<Day, DayErrors>,
}

/// The errors (actual − predicted) of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct DayErrors {
    rows: u64,
    sum: f64,
    squares: f64,
}

impl DayErrors {
    /// Mean error: above 0 where the model predicted too little.
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.rows.max(1) as f64
    }

    /// Standard deviation of the errors around their mean.
    pub(crate) fn deviation(&self) -> f64 {
        let mean = self.mean();
        (self.squares / self.rows.max(1) as f64 - mean * mean)
            .max(0.0)
            .sqrt()
    }
}

impl Picture {
    /// An empty picture for so many rows.
    pub(crate) fn of(rows: u64) -> Self {
        Self {
            one_in: rows.div_ceil(PAIRS).max(1),
            pairs: Vec::new(),
            days: BTreeMap::new(),
        }
    }

    /// Adds the row with this number.
    pub(crate) fn add(&mut self, number: u64, row: &Row, prediction: f64) {
        if scattered(number) <= u64::MAX / self.one_in {
            self.pairs.push((row.sales, prediction));
        }
        let error = row.sales - prediction;
        let day = self.days.entry(row.day).or_default();
        day.rows += 1;
        day.sum += error;
        day.squares += error * error;
    }
}

/// Spreads numbers over all of `u64` (Fibonacci hashing), so that a sample doesn't fall into step with
/// the series, which repeat day by day.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;

    fn row(sales: f64) -> Row {
        Row {
            day: Day::from(Date::constant(2024, 1, 1)),
            store: 1,
            item: 1,
            sales,
        }
    }

    #[test]
    fn few_rows_are_all_shown_and_of_many_an_even_sample() {
        for (rows, least, most) in [(1000, 1000, 1000), (1_000_000, 99_000, 101_000)] {
            let mut picture = Picture::of(rows);
            (0..rows).for_each(|number| picture.add(number, &row(1.0), 1.0));
            assert!(
                (least..=most).contains(&picture.pairs.len()),
                "{}",
                picture.pairs.len()
            );
        }
    }

    #[test]
    fn errors_of_a_day_by_hand() {
        let mut picture = Picture::of(2);
        picture.add(0, &row(10.0), 7.0);
        picture.add(1, &row(10.0), 11.0);
        let day = picture.days.values().next().unwrap();
        assert_eq!((day.mean(), day.deviation()), (1.0, 2.0));
    }
}
