//! Scoring from files in S3: a data set's rows and a transform job's predictions are fetched, joined
//! by row, and measured.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use dataset::{MetricsAccumulator, Prediction, predictions, rows};
use domain::{Error, Result, evaluation::Metrics, layout::Location, ports::ObjectStore};

/// A downloaded object that has to be there.
#[derive(Debug)]
pub struct Fetched {
    at: Location,
    file: PathBuf,
}

impl Fetched {
    /// Downloads an object into a folder.
    ///
    /// # Errors
    ///
    /// Permanent when there is no such object: what writes it has ended.
    pub async fn new(
        store: &impl ObjectStore,
        at: Location,
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let file = folder.join(name);
        match store.download(&at, None, &file).await? {
            Some(()) => Ok(Self { at, file }),
            None => Err(Error::permanent(format!(
                "{at} is missing, though what writes it has ended"
            ))),
        }
    }

    fn open(&self) -> Result<File> {
        File::open(&self.file).map_err(|error| {
            Error::transient(format!("opening the copy of {}", self.at)).because(error)
        })
    }

    /// Its rows of sales.
    pub fn rows(&self) -> Result<dataset::Rows<File>> {
        rows(self.open()?).map_err(|error| self.wrong(error))
    }

    /// Its predictions.
    pub fn predictions(
        &self,
    ) -> Result<impl Iterator<Item = std::result::Result<Prediction, dataset::Error>> + use<>> {
        Ok(predictions(self.open()?))
    }

    /// What is wrong with its content, with its name.
    pub fn wrong(&self, error: dataset::Error) -> Error {
        let what = format!("{}: {error}", self.at);
        match error {
            dataset::Error::Read(_) => Error::transient(what).because(error),
            _ => Error::permanent(what).because(error),
        }
    }

    /// An error when it holds another number of rows than its manifest says.
    pub fn must_hold(&self, found: u64, expected: u64) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::permanent(format!(
            "{} has {found} rows, and its manifest says {expected}",
            self.at
        )))
    }
}

/// The metrics of all pairs that were gathered; `None` when there were none.
///
/// # Errors
///
/// Permanent when an error is beyond what a number can hold.
pub fn metrics(gathered: &MetricsAccumulator) -> Result<Option<Metrics>> {
    let Some(metrics) = gathered.finish() else {
        return Ok(None);
    };
    if !metrics.mse.is_finite() {
        return Err(Error::permanent(
            "the mean squared error is beyond what a number can hold: the predictions are of no use",
        ));
    }
    Ok(Some(Metrics {
        rows: metrics.samples,
        mse: metrics.mse,
        rmse: metrics.rmse,
        mae: metrics.mae,
        r2_score: metrics.r2_score,
        accuracy: metrics.accuracy,
    }))
}
