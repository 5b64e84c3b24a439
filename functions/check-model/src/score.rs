//! What the live model achieves on the rows that are new to it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use dataset::{Day, MetricsAccumulator, predictions, rows, with_predictions};
use domain::{
    Error, Result,
    evaluation::Metrics,
    layout::{Artifacts, Location},
    ports::ObjectStore,
};
use jiff::civil::Date;
use tempfile::TempDir;

use crate::plan::CheckPlan;

/// How many held-out rows of a data set lie after a day.
pub(crate) async fn count_after(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    dataset: &str,
    after: Date,
) -> Result<u64> {
    let folder = folder()?;
    let truth = Fetched::new(
        store,
        artifacts.validation_rows(dataset),
        folder.path(),
        "truth",
    )
    .await?;
    let (after, mut count) = (Day::from(after), 0);
    for row in truth.rows()? {
        let row = row.map_err(|error| truth.wrong(error))?;
        count += u64::from(row.day > after);
    }
    Ok(count)
}

/// Metrics over the rows after the plan's day; `None` when there are none. All rows have to be
/// predicted, new or not: a file with gaps is not the one that was asked for.
pub(crate) async fn score(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    plan: &CheckPlan,
) -> Result<Option<Metrics>> {
    let folder = folder()?;
    let at = artifacts.validation_rows(&plan.dataset);
    let truth = Fetched::new(store, at, folder.path(), "truth").await?;
    let at = artifacts.prediction_rows(&plan.job);
    let predicted = Fetched::new(store, at, folder.path(), "predicted").await?;
    let (after, mut gathered) = (Day::from(plan.after), MetricsAccumulator::default());
    for pair in with_predictions(truth.rows()?, predictions(predicted.open()?)) {
        let (row, prediction) = pair.map_err(|error| predicted.wrong(error))?;
        if row.day > after {
            gathered
                .add(row.sales, prediction)
                .map_err(|error| predicted.wrong(error))?;
        }
    }
    let Some(metrics) = gathered.finish() else {
        return Ok(None);
    };
    if !metrics.mse.is_finite() {
        return Err(Error::permanent(format!(
            "{}: the errors are beyond what a number can hold",
            predicted.at
        )));
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

fn folder() -> Result<TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the predictions").because(error))
}

/// A downloaded object that has to be there.
struct Fetched {
    at: Location,
    file: PathBuf,
}

impl Fetched {
    async fn new(
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

    fn rows(&self) -> Result<dataset::Rows<File>> {
        rows(self.open()?).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: dataset::Error) -> Error {
        let what = format!("{}: {error}", self.at);
        match error {
            dataset::Error::Read(_) => Error::transient(what).because(error),
            _ => Error::permanent(what).because(error),
        }
    }
}
