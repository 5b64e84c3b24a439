//! What models predict, as functions of the test.

use std::{collections::BTreeMap, rc::Rc};

use jiff::civil::Date;

use crate::World;

/// What a model is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Store number.
    pub store: u32,
    /// Item number.
    pub item: u32,
    /// Day.
    pub date: Date,
}

impl Row {
    /// Reads `store`, `item` and `YYYY-MM-DD`.
    pub(crate) fn parse(store: &str, item: &str, date: &str) -> Option<Self> {
        Some(Self {
            store: store.parse().ok()?,
            item: item.parse().ok()?,
            date: date.parse().ok()?,
        })
    }
}

/// Sales of a make-believe retailer, whole units: higher in stores and items with higher numbers, and
/// towards the weekend. The truth for tests that need one.
pub fn demand(row: &Row) -> f64 {
    let weekday = f64::from(row.date.weekday().to_monday_zero_offset());
    20.0 + 3.0 * f64::from(row.store) + f64::from(row.item) + 2.0 * weekday
}

type Predict = Rc<dyn Fn(&Row) -> f64>;
type Matches = Rc<dyn Fn(&str) -> bool>;

type MatchesContainer = Rc<dyn Fn(&str, &BTreeMap<String, String>) -> bool>;

/// Predictors by model URI, and what containers make of their predictions; the newest last.
#[derive(Clone, Default)]
pub(crate) struct Predictors {
    by_model: Vec<(Matches, Predict)>,
    distortions: Vec<(MatchesContainer, f64)>,
}

impl Predictors {
    /// What the model at a URI predicts: 5 % more than [`demand`] unless the test said otherwise.
    pub(crate) fn of(&self, model_uri: &str) -> Predict {
        let chosen = self
            .by_model
            .iter()
            .rev()
            .find(|(matches, _)| matches(model_uri));
        chosen.map_or_else(
            || Rc::new(|row: &Row| 1.05 * demand(row)) as Predict,
            |(_, predict)| Rc::clone(predict),
        )
    }

    /// By what a container with this image and these variables multiplies what its model predicts.
    pub(crate) fn distortion(&self, image: &str, environment: &BTreeMap<String, String>) -> f64 {
        let mut chosen = self.distortions.iter().rev();
        let chosen = chosen.find(|(matches, _)| matches(image, environment));
        chosen.map_or(1.0, |(_, factor)| *factor)
    }
}

impl World {
    /// Says what models predict whose `s3://…/model.tar.gz` matches, in batch and behind the API; a
    /// newer choice wins. Without one a model predicts 5 % more than [`demand`].
    pub fn predict_with(
        &self,
        model_uri: impl Fn(&str) -> bool + 'static,
        predict: impl Fn(&Row) -> f64 + 'static,
    ) {
        let mut state = self.state.borrow_mut();
        state
            .predictors
            .by_model
            .push((Rc::new(model_uri), Rc::new(predict)));
    }

    /// Says by what containers that match multiply what their model predicts, in batch and behind the
    /// API; a newer choice wins. `container` gets the image and the container's variables.
    pub fn distort(
        &self,
        container: impl Fn(&str, &BTreeMap<String, String>) -> bool + 'static,
        factor: f64,
    ) {
        let mut state = self.state.borrow_mut();
        let distortions = &mut state.predictors.distortions;
        distortions.push((Rc::new(container), factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_choice_wins_and_others_predict_a_little_too_much() {
        let row = Row::parse("1", "2", "2024-03-04").unwrap();
        let world = World::new();
        world.predict_with(|uri| uri.contains("build-1"), |_| 1.0);
        world.predict_with(|uri| uri.contains("build-1"), |_| 2.0);
        let predicted = |uri: &str| (world.state.borrow().predictors.of(uri))(&row);
        assert!((predicted("s3://a/models/build-1") - 2.0).abs() < 1e-9);
        let other = predicted("s3://a/models/build-2");
        assert!((other / demand(&row) - 1.05).abs() < 1e-9);
    }
}
