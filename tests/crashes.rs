//! Every story, stopped before and after every effect and delivered again, ends in the same world.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use memory::{CrashPoint, Outcome, When, World};
use serde_json::{Value, json};
use stories::{Pipeline, normal, scene};

type Story = (&'static str, What, fn(&mut Pipeline));

/// What of the world has to be the same in the end.
#[derive(Clone, Copy)]
enum What {
    /// Everything.
    All,
    /// What was made and what runs. Where a model and an image arrive together, either may be what
    /// the release is caused by, and that is all that differs.
    MadeAndRunning,
}

/// Stories that begin with an empty environment, and what happens in them.
const STORIES: [Story; 9] = [
    ("a first upload", What::All, |pipeline| {
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
    }),
    (
        "an upload before its image",
        What::MadeAndRunning,
        |pipeline| {
            let upload = scene::upload(pipeline, 500);
            pipeline.deliver(&upload);
            pipeline.settle();
            scene::push_image(pipeline);
        },
    ),
    ("a broken upload", What::All, |pipeline| {
        let broken = scene::csv(500).replace("sales\n", "amount\n");
        let event = pipeline
            .world
            .upload(memory::DATA_BUCKET, "training/broken.csv", broken);
        pipeline.deliver(&event);
        pipeline.settle();
    }),
    ("a training that fails", What::All, |pipeline| {
        pipeline.world.script(
            |subject| subject.starts_with("training "),
            Outcome::Fails("out of memory".into()),
        );
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
    }),
    ("a challenger", What::All, |pipeline| {
        scene::push_image(pipeline);
        for days in [500, 560] {
            let upload = scene::upload(pipeline, days);
            pipeline.deliver(&upload);
            pipeline.settle();
        }
    }),
    ("a release that fails", What::All, |pipeline| {
        pipeline.world.script(
            |subject| subject.starts_with("rollout "),
            Outcome::Fails("no memory".into()),
        );
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
    }),
    ("a weekly check that keeps", What::All, |pipeline| {
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
        scene::refuse_a_challenger(pipeline);
        scene::monday(pipeline);
    }),
    ("a weekly check that trains again", What::All, |pipeline| {
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
        scene::refuse_a_challenger(pipeline);
        pipeline
            .world
            .predict_with(|_| true, |row| 1.4 * scene::sales(row));
        scene::monday(pipeline);
    }),
    ("an override", What::All, |pipeline| {
        scene::push_image(pipeline);
        scene::train_on(pipeline, 500);
        scene::refuse_a_challenger(pipeline);
        scene::override_refusal(pipeline);
    }),
];

fn tell(story: fn(&mut Pipeline), what: What, crash: Option<CrashPoint>) -> (Value, World) {
    let mut pipeline = scene::stage();
    pipeline.world.crash_at(crash);
    story(&mut pipeline);
    assert!(
        pipeline.dead_letters.is_empty(),
        "{crash:?}: {:?}",
        pipeline.dead_letters
    );
    let world = normal(pipeline.world.snapshot().as_json());
    (compared(&world, what), pipeline.world)
}

fn compared(world: &Value, what: What) -> Value {
    match what {
        What::All => world.clone(),
        What::MadeAndRunning => {
            let kinds = [
                "training_jobs",
                "transform_jobs",
                "models",
                "packages",
                "endpoint_configs",
                "endpoints",
            ];
            let made: Vec<&Value> = kinds.iter().map(|kind| &world[kind]).collect();
            let deployment = &world["deployment"];
            json!({"made": made, "image": deployment["image"], "environment": deployment["environment"], "rollout": deployment["rollout"]})
        }
    }
}

#[test]
fn each_story_ends_the_same_wherever_it_is_stopped() {
    let mut tried = 0;
    for (name, what, story) in STORIES {
        let (expected, world) = tell(story, what, None);
        let effects = world.effects().len();
        assert!(effects > 2, "{name} has {effects} effects");
        for effect in 1..=effects {
            for when in [When::Before, When::After] {
                let (ended, crashed) = tell(story, what, Some(CrashPoint { effect, when }));
                tried += 1;
                if ended != expected {
                    let differences = crashed.snapshot().differences(&world.snapshot()).join("\n");
                    let done: Vec<String> =
                        crashed.effects().iter().map(ToString::to_string).collect();
                    panic!(
                        "{name}, stopped {when:?} effect {effect}:\n{differences}\neffects:\n{}",
                        done.join("\n")
                    );
                }
            }
        }
        println!("{name}: {effects} effects, stopped before and after each");
    }
    println!("{tried} crash points tried, each ended in the same world");
}
