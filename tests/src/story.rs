//! A story, and what of the world has to be the same in the end however it was disturbed.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Value, json};

use crate::{Pipeline, normal, scene};

/// A story.
pub struct Story {
    /// What happens, in words.
    pub name: &'static str,
    /// What is compared in the end.
    pub what: What,
    /// What came before it, undisturbed.
    pub(crate) before: fn(&mut Pipeline),
    pub(crate) tell: fn(&mut Pipeline),
}

impl Story {
    /// Tells the story; `disturb` makes trouble from its beginning on.
    ///
    /// # Panics
    /// When a message ends as a dead letter: in no story one does.
    pub fn tell(&self, disturb: impl FnOnce(&mut Pipeline)) -> Pipeline {
        let mut pipeline = self.begun();
        disturb(&mut pipeline);
        (self.tell)(&mut pipeline);
        let dead = &pipeline.dead_letters;
        assert!(dead.is_empty(), "{}: {dead:?}", self.name);
        pipeline
    }

    /// What came before the story. It is told once on each thread; what follows goes on from copies of it.
    fn begun(&self) -> Pipeline {
        thread_local! {
            static BEGUN: RefCell<BTreeMap<&'static str, Pipeline>> = RefCell::default();
        }
        BEGUN.with_borrow_mut(|begun| {
            let pipeline = begun.entry(self.name).or_insert_with(|| {
                let mut pipeline = scene::stage();
                (self.before)(&mut pipeline);
                pipeline
            });
            pipeline.fork()
        })
    }

    /// How many effects the undisturbed story has.
    pub fn effects(&self) -> usize {
        let before = std::cell::Cell::new(0);
        let told = self.tell(|pipeline| before.set(pipeline.world.effects().len()));
        told.world.effects().len() - before.get()
    }
}

impl What {
    /// That part of a pipeline's world.
    pub fn of(self, pipeline: &Pipeline) -> Value {
        let world = normal(pipeline.world.snapshot().as_json());
        match self {
            Self::All => world,
            Self::MadeAndRunning => {
                let kinds = [
                    "training_jobs",
                    "transform_jobs",
                    "models",
                    "packages",
                    "endpoint_configs",
                    "endpoints",
                ];
                let made = kinds.iter().map(|kind| without_cause(&world[kind]));
                let made: Vec<Value> = made.collect();
                let deployment = &world["deployment"];
                json!({"made": made, "image": deployment["image"], "environment": deployment["environment"], "rollout": deployment["rollout"]})
            }
        }
    }
}

/// Things by name, without why a package was rejected: in the words of the cause.
fn without_cause(things: &Value) -> Value {
    let mut things = things.clone();
    for thing in things.as_object_mut().into_iter().flatten() {
        if let Some(fields) = thing.1.as_object_mut() {
            fields.remove("approval_description");
        }
    }
    things
}

/// What of the world has to be the same in the end.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// Everything.
    All,
    /// What was made and what runs. Where a model and an image arrive together, or two alarms, either
    /// may be called the cause, and that is all that differs.
    MadeAndRunning,
}
