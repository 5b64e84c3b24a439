//! The seasonal naive forecast: what a model must beat to be of use.
//!
//! R. J. Hyndman and G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 5.2:
//! the forecast is the last observed value of the same season. The season here is the year in whole
//! weeks, 364 days, so that the weekday is the same.

use std::collections::HashMap;

use crate::day::Day;
use crate::error::Error;
use crate::metrics::{Metrics, MetricsAccumulator};
use crate::row::Row;

/// Days of history kept for each series: a year in whole weeks and a quarter more, so that holdouts
/// of up to 92 days, and series that ended up to a month before the others, find last year's value.
pub const HISTORY_DAYS: u16 = 455;
const KEPT: usize = HISTORY_DAYS as usize;
const YEAR: i32 = 364;
const WEEK: i32 = 7;
/// How many weeks around last year's day are tried when that day has no value.
const NEARBY_WEEKS: i32 = 4;

/// The last 455 days of every series of a training set: 2 KB for each.
#[derive(Debug, Default)]
pub struct SeasonalNaive {
    series: HashMap<(u32, u32), History>,
}

/// A ring of daily sales that ends with the newest day.
#[derive(Debug)]
struct History {
    newest: Day,
    /// Sales of a day at its number modulo the ring's length; NaN where there are none. In `f32`,
    /// which is exact for whole sales up to 16.7 million and else to 7 digits.
    sales: Box<[f32]>,
}

/// What the seasonal naive forecast achieves on a validation set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NaiveScore {
    /// Metrics over the rows that could be predicted; none if there are none.
    pub metrics: Option<Metrics>,
    /// Rows of series without history, which are in no metric.
    pub without_history: u64,
}

impl SeasonalNaive {
    /// Learns from training rows in any order.
    ///
    /// # Errors
    /// The first error of `rows`.
    pub fn learn(rows: impl IntoIterator<Item = Result<Row, Error>>) -> Result<Self, Error> {
        let mut model = Self::default();
        for row in rows {
            model.add(&row?);
        }
        Ok(model)
    }

    /// Learns one row.
    pub fn add(&mut self, row: &Row) {
        let history = self.series.entry((row.store, row.item));
        history
            .or_insert_with(|| History::starting(row.day))
            .add(row.day, row.sales);
    }

    /// The sales of 364 days earlier. If that day is unknown: of the nearest same weekday within
    /// four weeks of it, the earlier one first; else of the newest same weekday before `day`; else
    /// the mean of what is kept of the series. Only days before `day` are used. None for a series
    /// without any history before `day`.
    pub fn predict(&self, store: u32, item: u32, day: Day) -> Option<f64> {
        let history = self.series.get(&(store, item))?;
        let around =
            (0..=NEARBY_WEEKS).flat_map(|weeks| [YEAR + weeks * WEEK, YEAR - weeks * WEEK]);
        // The newest same weekday is at least one week back, and at most the ring's length older
        // than the newest day kept.
        let gap = day.since(history.newest).max(0);
        let first = (gap + WEEK - 1) / WEEK * WEEK;
        let recent = (first.max(WEEK)..=gap.saturating_add(i32::from(HISTORY_DAYS)))
            .step_by(WEEK.cast_unsigned() as usize);
        around
            .chain(recent)
            .find_map(|back| history.at(day.plus(-back)))
            .or_else(|| history.mean_before(day))
    }

    /// Predicts the rows of a validation set and compares with the truth.
    ///
    /// # Errors
    /// The first error of `rows`.
    pub fn score(
        &self,
        rows: impl IntoIterator<Item = Result<Row, Error>>,
    ) -> Result<NaiveScore, Error> {
        let (mut metrics, mut without_history) = (MetricsAccumulator::default(), 0);
        for row in rows {
            let row = row?;
            match self.predict(row.store, row.item, row.day) {
                Some(prediction) => metrics.add(row.sales, prediction)?,
                None => without_history += 1,
            }
        }
        Ok(NaiveScore {
            metrics: metrics.finish(),
            without_history,
        })
    }
}

impl History {
    fn starting(day: Day) -> Self {
        Self {
            newest: day,
            sales: vec![f32::NAN; KEPT].into_boxed_slice(),
        }
    }

    fn slot(day: Day) -> usize {
        let slot = day.number().rem_euclid(i32::from(HISTORY_DAYS));
        slot.cast_unsigned() as usize
    }

    fn keeps(&self, day: Day) -> bool {
        (0..i32::from(HISTORY_DAYS)).contains(&self.newest.since(day))
    }

    fn add(&mut self, day: Day, sales: f64) {
        let newer = day.since(self.newest);
        if newer > 0 {
            // The days that the ring moves over lose the values of 455 days before.
            for step in 1..=newer.min(i32::from(HISTORY_DAYS)) {
                self.sales[Self::slot(day.plus(1 - step))] = f32::NAN;
            }
            self.newest = day;
        }
        if self.keeps(day) {
            #[allow(clippy::cast_possible_truncation, reason = "stated at the field")]
            let sales = sales as f32;
            self.sales[Self::slot(day)] = sales;
        }
    }

    fn at(&self, day: Day) -> Option<f64> {
        let sales = self.keeps(day).then(|| self.sales[Self::slot(day)])?;
        (!sales.is_nan()).then(|| f64::from(sales))
    }

    fn mean_before(&self, day: Day) -> Option<f64> {
        let days = (0..i32::from(HISTORY_DAYS)).map(|back| self.newest.plus(-back));
        let (mut sum, mut count) = (0.0, 0_u32);
        for sales in days
            .filter(|&kept| kept < day)
            .filter_map(|kept| self.at(kept))
        {
            sum += sales;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;

    fn day(offset: i32) -> Day {
        Day::from(Date::constant(2017, 1, 1)).plus(offset)
    }

    fn row(offset: i32, sales: f64) -> Row {
        Row {
            day: day(offset),
            store: 1,
            item: 1,
            sales,
        }
    }

    fn learn(rows: impl IntoIterator<Item = Row>) -> SeasonalNaive {
        SeasonalNaive::learn(rows.into_iter().map(Ok)).unwrap()
    }

    #[test]
    fn the_value_of_a_year_of_weeks_ago() {
        let forwards = learn((0..1000).map(|offset| row(offset, f64::from(offset))));
        let backwards = learn((0..1000).rev().map(|offset| row(offset, f64::from(offset))));
        for ahead in 0..92 {
            let expected = Some(f64::from(1000 + ahead - 364));
            assert_eq!(forwards.predict(1, 1, day(1000 + ahead)), expected);
            assert_eq!(backwards.predict(1, 1, day(1000 + ahead)), expected);
        }
        assert_eq!(forwards.predict(1, 2, day(1000)), None);
    }

    #[test]
    fn what_is_tried_when_that_day_is_unknown() {
        let rows = || (0..400).map(|offset| row(offset, f64::from(offset)));
        let without = |gone: &'static [i32]| {
            learn(rows().filter(|row| !gone.contains(&row.day.since(day(0)))))
        };
        assert_eq!(without(&[]).predict(1, 1, day(400)), Some(36.0));
        assert_eq!(without(&[36]).predict(1, 1, day(400)), Some(29.0));
        assert_eq!(without(&[36, 29]).predict(1, 1, day(400)), Some(43.0));

        let young = learn((0..30).map(|offset| row(offset, f64::from(offset))));
        assert_eq!(young.predict(1, 1, day(30)), Some(23.0), "a week before");
        assert_eq!(young.predict(1, 1, day(40)), Some(26.0), "two weeks before");
        let other_weekdays = learn([row(0, 10.0), row(1, 20.0)]);
        assert_eq!(other_weekdays.predict(1, 1, day(9)), Some(15.0), "the mean");
        assert_eq!(young.predict(1, 1, day(0)), None, "the future is not used");
        assert_eq!(young.predict(1, 1, day(5)), Some(2.0), "nor here");
    }

    #[test]
    fn what_left_the_ring_does_not_come_back() {
        let mut model = learn((0..455).map(|offset| row(offset, 1.0)));
        model.add(&row(600, 2.0));
        model.add(&row(145, 3.0));
        assert_eq!(model.predict(1, 1, day(460)), Some(1.0), "day 453 is kept");
        assert_eq!(model.predict(1, 1, day(509)), Some(1.0), "day 145 is not");
        model.add(&row(1100, 4.0));
        assert_eq!(model.predict(1, 1, day(1101)), Some(4.0), "day 600 is not");
    }

    #[test]
    fn scores_with_the_rows_it_cannot_predict_apart() {
        let model = learn([row(0, 10.0)]);
        let unknown = Row {
            item: 2,
            ..row(364, 5.0)
        };
        let score = model.score([row(364, 8.0), unknown].map(Ok)).unwrap();
        let metrics = score.metrics.unwrap();
        assert_eq!((metrics.samples, metrics.mae), (1, 2.0));
        assert_eq!(score.without_history, 1);
    }
}
