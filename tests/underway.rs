//! Stories of what speaks while a way back is under way, or of what it led to before that was proved.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use domain::release::Progress;
use serde_json::Value;
use stories::{
    Pipeline,
    checks::{a_then_b, deliver, explain, notice, quarantined, rollbacks, serves, told},
    scene,
};

/// Another image is pushed, and is rolled out beside what is live: nothing of it is verified.
fn rolling(pipeline: &mut Pipeline) -> String {
    let tags = ["latest-dev", "build-3"];
    let world = &pipeline.world;
    for event in &world.push_image("retail-forecast-infer", &tags, &[]) {
        pipeline.deliver(event);
    }
    for event in pipeline.world.run_services() {
        pipeline.deliver(&event);
    }
    pipeline.work();
    scene::target(pipeline).release
}

/// An alarm of this release begins a way back, and 5 s pass: nothing of it is proved.
fn under_way(pipeline: &mut Pipeline, bad: &str) {
    pipeline.world.advance(Duration::from_secs(30));
    let alarm = scene::alarm(pipeline, "Error-Rate", bad);
    pipeline.deliver(&alarm);
    pipeline.work();
    let progress = scene::target(pipeline).progress;
    assert!(matches!(progress, Progress::Restoring { .. }));
    pipeline.world.advance(Duration::from_secs(5));
}

/// Z and A were good, in this order; B, which was rolled out, is gone away from.
fn back_to_a() -> (Pipeline, [String; 3]) {
    let (mut pipeline, z, a) = a_then_b();
    let b = rolling(&mut pipeline);
    under_way(&mut pipeline, &b);
    (pipeline, [z, a, b])
}

#[test]
fn one_outage_brings_one_release_back_however_late_its_other_alarm_comes() {
    for comes_late in [false, true] {
        let (mut pipeline, [_, a, _]) = back_to_a();
        let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
        if comes_late {
            pipeline.settle();
        }
        deliver(&mut pipeline, &alarm);
        serves(&pipeline, &a);
        assert_eq!(rollbacks(&pipeline), 1, "{}", explain(&pipeline));
        assert_eq!(quarantined(&pipeline), ["image"]);
        assert_eq!(
            pipeline.decided("roll-back").last().unwrap(),
            "already-there"
        );
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0);
    }
}

#[test]
fn what_is_brought_back_and_is_bad_is_found_by_its_alarms_which_begin_anew() {
    let (mut pipeline, [z, a, _]) = back_to_a();
    let begun = Some(pipeline.world.effects().len());
    let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    // The owner's alarm was removed, and made again: its state is forgotten, and it will tell of a change.
    let owners = "RetailForecast-API-Error-Rate-retail-forecast-dev";
    let effects = pipeline.world.effects();
    let last = |name: &str| {
        let mut effects = effects.iter();
        effects.rposition(|effect| {
            effect.name == name && effect.subject.split(", ").any(|alarm| alarm == owners)
        })
    };
    assert!(last("ensure_alarm") > last("remove_alarms"));
    assert!(last("remove_alarms") > begun);
    pipeline.world.advance(Duration::from_mins(3));
    let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &z);
    assert_eq!(quarantined(&pipeline), ["image", "image"]);
}

#[test]
fn what_is_brought_back_and_does_not_come_up_is_found_by_its_verification() {
    let (mut pipeline, [_, a, _]) = back_to_a();
    scene::pause(&pipeline, true);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
    deliver(&mut pipeline, &alarm);
    let target = scene::target(&pipeline);
    assert_eq!(target.release, a);
    assert!(matches!(target.progress, Progress::Failed { .. }));
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
}

#[test]
fn nobody_is_called_for_what_is_brought_back_while_that_may_end_well() {
    // A alone is known good.
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let b = rolling(&mut pipeline);
    under_way(&mut pipeline, &b);
    let alarm = scene::alarm(&pipeline, "Latency", &a);
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &a);
    assert_eq!(
        told(&pipeline, "ROLLBACK FAILED"),
        0,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(told(&pipeline, "Rollback ("), 1);
}

/// The word of a person who asks 5 s after the way back began, and what is answered.
fn answered(pipeline: &mut Pipeline, asked: &Value) -> String {
    for _ in 0..2 {
        deliver(pipeline, asked);
    }
    assert_eq!(
        told(pipeline, "Request refused"),
        1,
        "{}",
        explain(pipeline)
    );
    assert_eq!(told(pipeline, "ROLLBACK FAILED"), 0);
    notice(pipeline, "Request refused")
}

#[test]
fn who_asks_for_what_is_under_way_already_hears_so_once() {
    for names_it in [false, true] {
        let (mut pipeline, a, b) = a_then_b();
        under_way(&mut pipeline, &b);
        let asked = scene::asked_to_go_back(&pipeline, names_it.then_some(b.as_str()), "77");
        let body = answered(&mut pipeline, &asked);
        serves(&pipeline, &a);
        assert!(body.contains("request 77"), "{body}");
        let since = format!("Nothing was done: {a} is the target since");
        assert!(body.contains(&since), "{body}");
        assert_eq!(told(&pipeline, "Rollback started"), 1);
    }
}

#[test]
fn who_asks_to_go_further_than_to_the_first_release_hears_that_there_is_nothing() {
    let (mut pipeline, a, b) = a_then_b();
    under_way(&mut pipeline, &b);
    let asked = scene::asked_to_go_back(&pipeline, Some(&a), "1");
    let body = answered(&mut pipeline, &asked);
    serves(&pipeline, &a);
    for part in ["it was brought back, and", "no release is known good but"] {
        assert!(body.contains(part), "{body}");
    }
}

#[test]
fn who_names_what_is_brought_back_goes_further_where_there_is_a_way() {
    let (mut pipeline, [z, a, _]) = back_to_a();
    let asked = scene::asked_to_go_back(&pipeline, Some(&a), "1");
    deliver(&mut pipeline, &asked);
    serves(&pipeline, &z);
    assert_eq!(told(&pipeline, "Request refused"), 0);
}
