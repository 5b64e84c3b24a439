//! Stories of bad releases: undone by what saw them, and never back by themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "rollbacks/endpoint.rs"]
mod endpoint;

use domain::{layout::Artifacts, ports::Approval, release::Progress};
use memory::{ARTIFACTS_BUCKET, Outcome};
use serde_json::{Value, json};
use stories::{
    Pipeline,
    checks::{a_then_b, deliver, explain, notice, quarantined, rollbacks, serves, told},
    normal, scene,
};

#[test]
fn an_alarm_brings_the_good_release_back_and_the_bad_one_stays_away() {
    let (mut pipeline, a, b) = a_then_b();
    let image_events: Vec<Value> = pipeline.delivered.clone();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image"]);
    assert_eq!(
        (
            told(&pipeline, "Rollback started"),
            told(&pipeline, "Rollback (")
        ),
        (1, 1)
    );

    let before = normal(pipeline.world.snapshot().as_json())["deployment"].clone();
    for event in image_events.iter().chain([&alarm]) {
        pipeline.deliver(event);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(
        normal(pipeline.world.snapshot().as_json())["deployment"],
        before
    );
    assert_eq!(
        (
            told(&pipeline, "Rollback started"),
            told(&pipeline, "Rollback (")
        ),
        (1, 1)
    );
}

#[test]
fn good_a_bad_b_bad_c_ends_with_a() {
    let (mut pipeline, a, b) = a_then_b();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    scene::push_another_image(&mut pipeline, "build-3");
    let c = scene::target(&pipeline).release;
    serves(&pipeline, &c);
    let alarm = scene::alarm(&pipeline, "Latency", &c);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image", "image"]);
}

#[test]
fn a_refuge_without_a_manifest_doesn_t_bar_those_before_it() {
    let (mut pipeline, a, b) = a_then_b();
    scene::push_another_image(&mut pipeline, "build-3");
    let c = scene::target(&pipeline).release;
    serves(&pipeline, &c);
    pipeline
        .world
        .delete(&Artifacts::new(ARTIFACTS_BUCKET).release(&b));
    let alarm = scene::alarm(&pipeline, "Error-Rate", &c);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
}

#[test]
fn a_bad_model_is_rejected_and_its_endpoint_goes_back_with_it() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let endpoint =
        |pipeline: &Pipeline| pipeline.world.snapshot().as_json()["endpoints"].to_string();
    let before = endpoint(&pipeline);
    scene::train_on(&mut pipeline, 560);
    let b = scene::target(&pipeline).release;
    assert_ne!(endpoint(&pipeline), before);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(endpoint(&pipeline), before);
    let package = &pipeline.world.packages()[1];
    assert_eq!(package.approval, Approval::Rejected);
    let why = package.approval_description.as_deref().unwrap();
    assert!(why.contains("RetailForecast-API-Error-Rate"), "{why}");

    // Approving it once more is not enough: a person has to lift the quarantine.
    let approved = pipeline.world.approve(&package.arn.clone()).unwrap();
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &a);
    let lift = json!({"identity": pipeline.world.packages()[1].arn, "by": "ann", "reason": "the database was down", "id": "1"});
    let lift = pipeline
        .world
        .envelope("retail-forecast", "LiftRequested", &[], &lift);
    deliver(&mut pipeline, &lift);
    assert_eq!(told(&pipeline, "Quarantine lifted"), 1);
    assert!(quarantined(&pipeline).is_empty());
    let approved = pipeline
        .world
        .approve(&pipeline.world.packages()[1].arn)
        .unwrap();
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &b);
}

#[test]
fn a_release_that_never_came_up_is_undone() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let good = a.clone();
    pipeline.world.script(
        move |subject| subject.starts_with("rollout ") && !subject.ends_with(&good),
        Outcome::Fails("no memory".into()),
    );
    scene::push_another_image(&mut pipeline, "build-2");
    serves(&pipeline, &a);
    assert_eq!(
        (told(&pipeline, "Failure"), told(&pipeline, "Rollback (")),
        (1, 1)
    );
    assert_eq!(quarantined(&pipeline), ["image"]);
}

#[test]
fn two_alarms_at_once_make_one_rollback() {
    let (mut pipeline, a, b) = a_then_b();
    let errors = scene::alarm(&pipeline, "Error-Rate", &b);
    let latency = scene::alarm(&pipeline, "Latency", &b);
    for event in [&errors, &latency, &errors, &latency] {
        pipeline.deliver(event);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(
        (
            told(&pipeline, "Rollback started"),
            told(&pipeline, "Rollback (")
        ),
        (1, 1)
    );
}

#[test]
fn an_alarm_wins_over_the_deployment_that_is_on_its_way() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let events =
        pipeline
            .world
            .push_image("retail-forecast-infer", &["latest-dev", "build-2"], &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    // The scan's end arrives while nothing else moves; then the alarm, before any verification.
    for event in pipeline.world.run_services() {
        pipeline.deliver(&event);
    }
    pipeline.work();
    let b = scene::target(&pipeline);
    assert_eq!(b.progress, Progress::Deploying, "{}", explain(&pipeline));
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b.release);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "Success"), 1, "only A was ever a success");
}

#[test]
fn what_says_nothing_against_the_live_release_changes_nothing() {
    let (mut pipeline, a, b) = a_then_b();
    let ok = {
        let mut ok = scene::alarm(&pipeline, "Error-Rate", &b);
        ok["detail"]["state"]["value"] = json!("OK");
        ok
    };
    let other = {
        let mut other = scene::alarm(&pipeline, "Error-Rate", &b);
        other["detail"]["alarmName"] = json!("RetailForecast-API-Error-Rate-retail-forecast-prod");
        other
    };
    let gone = scene::alarm(&pipeline, "Error-Rate", &a);
    let before = normal(pipeline.world.snapshot().as_json());
    let decided = pipeline.decided("roll-back").len();
    for event in [ok, other, gone] {
        deliver(&mut pipeline, &event);
    }
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
    assert_eq!(
        pipeline.decided("roll-back")[decided..],
        ["not-for-this-function", "not-for-this-function", "not-live"]
    );
}

#[test]
fn an_alarms_event_and_its_action_make_one_rollback() {
    let (mut pipeline, a, b) = a_then_b();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    let direct = scene::direct(&alarm);
    for _ in 0..2 {
        pipeline.send("roll-back", &direct);
        pipeline.deliver(&alarm);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(
        (
            told(&pipeline, "Rollback started"),
            told(&pipeline, "Rollback (")
        ),
        (1, 1)
    );
    assert_eq!(rollbacks(&pipeline), 1);
}

#[test]
fn without_anything_known_good_people_are_called() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    assert!(quarantined(&pipeline).is_empty());
}

#[test]
fn a_part_found_guilty_while_it_was_being_deployed_never_becomes_known_good() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let image = scene::image(&pipeline);
    let (repository, _) = image.split_once('@').unwrap();
    let digest = domain::names::digest(&["retail-forecast-infer", "latest-dev", "build-2"]);
    let identity = format!("{repository}@sha256:{digest}");
    let bad = identity.clone();
    // `deploy-release` has read the list, and moves the pointer next.
    pipeline
        .world
        .interleave("swap s3://retail-mlops-artifacts-000000000000-ap-southeast-1/environments/dev/pointer.json", move |world| {
            let entry = json!({"part": "image", "identity": bad, "release": "release-b", "reason": "found guilty", "since": "2024-03-04T02:00:00Z", "lifted": null});
            let at = Artifacts::new(ARTIFACTS_BUCKET).quarantine("dev");
            world.write(&at, json!({"schema": 1, "entries": [entry]}).to_string());
        });
    scene::push_another_image(&mut pipeline, "build-2");
    serves(&pipeline, &a);
    let body = notice(&pipeline, "Failure");
    assert!(
        body.contains("failed at quarantine") && body.contains(&identity),
        "{body}"
    );
    assert_eq!(told(&pipeline, "Success"), 1, "only A was ever a success");
}

#[test]
fn the_proof_begins_while_the_endpoint_s_update_still_bakes() {
    let mut pipeline = scene::live();
    let (a, good) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    scene::deploy_the_challenger(&mut pipeline);
    let b = scene::target(&pipeline).release;
    assert_ne!(a, b);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    pipeline.deliver(&alarm);
    // Nothing moves, the endpoint's update neither; its alarms can still take it back.
    let of_update = format!(
        "RetailForecast-Endpoint-Error-Rate-{}",
        scene::expected_by(&pipeline, &b)
    );
    let alarms = |pipeline: &Pipeline| pipeline.world.snapshot().as_json()["alarms"].to_string();
    pipeline.work();
    let mut delivered = pipeline.delivered.iter();
    let started = delivered.rfind(|event| event["detail-type"] == "DeploymentStarted");
    let started = started.unwrap().clone();
    pipeline.deliver(&started);
    pipeline.work();
    assert!(alarms(&pipeline).contains(&of_update));
    let announced = pipeline.world.effects();
    let started = announced
        .iter()
        .filter(|effect| effect.name == "announce" && effect.subject == "RollbackStarted");
    assert_eq!(started.count(), 1, "{}", explain(&pipeline));
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(scene::serves(&pipeline), good);
    assert!(!alarms(&pipeline).contains(&of_update));
}
