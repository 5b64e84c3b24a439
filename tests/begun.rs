//! Stories of a deployment that has begun, and of what comes in its way before it is verified: while it goes
//! well, and where its process died midway.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::{
    layout::Artifacts,
    ports::{Approval, Clock as _},
    release::Progress,
};
use memory::{ARTIFACTS_BUCKET, CrashPoint, When};
use serde_json::{Value, json};
use stories::{
    Pipeline,
    checks::{deliver, explain, notice, quarantined, serves, told},
    scene,
};

const REPOSITORY: &str = "retail-forecast-infer";

/// What comes in the way.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hindrance {
    Frozen,
    AnotherSetting,
    Helm,
    PackageRejected,
    PackageDeleted,
    PackageUndecided,
    ImageDeleted,
    Rescanned,
    NewerImage,
    /// The tag that was asked for is another image's by now.
    TagMoved,
}

use Hindrance::{
    AnotherSetting, Frozen, Helm, ImageDeleted, NewerImage, PackageDeleted, PackageRejected,
    PackageUndecided, Rescanned, TagMoved,
};

const ALL: [Hindrance; 10] = [
    Frozen,
    AnotherSetting,
    Helm,
    PackageRejected,
    PackageDeleted,
    PackageUndecided,
    ImageDeleted,
    Rescanned,
    NewerImage,
    TagMoved,
];

impl Hindrance {
    /// Whether it is a word against what the release brings.
    fn is_a_word_against(self) -> bool {
        matches!(self, PackageRejected | Rescanned)
    }

    fn is_of_an_image(self) -> bool {
        matches!(self, ImageDeleted | Rescanned | NewerImage | TagMoved)
    }
}

fn pushed(pipeline: &Pipeline, build: &str) -> Vec<Value> {
    let tags = ["latest-dev", build];
    pipeline.world.push_image(REPOSITORY, &tags, &[("LOW", 2)])
}

/// The one event that begins the next deployment.
fn beginning(pipeline: &mut Pipeline, hindrance: Hindrance) -> Value {
    if hindrance == TagMoved {
        let world = &pipeline.world;
        pushed(pipeline, "build-2");
        let detail =
            json!({"request": "7", "by": "ann", "reason": "its events were lost", "id": "7"});
        return world.envelope("retail-forecast", "DeploymentRequested", &[], &detail);
    }
    if hindrance.is_of_an_image() {
        return pushed(pipeline, "build-2").remove(0);
    }
    scene::refuse_a_challenger(pipeline);
    scene::override_refusal(pipeline);
    let arn = pipeline.world.packages().last().unwrap().arn.clone();
    pipeline.world.approve(&arn).unwrap()
}

/// It happens, and AWS tells what it tells of it.
fn happens(pipeline: &mut Pipeline, hindrance: Hindrance, began: &Value) {
    let world = &pipeline.world;
    let digest = began["detail"]["image-digest"].as_str().unwrap_or_default();
    let arn = world.packages().last().unwrap().arn.clone();
    match hindrance {
        Frozen => pipeline.set_for_deployments("FROZEN", "peak season"),
        AnotherSetting => pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#),
        Helm => world.edit_deployment(|found| found.image_managers.push("helm".to_owned())),
        PackageRejected => {
            let rejected = world.set_approval(&arn, Approval::Rejected, Some("oops"));
            pipeline.deliver(&rejected.unwrap());
        }
        PackageUndecided => {
            let undecided = world.set_approval(&arn, Approval::PendingManualApproval, None);
            pipeline.deliver(&undecided.unwrap());
        }
        PackageDeleted => world.delete_package(&arn),
        ImageDeleted => world.delete_image(digest),
        Rescanned => {
            let scanned = world.scan_again(digest, &[("HIGH", 1)]);
            pipeline.deliver(&scanned.unwrap());
        }
        NewerImage | TagMoved => {
            for event in pushed(pipeline, "build-3") {
                pipeline.deliver(&event);
            }
        }
    }
}

/// Release A is live, and B is on its way by this event; its process died after the effect, if one is named.
fn begun(
    strategy: &str,
    hindrance: Hindrance,
    dies_after: Option<&str>,
) -> (Pipeline, [String; 2], Value) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let event = beginning(&mut pipeline, hindrance);
    pipeline.set_for_deployments("STRATEGY", strategy);
    if let Some(effect) = dies_after {
        pipeline.world.interleave(effect, |world| {
            let (effect, when) = (1, When::After);
            world.crash_at(Some(CrashPoint { effect, when }));
        });
    }
    pipeline.deliver(&event);
    pipeline.work();
    let b = scene::target(&pipeline);
    assert!(b.release != a && b.progress.is_open(), "{b:?}");
    (pipeline, [a, b.release], event)
}

/// What is live in the end, once everything is at rest.
fn ends(pipeline: &mut Pipeline, [a, b]: &[String; 2], case: &str) -> String {
    let began = pipeline.world.now();
    pipeline.settle();
    let told_why = format!("{case}: {}", explain(pipeline));
    let seconds = pipeline.world.now().duration_since(began).as_secs();
    assert!(seconds < 2400, "{seconds} s: {told_why}");
    assert_eq!(quarantined(pipeline), Vec::<String>::new(), "{told_why}");
    assert!(pipeline.dead_letters.is_empty(), "{told_why}");
    let target = scene::target(pipeline);
    assert_eq!(target.progress, Progress::Verified, "{told_why}");
    serves(pipeline, &target.release);
    assert_eq!(
        scene::serves(pipeline),
        scene::expected(pipeline),
        "{told_why}"
    );
    match target.release {
        release if release == *a => "A".to_owned(),
        release if release == *b => "B".to_owned(),
        _ => "C".to_owned(),
    }
}

#[test]
fn its_own_event_once_more_ends_nothing_that_goes_well() {
    for strategy in ["rolling", "canary"] {
        for hindrance in ALL {
            if strategy == "canary" && matches!(hindrance, Frozen | Helm) {
                // They end it later: when it is to come to all pods.
                continue;
            }
            let case = format!("{strategy}, {hindrance:?}");
            let (mut pipeline, releases, event) = begun(strategy, hindrance, None);
            happens(&mut pipeline, hindrance, &event);
            pipeline.deliver(&event);
            let last = ends(&mut pipeline, &releases, &case);
            let expected = match hindrance {
                NewerImage | TagMoved => "C",
                _ if hindrance.is_a_word_against() => "A",
                // What isn't written yet at the endpoint needs its package then.
                PackageDeleted | PackageUndecided if strategy == "canary" => "A",
                _ => "B",
            };
            assert_eq!(last, expected, "{case}: {}", explain(&pipeline));
            let failures = usize::from(expected == "A");
            assert_eq!(
                told(&pipeline, "Failure"),
                failures,
                "{case}: {}",
                explain(&pipeline)
            );
        }
    }
}

#[test]
fn a_word_against_what_is_on_its_way_ends_it_by_itself_and_is_told_once() {
    for (hindrance, why) in [
        (PackageRejected, "is Rejected (oops)"),
        (Rescanned, "1 HIGH"),
    ] {
        for strategy in ["rolling", "canary"] {
            let (mut pipeline, releases, event) = begun(strategy, hindrance, None);
            happens(&mut pipeline, hindrance, &event);
            assert_eq!(
                ends(&mut pipeline, &releases, why),
                "A",
                "{}",
                explain(&pipeline)
            );
            assert_eq!(told(&pipeline, "Failure"), 1);
            let body = notice(&pipeline, "Failure");
            assert!(
                body.contains("failed at rejection") && body.contains(why),
                "{body}"
            );
            deliver(&mut pipeline, &event);
            assert_eq!(ends(&mut pipeline, &releases, why), "A");
            assert_eq!(told(&pipeline, "Failure"), 1);
        }
    }
}

#[test]
fn a_word_against_what_is_live_ends_nothing() {
    let (mut pipeline, releases, _) = begun("rolling", ImageDeleted, None);
    scene::reject_the_live_package(&mut pipeline);
    assert_eq!(ends(&mut pipeline, &releases, "the live package"), "B");
    assert_eq!(told(&pipeline, "Failure"), 0);
}

#[test]
fn what_was_interrupted_goes_on_or_ends_at_once() {
    let rolling = ["ensure_alarm ", "ensure_endpoint ", "apply "].map(|effect| ("rolling", effect));
    let canary = ["ensure_alarm ", "ensure_canary "].map(|effect| ("canary", effect));
    for (strategy, effect) in rolling.into_iter().chain(canary) {
        for hindrance in ALL {
            let case = format!("{strategy}, {effect}{hindrance:?}");
            let (mut pipeline, releases, event) = begun(strategy, hindrance, Some(effect));
            happens(&mut pipeline, hindrance, &event);
            let expected = match hindrance {
                NewerImage | TagMoved => "C",
                _ if hindrance.is_a_word_against() => "A",
                // They keep a canary from all pods.
                Frozen | Helm if strategy == "canary" => "A",
                // What isn't written yet would be refused.
                Helm if effect != "apply " => "A",
                // An endpoint configuration needs its package.
                PackageDeleted | PackageUndecided
                    if strategy == "canary" || effect == "ensure_alarm " =>
                {
                    "A"
                }
                _ => "B",
            };
            let last = ends(&mut pipeline, &releases, &case);
            assert_eq!(last, expected, "{case}: {}", explain(&pipeline));
        }
    }
}

#[test]
fn a_first_deployment_that_dies_is_ended_by_a_rejection_and_tried_again_by_a_newer_cause() {
    let mut pipeline = scene::stage();
    pipeline.world.interleave("ensure_endpoint ", |world| {
        let (effect, when) = (1, When::After);
        world.crash_at(Some(CrashPoint { effect, when }));
    });
    scene::push_image(&mut pipeline);
    let data = scene::upload(&pipeline, 500);
    pipeline.deliver(&data);
    for _ in 0..400 {
        let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
        let pointer = pipeline.world.read_json(&at);
        if pointer.is_some_and(|pointer| pointer["target"].is_object()) {
            break;
        }
        pipeline.moves();
    }
    let arn = pipeline.world.packages()[0].arn.clone();
    let rejected = pipeline.world.set_approval(&arn, Approval::Rejected, None);
    deliver(&mut pipeline, &rejected.unwrap());
    let target = scene::target(&pipeline);
    let is_failed = matches!(target.progress, Progress::Failed { .. });
    assert!(is_failed, "{}", explain(&pipeline));
    assert_eq!(told(&pipeline, "Failure"), 1);

    scene::approve(&mut pipeline, &arn);
    serves(&pipeline, &target.release);
}

#[test]
fn the_approval_of_a_model_that_left_undoes_nothing_that_came_since() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::refuse_a_challenger(&mut pipeline);
    scene::override_refusal(&mut pipeline);
    let arn = pipeline.world.packages().last().unwrap().arn.clone();
    let approved = pipeline.world.approve(&arn).unwrap();
    // Nothing is laid to the model: somebody had paused the Deployment, for a while.
    scene::pause(&pipeline, true);
    pipeline.deliver(&approved);
    while told(&pipeline, "Failure") == 0 {
        assert!(pipeline.moves());
    }
    scene::pause(&pipeline, false);
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), Vec::<String>::new());

    scene::push_another_image(&mut pipeline, "build-2");
    let c = scene::target(&pipeline).release;
    assert_ne!(a, c);
    deliver(&mut pipeline, &approved);
    serves(&pipeline, &c);

    pipeline.world.advance(std::time::Duration::from_mins(1));
    scene::approve(&mut pipeline, &arn);
    let d = scene::target(&pipeline).release;
    assert!(d != a && d != c, "{}", explain(&pipeline));
    serves(&pipeline, &d);
}
