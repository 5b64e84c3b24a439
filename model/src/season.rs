//! The multiplicative seasonal base: units ≈ series level × weekday × month × year, fitted by
//! iterative proportional fitting, as one fits a contingency table to its margins.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::Facts;
use crate::sales::{Key, Sale};

/// Sweeps over the factors; on years of daily data the fifth changes nothing that a forecast shows.
const SWEEPS: usize = 20;

/// Factors common to all series, each with mean 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Season {
    /// Monday first.
    pub weekday: [f64; 7],
    /// January first.
    pub month: [f64; 12],
}

impl Season {
    /// The seasonal factor of a day.
    pub fn factor(&self, facts: Facts) -> f64 {
        self.weekday[facts.weekday] * self.month[facts.month]
    }
}

/// All records of a series that share year, month and weekday.
struct Cell {
    series: usize,
    year: usize,
    month: usize,
    weekday: usize,
    units: f64,
    records: f64,
}

/// Fits the factors. Returns them with each series' level: its mean daily units in an average year,
/// season taken out. The year's factor only keeps growth out of the other factors; what goes on
/// after the last year is estimated from recent levels instead.
pub fn fit(rows: &[Sale]) -> (Season, BTreeMap<Key, f64>) {
    let (keys, years, cells) = cells(rows);
    let mut level = vec![1.0; keys.len()];
    let mut weekday = [1.0; 7];
    let mut month = [1.0; 12];
    let mut year = vec![1.0; years];
    for _ in 0..SWEEPS {
        let rest = |c: &Cell, l: &[f64], w: &[f64], m: &[f64], y: &[f64]| {
            l[c.series] * w[c.weekday] * m[c.month] * y[c.year]
        };
        let fitted = margins(
            &cells,
            level.len(),
            |c| c.series,
            |c| rest(c, &level, &weekday, &month, &year),
        );
        scale(&mut level, &fitted);
        let fitted = margins(
            &cells,
            7,
            |c| c.weekday,
            |c| rest(c, &level, &weekday, &month, &year),
        );
        scale(&mut weekday, &fitted);
        let fitted = margins(
            &cells,
            12,
            |c| c.month,
            |c| rest(c, &level, &weekday, &month, &year),
        );
        scale(&mut month, &fitted);
        let fitted = margins(
            &cells,
            years,
            |c| c.year,
            |c| rest(c, &level, &weekday, &month, &year),
        );
        scale(&mut year, &fitted);
        // The product is unchanged by moving a constant between factors, so each is held at mean 1.
        let moved = centre(&mut weekday) * centre(&mut month) * centre(&mut year);
        for value in &mut level {
            *value *= moved;
        }
    }
    let levels = keys.into_iter().zip(level).collect();
    (Season { weekday, month }, levels)
}

fn cells(rows: &[Sale]) -> (Vec<Key>, usize, Vec<Cell>) {
    let first_year = rows
        .iter()
        .map(|sale| sale.day)
        .min()
        .map_or(0, |day| Date::from(day).year());
    let mut sums: BTreeMap<(Key, usize, usize, usize), (f64, f64)> = BTreeMap::new();
    for sale in rows {
        let facts = sale.day.facts();
        let year = usize::try_from(Date::from(sale.day).year() - first_year).unwrap_or(0);
        let sum = sums
            .entry((sale.key, year, facts.month, facts.weekday))
            .or_default();
        sum.0 += f64::from(sale.units);
        sum.1 += 1.0;
    }
    let mut keys: Vec<Key> = Vec::new();
    let mut years = 1;
    let cells = sums
        .into_iter()
        .map(|((key, year, month, weekday), (units, records))| {
            if keys.last() != Some(&key) {
                keys.push(key);
            }
            years = years.max(year + 1);
            Cell {
                series: keys.len() - 1,
                year,
                month,
                weekday,
                units,
                records,
            }
        })
        .collect();
    (keys, years, cells)
}

/// Observed and fitted units for each value of one factor.
fn margins(
    cells: &[Cell],
    len: usize,
    of: impl Fn(&Cell) -> usize,
    fitted: impl Fn(&Cell) -> f64,
) -> Vec<(f64, f64)> {
    let mut margins = vec![(0.0, 0.0); len];
    for cell in cells {
        let margin = &mut margins[of(cell)];
        margin.0 += cell.units;
        margin.1 += fitted(cell) * cell.records;
    }
    margins
}

/// Scales a factor so that fitted units equal observed units; what was never observed stays at 1.
fn scale(factor: &mut [f64], margins: &[(f64, f64)]) {
    for (value, (observed, fitted)) in factor.iter_mut().zip(margins) {
        if *fitted > 0.0 {
            *value *= observed / fitted;
        }
    }
}

/// Divides by the mean, and returns it.
fn centre(factor: &mut [f64]) -> f64 {
    let mean = factor.iter().sum::<f64>() / factor.len() as f64;
    if mean <= 0.0 {
        return 1.0;
    }
    for value in factor {
        *value /= mean;
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;
    use jiff::civil::date;

    #[test]
    fn factors_of_a_product_are_found_even_where_series_start_late() {
        let first = Day::from(date(2015, 1, 1));
        let mut rows = Vec::new();
        for (item, level, from) in [(1, 10.0, 0), (2, 40.0, 300)] {
            for t in from..1096 {
                let day = first.plus(t);
                let facts = day.facts();
                let weekday = if facts.weekday == 6 { 1.6 } else { 0.9 };
                let month = if facts.month == 6 { 1.55 } else { 0.95 };
                let growth = if Date::from(day).year() == 2017 {
                    1.2
                } else {
                    0.9
                };
                let units: f64 = level * weekday * month * growth;
                let text = units.to_string();
                rows.push(Sale {
                    key: Key { store: 1, item },
                    day,
                    units: text.parse().unwrap(),
                });
            }
        }
        let (season, levels) = fit(&rows);
        assert!((season.weekday[6] - 1.6).abs() < 1e-3, "{season:?}");
        assert!((season.weekday[0] - 0.9).abs() < 1e-3);
        assert!((season.month[6] - 1.55).abs() < 1e-3);
        assert!(
            (levels[&Key { store: 1, item: 2 }] - 40.0).abs() < 0.05,
            "{levels:?}"
        );
        assert!((levels[&Key { store: 1, item: 1 }] - 10.0).abs() < 0.05);
    }

    #[test]
    fn a_closed_weekday_and_an_unsold_item_give_zero() {
        let first = Day::from(date(2017, 1, 2));
        let rows: Vec<Sale> = (0..140)
            .flat_map(|t| [1, 2].map(|item| (t, item)))
            .map(|(t, item)| Sale {
                key: Key { store: 1, item },
                day: first.plus(t),
                units: if item == 2 || t % 7 == 6 { 0.0 } else { 7.0 },
            })
            .collect();
        let (season, levels) = fit(&rows);
        assert!(season.weekday[6].abs() < 1e-12);
        assert!(levels[&Key { store: 1, item: 2 }].abs() < 1e-12);
        assert!(season.month.iter().all(|value| value.is_finite()));
    }
}
