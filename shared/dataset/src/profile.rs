//! Basics of the sales column, to compare one data set with another.

use serde::{Deserialize, Serialize};

/// How the sales of the accepted rows are distributed, in units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the population (divided by n).
    pub std: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Share of rows with sales of exactly 0, from 0 to 1.
    pub zero_share: f64,
    /// Quantiles.
    pub quantiles: Quantiles,
}

/// Quantiles by nearest rank, from a histogram whose bins are the same for every data set: exact for
/// whole numbers up to 126, beyond that at most 1.6 % too low.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it: p05 is the 5 % quantile")]
pub struct Quantiles {
    pub p01: f64,
    pub p05: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Bits of the mantissa that choose the bin: 64 bins for each doubling.
const BIN_BITS: u32 = 6;
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - BIN_BITS;
/// Values from 2^40 on share the last bin.
const BINS: usize = 40 << BIN_BITS;

/// The bin of a value of 0 or more. Bins are even steps of the leading bits of 1 + value, so that
/// they are narrow near 0 and a fixed share of the value elsewhere.
#[inline]
fn bin(value: f64) -> usize {
    let bits = (1.0 + value).to_bits() - 1.0_f64.to_bits();
    usize::try_from(bits >> SHIFT).map_or(BINS - 1, |bin| bin.min(BINS - 1))
}

/// The smallest value in a bin.
fn lower_edge(bin: usize) -> f64 {
    f64::from_bits(1.0_f64.to_bits() + ((bin as u64) << SHIFT)) - 1.0
}

/// Gathers a [`Profile`] in one pass.
#[derive(Debug)]
pub(crate) struct Profiler {
    count: u64,
    zeros: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    min: f64,
    max: f64,
    bins: Box<[u64]>,
}

impl Profiler {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            zeros: 0,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: 0.0,
            bins: vec![0; BINS].into_boxed_slice(),
        }
    }

    /// Adds a value of 0 or more, by Welford's update: B. P. Welford, "Note on a method for
    /// calculating corrected sums of squares and products", Technometrics 4 (1962), 419–420.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        self.zeros += u64::from(value == 0.0);
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.bins[bin(value)] += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The profile; none without values.
    pub(crate) fn finish(&self) -> Option<Profile> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f64;
        Some(Profile {
            mean: self.mean,
            std: (self.squares / count).sqrt(),
            min: self.min,
            max: self.max,
            zero_share: self.zeros as f64 / count,
            quantiles: Quantiles {
                p01: self.quantile(1),
                p05: self.quantile(5),
                p10: self.quantile(10),
                p25: self.quantile(25),
                p50: self.quantile(50),
                p75: self.quantile(75),
                p90: self.quantile(90),
                p95: self.quantile(95),
                p99: self.quantile(99),
            },
        })
    }

    fn quantile(&self, percent: u64) -> f64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut below = 0;
        let bin = self.bins.iter().position(|&count| {
            below += count;
            below >= rank
        });
        bin.map_or(self.max, lower_edge).clamp(self.min, self.max)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is compared is exact")]
mod tests {
    use super::*;

    fn profile(values: impl IntoIterator<Item = f64>) -> Profile {
        let mut profiler = Profiler::new();
        values.into_iter().for_each(|value| profiler.add(value));
        profiler.finish().unwrap()
    }

    #[test]
    fn known_distributions() {
        let one = profile((1..=100).map(f64::from));
        assert!((one.mean - 50.5).abs() < 1e-12);
        assert!((one.std - 28.866_070_047_722_12).abs() < 1e-12);
        assert_eq!((one.min, one.max, one.zero_share), (1.0, 100.0, 0.0));
        let quantiles = one.quantiles;
        assert_eq!(
            (quantiles.p01, quantiles.p25, quantiles.p50, quantiles.p99),
            (1.0, 25.0, 50.0, 99.0)
        );

        let sparse = profile([0.0, 0.0, 0.0, 7.5]);
        assert_eq!((sparse.zero_share, sparse.quantiles.p75), (0.75, 0.0));
        assert_eq!(sparse.quantiles.p99, 7.5);
        assert!(Profiler::new().finish().is_none());
    }

    #[test]
    fn a_large_offset_does_not_eat_the_deviation() {
        let profile = profile([1e9, 1e9 + 1.0, 1e9 + 2.0]);
        assert!((profile.std - (2.0_f64 / 3.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn bins_hold_what_they_promise() {
        for whole in 0..=126_u32 {
            let value = f64::from(whole);
            assert_eq!(lower_edge(bin(value)), value);
        }
        for value in [0.3, 1.1, 127.5, 1000.0, 99_999.0, 1e9] {
            let edge = lower_edge(bin(value));
            assert!(
                edge <= value && value - edge <= (1.0 + value) / 64.0,
                "{value}"
            );
        }
        assert_eq!(bin(f64::MAX), BINS - 1);
    }
}
