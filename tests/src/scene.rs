//! What stories begin with: a world with an image, and data that a model can learn.

use std::fmt::Write as _;

use jiff::{ToSpan, civil::Date};
use memory::{DATA_BUCKET, Row, World, demand};
use serde_json::Value;

use crate::Pipeline;

/// First day of the data.
const FIRST: Date = Date::constant(2022, 7, 1);

/// Sales that grow by a quarter each year, so that last year's sales are a poor forecast.
pub fn sales(row: &Row) -> f64 {
    let years = f64::from((row.date - FIRST).get_days()) / 365.0;
    (demand(row) * (1.0 + 0.25 * years)).round()
}

/// A CSV file of two stores and two items.
pub fn csv(days: i64) -> String {
    let mut text = String::from("date,store,item,sales\n");
    for day in 0..days {
        let date = FIRST.saturating_add(day.days());
        for (store, item) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let row = Row { store, item, date };
            let _ = writeln!(text, "{date},{store},{item},{}", sales(&row));
        }
    }
    text
}

/// A pipeline whose models predict two per cent too much, in an environment with a clean image. The
/// image's events are delivered when `settled`.
pub fn stage() -> Pipeline {
    let world = World::new();
    world.edit_deployment(|deployment| {
        deployment.image_managers = vec!["retail-forecast-manifests".to_owned()];
    });
    world.predict_with(|_| true, |row| 1.02 * sales(row));
    Pipeline::new(world)
}

/// Pushes a clean image and lets its events be handled.
pub fn push_image(pipeline: &mut Pipeline) {
    let events = pipeline.world.push_image(
        "retail-forecast-infer",
        &["latest-dev", "build-1"],
        &[("LOW", 2)],
    );
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.settle();
}

/// The event of an upload of `days` days of sales.
pub fn upload(pipeline: &Pipeline, days: i64) -> Value {
    pipeline
        .world
        .upload(DATA_BUCKET, "training/sales_data.csv", csv(days))
}
