//! What the learner sees of a series on a day.
//!
//! Nothing here looks at the [`HORIZON`] days before the forecast day, so a forecast for any day up to
//! `HORIZON` after the last record is computed from the same kind of numbers as the ones learnt from.

use crate::panel::{Panel, quotient};

/// Days between a forecast day and the newest record its features may use; also how far past the
/// history a forecast reaches without a fallback.
pub const HORIZON: usize = 92;

/// Number of features.
pub const FEATURES: usize = 13;

/// Names of the features, in their order.
pub const NAMES: [&str; FEATURES] = [
    "base",
    "store",
    "item",
    "weekday",
    "month",
    "day_of_year",
    "day_of_month",
    "recent_28",
    "recent_91",
    "season_15",
    "season_43",
    "weekday_profile",
    "growth",
];

/// A year of whole weeks, days.
const YEAR: usize = 364;
/// The window a series' share of the pool is taken from, days.
const SHARE: usize = 2 * YEAR;
/// The window the pool's level is taken from, days: shorter, since it is less noisy than a series'.
const LEVEL: usize = 182;
/// How much of the last year's growth is assumed to go on (a damped trend: on held-out quarters of
/// several years one half did better than none and than all of it).
const DAMPING: f64 = 0.5;
/// The largest growth believed, as a factor a year.
const MAX_GROWTH: f64 = 1.5;

/// One day of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The seasonal base: level, season and trend, in units. Forecasts are learnt as multiples of it.
    pub base: f64,
    /// The features, in the order of [`NAMES`]; NaN where the history is too short to tell.
    pub values: [f64; FEATURES],
}

impl Panel {
    /// Features of series `s` on day `t`, below [`Panel::reach`].
    pub(crate) fn row(&self, s: usize, t: usize) -> Row {
        let series = &self.history.series[s];
        let facts = self.facts(t);
        let known = (t + 1).saturating_sub(HORIZON);
        let year = self.relative_level(s, known, YEAR);
        let share = self.relative_level(s, known, SHARE).unwrap_or(1.0);
        // The base is floored: a forecast is a multiple of it, and zero has no multiples.
        let base = (series.level * share * self.pooled(t)).max(1e-3);
        let recent = |days| quotient(self.relative_level(s, known, days), year);
        // The same season a year ago: the days around `t - YEAR`, against the year up to them.
        let season = |around: usize| {
            let end = (t + 1 + around).checked_sub(YEAR)?;
            quotient(
                self.relative_level(s, end, 2 * around + 1),
                self.relative_level(s, end, YEAR),
            )
        };
        let profile = || {
            let last = t.checked_sub(HORIZON.next_multiple_of(7))?;
            quotient(self.relative_weekday_level(s, last, 52), year)
        };
        let growth = || {
            let before = known.checked_sub(YEAR)?;
            quotient(year, self.relative_level(s, before, YEAR))
        };
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Row {
            base,
            values: [
                base,
                f64::from(series.key.store),
                f64::from(series.key.item),
                facts.weekday as f64,
                facts.month as f64,
                f64::from(facts.day_of_year),
                f64::from(facts.day_of_month),
                or_nan(recent(28)),
                or_nan(recent(91)),
                or_nan(season(7)),
                or_nan(season(21)),
                or_nan(profile()),
                or_nan(growth()),
            ],
        }
    }

    /// What a series of level 1 that is like all series together sells on day `t`: the pool's level
    /// as known [`HORIZON`] days before, carried forward with its damped trend, times the season.
    pub(crate) fn pooled(&self, t: usize) -> f64 {
        let known = (t + 1).saturating_sub(HORIZON).min(self.history.days);
        let level = self.pool_level(known, LEVEL).unwrap_or(1.0);
        let window = known.min(LEVEL) as f64;
        let lead = (t + 1 - known) as f64 + window / 2.0;
        let trend = (self.damped_growth(known) * lead / YEAR as f64).exp();
        level * trend * self.history.season.factor(self.facts(t))
    }

    /// The logarithm of the yearly growth to go on with, as known before day `known`; 0 while less
    /// than a year and a half is known.
    pub(crate) fn damped_growth(&self, known: usize) -> f64 {
        let Some(before) = known.checked_sub(YEAR) else {
            return 0.0;
        };
        let earlier = before.min(YEAR);
        if earlier < YEAR / 2 {
            return 0.0;
        }
        let years_apart = (YEAR + earlier) as f64 / 2.0 / YEAR as f64;
        quotient(self.pool_level(known, YEAR), self.pool_level(before, YEAR))
            .filter(|ratio| *ratio > 0.0)
            .map_or(0.0, |ratio| {
                let limit = MAX_GROWTH.ln();
                DAMPING * (ratio.ln() / years_apart).clamp(-limit, limit)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Synthetic;
    use crate::panel::History;
    use crate::sales::Sale;
    use crate::season;

    fn panel(rows: &[Sale], fitted_on: &[Sale]) -> Panel {
        let (season, levels) = season::fit(fitted_on);
        Panel::new(History::new(rows.iter(), season, &levels).0)
    }

    #[test]
    fn features_know_nothing_of_the_last_horizon() {
        let rows = Synthetic {
            stores: 2,
            items: 3,
            days: 900,
            ..Synthetic::default()
        }
        .rows();
        let last = rows.iter().map(|s| s.day).max().unwrap();
        let cut = last.minus(HORIZON - 1);
        let known: Vec<Sale> = rows.iter().filter(|s| s.day < cut).copied().collect();
        let all = panel(&rows, &known);
        let then = panel(&known, &known);
        for s in 0..6 {
            for t in all.history.days - HORIZON..all.history.days {
                let (a, b) = (all.row(s, t), then.row(s, t));
                assert!((a.base - b.base).abs() <= 1e-9 * a.base, "{a:?} {b:?}");
                for (x, y) in a.values.iter().zip(b.values) {
                    assert!((x - y).abs() <= 1e-9 * x.abs(), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_shortened_history_gives_the_same_features_ahead() {
        let rows = Synthetic {
            stores: 1,
            items: 2,
            days: 1500,
            ..Synthetic::default()
        }
        .rows();
        let (season, levels) = season::fit(&rows);
        let (history, _) = History::new(rows.iter(), season, &levels);
        let long = Panel::new(history.clone());
        let short = Panel::new(history.keep_last(crate::forecast::KEPT_DAYS));
        let cut = 1500 - crate::forecast::KEPT_DAYS;
        for t in 1500..1500 + HORIZON {
            let (a, b) = (long.row(1, t), short.row(1, t - cut));
            for (x, y) in a.values.iter().zip(b.values) {
                assert!((x - y).abs() <= 1e-9 * x.abs(), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_short_history_leaves_gaps_not_failures() {
        let rows = Synthetic {
            stores: 1,
            items: 1,
            days: 30,
            ..Synthetic::default()
        }
        .rows();
        let panel = panel(&rows, &rows);
        for t in 0..panel.reach() {
            let row = panel.row(0, t);
            assert!(row.base.is_finite() && row.base > 0.0);
            assert!(row.values[12].is_nan());
        }
    }

    #[test]
    fn growth_is_damped_and_bounded() {
        let mut rows = Synthetic {
            stores: 1,
            items: 1,
            days: 1200,
            ..Synthetic::default()
        }
        .rows();
        let first = rows[0].day;
        for sale in &mut rows {
            let years = sale.day.since(first).unwrap() / 364;
            sale.units = [1.0, 100.0, 10_000.0, 1e6][years];
        }
        let panel = panel(&rows, &rows);
        assert!(panel.damped_growth(1200) <= DAMPING * MAX_GROWTH.ln() + 1e-12);
        assert!(panel.damped_growth(1200) > 0.0);
        assert!(panel.damped_growth(400).abs() < 1e-12);
    }
}
