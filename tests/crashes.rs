//! Every story, stopped before and after every effect and delivered again, ends in the same world.

use memory::{CrashPoint, Outcome, When, World};
use serde_json::Value;
use stories::{Pipeline, normal, scene};

type Story = (&'static str, fn(&mut Pipeline));

/// Stories that begin with an empty environment, and what happens in them.
const STORIES: [Story; 6] = [
    ("a first upload", |pipeline| {
        scene::push_image(pipeline);
        let upload = scene::upload(pipeline, 500);
        pipeline.deliver(&upload);
        pipeline.settle();
    }),
    ("an upload before its image", |pipeline| {
        let upload = scene::upload(pipeline, 500);
        pipeline.deliver(&upload);
        pipeline.settle();
        scene::push_image(pipeline);
    }),
    ("a broken upload", |pipeline| {
        let broken = scene::csv(500).replace("sales\n", "amount\n");
        let event = pipeline
            .world
            .upload(memory::DATA_BUCKET, "training/broken.csv", broken);
        pipeline.deliver(&event);
        pipeline.settle();
    }),
    ("a training that fails", |pipeline| {
        pipeline.world.script(
            |subject| subject.starts_with("training "),
            Outcome::Fails("out of memory".into()),
        );
        scene::push_image(pipeline);
        let upload = scene::upload(pipeline, 500);
        pipeline.deliver(&upload);
        pipeline.settle();
    }),
    ("a challenger", |pipeline| {
        scene::push_image(pipeline);
        for days in [500, 560] {
            let upload = scene::upload(pipeline, days);
            pipeline.deliver(&upload);
            pipeline.settle();
        }
    }),
    ("a release that fails", |pipeline| {
        pipeline.world.script(
            |subject| subject.starts_with("rollout "),
            Outcome::Fails("no memory".into()),
        );
        scene::push_image(pipeline);
        let upload = scene::upload(pipeline, 500);
        pipeline.deliver(&upload);
        pipeline.settle();
    }),
];

fn tell(story: fn(&mut Pipeline), crash: Option<CrashPoint>) -> (Value, World) {
    let mut pipeline = scene::stage();
    pipeline.world.crash_at(crash);
    story(&mut pipeline);
    assert!(
        pipeline.dead_letters.is_empty(),
        "{crash:?}: {:?}",
        pipeline.dead_letters
    );
    (normal(pipeline.world.snapshot().as_json()), pipeline.world)
}

#[test]
fn each_story_ends_the_same_wherever_it_is_stopped() {
    let mut tried = 0;
    for (name, story) in STORIES {
        let (expected, world) = tell(story, None);
        let effects = world.effects().len();
        assert!(effects > 2, "{name} has {effects} effects");
        for effect in 1..=effects {
            for when in [When::Before, When::After] {
                let (ended, crashed) = tell(story, Some(CrashPoint { effect, when }));
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
