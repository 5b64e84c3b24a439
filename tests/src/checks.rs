//! What stories ask of a pipeline.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support"
)]

use domain::{
    layout::Artifacts,
    release::{Pointer, Progress},
};
use memory::ARTIFACTS_BUCKET;
use serde_json::Value;

use crate::{Pipeline, scene};

/// The pointer.
pub fn pointer(pipeline: &Pipeline) -> Pointer {
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    serde_json::from_value(pipeline.world.read_json(&at).unwrap()).unwrap()
}

/// The parts that are quarantined.
pub fn quarantined(pipeline: &Pipeline) -> Vec<String> {
    let held = scene::quarantined(pipeline).into_iter();
    held.map(|(part, _)| part).collect()
}

/// The body of the first notice whose subject has the word.
pub fn notice(pipeline: &Pipeline, word: &str) -> String {
    let notices = pipeline.world.notices();
    let mut with_word = notices
        .iter()
        .filter(|notice| notice.subject.contains(word));
    let first = with_word.next();
    first
        .unwrap_or_else(|| panic!("nothing was told of `{word}`: {}", explain(pipeline)))
        .body
        .clone()
}

/// An alarm of what is live, and all that follows.
pub fn alarm_of_live(pipeline: &mut Pipeline) {
    let release = scene::target(pipeline).release;
    let alarm = scene::alarm(pipeline, "Error-Rate", &release);
    deliver(pipeline, &alarm);
}

/// How many messages have the word in their subject.
pub fn told(pipeline: &Pipeline, word: &str) -> usize {
    let notices = pipeline.world.notices();
    notices
        .iter()
        .filter(|notice| notice.subject.contains(word))
        .count()
}

/// Pointer, Deployment and endpoint agree on a release that was verified.
pub fn serves(pipeline: &Pipeline, release: &str) {
    let target = scene::target(pipeline);
    assert_eq!(target.release, release, "{}", explain(pipeline));
    assert_eq!(target.progress, Progress::Verified, "{}", explain(pipeline));
    assert_eq!(pointer(pipeline).known_good.unwrap().release, release);
    let world = pipeline.world.snapshot();
    let deployment = &world.as_json()["deployment"];
    assert_eq!(deployment["environment"]["DEPLOYMENT_ID"], release);
    assert_eq!(
        deployment["annotations"]["retail-forecast/release"],
        release
    );
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(pipeline));
}

/// What was decided, a line each.
pub fn explain(pipeline: &Pipeline) -> String {
    let decisions = pipeline.decisions.iter();
    let lines = decisions.map(|(function, decision)| format!("{function}: {decision}"));
    let dead = pipeline.dead_letters.iter();
    lines
        .chain(dead.map(|(function, reason)| format!("DEAD {function}: {reason}")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// An event, and all that follows.
pub fn deliver(pipeline: &mut Pipeline, event: &Value) {
    pipeline.deliver(event);
    pipeline.settle();
}

/// Release A is good; B, which has another image, is live and verified.
pub fn a_then_b() -> (Pipeline, String, String) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image(&mut pipeline, "build-2");
    let b = scene::target(&pipeline).release;
    serves(&pipeline, &b);
    assert_ne!(a, b);
    (pipeline, a, b)
}

/// How many rollbacks began; one that is finished after a crash or a repeat isn't another.
pub fn rollbacks(pipeline: &Pipeline) -> usize {
    let decisions = pipeline.decisions.iter();
    let began = decisions.filter(|(function, decision)| {
        function == "roll-back"
            && decision["decision"] == "roll-back"
            && decision["resumes"] == false
    });
    began.count()
}
