//! Writes that come late, by invocations that die before they look whether the pointer still says so: their
//! message comes back, and repairs what it can't have known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::time::Duration;

use domain::layout::Artifacts;
use memory::{ARTIFACTS_BUCKET, CrashPoint, When, World};
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
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &a);
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
