//! What the two models and the seasonal-naive forecast achieve on the very same held-out rows.

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

/// Scores both sides of a plan. A prediction that is missing, doubled, unknown or no number is an
/// error that names its line: a comparison on other rows would be none.
pub(crate) async fn score(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    plan: &Plan,
) -> Result<Scored> {
    let manifest: DatasetManifest = records::require(
        store,
        &artifacts.dataset_manifest(&plan.dataset),
        "the manifest of the data set",
    )
    .await?;
    let folder = tempfile::tempdir()
        .map_err(|error| Error::transient("making a folder for the predictions").because(error))?;
    let folder = folder.path();
    let train = Fetched::new(store, artifacts.train_rows(&plan.dataset), folder, "train").await?;
    let truth = Fetched::new(
        store,
        artifacts.validation_rows(&plan.dataset),
        folder,
        "truth",
    )
    .await?;
    let at = artifacts.prediction_rows(&plan.candidate.transform_job);
    let candidate = Fetched::new(store, at, folder, "candidate").await?;
    let champion = match &plan.champion {
        Some(side) => {
            let at = artifacts.prediction_rows(&side.transform_job);
            Some(Fetched::new(store, at, folder, "champion").await?)
        }
        None => None,
    };

    let seasonal = SeasonalNaive::learn(train.rows()?).map_err(|error| train.wrong(error))?;
    let mut scored = candidate_side(&truth, &candidate, &seasonal, manifest.validation_rows)?;
    if let Some(champion) = champion {
        scored.champion = champion_side(&truth, &champion, manifest.validation_rows)?;
    }
    Ok(scored)
}

fn candidate_side(
    truth: &Fetched,
    candidate: &Fetched,
    seasonal: &SeasonalNaive,
    expected: u64,
) -> Result<Scored> {
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

fn champion_side(truth: &Fetched, champion: &Fetched, expected: u64) -> Result<Option<Metrics>> {
    let mut all = MetricsAccumulator::default();
    let mut count = 0;
    for pair in with_predictions(truth.rows()?, champion.predictions()?) {
        let (row, prediction) = pair.map_err(|error| champion.wrong(error))?;
        all.add(row.sales, prediction)
            .map_err(|error| champion.wrong(error))?;
        count += 1;
    }
    truth.must_hold(count, expected)?;
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
