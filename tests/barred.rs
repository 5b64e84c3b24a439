//! Stories of ways back that are barred, and of what people ask for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::{
    ports::{Approval, Clock as _},
    release::Progress,
};
use serde_json::{Value, json};
use stories::{
    Pipeline,
    checks::{a_then_b, deliver, explain, notice, quarantined, serves, told},
    scene,
};

/// A person asks for a rollback.
fn asked(pipeline: &Pipeline, release: Option<&str>, request: &str) -> Value {
    let detail = json!({"release": release, "request": request, "by": "ann", "reason": "try once more", "id": request});
    pipeline
        .world
        .envelope("retail-forecast", "RollbackRequested", &[], &detail)
}

fn owned_by(pipeline: &Pipeline, manager: &str) {
    let manager = manager.to_owned();
    pipeline
        .world
        .edit_deployment(|deployment| deployment.image_managers = vec![manager]);
}

/// Helm takes what names the release, and may give it an image of its own, just before we write.
fn taken_before_the_next_write(pipeline: &Pipeline, changed: bool) {
    pipeline.world.interleave("apply ", move |world| {
        world.edit_deployment(move |deployment| {
            deployment.image_managers = vec!["helm".to_owned()];
            if changed {
                deployment.image = Some("somebody/else".to_owned());
            }
        });
    });
}

#[test]
fn a_paused_deployment_is_tried_to_the_limit_and_then_people_are_called() {
    let (mut pipeline, a, b) = a_then_b();
    pipeline
        .world
        .edit_deployment(|deployment| deployment.paused = true);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    let target = scene::target(&pipeline);
    assert_eq!(target.release, a);
    assert!(
        matches!(target.progress, Progress::Failed { .. }),
        "{target:?}"
    );
    assert_eq!(
        told(&pipeline, "Rollback started"),
        3,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    let notices = pipeline.world.notices();
    let call = notices
        .iter()
        .find(|notice| notice.subject.contains("ROLLBACK FAILED"))
        .unwrap();
    assert!(call.body.contains("paused"), "{}", call.body);
}

#[test]
fn a_person_may_ask() {
    let (mut pipeline, a, b) = a_then_b();
    let before = pipeline.decided("roll-back").len();
    for (release, request) in [
        ("release-000000000000", "1"),
        (b.as_str(), "2"),
        (b.as_str(), "3"),
    ] {
        let detail = json!({"release": release, "request": request, "by": "ann", "reason": "customers complain", "id": request});
        let event = pipeline
            .world
            .envelope("retail-forecast", "RollbackRequested", &[], &detail);
        deliver(&mut pipeline, &event);
    }
    serves(&pipeline, &a);
    assert_eq!(
        pipeline.decided("roll-back")[before..],
        ["not-live", "roll-back", "not-live"]
    );
    assert_eq!(told(&pipeline, "Request refused"), 2);
    let body = notice(&pipeline, "Request refused");
    assert!(body.contains("ann asked for: rollback of"), "{body}");
}

#[test]
fn after_a_give_up_a_request_brings_the_good_release_back() {
    for names_it in [false, true] {
        let (mut pipeline, a, b) = a_then_b();
        pipeline
            .world
            .edit_deployment(|deployment| deployment.paused = true);
        let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
        deliver(&mut pipeline, &alarm);
        let target = scene::target(&pipeline);
        assert_eq!((&target.release, &target.gone_from), (&a, &Some(b.clone())));
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);

        pipeline
            .world
            .edit_deployment(|deployment| deployment.paused = false);
        let request = asked(&pipeline, names_it.then_some(b.as_str()), "7");
        deliver(&mut pipeline, &request);
        serves(&pipeline, &a);
        assert_eq!(quarantined(&pipeline), ["image"]);
        assert_eq!(told(&pipeline, "Request refused"), 0);

        // The request is sent twice, and says another time.
        let before = told(&pipeline, "Rollback started");
        pipeline.world.advance(std::time::Duration::from_secs(2));
        let request = asked(&pipeline, names_it.then_some(b.as_str()), "7");
        deliver(&mut pipeline, &request);
        serves(&pipeline, &a);
        assert_eq!(told(&pipeline, "Rollback started"), before);
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1, "A isn't accused");
        assert_eq!(told(&pipeline, "Request refused"), 0);
    }
}

#[test]
fn what_is_barred_twice_is_told_twice() {
    let (mut pipeline, _, b) = a_then_b();
    owned_by(&pipeline, "helm");
    for times in 1..=2 {
        let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
        for _ in 0..2 {
            deliver(&mut pipeline, &alarm);
        }
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), times);
        pipeline.world.advance(std::time::Duration::from_mins(1));
    }
}

#[test]
fn a_write_that_is_refused_in_the_middle_of_a_rollback_is_told_and_closes_it() {
    let (mut pipeline, a, b) = a_then_b();
    taken_before_the_next_write(&pipeline, false);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(&pipeline));
    let target = scene::target(&pipeline);
    assert_eq!(target.release, a);
    assert!(
        matches!(target.progress, Progress::Failed { .. }),
        "{}",
        explain(&pipeline)
    );
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    let body = notice(&pipeline, "ROLLBACK FAILED");
    assert!(body.contains("helm"), "{body}");

    // Helm lets it go, and a person asks.
    owned_by(&pipeline, "retail-forecast");
    let request = asked(&pipeline, None, "1");
    deliver(&mut pipeline, &request);
    serves(&pipeline, &a);
}

#[test]
fn a_write_that_is_refused_in_the_middle_of_a_deployment_is_told_and_closes_it() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    taken_before_the_next_write(&pipeline, true);
    scene::push_another_image(&mut pipeline, "build-2");
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(&pipeline));
    let b = scene::target(&pipeline);
    assert_ne!(b.release, a);
    assert!(
        matches!(&b.progress, Progress::Failed { reason } if reason.starts_with("write: ")),
        "{b:?}"
    );
    let body = notice(&pipeline, "Failure");
    assert!(
        body.contains("failed at write") && body.contains("helm"),
        "{body}"
    );
    assert!(body.contains("Build: build-2"), "{body}");
    assert!(quarantined(&pipeline).is_empty());
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);

    owned_by(&pipeline, "retail-forecast");
    let request = asked(&pipeline, None, "1");
    deliver(&mut pipeline, &request);
    serves(&pipeline, &a);
}

#[test]
fn a_deployment_that_was_refused_before_it_changed_a_pod_needs_no_write_to_be_undone() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    taken_before_the_next_write(&pipeline, false);
    scene::push_another_image(&mut pipeline, "build-2");
    assert!(notice(&pipeline, "Failure").contains("failed at write"));
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0);
    assert!(quarantined(&pipeline).is_empty());
}

#[test]
fn a_lift_that_is_older_than_what_is_quarantined_is_refused() {
    let (mut pipeline, a, b) = a_then_b();
    let image = scene::image(&pipeline);
    let lift =
        json!({"identity": image, "by": "ann", "reason": "the database was down", "id": "1"});
    let lift = pipeline
        .world
        .envelope("retail-forecast", "LiftRequested", &[], &lift);
    pipeline.world.advance(std::time::Duration::from_mins(1));
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    deliver(&mut pipeline, &lift);
    assert_eq!(quarantined(&pipeline), ["image"]);
    assert_eq!(told(&pipeline, "Request refused"), 1);
    assert_eq!(told(&pipeline, "Quarantine lifted"), 0);
}

#[test]
fn what_was_given_up_holds_up_no_deployment() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    taken_before_the_next_write(&pipeline, true);
    scene::push_another_image(&mut pipeline, "build-2");
    let b = scene::target(&pipeline);
    assert!(matches!(b.progress, Progress::Failed { .. }), "{b:?}");
    assert!(b.release != a && b.given_up_at.is_some());

    owned_by(&pipeline, "retail-forecast");
    let begun = pipeline.world.now();
    scene::push_another_image(&mut pipeline, "build-3");
    let c = scene::target(&pipeline).release;
    assert!(c != a && c != b.release);
    serves(&pipeline, &c);
    let took = pipeline.world.now().duration_since(begun).as_secs();
    assert!(took < 60, "{took} s: {}", explain(&pipeline));
    assert_eq!(told(&pipeline, "Waiting"), 0);
}

#[test]
fn a_failure_that_nobody_goes_away_from_is_told_to_who_waits_and_a_request_ends_it() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    // `roll-back` never hears of it.
    pipeline.lose("ReleaseFailed");
    pipeline
        .world
        .edit_deployment(|deployment| deployment.paused = true);
    scene::push_another_image(&mut pipeline, "build-2");
    pipeline
        .world
        .edit_deployment(|deployment| deployment.paused = false);
    let b = scene::target(&pipeline);
    assert!(matches!(b.progress, Progress::Failed { .. }), "{b:?}");

    let begun = pipeline.world.now();
    let tags = ["latest-dev", "build-3"];
    let events = pipeline
        .world
        .push_image("retail-forecast-infer", &tags, &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.settle_within(std::time::Duration::from_mins(3));
    assert_eq!(scene::target(&pipeline).release, b.release);
    assert_eq!(told(&pipeline, "Waiting"), 1, "{}", explain(&pipeline));
    let body = notice(&pipeline, "Waiting");
    let advice = format!("What to do: ask for a rollback of {}", b.release);
    assert!(body.contains(&advice), "{body}");

    let request = asked(&pipeline, Some(&b.release), "1");
    deliver(&mut pipeline, &request);
    let c = scene::target(&pipeline).release;
    assert!(c != a && c != b.release, "{}", explain(&pipeline));
    serves(&pipeline, &c);
    let took = pipeline.world.now().duration_since(begun).as_secs();
    assert!(took < 600, "{took} s: {}", explain(&pipeline));
}

/// Model B is live and known good after A; both are approved.
fn another_model() -> (Pipeline, String, String) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::train_on(&mut pipeline, 560);
    let b = scene::target(&pipeline).release;
    serves(&pipeline, &b);
    (pipeline, a, b)
}

#[test]
fn a_package_that_must_not_be_rejected_is_left_to_a_person_and_the_way_back_is_one_try() {
    let (mut pipeline, a, b) = another_model();
    let arn = pipeline.world.packages()[1].arn.clone();
    pipeline.world.refuse_effects_of("reject ", "not allowed");
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "Rollback started"), 1);
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0);
    let by_hand = format!("By hand: set the approval status of {arn} to Rejected");
    for word in ["Rollback started", "Rollback ("] {
        let body = notice(&pipeline, word);
        assert!(
            body.contains(&by_hand) && body.contains("not allowed"),
            "{body}"
        );
    }
    let kept = pipeline.world.snapshot().as_json()["objects"].to_string();
    assert!(kept.contains("by_hand"), "a record says it");
    assert_eq!(pipeline.world.packages()[1].approval, Approval::Approved);

    // The registry calls it Approved, and nothing deploys it.
    let approved = pipeline.world.approve(&arn).unwrap();
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["model"]);
    let body = notice(&pipeline, "Skipped (dev, retail-forecast-models/2");
    assert!(body.contains("is quarantined since"), "{body}");
}

#[test]
fn a_package_that_was_deleted_is_as_good_as_rejected() {
    let (mut pipeline, a, b) = another_model();
    let arn = pipeline.world.packages()[1].arn.clone();
    pipeline.world.delete_package(&arn);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["model"]);
    let body = notice(&pipeline, "Rollback (");
    assert!(!body.contains("By hand"), "{body}");
}

#[test]
fn people_read_what_both_releases_are_made_of_and_since_when_the_api_serves() {
    let (mut pipeline, a, b) = another_model();
    let images = scene::image(&pipeline);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    for word in ["Rollback started", "Rollback ("] {
        let body = notice(&pipeline, word);
        for (what, model) in [("Went wrong: build-", 2), ("Known good: build-", 1)] {
            let mut lines = body.lines().filter(|line| line.starts_with(what));
            let line = lines.next().unwrap_or_else(|| panic!("{what}: {body}"));
            let rest = format!("image {images}, model retail-forecast-models/{model}");
            assert!(line.ends_with(&rest), "{line}");
        }
    }
}

#[test]
fn since_when_the_api_serves_is_said_where_the_endpoint_takes_longer() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::deploy_the_challenger(&mut pipeline);
    let b = scene::target(&pipeline).release;
    // The endpoint's update to B still bakes, and has to end before the one back.
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    let body = notice(&pipeline, "Rollback (");
    let seconds = |before: &str| -> i64 {
        let (_, rest) = body.split_once(before).unwrap_or_else(|| panic!("{body}"));
        let (seconds, _) = rest.split_once(" s after the cause").unwrap();
        seconds.parse().unwrap()
    };
    let api = seconds("The API served it again ");
    let all = seconds(&format!("serves again instead of {b}, "));
    assert!(api < all, "{body}");
}
