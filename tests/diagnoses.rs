//! Stories of rollbacks where more than one part differed: which of them is guilty.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::ports::Approval;
use memory::Outcome;
use serde_json::{Value, json};
use stories::{
    checks::{alarm_of_live, deliver, explain, notice, quarantined, serves, told},
    scene,
};

#[test]
fn of_an_image_and_a_setting_the_image_is_found_guilty_and_the_setting_goes_on() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    serves(&pipeline, &a);
    let told_of = |word| told(&pipeline, word);
    let counts = ["Failure", "Rollback (", "Cause found", "Cause unknown"].map(told_of);
    assert_eq!(counts, [1, 1, 1, 0], "{}", explain(&pipeline));
    assert_eq!(quarantined(&pipeline), ["release", "image"]);
    let body = notice(&pipeline, "Cause found");
    for words in [
        "bad image, good configuration: fails, store 1, item 1",
        "good image, bad configuration: holds, 10 golden rows",
        "good image, good configuration: holds",
        "bad image, bad configuration: fails",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }

    // The image stays away with the old setting too; another image with the new setting is fine.
    pipeline.set_for_deployments("API_ENVIRONMENT", "{}");
    let skipped = told(&pipeline, "Skipped");
    scene::scan_again(&mut pipeline);
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "Skipped"), skipped + 1);
    pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#);
    pipeline.world.distort(|_, _| true, 1.0);
    scene::push_another_image(&mut pipeline, "build-3");
    let c = scene::target(&pipeline).release;
    assert_ne!(c, a);
    serves(&pipeline, &c);
}

#[test]
fn of_an_image_and_a_setting_the_setting_is_found_guilty_and_the_image_goes_on() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let has_setting = |variables: &std::collections::BTreeMap<String, String>| {
        variables.get("DRAIN_S").is_some_and(|value| value == "2")
    };
    pipeline
        .world
        .distort(move |_, variables| has_setting(variables), 1.5);
    pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#);
    scene::push_another_image(&mut pipeline, "build-2");
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["release", "configuration"]);

    scene::push_another_image(&mut pipeline, "build-3");
    serves(&pipeline, &a);
    pipeline.set_for_deployments("API_ENVIRONMENT", "{}");
    scene::scan_again(&mut pipeline);
    let c = scene::target(&pipeline).release;
    assert_ne!(c, a);
    serves(&pipeline, &c);
}

#[test]
fn of_a_model_and_an_instance_type_only_the_model_can_be_tried() {
    for (factor, cause) in [(0.0, "Cause found"), (1.0, "Cause unknown")] {
        let mut pipeline = scene::live();
        let a = scene::target(&pipeline).release;
        pipeline.set_for_deployments("ENDPOINT_INSTANCE_TYPE", "ml.m5.large");
        scene::train_on(&mut pipeline, 560);
        let b = scene::target(&pipeline).release;
        serves(&pipeline, &b);
        let second = pipeline.world.packages()[1].model_uri.clone();
        pipeline.world.predict_with(
            move |uri| uri == second,
            move |row| factor * 1.02 * scene::sales(row),
        );
        alarm_of_live(&mut pipeline);
        serves(&pipeline, &a);
        assert_eq!(told(&pipeline, cause), 1, "{}", explain(&pipeline));
        let body = notice(&pipeline, cause);
        assert!(body.contains("instances differ too"), "{body}");
        let rejected = pipeline.world.packages()[1].approval == Approval::Rejected;
        assert_eq!(rejected, cause == "Cause found");
    }
}

#[test]
fn a_guilty_model_that_must_not_be_rejected_stays_away_and_is_left_to_a_person() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    pipeline.set_for_deployments("ENDPOINT_INSTANCE_TYPE", "ml.m5.large");
    scene::train_on(&mut pipeline, 560);
    let second = pipeline.world.packages()[1].model_uri.clone();
    pipeline
        .world
        .predict_with(move |uri| uri == second, |_| 0.0);
    // The role may not (403 from UpdateModelPackage).
    pipeline.world.refuse_effects_of("reject ", "not allowed");
    alarm_of_live(&mut pipeline);
    serves(&pipeline, &a);
    let arn = pipeline.world.packages()[1].arn.clone();
    assert_eq!(pipeline.world.packages()[1].approval, Approval::Approved);
    assert_eq!(quarantined(&pipeline), ["release", "model"]);
    assert_eq!(told(&pipeline, "Cause found"), 1, "{}", explain(&pipeline));
    let body = notice(&pipeline, "Cause found");
    let by_hand = format!("By hand: set the approval status of {arn} to Rejected");
    assert!(
        body.contains(&by_hand) && body.contains("not allowed"),
        "{body}"
    );

    // The registry calls it Approved, and nothing deploys it, with the old instances either.
    pipeline.set_for_deployments("ENDPOINT_INSTANCE_TYPE", "ml.t2.medium");
    scene::approve(&mut pipeline, &arn);
    serves(&pipeline, &a);
    let body = notice(&pipeline, "Skipped (dev, retail-forecast-models/2");
    assert!(body.contains("is quarantined since"), "{body}");
}

#[test]
fn a_way_back_over_a_quarantined_release_changes_model_and_image_and_tells_them_apart() {
    for (bad, expected) in [("model", "model"), ("image", "image"), ("none", "")] {
        let mut pipeline = scene::stage();
        scene::skip_a_quarantined_refuge(&mut pipeline);
        assert_eq!(quarantined(&pipeline), ["model"], "{}", explain(&pipeline));
        let third = pipeline.world.packages()[2].model_uri.clone();
        let image = scene::image(&pipeline);
        match bad {
            "model" => pipeline
                .world
                .predict_with(move |uri| uri == third, |_| 0.0),
            "image" => pipeline.world.distort(move |name, _| name == image, 1.5),
            _ => {}
        }
        // It was brought back: an alarm wouldn't lead away from it.
        let live = scene::target(&pipeline).release;
        scene::ask_to_go_back_from(&mut pipeline, &live);
        let world = pipeline.world.snapshot();
        let first = &pipeline.world.packages()[0];
        let uri = &world.as_json()["deployment"]["environment"]["MODEL_URI"];
        assert_eq!(*uri, first.model_uri, "{}", explain(&pipeline));
        let mut all = vec!["model", "release"];
        all.extend((bad != "none").then_some(expected));
        assert_eq!(quarantined(&pipeline), all, "{}", explain(&pipeline));
        let why = pipeline.world.packages()[2].approval_description.clone();
        let why = why.unwrap_or_default();
        assert_eq!(why.contains("the model is guilty"), bad == "model", "{why}");
    }
}

#[test]
fn where_every_combination_holds_it_is_said_that_it_can_t_be_told() {
    let mut pipeline = scene::live();
    scene::push_another_image_and_setting(&mut pipeline, 1.0);
    alarm_of_live(&mut pipeline);
    assert_eq!(quarantined(&pipeline), ["release"]);
    let body = notice(&pipeline, "Cause unknown");
    assert!(body.contains("can't be told"), "{body}");
    assert!(body.contains("golden rows don't show"), "{body}");
}

#[test]
fn a_rollback_never_waits_for_the_diagnosis() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    pipeline.world.script(
        |subject| subject.starts_with("transform retail-forecast-diagnose-"),
        Outcome::RunsOn,
    );
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    serves(&pipeline, &a);
    let notices = pipeline.world.notices();
    let at = |word: &str| {
        notices
            .iter()
            .position(|notice| notice.subject.contains(word))
    };
    assert!(at("Rollback (").unwrap() < at("Cause unknown").unwrap());
    let target = scene::target(&pipeline);
    let restored = target.judged_at.unwrap().duration_since(target.since);
    assert!(restored.as_secs() < 120, "{restored}");
    let now = domain::ports::Clock::now(&pipeline.world);
    assert!(now.duration_since(target.since).as_secs() >= 3600);
}

#[test]
fn a_combination_and_its_guilty_part_go_live_again_only_when_both_are_lifted() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    pipeline.world.distort(|_, _| true, 1.0);
    let started: Vec<Value> = pipeline.delivered.clone();
    let held = scene::quarantined(&pipeline);
    assert_eq!(held.len(), 2);
    for (_, identity) in &held {
        scene::scan_again(&mut pipeline);
        serves(&pipeline, &a);
        let lift = json!({"identity": identity, "by": "ann", "reason": "mended", "id": "1"});
        let lift = pipeline
            .world
            .envelope("retail-forecast", "LiftRequested", &[], &lift);
        deliver(&mut pipeline, &lift);
    }
    assert_eq!(told(&pipeline, "Quarantine lifted"), 2);
    scene::scan_again(&mut pipeline);
    let b = scene::target(&pipeline).release;
    assert_eq!(b, held[0].1);
    serves(&pipeline, &b);

    // The rollback's start, once more and late: what a person let go stays free.
    let rollbacks = started.iter();
    for event in rollbacks.filter(|event| event["detail-type"] == "RollbackStarted") {
        deliver(&mut pipeline, event);
    }
    serves(&pipeline, &b);
    assert!(quarantined(&pipeline).is_empty());
}
