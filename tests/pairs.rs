//! A pair of files, training and validation: one data set, whichever comes first; and last month's is over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use memory::DATA_BUCKET;
use stories::{
    Pipeline,
    scene::{self, push_image},
};

fn ready() -> Pipeline {
    let mut pipeline = scene::stage();
    push_image(&mut pipeline);
    pipeline
}

/// Subjects of what people were told of rejected data.
fn rejections(pipeline: &Pipeline) -> Vec<String> {
    let notices = pipeline.world.notices().into_iter();
    notices
        .map(|notice| notice.subject)
        .filter(|subject| subject.contains("Data rejected"))
        .collect()
}

/// How many trainings were started.
fn started(pipeline: &Pipeline) -> usize {
    let decided = pipeline.decided("start-training");
    decided.iter().filter(|one| *one == "start").count()
}

/// The rows of the days from `first` on, with the head line.
fn days(text: &str, first: usize) -> String {
    let (head, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().skip(4 * first).collect();
    format!("{head}\n{}\n", rows.join("\n"))
}

#[test]
fn next_months_pair_over_last_months_is_one_data_set_in_either_order() {
    let first = |rows: &str, days: usize| {
        let rows: Vec<&str> = rows.lines().take(1 + 4 * days).collect();
        rows.join("\n") + "\n"
    };
    for validation_first in [true, false] {
        let mut pipeline = ready();
        let put = |pipeline: &Pipeline, folder: &str, rows: String| {
            let key = format!("{folder}/sales_data.csv");
            pipeline.world.upload(DATA_BUCKET, &key, rows)
        };
        let old = scene::csv(530);
        for (folder, rows) in [
            ("validation", days(&old, 500)),
            ("training", first(&old, 500)),
        ] {
            let event = put(&pipeline, folder, rows);
            pipeline.deliver(&event);
        }
        pipeline.settle();
        assert_eq!(started(&pipeline), 1);

        pipeline
            .world
            .advance(std::time::Duration::from_hours(30 * 24));
        let new = scene::csv(560);
        let mut pair = [
            ("training", first(&new, 530)),
            ("validation", days(&new, 530)),
        ];
        if validation_first {
            pair.reverse();
        }
        for (folder, rows) in pair {
            let event = put(&pipeline, folder, rows);
            pipeline.deliver(&event);
            // The first of the two is handled before the second one comes.
            pipeline.work();
            pipeline.world.advance(std::time::Duration::from_secs(20));
        }
        pipeline.settle();
        assert_eq!(pipeline.dead_letters, []);
        assert_eq!(rejections(&pipeline), Vec::<String>::new());
        assert_eq!(
            started(&pipeline),
            2,
            "validation first: {validation_first}"
        );
    }
}

#[test]
fn last_months_pair_again_makes_nothing_of_this_months() {
    let mut pipeline = ready();
    scene::last_months_pair_again(&mut pipeline);
    assert_eq!(pipeline.dead_letters, []);
    assert_eq!(started(&pipeline), 2);
    assert_eq!(pipeline.world.packages().len(), 2);
    assert_eq!(rejections(&pipeline), Vec::<String>::new());
    let decided = pipeline.decided("validate-dataset");
    assert_eq!(
        decided,
        ["accept"; 4]
            .into_iter()
            .chain(["superseded"; 2])
            .chain(["accept"; 2])
            .collect::<Vec<_>>()
    );
}
