//! Stories of what is live beside a release that is on its way, on a share of the pods or on all.

use std::{collections::BTreeSet, time::Duration};

use domain::ports::Clock as _;
use memory::{CrashPoint, When};
use stories::checks::{self, notice, told};

use super::*;

/// Another image is pushed, and its release is rolled out: nothing of it is verified.
fn rolling(pipeline: &mut Pipeline) -> String {
    let tags = ["latest-dev", "build-3"];
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
    let target = scene::target(pipeline);
    assert_eq!(
        target.progress,
        Progress::Deploying,
        "{}",
        explain(pipeline)
    );
    target.release
}

#[test]
fn an_alarm_of_what_is_live_leads_back_from_it_where_it_can_and_takes_the_canary_along() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image(&mut pipeline, "build-9");
    let b = scene::target(&pipeline).release;
    assert_ne!(a, b);
    pipeline.set_for_deployments("STRATEGY", "canary");
    let c = baking(&mut pipeline);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    for _ in 0..2 {
        pipeline.deliver(&alarm);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image"]);
    let started = announced(&pipeline, "RollbackStarted");
    assert_eq!(started[0]["from"], b);
    assert_eq!(started[0]["abandoned"], c);
    let world = pipeline.world.snapshot();
    let alarms = world.as_json()["alarms"].to_string();
    assert!(!alarms.contains(&c), "{alarms}");
}

/// B is live and was verified after A, which has another model where the endpoint has to differ; C is tried out.
fn two_and_a_canary(another_model: bool) -> (Pipeline, [String; 3]) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    if another_model {
        scene::train_on(&mut pipeline, 560);
    } else {
        scene::push_another_image(&mut pipeline, "build-9");
    }
    let b = scene::target(&pipeline).release;
    assert_ne!(a, b);
    pipeline.set_for_deployments("STRATEGY", "canary");
    pipeline.world.measure(|_| Some(WELL));
    let c = baking(&mut pipeline);
    (pipeline, [a, b, c])
}

#[test]
fn the_endpoints_alarm_of_what_is_live_leads_back_while_a_canary_is_tried_out() {
    let (mut pipeline, [a, b, c]) = two_and_a_canary(true);
    let alarm = scene::endpoint_alarm(&pipeline, &scene::serves(&pipeline));
    for _ in 0..2 {
        pipeline.deliver(&alarm);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(scene::serves(&pipeline), scene::expected_by(&pipeline, &a));
    assert_eq!(quarantined(&pipeline), ["model"]);
    let started = announced(&pipeline, "RollbackStarted");
    assert_eq!(
        (&started[0]["from"], &started[0]["abandoned"]),
        (&json!(b), &json!(c))
    );
}

#[test]
fn a_person_who_names_what_is_live_goes_back_from_it_and_not_from_the_canary_alone() {
    let (mut pipeline, [a, b, c]) = two_and_a_canary(false);
    let asked = scene::asked_to_go_back(&pipeline, Some(&b), "1");
    for _ in 0..2 {
        pipeline.deliver(&asked);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image"]);
    let started = announced(&pipeline, "RollbackStarted");
    assert_eq!(
        (&started[0]["from"], &started[0]["abandoned"]),
        (&json!(b), &json!(c))
    );

    // Where there is nothing to go back to, the canary goes, and isn't blamed for it.
    let (mut pipeline, a) = live();
    pipeline.world.measure(|_| Some(WELL));
    baking(&mut pipeline);
    let asked = scene::asked_to_go_back(&pipeline, Some(&a), "1");
    pipeline.deliver(&asked);
    pipeline.settle();
    serves(&pipeline, &a);
    assert!(quarantined(&pipeline).is_empty(), "{}", explain(&pipeline));
    assert!(announced(&pipeline, "CanaryPassed").is_empty());
}

#[test]
fn past_its_guarded_time_an_alarm_of_what_is_live_takes_the_canary_away_and_blames_nothing() {
    let mut pipeline = scene::live();
    scene::push_another_image(&mut pipeline, "build-9");
    let b = scene::target(&pipeline).release;
    pipeline.world.advance(std::time::Duration::from_hours(30));
    pipeline.set_for_deployments("STRATEGY", "canary");
    pipeline.world.measure(|_| Some(WELL));
    baking(&mut pipeline);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    pipeline.deliver(&alarm);
    pipeline.settle();
    serves(&pipeline, &b);
    assert!(quarantined(&pipeline).is_empty(), "{}", explain(&pipeline));
    assert!(announced(&pipeline, "CanaryPassed").is_empty());
}

#[test]
fn an_alarm_of_what_is_live_leads_back_while_another_release_is_on_its_way() {
    let (mut pipeline, a, b) = checks::a_then_b();
    let c = rolling(&mut pipeline);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    for _ in 0..2 {
        pipeline.deliver(&alarm);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["image"]);
    let world = pipeline.world.snapshot();
    let alarms = world.as_json()["alarms"].to_string();
    assert!(!alarms.contains(&c), "{alarms}");
}

/// An alarm under the owner's name that watches other alarms: it has no dimension to say which release it is of.
fn composite(pipeline: &Pipeline) -> Value {
    let mut alarm = scene::alarm(pipeline, "Error-Rate", "");
    alarm["detail"]["configuration"] = json!({"alarmRule": "ALARM(this) AND ALARM(that)"});
    alarm
}

#[test]
fn an_alarm_that_says_no_release_is_of_what_is_live() {
    stopped_after_each(|stop, stopped| {
        let (mut pipeline, a, b) = checks::a_then_b();
        let image = scene::image(&pipeline);
        let c = rolling(&mut pipeline);
        pipeline.world.advance(Duration::from_secs(30));
        stop(&mut pipeline);
        let alarm = composite(&pipeline);
        for _ in 0..2 {
            checks::deliver(&mut pipeline, &alarm);
        }
        serves(&pipeline, &a);
        let held = scene::quarantined(&pipeline);
        let image = ("image".to_owned(), image);
        assert_eq!(held, [image], "{stopped}: not that of {c}");
        let started = announced(&pipeline, "RollbackStarted");
        assert!(started.iter().all(|started| started["from"] == b));
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0, "{stopped}");
    });
}

#[test]
fn an_alarm_that_says_no_release_takes_a_canary_away_and_is_laid_to_none_of_its_parts() {
    stopped_after_each(|stop, stopped| {
        let (mut pipeline, a) = live();
        pipeline.world.measure(|_| Some(WELL));
        baking(&mut pipeline);
        stop(&mut pipeline);
        let alarm = composite(&pipeline);
        for _ in 0..2 {
            checks::deliver(&mut pipeline, &alarm);
        }
        serves(&pipeline, &a);
        let held = checks::quarantined(&pipeline);
        assert_eq!(held, ["release"], "{stopped}: {}", explain(&pipeline));
        assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 0, "{stopped}");
    });
}

#[test]
fn an_alarm_that_says_no_release_and_comes_late_is_of_what_was_live_when_it_spoke() {
    let (mut pipeline, _, _) = checks::a_then_b();
    rolling(&mut pipeline);
    let alarm = composite(&pipeline);
    pipeline.settle();
    let c = scene::target(&pipeline).release;
    checks::deliver(&mut pipeline, &alarm);
    serves(&pipeline, &c);
    assert!(quarantined(&pipeline).is_empty());
}

#[test]
fn what_is_live_and_has_no_way_back_is_told_of_and_the_release_that_is_rolled_out_goes_on() {
    for by_a_person in [false, true] {
        let mut pipeline = scene::live();
        let a = scene::target(&pipeline).release;
        let b = rolling(&mut pipeline);
        let word = if by_a_person {
            scene::asked_to_go_back(&pipeline, Some(&a), "1")
        } else {
            scene::alarm(&pipeline, "Error-Rate", &a)
        };
        for _ in 0..2 {
            pipeline.deliver(&word);
        }
        pipeline.settle();
        checks::serves(&pipeline, &b);
        assert_eq!(
            told(&pipeline, "ROLLBACK FAILED"),
            1,
            "{}",
            explain(&pipeline)
        );
        let body = notice(&pipeline, "ROLLBACK FAILED");
        let advice = format!("What to do: {b} is on its way, and takes the place of {a}");
        assert!(body.contains(&advice), "{body}");
        assert_eq!(told(&pipeline, "Request refused"), 0);
        assert!(quarantined(&pipeline).is_empty());
    }
}

/// Every way to stop it after one of its first effects, and none.
fn stopped_after_each(mut tell: impl FnMut(&mut dyn FnMut(&mut Pipeline), &str)) {
    for effect in 0..=12 {
        let when = When::After;
        let point = (effect > 0).then_some(CrashPoint { effect, when });
        tell(
            &mut |pipeline| pipeline.crash_at(point),
            &format!("{point:?}"),
        );
    }
}

/// How many facts of ways back that are barred people know; a process that dies may tell one twice.
fn calls(pipeline: &Pipeline) -> usize {
    let notices = pipeline.world.notices().into_iter();
    let calls = notices.filter(|notice| notice.subject.contains("ROLLBACK FAILED"));
    let different: BTreeSet<String> = calls.map(|notice| notice.body).collect();
    different.len()
}

#[test]
fn a_canary_goes_where_the_way_back_of_what_is_live_is_barred_and_both_is_told() {
    for (by_a_person, changed) in [(false, false), (false, true), (true, false)] {
        stopped_after_each(|stop, stopped| {
            let (mut pipeline, [_, b, c]) = two_and_a_canary(false);
            pipeline.world.edit_deployment(move |deployment| {
                deployment.image_managers.push("helm".to_owned());
                if changed {
                    deployment.image = Some("somebody/else".to_owned());
                }
            });
            let word = if by_a_person {
                scene::asked_to_go_back(&pipeline, Some(&b), "1")
            } else {
                scene::alarm(&pipeline, "Error-Rate", &b)
            };
            stop(&mut pipeline);
            for _ in 0..2 {
                pipeline.deliver(&word);
            }
            pipeline.settle();
            let why = format!(
                "{stopped}, {by_a_person}, {changed}: {}",
                explain(&pipeline)
            );
            let world = pipeline.world.snapshot();
            assert_eq!(world.as_json()["canary"]["wanted"], 0, "{why}");
            let body = notice(&pipeline, &format!("ROLLBACK FAILED - act now (dev, {b}"));
            assert!(body.contains("helm"), "{body}");
            assert!(announced(&pipeline, "CanaryPassed").is_empty(), "{why}");
            let blamed = if by_a_person {
                vec![]
            } else {
                vec![json!("release")]
            };
            assert_eq!(quarantined(&pipeline), blamed, "{why}");
            if !changed {
                serves(&pipeline, &b);
                assert_eq!(calls(&pipeline), 1, "{why}");
                return;
            }
            assert_eq!(calls(&pipeline), 2, "{why}");
            let body = notice(&pipeline, &format!("ROLLBACK FAILED - act now (dev, {c}"));
            assert!(
                body.contains("the canary's pods are taken away, and"),
                "{body}"
            );
            // Who asks for B meanwhile is told what has to go first.
            let asked = scene::asked_to_go_back(&pipeline, Some(&b), "2");
            checks::deliver(&mut pipeline, &asked);
            let body = notice(&pipeline, "Request refused");
            assert!(
                body.contains(&format!("ask for a rollback of {c} first")),
                "{body}"
            );
        });
    }
}

#[test]
fn what_a_canary_isnt_blamed_for_isnt_laid_to_it_wherever_its_way_back_is_stopped() {
    stopped_after_each(|stop, stopped| {
        let (mut pipeline, a) = live();
        pipeline.world.measure(|_| Some(WELL));
        pipeline.world.advance(Duration::from_hours(30));
        baking(&mut pipeline);
        let alarm = scene::alarm(&pipeline, "Error-Rate", &a);
        let now = pipeline.world.now();
        stop(&mut pipeline);
        pipeline.deliver(&alarm);
        pipeline.settle();
        serves(&pipeline, &a);
        let target = scene::target(&pipeline);
        assert!(
            target.gone_from.is_some() && target.since >= now,
            "{target:?}"
        );
        assert!(
            quarantined(&pipeline).is_empty(),
            "{stopped}: {}",
            explain(&pipeline)
        );
    });
}

#[test]
fn a_canary_goes_where_the_way_back_of_what_is_live_was_begun_and_is_barred_after_a_crash() {
    let (mut pipeline, [_, b, _]) = two_and_a_canary(false);
    // The pointer has moved; the process dies, and Helm takes the Deployment before its message is back.
    pipeline.world.interleave("retire_canary ", |world| {
        world.edit_deployment(|deployment| deployment.image_managers.push("helm".to_owned()));
        let (effect, when) = (1, When::Before);
        world.crash_at(Some(CrashPoint { effect, when }));
    });
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    checks::deliver(&mut pipeline, &alarm);
    let why = explain(&pipeline);
    let target = scene::target(&pipeline);
    assert!(matches!(target.progress, Progress::Failed { .. }), "{why}");
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1, "{why}");
    let world = pipeline.world.snapshot();
    assert_eq!(world.as_json()["canary"]["wanted"], 0, "{why}");
}
