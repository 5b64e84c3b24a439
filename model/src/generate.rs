//! Generated sales: made up from a seed, for demonstrations, tests and measurements. They are no
//! observations of any shop.

use std::f64::consts::TAU;

use jiff::civil::{Date, date};

use crate::calendar::Day;
use crate::sales::{Key, Sale};

/// A panel of stores and items to generate: levels by store and item, a weekly pattern and a yearly
/// season with its own phase and strength for each item, growth, and Poisson noise.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Stores, numbered from 1.
    pub stores: u32,
    /// Items in each store, numbered from 1.
    pub items: u32,
    /// The first day.
    pub first: Date,
    /// Days of history.
    pub days: usize,
    /// Growth a year, as a share: 0.05 is five per cent.
    pub growth: f64,
    /// Equal seeds give equal data.
    pub seed: u64,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            stores: 5,
            items: 10,
            first: date(2022, 1, 1),
            days: 730,
            growth: 0.05,
            seed: 42,
        }
    }
}

/// What a store or an item brings to its series.
struct Traits {
    level: f64,
    weekday: [f64; 7],
    phase: f64,
    swing: f64,
}

impl Synthetic {
    /// The records, series after series, each in the order of its days.
    pub fn rows(&self) -> Vec<Sale> {
        let mut random = Random(self.seed);
        let stores: Vec<Traits> = (0..self.stores)
            .map(|_| Traits::draw(&mut random, 0.3))
            .collect();
        let items: Vec<Traits> = (0..self.items)
            .map(|_| Traits::draw(&mut random, 0.6))
            .collect();
        let first = Day::from(self.first);
        let days: Vec<_> = (0..self.days)
            .map(|t| {
                let day = first.plus(t);
                let facts = day.facts();
                let trend = 1.0 + self.growth * t as f64 / 365.0;
                (
                    day,
                    facts.weekday,
                    TAU * f64::from(facts.day_of_year) / 365.25,
                    trend,
                )
            })
            .collect();
        let mut rows = Vec::with_capacity(stores.len() * items.len() * days.len());
        for (store, s) in (1..).zip(&stores) {
            for (item, i) in (1..).zip(&items) {
                for &(day, weekday, angle, trend) in &days {
                    let season = 1.0 + i.swing * (angle + i.phase).sin();
                    let week = s.weekday[weekday] * i.weekday[weekday];
                    let mean = 40.0 * s.level * i.level * week * season * trend;
                    let units = random.poisson(mean);
                    rows.push(Sale {
                        key: Key { store, item },
                        day,
                        units,
                    });
                }
            }
        }
        rows
    }
}

impl Traits {
    fn draw(random: &mut Random, spread: f64) -> Self {
        const WEEK: [f64; 7] = [0.90, 0.94, 0.95, 1.0, 1.03, 1.09, 1.09];
        Self {
            level: (spread * random.normal()).exp(),
            weekday: WEEK.map(|share| share * (0.05 * random.normal()).exp()),
            phase: TAU * random.uniform(),
            swing: 0.1 + 0.3 * random.uniform(),
        }
    }
}

/// SplitMix64: enough for made-up data, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }

    /// Whole units: exact for small means, rounded from the normal distribution from 30 on.
    fn poisson(&mut self, mean: f64) -> f32 {
        if mean < 30.0 {
            let floor = (-mean).exp();
            let mut units = 0.0;
            let mut product = self.uniform();
            while product > floor {
                units += 1.0;
                product *= self.uniform();
            }
            return units;
        }
        let drawn = (mean + mean.sqrt() * self.normal()).round().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a daily count is far below 2^24, so exact"
        )]
        let units = drawn as f32;
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_data_and_another_changes_it() {
        let spec = Synthetic {
            stores: 2,
            items: 3,
            days: 400,
            ..Synthetic::default()
        };
        assert_eq!(spec.rows(), spec.rows());
        assert_ne!(
            spec.rows(),
            Synthetic {
                seed: 43,
                ..spec.clone()
            }
            .rows()
        );
        assert_eq!(spec.rows().len(), 2 * 3 * 400);
    }

    #[test]
    fn poisson_draws_have_their_mean_and_variance() {
        let mut random = Random(1);
        for mean in [0.5, 12.0, 29.0, 200.0] {
            let draws: Vec<f64> = (0..20_000)
                .map(|_| f64::from(random.poisson(mean)))
                .collect();
            let average = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|d| (d - average).powi(2)).sum::<f64>() / 20_000.0;
            assert!((average / mean - 1.0).abs() < 0.04, "{mean}: {average}");
            assert!((variance / mean - 1.0).abs() < 0.08, "{mean}: {variance}");
        }
    }

    #[test]
    fn weekends_sell_more_and_years_grow() {
        let rows = Synthetic {
            growth: 0.3,
            days: 1092,
            ..Synthetic::default()
        }
        .rows();
        let first = Day::from(date(2022, 1, 1));
        let mean = |of: &dyn Fn(&Sale) -> bool| {
            let kept: Vec<f64> = rows
                .iter()
                .filter(|s| of(s))
                .map(|s| f64::from(s.units))
                .collect();
            kept.iter().sum::<f64>() / kept.len() as f64
        };
        let year = |n: usize| move |s: &Sale| s.day.since(first).unwrap() / 364 == n;
        assert!(
            mean(&|s| s.day.facts().weekday == 5) > 1.1 * mean(&|s| s.day.facts().weekday == 0)
        );
        assert!(mean(&year(2)) > 1.3 * mean(&year(0)));
    }
}
