//! What the live model achieves on the rows that are new to it.

use dataset::{Day, MetricsAccumulator, with_predictions};
use domain::{Error, Result, evaluation::Metrics, layout::Artifacts, ports::ObjectStore};
use jiff::civil::Date;
use scoring::{Fetched, metrics};
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
    for pair in with_predictions(truth.rows()?, predicted.predictions()?) {
        let (row, prediction) = pair.map_err(|error| predicted.wrong(error))?;
        if row.day > after {
            gathered
                .add(row.sales, prediction)
                .map_err(|error| predicted.wrong(error))?;
        }
    }
    metrics(&gathered)
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the predictions").because(error))
}
