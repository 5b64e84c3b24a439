//! Stories of releases that were brought back: what speaks afterwards, and what people ask for then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use domain::release::Progress;
use memory::{CrashPoint, When};
use stories::{
    Pipeline,
    checks::{a_then_b, alarm_of_live, deliver, explain, notice, quarantined, serves, told},
    scene,
};

/// Four releases that were good, ten days apart.
fn four() -> (Pipeline, [String; 4]) {
    let mut pipeline = scene::live();
    let mut all = vec![scene::target(&pipeline).release];
    for build in ["build-2", "build-3", "build-4"] {
        pipeline.world.advance(Duration::from_hours(240));
        scene::push_another_image(&mut pipeline, build);
        all.push(scene::target(&pipeline).release);
    }
    pipeline.world.advance(Duration::from_hours(1));
    (pipeline, all.try_into().unwrap())
}

#[test]
fn one_outage_goes_one_release_back_and_then_people_are_called_once() {
    let (mut pipeline, [_, _, c, _]) = four();
    for _ in 0..4 {
        alarm_of_live(&mut pipeline);
        serves(&pipeline, &c);
        pipeline.world.advance(Duration::from_mins(5));
    }
    assert_eq!(quarantined(&pipeline), ["image"], "{}", explain(&pipeline));
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    let body = notice(&pipeline, "ROLLBACK FAILED");
    assert!(body.contains("was brought back"), "{body}");
}

#[test]
fn an_outage_while_the_next_release_is_on_its_way_goes_no_further_either() {
    let (mut pipeline, [_, _, c, _]) = four();
    alarm_of_live(&mut pipeline);
    let tags = ["latest-dev", "build-5"];
    let events = pipeline
        .world
        .push_image("retail-forecast-infer", &tags, &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    for event in pipeline.world.run_services() {
        pipeline.deliver(&event);
    }
    pipeline.work();
    let next = scene::target(&pipeline);
    assert_eq!(next.progress, Progress::Deploying);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &c);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &next.release);
}

#[test]
fn what_comes_after_a_way_back_is_guarded_as_ever() {
    let (mut pipeline, [_, _, c, _]) = four();
    alarm_of_live(&mut pipeline);
    scene::push_another_image(&mut pipeline, "build-5");
    assert_ne!(scene::target(&pipeline).release, c);
    alarm_of_live(&mut pipeline);
    serves(&pipeline, &c);
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0);
}

#[test]
fn a_person_names_what_was_brought_back_to_go_further() {
    let (mut pipeline, [_, b, c, _]) = four();
    alarm_of_live(&mut pipeline);
    pipeline.world.advance(Duration::from_secs(20));
    let asked = scene::asked_to_go_back(&pipeline, None, "1");
    deliver(&mut pipeline, &asked);
    serves(&pipeline, &c);
    let body = notice(&pipeline, "Request refused");
    assert!(
        body.contains(&format!("to go back from {c} as well, name it")),
        "{body}"
    );

    let asked = scene::asked_to_go_back(&pipeline, Some(&c), "2");
    deliver(&mut pipeline, &asked);
    serves(&pipeline, &b);
}

#[test]
fn a_request_whose_way_back_was_given_up_is_not_tried_again_by_its_copy() {
    let (mut pipeline, a, _) = a_then_b();
    scene::pause(&pipeline, true);
    let asked = scene::asked_to_go_back(&pipeline, None, "1");
    deliver(&mut pipeline, &asked);
    let tries = told(&pipeline, "Rollback started");
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    deliver(&mut pipeline, &asked);
    let decided = pipeline.decided("roll-back");
    assert_eq!(decided.last().unwrap(), "already-there");
    assert_eq!(told(&pipeline, "Rollback started"), tries);

    scene::pause(&pipeline, false);
    pipeline.world.advance(Duration::from_secs(5));
    let another = scene::asked_to_go_back(&pipeline, None, "2");
    deliver(&mut pipeline, &another);
    serves(&pipeline, &a);
}

#[test]
fn each_round_of_a_way_back_that_fails_is_told_once() {
    let (mut pipeline, a, _) = a_then_b();
    scene::pause(&pipeline, true);
    for round in 1..=3 {
        if round == 1 {
            alarm_of_live(&mut pipeline);
        } else {
            pipeline.world.advance(Duration::from_secs(20));
            let asked = scene::asked_to_go_back(&pipeline, None, &round.to_string());
            deliver(&mut pipeline, &asked);
        }
        // What failed before comes once more.
        let again: Vec<_> = pipeline.delivered.clone();
        for failed in again
            .iter()
            .filter(|event| event["detail-type"] == "RollbackFailed")
        {
            deliver(&mut pipeline, failed);
        }
        assert_eq!(told(&pipeline, "Rollback started"), 3 * round);
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), round);
        assert_eq!(scene::target(&pipeline).release, a);
    }
}

#[test]
fn a_round_that_was_given_up_is_told_though_the_next_one_began_before_that() {
    let (mut pipeline, a, _) = a_then_b();
    scene::pause(&pipeline, true);
    // It dies between the pointer and the announcement.
    pipeline
        .world
        .interleave("announce RollbackGivenUp", |world| {
            let (effect, when) = (1, When::Before);
            world.crash_at(Some(CrashPoint { effect, when }));
        });
    let release = scene::target(&pipeline).release;
    let alarm = scene::alarm(&pipeline, "Error-Rate", &release);
    pipeline.deliver(&alarm);
    let given_up = |pipeline: &Pipeline| {
        let target = scene::target(pipeline);
        matches!(target.progress, Progress::Failed { .. })
    };
    while !given_up(&pipeline) {
        assert!(pipeline.moves(), "{}", explain(&pipeline));
    }
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0);
    // A person is heard before its message is back.
    let mut second = Pipeline::new(pipeline.world.clone());
    second.deliver(&scene::asked_to_go_back(&pipeline, None, "1"));
    second.work();
    assert!(!given_up(&pipeline), "{}", explain(&second));
    while pipeline.moves() | second.moves() {}
    assert!(given_up(&pipeline), "{}", explain(&second));
    assert_eq!(scene::target(&pipeline).release, a);
    assert_eq!(
        told(&pipeline, "Rollback started"),
        6,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(
        told(&pipeline, "ROLLBACK FAILED"),
        2,
        "{}",
        explain(&pipeline)
    );
}

#[test]
fn a_request_that_is_sent_again_on_its_way_back_is_no_other_one() {
    let (mut pipeline, a, _) = a_then_b();
    let asked = scene::asked_to_go_back(&pipeline, None, "1");
    pipeline.deliver(&asked);
    pipeline.work();
    pipeline.world.advance(Duration::from_secs(2));
    let again = scene::asked_to_go_back(&pipeline, None, "1");
    assert_ne!(asked["time"], again["time"]);
    deliver(&mut pipeline, &again);
    serves(&pipeline, &a);
    assert_eq!(
        told(&pipeline, "Rollback started"),
        1,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(told(&pipeline, "Rollback ("), 1);
}
