//! Stories of releases that are tried out on a share of the pods.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "canaries/beside.rs"]
mod beside;

use std::time::Duration;

use domain::{
    layout::Artifacts,
    release::{Pointer, Progress},
};
use memory::{ARTIFACTS_BUCKET, Answers};
use serde_json::{Value, json};
use stories::{Pipeline, scene};

const WELL: Answers = Answers {
    requests: 100.0,
    error_rate_percent: 0.0,
    latency_ms: 10.0,
};

/// Release A is live; from now on releases are tried out first.
fn live() -> (Pipeline, String) {
    let mut pipeline = scene::live();
    pipeline.set_for_deployments("STRATEGY", "canary");
    let a = scene::target(&pipeline).release;
    (pipeline, a)
}

/// Another image is pushed; A answers well, and what it is in answers like this.
fn try_out(pipeline: &mut Pipeline, a: &str, answers: Option<Answers>) {
    let a = a.to_owned();
    pipeline
        .world
        .measure(move |release| if release == a { Some(WELL) } else { answers });
    scene::push_another_image(pipeline, "build-2");
}

fn explain(pipeline: &Pipeline) -> String {
    let decisions = pipeline.decisions.iter();
    let lines = decisions.map(|(function, decision)| format!("{function}: {decision}"));
    let dead = pipeline.dead_letters.iter();
    lines
        .chain(dead.map(|(function, reason)| format!("DEAD {function}: {reason}")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Pointer and Deployment agree on a release that was verified, and no canary is out.
fn serves(pipeline: &Pipeline, release: &str) {
    let target = scene::target(pipeline);
    assert_eq!(target.release, release, "{}", explain(pipeline));
    assert_eq!(target.progress, Progress::Verified, "{}", explain(pipeline));
    let world = pipeline.world.snapshot();
    let world = world.as_json();
    assert_eq!(world["deployment"]["environment"]["DEPLOYMENT_ID"], release);
    assert_eq!(world["canary"]["wanted"], 0, "{}", explain(pipeline));
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(pipeline));
}

fn announced(pipeline: &Pipeline, kind: &str) -> Vec<Value> {
    let delivered = pipeline.delivered.iter();
    let of_kind = delivered.filter(|event| event["detail-type"] == kind);
    of_kind.map(|event| event["detail"].clone()).collect()
}

fn quarantined(pipeline: &Pipeline) -> Vec<Value> {
    let at = Artifacts::new(ARTIFACTS_BUCKET).quarantine("dev");
    let list = pipeline.world.read_json(&at).unwrap_or_default();
    let entries = list["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["part"].clone()).collect()
}

/// How often the Deployment's pods were replaced.
fn generation(pipeline: &Pipeline) -> i64 {
    let mut generation = 0;
    pipeline
        .world
        .edit_deployment(|deployment| generation = deployment.generation);
    generation
}

#[test]
fn a_canary_that_does_no_worse_is_rolled_out_and_its_pods_go() {
    let (mut pipeline, a) = live();
    try_out(&mut pipeline, &a, Some(WELL));
    let started = announced(&pipeline, "CanaryStarted");
    assert_eq!(
        (&started[0]["pods"], &started[0]["of"]),
        (&json!(1), &json!(3))
    );
    let b = started[0]["release"].as_str().unwrap().to_owned();
    assert_ne!(a, b);
    serves(&pipeline, &b);
    assert_eq!(announced(&pipeline, "CanaryPassed").len(), 1);
    let target = scene::target(&pipeline);
    assert!(target.promoted_at.unwrap() > target.since, "{target:?}");

    // Every event once more: nothing new.
    let made = pipeline.world.effects().len();
    for event in pipeline.delivered.clone() {
        pipeline.deliver(&event);
    }
    pipeline.settle();
    serves(&pipeline, &b);
    let made = pipeline.world.made_since(made);
    let runs = ["apply", "ensure_canary", "ensure_endpoint", "publish"];
    let again: Vec<_> = made
        .iter()
        .filter(|made| runs.contains(&made.name))
        .collect();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn the_first_release_has_nothing_to_be_compared_with() {
    let mut pipeline = scene::stage();
    pipeline.set_for_deployments("STRATEGY", "canary");
    scene::push_image(&mut pipeline);
    scene::train_on(&mut pipeline, 500);
    assert!(announced(&pipeline, "CanaryStarted").is_empty());
    let release = scene::target(&pipeline).release;
    serves(&pipeline, &release);
}

#[test]
fn a_canary_that_does_worse_is_taken_away_and_the_live_pods_go_on() {
    let (mut pipeline, a) = live();
    let before = generation(&pipeline);
    let bad = Answers {
        error_rate_percent: 30.0,
        ..WELL
    };
    try_out(&mut pipeline, &a, Some(bad));
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image"]);
    assert_eq!(generation(&pipeline), before, "no pod of A was replaced");
    let failed = announced(&pipeline, "ReleaseFailed");
    assert_eq!(failed[0]["stage"], "canary");
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(reason.contains("error rate 30.00 %"), "{reason}");
    assert_eq!(announced(&pipeline, "RollbackSucceeded").len(), 1);

    for event in pipeline.delivered.clone() {
        pipeline.deliver(&event);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(
        announced(&pipeline, "CanaryStarted").len(),
        2,
        "the replayed one"
    );
}

#[test]
fn a_canary_without_requests_neither_passes_nor_is_blamed() {
    let (mut pipeline, a) = live();
    try_out(&mut pipeline, &a, None);
    serves(&pipeline, &a);
    assert!(quarantined(&pipeline).is_empty());
    let failed = announced(&pipeline, "ReleaseFailed");
    assert_eq!(failed[0]["stage"], "canary-no-data");
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(reason.contains("the limit being 3600 s"), "{reason}");
    let packages = pipeline.world.packages();
    assert_eq!(packages[0].approval, domain::ports::Approval::Approved);
}

/// Lets the canary's pods come up and bake, and stops there.
fn baking(pipeline: &mut Pipeline) -> String {
    let events = pipeline.world.push_image(
        "retail-forecast-infer",
        &["latest-dev", "build-2"],
        &[("LOW", 2)],
    );
    for event in &events {
        pipeline.deliver(event);
    }
    for _ in 0..10 {
        pipeline.work();
        for event in pipeline.world.run_services() {
            pipeline.deliver(&event);
        }
    }
    let target = scene::target(pipeline);
    assert!(
        matches!(target.progress, Progress::Canary { .. }),
        "{}",
        explain(pipeline)
    );
    target.release
}

#[test]
fn an_alarm_of_the_canary_or_of_the_live_release_takes_it_away_while_it_bakes() {
    for of_the_canary in [true, false] {
        let (mut pipeline, a) = live();
        let b = baking(&mut pipeline);
        let spoke = if of_the_canary { &b } else { &a };
        let alarm = scene::alarm(&pipeline, "Error-Rate", spoke);
        for _ in 0..2 {
            pipeline.deliver(&alarm);
        }
        pipeline.settle();
        serves(&pipeline, &a);
        let part = if of_the_canary { "image" } else { "release" };
        assert_eq!(quarantined(&pipeline), [part]);
        let mut started = announced(&pipeline, "RollbackStarted");
        started.dedup();
        assert_eq!(started.len(), 1, "{started:?}");
        assert!(announced(&pipeline, "CanaryPassed").is_empty());
    }
}

#[test]
fn an_operator_ends_a_canary_and_another_release_waits_for_it() {
    let (mut pipeline, a) = live();
    let b = baking(&mut pipeline);
    let asked =
        json!({"release": b, "request": "1", "by": "ann", "reason": "wrong day", "id": "0"});
    let asked = pipeline
        .world
        .envelope("retail-forecast", "RollbackRequested", &[], &asked);
    let events = pipeline.world.push_image(
        "retail-forecast-infer",
        &["latest-dev", "build-3"],
        &[("LOW", 2)],
    );
    for event in events.iter().chain([&asked]) {
        pipeline.deliver(event);
    }
    pipeline.settle();
    let c = scene::target(&pipeline).release;
    assert!(c != a && c != b);
    serves(&pipeline, &c);
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    let pointer: Pointer = serde_json::from_value(pipeline.world.read_json(&at).unwrap()).unwrap();
    assert_eq!(pointer.known_good.unwrap().earlier, [a]);
}

#[test]
fn a_freeze_while_it_bakes_takes_the_canary_away_and_blames_nothing() {
    let (mut pipeline, a) = live();
    let b = baking(&mut pipeline);
    pipeline.set_for_deployments("FROZEN", "peak season");
    pipeline.world.measure(|_| Some(WELL));
    pipeline.settle();
    serves(&pipeline, &a);
    let failed = announced(&pipeline, "ReleaseFailed");
    assert_eq!(failed[0]["stage"], "promotion", "{}", explain(&pipeline));
    assert!(quarantined(&pipeline).is_empty());
    let packages = pipeline.world.packages();
    assert_eq!(packages[0].approval, domain::ports::Approval::Approved);

    // Every event once more: it isn't tried out in a loop.
    pipeline.set_for_deployments("STRATEGY", "canary");
    let before = announced(&pipeline, "CanaryStarted").len();
    for event in pipeline.delivered.clone() {
        pipeline.deliver(&event);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(announced(&pipeline, "CanaryStarted").len(), 2 * before);
    assert_ne!(a, b);
}

#[test]
fn a_bad_canary_goes_whoever_owns_the_live_deployment() {
    let bad = Answers {
        error_rate_percent: 60.0,
        ..WELL
    };
    // With an alarm, or by its own figures; where the live Deployment is as it was, or was changed by its owner.
    for (by_alarm, changed) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut pipeline, a) = live();
        let good = a.clone();
        pipeline
            .world
            .measure(move |release| Some(if release == good { WELL } else { bad }));
        let b = baking(&mut pipeline);
        pipeline.world.edit_deployment(move |deployment| {
            deployment.image_managers = vec!["retail-forecast".to_owned(), "helm".to_owned()];
            if changed {
                deployment.image = Some("somebody/else".to_owned());
            }
        });
        if by_alarm {
            let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
            pipeline.deliver(&alarm);
        }
        pipeline.settle();
        let told = explain(&pipeline);
        assert_eq!(quarantined(&pipeline), ["image"], "{told}");
        let world = pipeline.world.snapshot();
        assert_eq!(world.as_json()["canary"]["wanted"], 0, "{told}");
        let given_up = announced(&pipeline, "RollbackGivenUp").len();
        let target = scene::target(&pipeline);
        if changed {
            assert_eq!(given_up, 1, "{told}");
            assert!(matches!(target.progress, Progress::Failed { .. }), "{told}");
            assert!(target.given_up_at.is_some(), "it holds up no deployment");
        } else {
            serves(&pipeline, &a);
            assert_eq!(given_up, 0, "{told}");
        }
    }
}

#[test]
fn what_passed_once_bakes_anew_when_it_is_tried_out_again() {
    let (mut pipeline, a) = live();
    try_out(&mut pipeline, &a, Some(WELL));
    let b = scene::target(&pipeline).release;
    serves(&pipeline, &b);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    pipeline.deliver(&alarm);
    pipeline.settle();
    serves(&pipeline, &a);
    pipeline.world.advance(Duration::from_mins(5));
    scene::lift_all(&mut pipeline);

    // The image's event comes again, and so does every other one, what told that it had passed included.
    let badly = Answers {
        error_rate_percent: 50.0,
        ..WELL
    };
    let bad = b.clone();
    pipeline
        .world
        .measure(move |release| Some(if release == bad { badly } else { WELL }));
    for event in pipeline.delivered.clone() {
        pipeline.deliver(&event);
    }
    pipeline.settle();
    assert_eq!(
        announced(&pipeline, "CanaryStarted").len(),
        3,
        "the first, which comes again, and the second"
    );
    serves(&pipeline, &a);
    assert!(!quarantined(&pipeline).is_empty());
}
