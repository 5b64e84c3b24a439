//! Stories of what verifies a release, and of the alarms that it leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::cell::RefCell;
use std::rc::Rc;

use domain::ports::{Clock as _, Ensured};
use memory::{ApiFault, CrashPoint, When, World};
use serde_json::{Value, json};
use stories::{Pipeline, agree, checks, scene};

const ERRORS: &str = "RetailForecast-API-Error-Rate-retail-forecast-dev";

/// Effects on the owner's error alarm since so many effects: what was done to it, and whether that changed it.
fn of_errors(world: &World, since: usize) -> Vec<(&'static str, bool)> {
    of(world, since, ERRORS)
}

/// The same of another alarm.
fn of(world: &World, since: usize, alarm: &str) -> Vec<(&'static str, bool)> {
    let effects = world.effects();
    let named = |subject: &str| subject.split(", ").any(|name| name == alarm);
    let of_it = effects[since..]
        .iter()
        .filter(|effect| named(&effect.subject));
    of_it
        .map(|effect| (effect.name, effect.ensured == Ensured::Made))
        .collect()
}

/// A is good; B, which has another image, is live.
fn a_then_b() -> (Pipeline, String, String) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image(&mut pipeline, "build-2");
    let b = scene::target(&pipeline).release;
    (pipeline, a, b)
}

fn last(pipeline: &Pipeline, kind: &str) -> Value {
    let mut delivered = pipeline.delivered.iter().rev();
    let last = delivered.find(|event| event["detail-type"] == kind);
    last.unwrap_or_else(|| panic!("no {kind}")).clone()
}

#[test]
fn an_alarm_that_may_be_in_alarm_begins_anew_with_what_it_watches_now() {
    let (mut pipeline, a, b) = a_then_b();
    let before = pipeline.world.effects().len();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    pipeline.deliver(&alarm);
    pipeline.settle();
    assert_eq!(scene::target(&pipeline).release, a);
    let removed_and_made = [("remove_alarms", true), ("ensure_alarm", true)];
    assert_eq!(of_errors(&pipeline.world, before), removed_and_made);
    // Both releases are served by the same endpoint configuration, whose alarm it is still.
    let config = scene::serves(&pipeline);
    let of_endpoint = format!("RetailForecast-Endpoint-Error-Rate-{config}");
    assert_eq!(of(&pipeline.world, before, &of_endpoint), removed_and_made);

    // A repeat of what was verified long ago leaves the alarm what it has seen.
    pipeline.world.advance(std::time::Duration::from_hours(1));
    let before = pipeline.world.effects().len();
    let proved = last(&pipeline, "RollbackStarted");
    pipeline.deliver(&proved);
    pipeline.settle();
    let seen = of_errors(&pipeline.world, before);
    assert_eq!(seen, [("ensure_alarm", false)]);
}

#[test]
fn a_silent_api_fails_at_its_limit_and_the_good_release_is_back() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let good = a.clone();
    pipeline
        .world
        .break_api(move |release| release != good, ApiFault::Silent);
    let begun = pipeline.world.now();
    scene::push_another_image(&mut pipeline, "build-2");
    let failed = last(&pipeline, "ReleaseFailed");
    assert_eq!(failed["detail"]["stage"], "health");
    let reason = failed["detail"]["reason"].as_str().unwrap();
    assert!(reason.contains("the limit being 600 s"), "{reason}");
    let at: jiff::Timestamp = failed["time"].as_str().unwrap().parse().unwrap();
    let seconds = at.as_second() - begun.as_second();
    assert!((600..700).contains(&seconds), "{seconds} s");
    assert_eq!(scene::target(&pipeline).release, a);
    agree(&pipeline.world, "a silent API");
}

/// The event is handled by one invocation that is held up at a call, while all else goes on.
fn held_up(
    pipeline: &mut Pipeline,
    event: &Value,
    at: &str,
    meanwhile: impl FnOnce(&mut Pipeline) + 'static,
) {
    let second: Rc<RefCell<Option<Pipeline>>> = Rc::default();
    let slot = Rc::clone(&second);
    pipeline.world.interleave(at, move |world| {
        let mut second = Pipeline::new(world.clone());
        second.set_for_deployments("STRATEGY", "canary");
        meanwhile(&mut second);
        *slot.borrow_mut() = Some(second);
    });
    pipeline.send("verify-release", event);
    pipeline.work();
    let mut second = second.borrow_mut().take().expect("it was held up");
    while pipeline.moves() | second.moves() {}
    for pipeline in [pipeline, &mut second] {
        assert!(
            pipeline.dead_letters.is_empty(),
            "{:?}",
            pipeline.dead_letters
        );
    }
}

#[test]
fn a_late_verification_leaves_the_alarms_to_what_is_live() {
    for at in [
        ERRORS,
        "RetailForecast-API-Silence",
        "RetailForecast-Endpoint-Latency",
    ] {
        let (mut pipeline, a, b) = a_then_b();
        let started = last(&pipeline, "DeploymentStarted");
        let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
        held_up(
            &mut pipeline,
            &started,
            &format!("ensure_alarm {at}"),
            move |second| {
                second.deliver(&alarm);
                second.settle();
            },
        );
        assert_eq!(scene::target(&pipeline).release, a);
        agree(&pipeline.world, at);
    }
}

#[test]
fn a_late_retirement_leaves_the_next_canary_its_pods() {
    let mut pipeline = scene::live();
    pipeline.set_for_deployments("STRATEGY", "canary");
    pipeline.lose("DeploymentStarted");
    scene::push_another_image(&mut pipeline, "build-2");
    pipeline.lose("");
    for _ in 0..3 {
        pipeline.world.run_services();
    }
    let said = pipeline.world.announcements();
    let started = said
        .iter()
        .rev()
        .find(|said| said.detail_type == "DeploymentStarted");
    let started = &started.expect("B passed as a canary").detail;
    let started = pipeline
        .world
        .envelope("retail-forecast", "DeploymentStarted", &[], started);
    let again = started.clone();
    let seen = Rc::new(RefCell::new(vec![]));
    let pods = Rc::clone(&seen);
    held_up(&mut pipeline, &started, "retire_canary", move |second| {
        second.send("verify-release", &again);
        second.work();
        let events = second.world.push_image(
            "retail-forecast-infer",
            &["latest-dev", "build-3"],
            &[("LOW", 2)],
        );
        second.lose("CanaryPassed");
        for event in &events {
            second.deliver(event);
        }
        second.work();
        let canary = |world: &World| world.snapshot().as_json()["canary"]["wanted"].clone();
        assert_eq!(canary(&second.world), 1, "C is tried out");
        pods.borrow_mut().push(canary(&second.world));
    });
    // B's late invocation took the canary's pods away, and gave them back.
    let world = pipeline.world.snapshot();
    assert_eq!(json!(*seen.borrow()), json!([1]));
    assert_eq!(world.as_json()["canary"]["wanted"], 1);
}

/// Before the announcement of this the process dies, and before its message is back the next release comes.
fn overtaken(mut pipeline: Pipeline, announcement: &str, event: &Value) -> Pipeline {
    let second: Rc<RefCell<Option<Pipeline>>> = Rc::default();
    let slot = Rc::clone(&second);
    pipeline.world.interleave(announcement, move |world| {
        let mut second = Pipeline::new(world.clone());
        let tags = ["latest-dev", "build-9"];
        let events = world.push_image("retail-forecast-infer", &tags, &[]);
        second.deliver(&events[0]);
        second.work();
        *slot.borrow_mut() = Some(second);
        let (effect, when) = (1, When::Before);
        world.crash_at(Some(CrashPoint { effect, when }));
    });
    let before = pipeline.world.announcements().len();
    pipeline.deliver(event);
    pipeline.settle();
    let mut second = second.borrow_mut().take().expect("it was overtaken");
    while pipeline.moves() | second.moves() {}
    let made = pipeline.world.announcements();
    let announced = made[before..].iter().map(|made| &made.detail_type);
    let started = announced
        .filter(|kind| *kind == "DeploymentStarted")
        .count();
    assert!(started > 0, "the next release has begun");
    agree(&pipeline.world, announcement);
    pipeline
}

#[test]
fn a_verdict_is_told_once_though_the_next_release_came_before_it_was_announced() {
    let (pipeline, a, b) = a_then_b();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    let mut pipeline = overtaken(pipeline, "announce RollbackSucceeded", &alarm);
    assert_eq!(checks::told(&pipeline, "Rollback ("), 1);
    let body = checks::notice(&pipeline, "Rollback (");
    assert!(
        body.contains(&format!("{a} serves again instead of {b}, ")),
        "{body}"
    );
    assert!(body.contains("- rollout: "), "{body}");
    let proved = last(&pipeline, "RollbackStarted");
    checks::deliver(&mut pipeline, &proved);
    assert_eq!(checks::told(&pipeline, "Rollback ("), 1);

    let pipeline = scene::live();
    let tags = ["latest-dev", "build-2"];
    let events = pipeline
        .world
        .push_image("retail-forecast-infer", &tags, &[]);
    let pipeline = overtaken(pipeline, "announce ReleaseVerified", &events[0]);
    assert_eq!(checks::told(&pipeline, "Success"), 3);
    let body = checks::notice(&pipeline, "Success (dev, build-2)");
    assert!(body.contains("- rollout: "), "{body}");
}
