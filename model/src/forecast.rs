//! The model: forecasts for any series and date, and the file it is kept in.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::Day;
use crate::forest::Forest;
use crate::hyperparameters::Hyperparameters;
use crate::panel::{History, Panel};
use crate::sales::{Key, Sale};

/// The model's file in the model folder: gzipped JSON.
pub const MODEL_FILE: &str = "model.json.gz";

/// Days of history kept in a model, counted from its end. Features for a day after the history look
/// back [`HORIZON`](crate::features::HORIZON) + 728 days at most; the rest lets past dates be asked for.
pub const KEPT_DAYS: usize = 3 * 365 + 1;

/// The largest unpacked model that is read, bytes.
const LARGEST: u64 = 1 << 30;

/// Years a trend is carried on past the history; later years stay at that level.
const TREND_YEARS: i32 = 3;

const FORMAT: u32 = 1;

/// Why an answer isn't the model's plain forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The store and item were never seen together: the store's and the item's levels (or, where
    /// unknown, the average's) with the season and trend of all series.
    UnknownSeries,
    /// More than [`HORIZON`](crate::features::HORIZON) days after the history: the forecast for the same weekday and season of
    /// the last known year, carried on with its trend for up to three years.
    LastKnownYear,
    /// Before the history that the model holds: the same weekday and season of its first year.
    FirstKnownYear,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Units expected to be sold that day, to four decimals, never negative.
    pub prediction: f64,
    /// Set where the answer isn't the plain forecast.
    pub fallback: Option<Fallback>,
}

/// A model answered something that is no number: it is broken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model has no finite forecast for store {}, item {}", .0.store, .0.item)]
pub struct NotFinite(pub Key);

/// How a model came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// What it was told.
    pub hyperparameters: Hyperparameters,
    /// Records learnt from.
    pub records: usize,
    /// Trees that were found to help.
    pub trees: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    training: Training,
    forest: Forest,
    history: History,
}

/// A trained model.
pub struct Model {
    training: Training,
    forest: Forest,
    panel: Panel,
    stores: HashMap<u32, f64>,
    items: HashMap<u32, f64>,
    average: f64,
}

impl Model {
    pub(crate) fn new(training: Training, forest: Forest, history: History) -> Self {
        let series = &history.series;
        let means = |id: fn(Key) -> u32| {
            let mut sums: HashMap<u32, (f64, f64)> = HashMap::new();
            for s in series {
                let sum = sums.entry(id(s.key)).or_default();
                sum.0 += s.level;
                sum.1 += 1.0;
            }
            sums.into_iter()
                .map(|(id, (sum, count))| (id, sum / count))
                .collect()
        };
        Self {
            stores: means(|key| key.store),
            items: means(|key| key.item),
            average: series.iter().map(|s| s.level).sum::<f64>() / series.len().max(1) as f64,
            training,
            forest,
            panel: Panel::new(history),
        }
    }

    /// How the model came to be.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The last day with a record.
    pub fn history_end(&self) -> Date {
        self.panel
            .history
            .first
            .plus(self.panel.history.days - 1)
            .into()
    }

    /// Number of series known.
    pub fn series(&self) -> usize {
        self.panel.history.series.len()
    }

    /// Forecasts one series on one day.
    ///
    /// # Errors
    ///
    /// [`NotFinite`], if the model is broken.
    pub fn forecast(&self, key: Key, day: Day) -> Result<Forecast, NotFinite> {
        let (t, years, far) = self.known_day(day);
        let growth = self.panel.damped_growth(self.panel.history.days);
        let trend = (growth * f64::from(years.clamp(0, TREND_YEARS))).exp();
        let (units, fallback) = match self.panel.find(key) {
            Some(series) => {
                let row = self.panel.row(series, t);
                (row.base * self.forest.predict(&row.values), far)
            }
            None => (
                self.unknown_level(key) * self.panel.pooled(t),
                Some(Fallback::UnknownSeries),
            ),
        };
        let prediction = ((units * trend).max(0.0) * 1e4).round() / 1e4;
        // `max` would turn a NaN into 0, so the product itself is looked at.
        if (units * trend).is_finite() && prediction.is_finite() {
            Ok(Forecast {
                prediction,
                fallback,
            })
        } else {
            Err(NotFinite(key))
        }
    }

    fn unknown_level(&self, key: Key) -> f64 {
        match (self.stores.get(&key.store), self.items.get(&key.item)) {
            (Some(store), Some(item)) if self.average > 0.0 => store * item / self.average,
            (Some(level), _) | (None, Some(level)) => *level,
            (None, None) => self.average,
        }
    }

    /// The day of the panel that stands for `day`, and how many years before it lies.
    fn known_day(&self, day: Day) -> (usize, i32, Option<Fallback>) {
        let first = self.panel.history.first;
        let reach = self.panel.reach();
        let offset = |d: Day| d.since(first).filter(|t| *t < reach);
        if let Some(t) = offset(day) {
            return (t, 0, None);
        }
        let (step, fallback, end) = match day.since(first) {
            Some(_) => (1, Fallback::LastKnownYear, first.plus(reach - 1)),
            None => (-1, Fallback::FirstKnownYear, first),
        };
        let apart = day.since(end).or(end.since(day)).unwrap_or(0);
        let mut years = step * i32::try_from(apart / 366).unwrap_or(0);
        // At most a few steps: `years` starts less than a year short, but for leap days.
        for _ in 0..60 {
            if let Some(t) = offset(day.same_weekday(years)) {
                return (t, years, Some(fallback));
            }
            years += step;
        }
        // The panel spans less than a year: its nearest day of the same weekday.
        let weekday = day.facts().weekday;
        let nearest = (0..7)
            .map(|n| if step > 0 { reach - 1 - n } else { n })
            .find(|&t| self.panel.facts(t).weekday == weekday);
        (nearest.unwrap_or(0), years, Some(fallback))
    }

    /// Writes the model to `folder`, whole or not at all; returns the size in bytes.
    ///
    /// # Errors
    ///
    /// What the file system reports.
    pub fn save(&self, folder: &Path) -> Result<usize> {
        let stored = Stored {
            format: FORMAT,
            training: self.training.clone(),
            forest: self.forest.clone(),
            history: self.panel.history.clone(),
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        serde_json::to_writer(&mut packed, &stored)?;
        packed.flush()?;
        let bytes = packed.finish()?;
        std::fs::create_dir_all(folder)?;
        let part = folder.join(".model.part");
        std::fs::write(&part, &bytes).with_context(|| part.display().to_string())?;
        std::fs::rename(&part, folder.join(MODEL_FILE))?;
        Ok(bytes.len())
    }

    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    ///
    /// Bytes that hold no model of this format, or one that can't be computed with.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let stored: Stored =
            serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(bytes).take(LARGEST)))
                .with_context(|| format!("{MODEL_FILE} holds no model"))?;
        if stored.format != FORMAT {
            bail!("{MODEL_FILE} has format {}, not {FORMAT}", stored.format);
        }
        if !stored.forest.is_sound() || !stored.history.is_sound() {
            bail!("{MODEL_FILE} is damaged: its trees or its history can't be computed with");
        }
        Ok(Self::new(stored.training, stored.forest, stored.history))
    }

    /// The forecasts for `rows`, in their order.
    ///
    /// # Errors
    ///
    /// [`NotFinite`], if the model is broken.
    pub fn forecast_all(&self, rows: &[Sale]) -> Result<Vec<f64>, NotFinite> {
        rows.iter()
            .map(|sale| Ok(self.forecast(sale.key, sale.day)?.prediction))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Synthetic;
    use crate::sales::Table;
    use crate::train::train;
    use jiff::civil::date;

    /// Two stores, three items, 2022-01-01 to 2024-09-26.
    fn model() -> Model {
        let rows = Synthetic {
            stores: 2,
            items: 3,
            days: 1000,
            growth: 0.3,
            ..Synthetic::default()
        }
        .rows();
        train(&Table::new(rows), None, &Hyperparameters::default()).unwrap()
    }

    fn ask(model: &Model, store: u32, item: u32, day: Date) -> Forecast {
        model.forecast(Key { store, item }, day.into()).unwrap()
    }

    #[test]
    fn the_horizon_after_the_history_needs_no_fallback() {
        let model = model();
        assert_eq!(model.history_end(), date(2024, 9, 26));
        assert_eq!(ask(&model, 1, 1, date(2024, 12, 27)).fallback, None);
        assert_eq!(
            ask(&model, 1, 1, date(2024, 12, 28)).fallback,
            Some(Fallback::LastKnownYear)
        );
        assert_eq!(ask(&model, 1, 1, date(2022, 1, 1)).fallback, None);
        assert_eq!(
            ask(&model, 1, 1, date(2021, 12, 31)).fallback,
            Some(Fallback::FirstKnownYear)
        );
    }

    #[test]
    fn a_far_date_is_the_last_known_year_with_its_trend() {
        let model = model();
        let known = ask(&model, 2, 3, date(2024, 6, 13)).prediction;
        // Thursdays nearest to the same day; the trend is carried on for three years, then held.
        let next = ask(&model, 2, 3, date(2025, 6, 12)).prediction;
        let third = ask(&model, 2, 3, date(2027, 6, 10)).prediction;
        let far = ask(&model, 2, 3, date(2090, 6, 15)).prediction;
        let trend = next / known;
        assert!(trend > 1.02 && trend < 1.3, "{trend}");
        assert!((third / known - trend.powi(3)).abs() < 1e-3);
        assert!((far / third - 1.0).abs() < 1e-3, "{third} {far}");
        assert!(ask(&model, 2, 3, date(9999, 12, 31)).prediction.is_finite());
        assert!(ask(&model, 2, 3, date(-9999, 1, 1)).prediction.is_finite());
    }

    #[test]
    fn an_unknown_series_gets_what_is_known_of_its_store_and_item() {
        let model = model();
        let day = date(2024, 10, 10);
        for (store, item) in [(1, 99), (99, 2), (99, 99)] {
            let forecast = ask(&model, store, item, day);
            assert_eq!(forecast.fallback, Some(Fallback::UnknownSeries));
            assert!(forecast.prediction > 0.0);
        }
        let items: Vec<f64> = (1..=3)
            .map(|item| ask(&model, 99, item, day).prediction)
            .collect();
        assert!((items[0] - items[1]).abs() > 0.5 && (items[1] - items[2]).abs() > 0.5);
        // A known store and item that were never seen together: the product of their levels.
        let rows: Vec<_> = Synthetic {
            stores: 2,
            items: 3,
            ..Synthetic::default()
        }
        .rows();
        let missing = Key { store: 2, item: 3 };
        let kept: Vec<Sale> = rows.iter().filter(|s| s.key != missing).copied().collect();
        let without = train(&Table::new(kept), None, &Hyperparameters::default()).unwrap();
        let guess = ask(&without, 2, 3, date(2023, 6, 1));
        assert_eq!(guess.fallback, Some(Fallback::UnknownSeries));
        let truth: f64 = rows
            .iter()
            .filter(|s| s.key == missing)
            .map(|s| f64::from(s.units))
            .sum::<f64>()
            / 730.0;
        assert!(
            guess.prediction > 0.4 * truth && guess.prediction < 2.5 * truth,
            "{guess:?} {truth}"
        );
    }

    #[test]
    fn a_few_days_of_history_answer_any_date() {
        let rows = Synthetic {
            stores: 1,
            items: 1,
            days: 10,
            ..Synthetic::default()
        }
        .rows();
        let usual = rows.iter().map(|s| f64::from(s.units)).sum::<f64>() / 10.0;
        let model = train(&Table::new(rows), None, &Hyperparameters::default()).unwrap();
        for day in [
            date(1950, 5, 5),
            date(2022, 1, 3),
            date(2022, 2, 1),
            date(2040, 7, 7),
        ] {
            let forecast = ask(&model, 1, 1, day);
            assert!(
                forecast.prediction > 0.3 * usual && forecast.prediction < 3.0 * usual,
                "{day}: {forecast:?}"
            );
        }
    }

    #[test]
    fn a_model_is_the_same_after_saving_and_damage_is_refused() {
        let model = model();
        let folder = tempfile::tempdir().unwrap();
        let size = model.save(folder.path()).unwrap();
        let bytes = std::fs::read(folder.path().join(MODEL_FILE)).unwrap();
        assert_eq!(bytes.len(), size);
        let read = Model::read(&bytes).unwrap();
        for day in [date(2023, 3, 3), date(2024, 11, 11), date(2026, 1, 1)] {
            assert_eq!(ask(&read, 1, 2, day), ask(&model, 1, 2, day));
        }
        assert!(Model::read(&bytes[..size / 2]).is_err());
        assert!(Model::read(b"{}").is_err());
        for (whole, damaged) in [
            ("\"format\":1", "\"format\":2"),
            ("\"days\":1000", "\"days\":999"),
        ] {
            let mut text = String::new();
            GzDecoder::new(bytes.as_slice())
                .read_to_string(&mut text)
                .unwrap();
            assert!(text.contains(whole), "{}", &text[..200]);
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed
                .write_all(text.replace(whole, damaged).as_bytes())
                .unwrap();
            assert!(Model::read(&packed.finish().unwrap()).is_err(), "{damaged}");
        }
    }
}
