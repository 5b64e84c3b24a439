//! Learning: trees that correct the seasonal base, their number chosen on days held out.

use anyhow::{Result, anyhow, bail};
use forust_ml::gradientbooster::GrowPolicy;
use forust_ml::metric::{Metric, root_mean_squared_error};
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};

use crate::features::{FEATURES, HORIZON};
use crate::forest::Forest;
use crate::generate::Random;
use crate::hyperparameters::Hyperparameters;
use crate::panel::Panel;
use crate::sales::Sale;

/// Rows learnt from at most, drawn at random from more: it bounds time and memory, and accuracy on
/// the 13 features no longer gains from more.
const MAX_ROWS: usize = 500_000;
/// Days learnt from: recent years tell most of the next months, and memory is bounded.
const LEARNT_DAYS: usize = 728;
/// Days of history after which every feature is known.
const FULL_FEATURES: usize = HORIZON + 364;
/// Days of history after which the base is worth correcting.
const FIRST_FEATURES: usize = HORIZON + 28;
/// The fewest days that show a season.
const FEWEST_DAYS: usize = 182;

/// The fewest days learnt from for the number of trees to be judged.
const FEWEST_LEARNT_DAYS: usize = 28;
/// Stretches of time that are held out in turn.
const BLOCKS: usize = 4;

const LEARNING_RATE: f32 = 0.1;
/// Trees without gain on held-out days before learning stops.
const PATIENCE: usize = 15;
/// The least weight of a leaf, in average rows.
const LEAF_ROWS: f32 = 20.0;
/// Multiples of the base beyond this are cut off, so that a series' revival from nearly nothing
/// doesn't drown all others.
const LARGEST_RATIO: f64 = 10.0;

/// Rows of features and what is to be learnt of them.
#[derive(Debug)]
pub struct Examples {
    /// [`FEATURES`] columns, one after the other, of as many values as there are rows.
    pub columns: Vec<f64>,
    /// Units sold as a multiple of the base: what is learnt.
    pub ratios: Vec<f64>,
    /// The base over its mean: with it the squared error of a ratio weighs what the variance of a
    /// count does, and large series count for more, as they do in the accuracy.
    pub weights: Vec<f64>,
    /// Offset of each row's day from the first day of the history.
    pub days: Vec<usize>,
}

impl Examples {
    /// The rows that trees are learnt from: recent ones with most features known, and of very many a
    /// draw.
    pub(crate) fn to_learn_from(panel: &Panel, rows: &[Sale], seed: u64) -> Self {
        let first = panel.history.first;
        let end = rows
            .iter()
            .filter_map(|sale| sale.day.since(first))
            .max()
            .map_or(0, |t| t + 1);
        let recent = end.saturating_sub(LEARNT_DAYS);
        let start = if end >= FULL_FEATURES + FEWEST_DAYS {
            recent.max(FULL_FEATURES)
        } else {
            recent.max(FIRST_FEATURES)
        };
        let from = first.plus(start);
        let recent = || rows.iter().filter(|sale| sale.day >= from);
        let count = recent().count();
        let share = MAX_ROWS as f64 / count as f64;
        let mut random = Random(seed);
        Self::new(
            panel,
            recent().filter(|_| count <= MAX_ROWS || random.uniform() < share),
        )
    }

    /// The examples of all `rows` that are of known series and within the panel's reach.
    pub(crate) fn new<'a>(panel: &Panel, rows: impl Iterator<Item = &'a Sale>) -> Self {
        let places: Vec<(usize, usize, f64)> = rows
            .filter_map(|sale| {
                let t = sale
                    .day
                    .since(panel.history.first)
                    .filter(|t| *t < panel.reach())?;
                Some((panel.find(sale.key)?, t, f64::from(sale.units)))
            })
            .collect();
        let count = places.len();
        let mut columns = vec![0.0; FEATURES * count];
        let mut ratios = Vec::with_capacity(count);
        let mut weights = Vec::with_capacity(count);
        for (at, &(series, t, units)) in places.iter().enumerate() {
            let row = panel.row(series, t);
            for (feature, value) in row.values.iter().enumerate() {
                columns[feature * count + at] = *value;
            }
            ratios.push((units / row.base).min(LARGEST_RATIO));
            weights.push(row.base);
        }
        let mean = weights.iter().sum::<f64>() / count.max(1) as f64;
        for weight in &mut weights {
            *weight /= mean;
        }
        let days = places.into_iter().map(|(_, t, _)| t).collect();
        Self {
            columns,
            ratios,
            weights,
            days,
        }
    }

    /// How many rows there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// The rows at `places`, on their own.
    fn subset(&self, places: &[usize]) -> Self {
        let pick = |from: &[f64]| places.iter().map(|&at| from[at]).collect::<Vec<_>>();
        Self {
            columns: self.columns.chunks(self.len()).flat_map(pick).collect(),
            ratios: pick(&self.ratios),
            weights: pick(&self.weights),
            days: places.iter().map(|&at| self.days[at]).collect(),
        }
    }

    fn matrix(&self) -> Matrix<'_, f64> {
        Matrix::new(&self.columns, self.len(), FEATURES)
    }
}

/// Fits trees to `rows`, as many as help on days not learnt from. None where the history is too
/// short, or where they don't help.
pub(crate) fn learn(panel: &Panel, rows: &[Sale], parameters: &Hyperparameters) -> Result<Forest> {
    let examples = Examples::to_learn_from(panel, rows, parameters.random_state);
    let trees = choose_trees(&examples, parameters)?;
    if trees == 0 {
        return Ok(Forest::constant(1.0));
    }
    let mut booster = booster(parameters, trees);
    fit(&mut booster, &examples, None)?;
    let forest = Forest::from_booster(&booster)?;
    if !forest.is_sound() {
        bail!("the learner made a forest that can't be walked");
    }
    Ok(forest)
}

/// The number of trees with the least error on days not learnt from: each of [`BLOCKS`] stretches of
/// time is held out in turn, so that no single season decides. That a block's trees also learn from
/// later days is no foresight, as no example's features are newer than its horizon.
fn choose_trees(examples: &Examples, parameters: &Hyperparameters) -> Result<usize> {
    let (Some(&from), Some(&to)) = (examples.days.iter().min(), examples.days.iter().max()) else {
        return Ok(0);
    };
    let span = to + 1 - from;
    if span < FEWEST_LEARNT_DAYS {
        return Ok(0);
    }
    let mut curves = Vec::with_capacity(BLOCKS);
    for block in 0..BLOCKS {
        let days = from + span * block / BLOCKS..from + span * (block + 1) / BLOCKS;
        let (held_out, learnt): (Vec<usize>, Vec<usize>) =
            (0..examples.len()).partition(|&at| days.contains(&examples.days[at]));
        // A gap in the data can leave a block empty.
        if !held_out.is_empty() && !learnt.is_empty() {
            let learnt = examples.subset(&learnt);
            let held_out = examples.subset(&held_out);
            curves.push(held_out_errors(&learnt, &held_out, parameters)?);
        }
    }
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    // Where a block stopped early, more trees would not have done better than its last one.
    let total = |trees: usize| -> f64 {
        curves
            .iter()
            .filter_map(|curve| curve.get(trees).or(curve.last()))
            .sum()
    };
    Ok((0..longest)
        .min_by(|&a, &b| total(a).total_cmp(&total(b)))
        .unwrap_or(0))
}

/// The weighted sum of squared errors on `held_out` with 0, 1, 2, … trees fitted to `learnt`, until
/// more trees stop helping.
fn held_out_errors(
    learnt: &Examples,
    held_out: &Examples,
    parameters: &Hyperparameters,
) -> Result<Vec<f64>> {
    let weight: f64 = held_out.weights.iter().sum();
    let untouched = vec![1.0; held_out.len()];
    let untouched = root_mean_squared_error(&held_out.ratios, &untouched, &held_out.weights);
    let mut booster = booster(parameters, parameters.n_estimators)
        .set_evaluation_metric(Some(Metric::RootMeanSquaredError))
        .set_early_stopping_rounds(Some(PATIENCE));
    fit(&mut booster, learnt, Some(held_out))?;
    let history = booster.evaluation_history;
    let fitted = history.map(|history| history.data).unwrap_or_default();
    let errors = std::iter::once(untouched).chain(fitted);
    Ok(errors.map(|rmse| rmse * rmse * weight).collect())
}

fn booster(parameters: &Hyperparameters, trees: usize) -> GradientBooster {
    let mut booster = GradientBooster::default()
        .set_objective_type(ObjectiveType::SquaredLoss)
        .set_iterations(trees)
        .set_learning_rate(LEARNING_RATE)
        .set_max_depth(parameters.max_depth)
        .set_max_leaves(parameters.max_leaves)
        .set_min_leaf_weight(LEAF_ROWS)
        .set_base_score(1.0)
        .set_initialize_base_score(false)
        .set_seed(parameters.random_state)
        .set_tiled_histograms(true)
        // On few cores the threads wait for one another more than they work.
        .set_parallel(false);
    booster.grow_policy = GrowPolicy::LossGuide;
    booster
}

/// Fits to all of `examples`. (The learner's matrix can also name the rows to take, but with some
/// left out it fits nonsense; so rows are left out by copying the others.)
fn fit(
    booster: &mut GradientBooster,
    examples: &Examples,
    held_out: Option<&Examples>,
) -> Result<()> {
    let held_out = held_out.map(|h| vec![(h.matrix(), h.ratios.as_slice(), h.weights.as_slice())]);
    booster
        .fit(
            &examples.matrix(),
            &examples.ratios,
            &examples.weights,
            held_out,
        )
        .map_err(|error| anyhow!("learning: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Synthetic;
    use crate::panel::History;
    use crate::score::Score;
    use crate::season;

    /// Learns from all but the last horizon of generated sales, and returns what is then needed to
    /// score on it.
    fn learnt(spec: &Synthetic) -> (Panel, Forest, Vec<Sale>) {
        let rows = spec.rows();
        let cut = rows.iter().map(|s| s.day).max().unwrap().minus(HORIZON - 1);
        let (known, later): (Vec<Sale>, Vec<Sale>) = rows.iter().partition(|s| s.day < cut);
        let (season, levels) = season::fit(&known);
        let panel = Panel::new(History::new(known.iter(), season, &levels).0);
        let forest = learn(&panel, &known, &Hyperparameters::default()).unwrap();
        (panel, forest, later)
    }

    fn accuracy(panel: &Panel, forest: &Forest, rows: &[Sale]) -> f64 {
        let pairs = rows.iter().map(|sale| {
            let t = sale.day.since(panel.history.first).unwrap();
            let row = panel.row(panel.find(sale.key).unwrap(), t);
            (
                f64::from(sale.units),
                row.base * forest.predict(&row.values),
            )
        });
        Score::of(pairs).unwrap().accuracy
    }

    #[test]
    fn two_years_of_a_few_series_are_enough_for_trees() {
        let (panel, forest, later) = learnt(&Synthetic::default());
        let base = accuracy(&panel, &Forest::constant(1.0), &later);
        let trees = accuracy(&panel, &forest, &later);
        assert!(forest.len() > 20, "{} trees", forest.len());
        assert!(trees > base + 0.03, "base {base}, trees {trees}");
    }

    #[test]
    fn trees_learn_what_the_common_season_misses() {
        let spec = Synthetic {
            stores: 4,
            items: 8,
            days: 1300,
            ..Synthetic::default()
        };
        let (panel, forest, later) = learnt(&spec);
        let base = accuracy(&panel, &Forest::constant(1.0), &later);
        let trees = accuracy(&panel, &forest, &later);
        assert!(trees > base + 0.05, "base {base}, trees {trees}");
        assert!(trees > 0.83, "{trees}");
    }

    #[test]
    fn the_stored_trees_answer_as_the_learner_does() {
        let rows = Synthetic {
            stores: 2,
            items: 3,
            ..Synthetic::default()
        }
        .rows();
        let (season, levels) = season::fit(&rows);
        let panel = Panel::new(History::new(rows.iter(), season, &levels).0);
        let examples = Examples::to_learn_from(&panel, &rows, 1);
        let mut booster = booster(&Hyperparameters::default(), 30);
        fit(&mut booster, &examples, None).unwrap();
        let forest = Forest::from_booster(&booster).unwrap();
        let theirs = booster.predict(&examples.matrix(), false);
        assert!(forest.is_sound());
        for (at, answer) in theirs.iter().enumerate() {
            let mut values = [0.0; FEATURES];
            for (feature, value) in values.iter_mut().enumerate() {
                *value = examples.columns[feature * examples.len() + at];
            }
            assert!((forest.predict(&values) - answer).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_learnt_from_are_bounded_and_drawn_by_the_seed() {
        let rows = Synthetic {
            stores: 20,
            items: 40,
            days: 1300,
            ..Synthetic::default()
        }
        .rows();
        let (season, levels) = season::fit(&rows);
        let panel = Panel::new(History::new(rows.iter(), season, &levels).0);
        let one = Examples::to_learn_from(&panel, &rows, 1);
        assert!(
            one.len().abs_diff(MAX_ROWS) < MAX_ROWS / 100,
            "{}",
            one.len()
        );
        assert_eq!(one.days, Examples::to_learn_from(&panel, &rows, 1).days);
        assert_ne!(one.days, Examples::to_learn_from(&panel, &rows, 2).days);
        let mean = one.weights.iter().sum::<f64>() / one.len() as f64;
        assert!((mean - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_history_too_short_for_trees_has_none() {
        for days in [5, 100, 140] {
            let spec = Synthetic {
                stores: 1,
                items: 2,
                days: days + HORIZON,
                ..Synthetic::default()
            };
            let (panel, forest, later) = learnt(&spec);
            assert_eq!(forest.len(), 0);
            assert!(accuracy(&panel, &forest, &later).is_finite());
        }
    }
}
