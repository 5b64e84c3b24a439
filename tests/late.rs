//! Writes that come late, by invocations that die before they look whether the pointer still says so: their
//! message comes back, and repairs what it can't have known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use domain::{
    layout::Artifacts,
    ports::{EndpointSpec, Endpoints as _},
};
use memory::{ARTIFACTS_BUCKET, CrashPoint, Outcome, When, World};
use serde_json::{Value, json};
use stories::{
    Pipeline, agree,
    checks::{a_then_b, deliver, explain, serves, told},
    scene,
};

/// Before the next effect of that name somebody else moves the pointer, or more; and the process dies after it.
fn late(pipeline: &Pipeline, effect: &str, meanwhile: impl FnOnce(&World) + 'static) {
    pipeline.world.interleave(effect, |world| {
        meanwhile(world);
        let (effect, when) = (1, When::After);
        world.crash_at(Some(CrashPoint { effect, when }));
    });
}

/// Everything that is on its way to the release is over: the pointer says what it said, and the image or the
/// model that was being deployed is quarantined.
fn undone(
    pipeline: &Pipeline,
    part: &'static str,
    identity: String,
) -> impl FnOnce(&World) + 'static {
    let artifacts = Artifacts::new(ARTIFACTS_BUCKET);
    let at = artifacts.pointer("dev");
    let before = pipeline.world.read_json(&at).unwrap();
    move |world| {
        let entry = json!({"part": part, "identity": identity, "release": "release-x", "reason": "bad", "since": "2024-03-04T02:00:00Z", "lifted": null});
        let list = json!({"schema": 1, "entries": [entry]}).to_string();
        world.write(&artifacts.quarantine("dev"), list);
        world.write(&at, before.to_string());
    }
}

/// The image that is pushed next, under this build.
fn next_image(pipeline: &Pipeline, build: &str) -> String {
    let image = scene::image(pipeline);
    let (repository, _) = image.split_once('@').unwrap();
    let digest = domain::names::digest(&["retail-forecast-infer", "latest-dev", build]);
    format!("{repository}@sha256:{digest}")
}

#[test]
fn a_deployment_that_writes_late_and_dies_is_repaired_by_its_message() {
    for strategy in ["rolling", "canary"] {
        let mut pipeline = scene::live();
        let a = scene::target(&pipeline).release;
        pipeline.set_for_deployments("STRATEGY", strategy);
        let effect = match strategy {
            "canary" => "ensure_canary ",
            _ => "apply ",
        };
        let meanwhile = undone(&pipeline, "image", next_image(&pipeline, "build-2"));
        late(&pipeline, effect, meanwhile);
        scene::push_another_image(&mut pipeline, "build-2");
        serves(&pipeline, &a);
        let told = format!("{strategy}: {}", explain(&pipeline));
        let world = pipeline.world.snapshot();
        assert_eq!(world.as_json()["canary"]["wanted"], 0, "{told}");
    }
}

#[test]
fn an_endpoint_that_is_updated_late_is_brought_back_and_nothing_is_laid_to_what_is_live() {
    let mut pipeline = scene::live();
    let (a, good) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    scene::refuse_a_challenger(&mut pipeline);
    scene::override_refusal(&mut pipeline);
    let arn = pipeline.world.packages().last().unwrap().arn.clone();
    let meanwhile = undone(&pipeline, "model", arn.clone());
    late(&pipeline, "ensure_endpoint ", meanwhile);
    let approved = pipeline.world.approve(&arn).unwrap();
    let before = pipeline.world.effects().len();
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &a);
    // The pods that run it go on.
    let effects = &pipeline.world.effects()[before..];
    assert!(!effects.iter().any(|effect| effect.name == "apply"));
    assert_eq!(scene::serves(&pipeline), good, "{}", explain(&pipeline));
    assert_eq!(told(&pipeline, "Rollback"), 0);
}

#[test]
fn what_another_manager_wrote_is_no_late_write() {
    let (mut pipeline, _, b) = a_then_b();
    pipeline.world.edit_deployment(|deployment| {
        deployment.image_managers = vec!["helm".to_owned()];
        let id = "DEPLOYMENT_ID".to_owned();
        deployment.environment.insert(id, "chart-7".to_owned());
    });
    let effects = pipeline.world.effects().len();
    scene::push_another_image(&mut pipeline, "build-3");
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(&pipeline));
    assert_eq!(scene::target(&pipeline).release, b);
    let effects = &pipeline.world.effects()[effects..];
    assert!(!effects.iter().any(|effect| effect.name == "apply"));
}

#[test]
fn a_way_back_that_writes_late_and_dies_is_repaired_by_its_message() {
    let (mut pipeline, _, b) = a_then_b();
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    let mut later: Value = pipeline.world.read_json(&at).unwrap();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    // Another invocation went back, a person let B go, and it was deployed and verified once more.
    for field in ["since", "caused_at", "judged_at"] {
        later["target"][field] = json!("2024-03-04T12:00:00Z");
    }
    late(&pipeline, "apply ", move |world| {
        let at = Artifacts::new(ARTIFACTS_BUCKET);
        world.write(&at.pointer("dev"), later.to_string());
        world.write(
            &at.quarantine("dev"),
            json!({"schema": 1, "entries": []}).to_string(),
        );
    });
    deliver(&mut pipeline, &alarm);
    serves(&pipeline, &b);
}

#[test]
fn a_release_whose_place_is_taken_leaves_no_alarm_wherever_its_successor_is_stopped() {
    let (mut point, mut tried) = (None, 0);
    loop {
        let mut pipeline = scene::live();
        pipeline.lose("DeploymentStarted");
        scene::push_another_image(&mut pipeline, "build-2");
        let b = scene::target(&pipeline).release;
        let has_alarms = |pipeline: &Pipeline| {
            let world = pipeline.world.snapshot();
            world.as_json()["alarms"].to_string().contains(&b)
        };
        assert!(has_alarms(&pipeline));
        pipeline.lose("nothing");
        pipeline.world.advance(Duration::from_mins(41));
        let before = pipeline.world.effects().len();
        pipeline.crash_at(point);
        scene::push_another_image(&mut pipeline, "build-3");
        assert!(!has_alarms(&pipeline), "{point:?}: {}", explain(&pipeline));
        agree(&pipeline.world, "C took the place of B");
        if pipeline.world.effects().len() - before < tried {
            break;
        }
        tried += 1;
        let (effect, when) = (tried, When::After);
        point = Some(CrashPoint { effect, when });
    }
    assert!(tried > 10, "{tried} effects");
}

/// A's model, then B's is live; and so many hours later somebody gives the endpoint by hand what it served before.
fn given_the_old_one_by_hand(hours: u64) -> (Pipeline, [String; 2], [String; 2]) {
    let mut pipeline = scene::live();
    let (a, old) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    scene::train_on(&mut pipeline, 560);
    let (b, new) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    assert!(a != b && old != new);
    pipeline.world.advance(Duration::from_hours(hours));
    let spec = EndpointSpec {
        endpoint: "retail-forecast-dev".to_owned(),
        config: old.clone(),
        package_arn: pipeline.world.packages()[0].arn.clone(),
        role_arn: "arn:aws:iam::000000000000:role/x".to_owned(),
        instance_type: "ml.t2.medium".to_owned(),
        instance_count: 1,
        tags: std::collections::BTreeMap::default(),
        update: None,
    };
    {
        let mut by_hand = pin!(pipeline.world.ensure_endpoint(&spec));
        let mut context = Context::from_waker(Waker::noop());
        assert!(by_hand.as_mut().poll(&mut context).is_ready());
    }
    (pipeline, [a, b], [old, new])
}

#[test]
fn an_endpoint_that_keeps_coming_back_is_repaired_a_few_times_and_told_of() {
    // SageMaker says why, or doesn't; within the guarded time of what is live, or after it.
    for (reason, guarded) in [("no memory", true), ("", true), ("", false)] {
        let hours = if guarded { 0 } else { 30 };
        let (mut pipeline, [a, b], [old, new]) = given_the_old_one_by_hand(hours);
        let taken_back = format!("endpoint {new}");
        let fails = Outcome::Fails(reason.to_owned());
        pipeline.world.script(move |name| name == taken_back, fails);
        let before = pipeline.world.effects().len();
        let mut moves = 0;
        while moves < 2000 && pipeline.moves() {
            moves += 1;
        }
        let made = pipeline.world.made_since(before);
        let updates = made.iter().filter(|made| made.name == "ensure_endpoint");
        let updates = updates.count();
        let why = format!("`{reason}`: {updates}: {}", explain(&pipeline));
        assert!(moves < 2000 && updates < 6, "{why}");
        assert_eq!(scene::serves(&pipeline), old, "{why}");
        if guarded {
            serves(&pipeline, &a);
            assert!(told(&pipeline, "Rollback") > 0, "{why}");
        } else {
            serves(&pipeline, &b);
            assert!(told(&pipeline, "ROLLBACK FAILED") > 0, "{why}");
        }
    }
}

#[test]
fn an_endpoint_is_repaired_whatever_it_says_of_an_earlier_update() {
    let (mut pipeline, [_, b], [old, new]) = given_the_old_one_by_hand(0);
    let ended = pipeline.world.run_services();
    assert_eq!(scene::serves(&pipeline), old);
    let endpoint = "retail-forecast-dev";
    pipeline.world.remember_failure(endpoint, "no memory");
    for event in &ended {
        pipeline.deliver(event);
    }
    pipeline.settle();
    serves(&pipeline, &b);
    assert_eq!(scene::serves(&pipeline), new, "{}", explain(&pipeline));
    assert_eq!(told(&pipeline, "Rollback"), 0);
}
