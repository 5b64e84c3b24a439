//! What the two models and the seasonal-naive forecast achieve on the very same held-out rows.

use std::path::Path;

use dataset::{MetricsAccumulator, SeasonalNaive, with_predictions};
use domain::{
    Error, Result,
    evaluation::{DatasetManifest, GoldenRow, Metrics, Plan},
    layout::Artifacts,
    ports::ObjectStore,
    records,
};
use scoring::{Fetched, metrics};

use crate::{decide::Naive, picture::Picture};

/// Rows whose predictions a deployed release has to repeat.
const GOLDEN_ROWS: u64 = 10;

/// Everything that the files say.
#[derive(Debug)]
pub(crate) struct Scored {
    /// The candidate on all rows.
    pub(crate) candidate: Option<Metrics>,
    /// The champion on all rows, when the plan has one.
    pub(crate) champion: Option<Metrics>,
    /// The seasonal-naive forecast and the candidate on the rows that both predict.
    pub(crate) naive: Option<Naive>,
    /// Rows spread evenly over all, with the candidate's predictions.
    pub(crate) golden: Vec<GoldenRow>,
    /// What the plots show.
    pub(crate) picture: Picture,
}

/// Why a plan can't be judged.
#[derive(Debug)]
pub(crate) struct Unscored {
    /// The job whose part is wrong: the training job, or the transform job of a side.
    pub(crate) job: String,
    /// What is wrong.
    pub(crate) error: Error,
}

impl Unscored {
    /// Lays an error to a job.
    pub(crate) fn of(job: &str) -> impl FnOnce(Error) -> Self + use<'_> {
        |error| Self {
            job: job.to_owned(),
            error,
        }
    }
}

/// The rows of a data set that both sides are held against.
struct Rows {
    truth: Fetched,
    seasonal: SeasonalNaive,
    expected: u64,
}

/// Scores both sides of a plan. A prediction that is missing, doubled, unknown or no number is an
/// error that names its line: a comparison on other rows would be none.
pub(crate) async fn score(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    plan: &Plan,
) -> std::result::Result<Scored, Unscored> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the predictions").because(error))
        .map_err(Unscored::of(&plan.training_job))?;
    let folder = folder.path();
    let rows = rows(store, artifacts, &plan.dataset, folder)
        .await
        .map_err(Unscored::of(&plan.training_job))?;
    let predicted = async |job: &str, name: &str| {
        let at = artifacts.prediction_rows(job);
        Fetched::new(store, at, folder, name)
            .await
            .map_err(Unscored::of(job))
    };
    let job = &plan.candidate.transform_job;
    let candidate = predicted(job, "candidate").await?;
    let mut scored = candidate_side(&rows, &candidate).map_err(Unscored::of(job))?;
    if let Some(side) = &plan.champion {
        let job = &side.transform_job;
        let champion = predicted(job, "champion").await?;
        scored.champion = champion_side(&rows, &champion).map_err(Unscored::of(job))?;
    }
    Ok(scored)
}

async fn rows(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    dataset: &str,
    folder: &Path,
) -> Result<Rows> {
    let at = artifacts.dataset_manifest(dataset);
    let manifest: DatasetManifest =
        records::require(store, &at, "the manifest of the data set").await?;
    let train = Fetched::new(store, artifacts.train_rows(dataset), folder, "train").await?;
    let at = artifacts.validation_rows(dataset);
    let truth = Fetched::new(store, at, folder, "truth").await?;
    let seasonal = SeasonalNaive::learn(train.rows()?).map_err(|error| train.wrong(error))?;
    Ok(Rows {
        truth,
        seasonal,
        expected: manifest.validation_rows,
    })
}

fn candidate_side(rows: &Rows, candidate: &Fetched) -> Result<Scored> {
    let Rows {
        truth,
        seasonal,
        expected,
    } = rows;
    let expected = *expected;
    let (mut all, mut naive, mut beside) =
        <(MetricsAccumulator, MetricsAccumulator, MetricsAccumulator)>::default();
    let chosen = spread(expected);
    let mut golden = Vec::new();
    let mut picture = Picture::of(expected);
    let mut count = 0;
    for pair in with_predictions(truth.rows()?, candidate.predictions()?) {
        let (row, prediction) = pair.map_err(|error| candidate.wrong(error))?;
        let wrong = |error| candidate.wrong(error);
        all.add(row.sales, prediction).map_err(wrong)?;
        if let Some(last_year) = seasonal.predict(row.store, row.item, row.day) {
            naive.add(row.sales, last_year).map_err(wrong)?;
            beside.add(row.sales, prediction).map_err(wrong)?;
        }
        if chosen.contains(&count) {
            golden.push(GoldenRow {
                store_id: row.store,
                item_id: row.item,
                date: row.day.date(),
                prediction,
            });
        }
        picture.add(count, &row, prediction);
        count += 1;
    }
    truth.must_hold(count, expected)?;
    let naive = metrics(&naive)?.zip(metrics(&beside)?);
    Ok(Scored {
        candidate: metrics(&all)?,
        champion: None,
        naive: naive.map(|(naive, candidate)| Naive { naive, candidate }),
        golden,
        picture,
    })
}

fn champion_side(rows: &Rows, champion: &Fetched) -> Result<Option<Metrics>> {
    let Rows {
        truth, expected, ..
    } = rows;
    let mut all = MetricsAccumulator::default();
    let mut count = 0;
    for pair in with_predictions(truth.rows()?, champion.predictions()?) {
        let (row, prediction) = pair.map_err(|error| champion.wrong(error))?;
        all.add(row.sales, prediction)
            .map_err(|error| champion.wrong(error))?;
        count += 1;
    }
    truth.must_hold(count, *expected)?;
    metrics(&all)
}

/// Up to [`GOLDEN_ROWS`] of the rows 0 to `rows` − 1, from the first to the last.
fn spread(rows: u64) -> Vec<u64> {
    let count = rows.min(GOLDEN_ROWS);
    let step = |n| n * rows.saturating_sub(1) / count.saturating_sub(1).max(1);
    (0..count).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_rows_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(0), Vec::<u64>::new());
        assert_eq!(spread(1), [0]);
        assert_eq!(spread(3), [0, 1, 2]);
        assert_eq!(spread(10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let many = spread(46_000);
        assert_eq!((many.len(), many[0], many[9]), (10, 0, 45_999));
        assert!(many.windows(2).all(|pair| pair[1] - pair[0] >= 5_110));
    }
}
