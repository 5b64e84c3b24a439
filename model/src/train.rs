//! Training a model, and the container contract around it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::civil::Date;
use tracing::{info, warn};

use crate::forecast::{KEPT_DAYS, Model, Training};
use crate::hyperparameters::Hyperparameters;
use crate::learn::{self, Examples};
use crate::panel::{History, Panel};
use crate::sales::{Key, Sale, Table};
use crate::score::Score;
use crate::season;

/// Trains a model on `train`. The records of `validation` are never learnt from; they only lengthen
/// the history that forecasts are computed from, and since a forecast reads nothing of the
/// [`HORIZON`](crate::features::HORIZON) days before its day, the first that many days of validation
/// are forecast exactly as without them.
///
/// # Errors
///
/// A series with two values for one day.
pub fn train(
    train: &Table,
    validation: Option<&Table>,
    parameters: &Hyperparameters,
) -> Result<Model> {
    let (history, levels) = history(train)?;
    let season = history.season.clone();
    let panel = Panel::new(history);
    let forest = learn::learn(&panel, &train.rows, parameters)?;
    let training = Training {
        hyperparameters: *parameters,
        records: train.rows.len(),
        trees: forest.len(),
    };
    let history = match validation {
        None => panel.history,
        Some(validation) => {
            let rows = train.rows.iter().chain(&validation.rows);
            let (history, repeated) = History::new(rows, season, &levels);
            if !repeated.is_empty() {
                warn!(
                    records = repeated.len(),
                    "validation repeats series and days; the first value of each is kept"
                );
            }
            history
        }
    };
    Ok(Model::new(training, forest, history.keep_last(KEPT_DAYS)))
}

/// The history of the training records, each series and day once, and the series' levels.
fn history(train: &Table) -> Result<(History, BTreeMap<Key, f64>)> {
    let (season, levels) = season::fit(&train.rows);
    let (history, repeated) = History::new(train.rows.iter(), season, &levels);
    if let Some(&row) = repeated.first() {
        let Sale { key, day, .. } = train.rows[row];
        bail!(
            "{}: a second value for store {}, item {} on {}",
            train.source(row),
            key.store,
            key.item,
            Date::from(day)
        );
    }
    Ok((history, levels))
}

/// What a learner sees of `train` and of `validation`, for comparing learners on the same numbers.
/// Validation rows further than [`HORIZON`](crate::features::HORIZON) days ahead are left out.
///
/// # Errors
///
/// A series with two values for one day.
pub fn examples(
    train: &Table,
    validation: &Table,
    parameters: &Hyperparameters,
) -> Result<(Examples, Examples)> {
    let panel = Panel::new(history(train)?.0);
    Ok((
        Examples::to_learn_from(&panel, &train.rows, parameters.random_state),
        Examples::new(&panel, validation.rows.iter()),
    ))
}

/// The folders of SageMaker's container contract below one root.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, which is `/opt/ml` in a container.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the model is written, and read from when serving.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// Where the reason of a failure is written.
    pub fn failure(&self) -> PathBuf {
        self.root.join("output/failure")
    }

    fn channel(&self, name: &str) -> PathBuf {
        self.root.join("input/data").join(name)
    }

    fn hyperparameters(&self) -> Result<Hyperparameters> {
        let path = self.root.join("input/config/hyperparameters.json");
        let given: BTreeMap<String, String> = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .context("hyperparameters.json is not a JSON object of strings")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).context("hyperparameters.json"),
        };
        Ok(Hyperparameters::parse(&given)?)
    }
}

/// Runs a training job: reads hyperparameters and channels, writes the model, and reports its score
/// on the validation channel, if there is one.
///
/// # Errors
///
/// Whatever stops training, in words for the person who started it.
pub fn run(layout: &Layout) -> Result<Option<Score>> {
    let parameters = layout.hyperparameters()?;
    let records = Table::read(&layout.channel("train"))?;
    let folder = layout.channel("validation");
    let validation = folder.is_dir().then(|| Table::read(&folder)).transpose()?;
    info!(records = records.rows.len(), ?parameters, "training");
    let model = train(&records, validation.as_ref(), &parameters)?;
    let bytes = model.save(&layout.model())?;
    info!(
        series = model.series(),
        trees = model.training().trees,
        history_end = %model.history_end(),
        model_bytes = bytes,
        "trained"
    );
    let Some(validation) = validation else {
        return Ok(None);
    };
    let forecasts = model.forecast_all(&validation.rows)?;
    let actual = validation.rows.iter().map(|sale| f64::from(sale.units));
    Ok(Score::of(actual.zip(forecasts)))
}

/// Does `work`, and answers a panic as an error in its words: SageMaker shows what is in the failure file,
/// and a process that just dies writes none.
///
/// # Errors
///
/// What `work` answers, or that it panicked.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .map(|words| (*words).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        bail!(
            "a mistake in the program: {}",
            words.as_deref().unwrap_or("a panic without words")
        )
    })
}

/// Writes the reason of a failure where SageMaker looks for it.
///
/// # Errors
///
/// What the file system reports.
pub fn report_failure(file: &Path, reason: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;
    use crate::features::HORIZON;
    use crate::generate::Synthetic;

    fn split(rows: &[Sale], held_out: usize) -> (Table, Table) {
        let cut = rows
            .iter()
            .map(|s| s.day)
            .max()
            .map(|d| d.minus(held_out - 1));
        let (train, validation) = rows.iter().partition(|s| Some(s.day) < cut);
        (Table::new(train), Table::new(validation))
    }

    #[test]
    fn validation_records_are_not_seen_by_their_forecasts() {
        let rows = Synthetic {
            stores: 2,
            items: 3,
            days: 800,
            ..Synthetic::default()
        }
        .rows();
        let (known, validation) = split(&rows, HORIZON);
        let parameters = Hyperparameters::default();
        let without = train(&known, None, &parameters).unwrap();
        let with = train(&known, Some(&validation), &parameters).unwrap();
        assert!(with.history_end() > without.history_end());
        assert_eq!(
            with.forecast_all(&validation.rows).unwrap(),
            without.forecast_all(&validation.rows).unwrap()
        );
    }

    #[test]
    fn seeds_and_data_fix_the_model() {
        let rows = Synthetic {
            stores: 1,
            items: 3,
            days: 700,
            ..Synthetic::default()
        }
        .rows();
        let bytes = || {
            let model =
                train(&Table::new(rows.clone()), None, &Hyperparameters::default()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            model.save(folder.path()).unwrap();
            std::fs::read(folder.path().join(crate::forecast::MODEL_FILE)).unwrap()
        };
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn series_that_come_and_go_and_rest_are_forecast_at_their_level() {
        let mut rows = Synthetic {
            stores: 2,
            items: 5,
            days: 1000,
            ..Synthetic::default()
        }
        .rows();
        let first = rows[0].day;
        let day = |sale: &Sale| sale.day.since(first).unwrap_or(0);
        // Item 1 of store 1 is new, item 2 has a gap, item 3 is never sold, item 4 ended long ago.
        rows.retain(|s| {
            s.key.store == 2
                || match s.key.item {
                    1 => day(s) > 960,
                    2 => !(300..700).contains(&day(s)),
                    4 => day(s) < 200,
                    _ => true,
                }
        });
        for sale in &mut rows {
            if (sale.key.store, sale.key.item) == (1, 3) {
                sale.units = 0.0;
            }
        }
        let model = train(&Table::new(rows.clone()), None, &Hyperparameters::default()).unwrap();
        let mean = |of: &dyn Fn(&Sale) -> bool| {
            let units: Vec<f64> = rows
                .iter()
                .filter(|s| of(s))
                .map(|s| f64::from(s.units))
                .collect();
            units.iter().sum::<f64>() / units.len() as f64
        };
        for item in 1..=5 {
            let key = crate::sales::Key { store: 1, item };
            let units: f64 = (1000..1092)
                .map(|t| model.forecast(key, first.plus(t)).unwrap().prediction)
                .sum::<f64>()
                / 92.0;
            let usual = mean(&|s| s.key == key);
            assert!(
                units <= 2.0 * usual + 0.1 && units >= 0.4 * usual,
                "{item}: {units} {usual}"
            );
        }
    }

    #[test]
    fn a_panic_is_an_error_in_its_words() {
        let number = 7;
        let error = |work: fn(i32) -> Result<()>| caught(|| work(number)).unwrap_err().to_string();
        assert!(error(|_| panic!("no rows")).contains("no rows"));
        assert!(error(|number| panic!("{number} rows")).contains("7 rows"));
        assert_eq!(error(|_| bail!("as ever")), "as ever");
        assert_eq!(caught(|| Ok(number)).unwrap(), 7);
    }

    #[test]
    fn a_second_value_for_a_day_is_refused_with_its_place() {
        let sale = Sale {
            key: crate::sales::Key { store: 3, item: 4 },
            day: Day::from(jiff::civil::date(2017, 1, 1)),
            units: 1.0,
        };
        let table = Table::new(vec![sale, sale]);
        let error = train(&table, None, &Hyperparameters::default())
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "data row 2: a second value for store 3, item 4 on 2017-01-01"
        );
    }
}
