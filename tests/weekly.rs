//! What people and the calendar ask for: the weekly check, a retraining, an override.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use memory::World;
use serde_json::Value;
use stories::{Pipeline, scene};

fn training_jobs(world: &World) -> usize {
    let world = world.snapshot();
    world.as_json()["training_jobs"].as_object().unwrap().len()
}

/// How each check ended: verdict and reason.
fn verdicts(pipeline: &Pipeline) -> Vec<(String, String)> {
    let of_check = |(function, decision): &(String, Value)| {
        let concluded = function == "check-model" && decision["decision"] == "conclude";
        concluded.then(|| {
            let text = |name: &str| decision[name].as_str().unwrap().to_owned();
            (text("verdict"), text("reason"))
        })
    };
    pipeline.decisions.iter().filter_map(of_check).collect()
}

fn deployed(pipeline: &Pipeline) -> String {
    pipeline.world.snapshot().as_json()["deployment"].to_string()
}

fn the_verdict(pipeline: &Pipeline) -> (String, String) {
    let verdicts = verdicts(pipeline);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts[0].clone()
}

#[test]
fn a_check_without_newer_days_is_no_data() {
    let mut pipeline = scene::live();
    scene::monday(&mut pipeline);
    let (verdict, reason) = the_verdict(&pipeline);
    assert_eq!(verdict, "no-data");
    assert!(
        reason.contains("is the one that the live model comes from"),
        "{reason}"
    );
    assert_eq!(training_jobs(&pipeline.world), 1);
}

#[test]
fn a_model_that_holds_is_kept() {
    let mut pipeline = scene::live();
    scene::refuse_a_challenger(&mut pipeline);
    let before = training_jobs(&pipeline.world);
    scene::monday(&mut pipeline);
    let (verdict, reason) = the_verdict(&pipeline);
    assert_eq!(verdict, "keep", "{reason}");
    assert_eq!(training_jobs(&pipeline.world), before);
}

#[test]
fn a_model_that_has_lost_its_accuracy_is_trained_again_once() {
    let mut pipeline = scene::live();
    scene::refuse_a_challenger(&mut pipeline);
    pipeline
        .world
        .predict_with(|_| true, |row| 1.4 * scene::sales(row));
    scene::monday(&mut pipeline);
    let (verdict, reason) = the_verdict(&pipeline);
    assert_eq!(verdict, "retrain", "{reason}");
    assert_eq!(training_jobs(&pipeline.world), 3);
    let told = pipeline.world.notices();
    assert!(
        told.iter().any(|notice| notice.body.contains(&reason)),
        "{told:?}"
    );
    // The next week finds the same model and the same data: nothing new is learnt from them.
    scene::monday(&mut pipeline);
    assert_eq!(training_jobs(&pipeline.world), 3);
}

#[test]
fn a_refused_model_goes_live_when_somebody_answers_for_it_and_approves() {
    let mut pipeline = scene::live();
    scene::refuse_a_challenger(&mut pipeline);
    assert_eq!(pipeline.world.packages().len(), 1);
    scene::override_refusal(&mut pipeline);
    let packages = pipeline.world.packages();
    assert_eq!(packages.len(), 2, "{:?}", pipeline.dead_letters);
    assert!(deployed(&pipeline).contains(&packages[0].model_uri));
    let approved = pipeline.world.approve(&packages[1].arn).unwrap();
    pipeline.deliver(&approved);
    pipeline.settle();
    let deployed = deployed(&pipeline);
    assert!(deployed.contains(&packages[1].model_uri), "{deployed}");
    let told = pipeline.world.notices();
    assert!(
        told.iter().any(|notice| notice.body.contains("ann")),
        "nobody is told who answers for it: {told:?}"
    );
}
