//! Stories of releases that were brought back: what speaks afterwards, and what people ask for then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use domain::release::Progress;
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
