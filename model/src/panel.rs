//! The panel: every series' daily history, and levels of it over any window in constant time.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};

use crate::calendar::{Day, Facts};
use crate::features::HORIZON;
use crate::sales::{Key, Sale};
use crate::season::Season;

/// One series and its daily units; a day without a record is NaN (`null` in the file).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    #[serde(flatten)]
    pub(crate) key: Key,
    /// Mean daily units in an average year, season taken out.
    pub(crate) level: f64,
    #[serde(deserialize_with = "null_is_nan")]
    units: Vec<f32>,
}

fn null_is_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
    let units: Vec<Option<f32>> = Deserialize::deserialize(from)?;
    Ok(units.into_iter().map(|u| u.unwrap_or(f32::NAN)).collect())
}

/// What of a panel is stored in a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct History {
    /// The first day of every series' units.
    pub(crate) first: Day,
    /// How many days each series' units span.
    pub(crate) days: usize,
    pub(crate) season: Season,
    pub(crate) series: Vec<Series>,
}

impl History {
    /// Lays records out by series and day. Records of series without a level are left out, and so
    /// are those that repeat an earlier one's series and day: their places are returned.
    pub(crate) fn new<'a>(
        rows: impl Iterator<Item = &'a Sale> + Clone,
        season: Season,
        levels: &BTreeMap<Key, f64>,
    ) -> (Self, Vec<usize>) {
        let days = || rows.clone().map(|sale| sale.day);
        let first = days().min().unwrap_or_else(|| Day::from(Date::ZERO));
        let days = days().max().and_then(|last| last.since(first)).unwrap_or(0) + 1;
        let mut series: Vec<Series> = levels
            .iter()
            .map(|(&key, &level)| Series {
                key,
                level,
                units: vec![f32::NAN; days],
            })
            .collect();
        let index = index(&series);
        let mut repeated = Vec::new();
        for (row, sale) in rows.enumerate() {
            if let (Some(&at), Some(t)) = (index.get(&sale.key), sale.day.since(first)) {
                let cell = &mut series[at].units[t];
                if cell.is_nan() {
                    *cell = sale.units;
                } else {
                    repeated.push(row);
                }
            }
        }
        (
            Self {
                first,
                days,
                season,
                series,
            },
            repeated,
        )
    }

    /// The last `days` days only.
    pub(crate) fn keep_last(mut self, days: usize) -> Self {
        let cut = self.days.saturating_sub(days);
        for series in &mut self.series {
            series.units.drain(..cut.min(series.units.len()));
        }
        self.first = self.first.plus(cut);
        self.days -= cut;
        self
    }

    /// Whether every series spans the days it claims to, with numbers one can compute with.
    pub(crate) fn is_sound(&self) -> bool {
        let factors = self.season.weekday.iter().chain(&self.season.month);
        factors
            .chain(self.series.iter().map(|s| &s.level))
            .all(|v| v.is_finite() && *v >= 0.0)
            && !self.series.is_empty()
            && self.series.iter().all(|s| {
                s.units.len() == self.days
                    && s.units
                        .iter()
                        .all(|u| u.is_nan() || (u.is_finite() && *u >= 0.0))
            })
    }
}

fn index(series: &[Series]) -> HashMap<Key, usize> {
    series
        .iter()
        .enumerate()
        .map(|(at, s)| (s.key, at))
        .collect()
}

/// Running sums of units (season taken out) and of the units that the long-run level would have
/// given on the same days; their ratio over a window is the level of that window, 1 being average.
struct Sums {
    /// Offset of the first record.
    first: usize,
    /// Up to, not including, each day.
    daily: Vec<[f64; 2]>,
    /// The same over days of one weekday: element `t + 7` holds days `t`, `t - 7`, `t - 14`, …
    weekly: Vec<[f64; 2]>,
}

impl Sums {
    fn new(cells: &[[f64; 2]]) -> Self {
        let mut daily = Vec::with_capacity(cells.len() + 1);
        let mut weekly = vec![[0.0; 2]; cells.len() + 7];
        let mut sum = [0.0; 2];
        daily.push(sum);
        for (t, cell) in cells.iter().enumerate() {
            sum = [sum[0] + cell[0], sum[1] + cell[1]];
            daily.push(sum);
            weekly[t + 7] = [weekly[t][0] + cell[0], weekly[t][1] + cell[1]];
        }
        let first = cells
            .iter()
            .position(|cell| cell[1] > 0.0)
            .unwrap_or(cells.len());
        Self {
            first,
            daily,
            weekly,
        }
    }

    /// The level of days `from..to`.
    fn level(&self, from: usize, to: usize) -> Option<f64> {
        ratio(self.daily[from], self.daily[to])
    }

    /// The level of the `weeks` days seven days apart of which `last` is the last.
    fn weekday_level(&self, last: usize, weeks: usize) -> Option<f64> {
        let to = last + 7;
        let from = to.checked_sub(7 * weeks).unwrap_or(last % 7);
        ratio(self.weekly[from], self.weekly[to])
    }
}

fn ratio(from: [f64; 2], to: [f64; 2]) -> Option<f64> {
    let expected = to[1] - from[1];
    (expected > 1e-6).then(|| ((to[0] - from[0]) / expected).max(0.0))
}

/// Histories ready for computing features.
pub(crate) struct Panel {
    pub(crate) history: History,
    index: HashMap<Key, usize>,
    /// Facts of each day of the history and of the [`HORIZON`] after it.
    facts: Vec<Facts>,
    series: Vec<Sums>,
    pool: Sums,
}

impl Panel {
    pub(crate) fn new(history: History) -> Self {
        let facts: Vec<Facts> = (0..history.days + HORIZON)
            .map(|t| history.first.plus(t).facts())
            .collect();
        let factors: Vec<f64> = facts.iter().map(|&f| history.season.factor(f)).collect();
        let mut pool = vec![[0.0; 2]; history.days];
        let mut cells = vec![[0.0; 2]; history.days];
        let series = history
            .series
            .iter()
            .map(|series| {
                for (t, cell) in cells.iter_mut().enumerate() {
                    let units = f64::from(series.units[t]);
                    // Where the season says that nothing is ever sold, a day tells nothing of the level.
                    *cell = if units.is_nan() || factors[t] < 1e-6 {
                        [0.0; 2]
                    } else {
                        [units / factors[t], series.level]
                    };
                    pool[t] = [pool[t][0] + cell[0], pool[t][1] + cell[1]];
                }
                Sums::new(&cells)
            })
            .collect();
        Self {
            index: index(&history.series),
            facts,
            series,
            pool: Sums::new(&pool),
            history,
        }
    }

    /// The place of a series, if it is known.
    pub(crate) fn find(&self, key: Key) -> Option<usize> {
        self.index.get(&key).copied()
    }

    /// Days that features can be asked for: the history and the [`HORIZON`] after it.
    pub(crate) fn reach(&self) -> usize {
        self.facts.len()
    }

    /// Facts of day `t`, below [`Self::reach`].
    pub(crate) fn facts(&self, t: usize) -> Facts {
        self.facts[t]
    }

    /// The level of all series together over the `days` days before day `end`.
    pub(crate) fn pool_level(&self, end: usize, days: usize) -> Option<f64> {
        self.pool.level(end.saturating_sub(days), end)
    }

    /// A series' level over the `days` days before day `end`, relative to that of all series over
    /// the same days, starting no earlier than the series does.
    pub(crate) fn relative_level(&self, series: usize, end: usize, days: usize) -> Option<f64> {
        let sums = &self.series[series];
        let from = end.saturating_sub(days).max(sums.first);
        if from >= end {
            return None;
        }
        quotient(sums.level(from, end), self.pool.level(from, end))
    }

    /// As [`Self::relative_level`], over the `weeks` days with the weekday of day `last`, itself
    /// included.
    pub(crate) fn relative_weekday_level(
        &self,
        series: usize,
        last: usize,
        weeks: usize,
    ) -> Option<f64> {
        quotient(
            self.series[series].weekday_level(last, weeks),
            self.pool.weekday_level(last, weeks),
        )
    }
}

/// `a / b`, where both are known and `b` isn't zero.
pub(crate) fn quotient(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) if b > 1e-9 => Some(a / b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season;
    use jiff::civil::date;

    fn sale(item: u32, t: usize, units: f32) -> Sale {
        Sale {
            key: Key { store: 1, item },
            day: Day::from(date(2017, 1, 2)).plus(t),
            units,
        }
    }

    fn history(rows: &[Sale]) -> (History, Vec<usize>) {
        let (season, levels) = season::fit(rows);
        History::new(rows.iter(), season, &levels)
    }

    #[test]
    fn levels_follow_a_window_and_ignore_missing_days() {
        let mut rows: Vec<Sale> = (0..56).map(|t| sale(1, t, 10.0)).collect();
        rows.extend(
            (28..56)
                .filter(|t| t % 3 != 0)
                .map(|t| sale(2, t, if t < 42 { 20.0 } else { 40.0 })),
        );
        let panel = Panel::new(history(&rows).0);
        let late = panel.find(Key { store: 1, item: 2 }).unwrap();
        let before = panel.relative_level(late, 42, 14).unwrap();
        let after = panel.relative_level(late, 56, 14).unwrap();
        assert!(after > before * 1.2, "{before} {after}");
        assert_eq!(panel.relative_level(late, 28, 14), None);
        // A window that reaches back before the series' start is cut there.
        assert_eq!(
            panel.relative_level(late, 42, 42),
            panel.relative_level(late, 42, 14)
        );
        assert_eq!(panel.find(Key { store: 9, item: 9 }), None);
    }

    #[test]
    fn weekday_levels_take_only_their_weekday() {
        // Item 1 sells the same each day; item 2 sells double on the weekday of day 0.
        let rows: Vec<Sale> = (0..70)
            .flat_map(|t| {
                [
                    sale(1, t, 10.0),
                    sale(2, t, if t % 7 == 0 { 20.0 } else { 10.0 }),
                ]
            })
            .collect();
        let panel = Panel::new(history(&rows).0);
        let item = panel.find(Key { store: 1, item: 2 }).unwrap();
        let peak = panel.relative_weekday_level(item, 63, 4).unwrap();
        let other = panel.relative_weekday_level(item, 64, 4).unwrap();
        assert!(peak > 1.05 && other < 1.0, "{peak} {other}");
        assert_eq!(
            panel.relative_weekday_level(item, 64, 400),
            panel.relative_weekday_level(item, 64, 10)
        );
    }

    #[test]
    fn a_repeated_record_is_left_out_and_named_by_its_place() {
        let rows = [sale(1, 0, 1.0), sale(1, 1, 1.0), sale(1, 0, 2.0)];
        let (history, repeated) = history(&rows);
        assert_eq!(repeated, [2]);
        assert!((history.series[0].units[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_kept_end_of_a_history_is_the_same_history() {
        let rows: Vec<Sale> = (0..60).map(|t| sale(1, t, 10.0)).collect();
        let kept = history(&rows).0.keep_last(20);
        assert_eq!(kept.first, rows[40].day);
        assert!(kept.is_sound());
        assert_eq!(kept.series[0].units.len(), 20);
    }
}
