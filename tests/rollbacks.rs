//! Stories of bad releases: undone by what saw them, and never back by themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::{
    layout::Artifacts,
    ports::Approval,
    release::{Pointer, Progress},
};
use memory::{ARTIFACTS_BUCKET, Outcome};
use serde_json::{Value, json};
use stories::{Pipeline, normal, scene};

fn pointer(pipeline: &Pipeline) -> Pointer {
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    serde_json::from_value(pipeline.world.read_json(&at).unwrap()).unwrap()
}

fn quarantined(pipeline: &Pipeline) -> Vec<String> {
    let held = scene::quarantined(pipeline).into_iter();
    held.map(|(part, _)| part).collect()
}

/// The body of the first notice whose subject has the word.
fn notice(pipeline: &Pipeline, word: &str) -> String {
    let notices = pipeline.world.notices();
    let mut with_word = notices
        .iter()
        .filter(|notice| notice.subject.contains(word));
    let first = with_word.next();
    first
        .unwrap_or_else(|| panic!("nothing was told of `{word}`: {}", explain(pipeline)))
        .body
        .clone()
}

/// An alarm of what is live, and all that follows.
fn alarm_of_live(pipeline: &mut Pipeline) {
    let release = scene::target(pipeline).release;
    let alarm = scene::alarm(pipeline, "Error-Rate", &release);
    deliver(pipeline, &alarm);
}

fn told(pipeline: &Pipeline, word: &str) -> usize {
    let notices = pipeline.world.notices();
    notices
        .iter()
        .filter(|notice| notice.subject.contains(word))
        .count()
}

/// Pointer, Deployment and endpoint agree on a release that was verified.
fn serves(pipeline: &Pipeline, release: &str) {
    let target = scene::target(pipeline);
    assert_eq!(target.release, release, "{}", explain(pipeline));
    assert_eq!(target.progress, Progress::Verified, "{}", explain(pipeline));
    assert_eq!(pointer(pipeline).known_good.unwrap().release, release);
    let world = pipeline.world.snapshot();
    let deployment = &world.as_json()["deployment"];
    assert_eq!(deployment["environment"]["DEPLOYMENT_ID"], release);
    assert_eq!(
        deployment["annotations"]["retail-forecast/release"],
        release
    );
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(pipeline));
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

fn deliver(pipeline: &mut Pipeline, event: &Value) {
    pipeline.deliver(event);
    pipeline.settle();
}

/// Release A is good; B, which has another image, is live and verified.
fn a_then_b() -> (Pipeline, String, String) {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image(&mut pipeline, "build-2");
    let b = scene::target(&pipeline).release;
    serves(&pipeline, &b);
    assert_ne!(a, b);
    (pipeline, a, b)
}

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

/// How many rollbacks began; one that is finished after a crash or a repeat isn't another.
fn rollbacks(pipeline: &Pipeline) -> usize {
    let decisions = pipeline.decisions.iter();
    let began = decisions.filter(|(function, decision)| {
        function == "roll-back"
            && decision["decision"] == "roll-back"
            && decision["resumes"] == false
    });
    began.count()
}

#[test]
fn an_endpoint_update_that_comes_back_takes_the_whole_release_along() {
    let mut pipeline = scene::live();
    let (a, good) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    scene::let_endpoint_updates_come_back(&pipeline);
    scene::train_on(&mut pipeline, 560);
    serves(&pipeline, &a);
    assert_eq!(scene::serves(&pipeline), good);
    assert_eq!(rollbacks(&pipeline), 1, "{}", explain(&pipeline));
    assert_eq!(quarantined(&pipeline), ["model"]);
    let package = pipeline.world.packages()[1].clone();
    assert_eq!(package.approval, Approval::Rejected);
    let why = package.approval_description.unwrap();
    assert!(
        why.contains("came back on") && why.contains("no capacity"),
        "{why}"
    );
    let one_each = |pipeline: &Pipeline| {
        let told = |word| told(pipeline, word);
        (told("Rollback started"), told("Rollback ("))
    };
    assert_eq!(one_each(&pipeline), (1, 1));

    // Every word of the endpoint once more, and late.
    let again: Vec<Value> = pipeline.delivered.clone();
    let of_endpoint = |event: &&Value| event["detail-type"] == "SageMaker Endpoint State Change";
    let before = normal(pipeline.world.snapshot().as_json());
    pipeline.world.advance(std::time::Duration::from_secs(400));
    for event in again.iter().filter(of_endpoint) {
        deliver(&mut pipeline, event);
    }
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
    assert_eq!(rollbacks(&pipeline), 1);
}

#[test]
fn the_endpoints_alarm_its_coming_back_and_a_person_make_one_rollback() {
    let mut pipeline = scene::live();
    let (a, good) = (scene::target(&pipeline).release, scene::serves(&pipeline));
    scene::let_endpoint_updates_come_back(&pipeline);
    scene::deploy_the_challenger(&mut pipeline);
    let b = scene::target(&pipeline);
    assert_eq!(b.progress, Progress::Deploying, "{}", explain(&pipeline));
    let alarm = scene::endpoint_alarm(&pipeline, &scene::expected(&pipeline));
    let request = json!({"release": b.release, "request": "1", "by": "ann", "reason": "it is slow", "id": "1"});
    let request = pipeline
        .world
        .envelope("retail-forecast", "RollbackRequested", &[], &request);
    pipeline.send("roll-back", &scene::direct(&alarm));
    for event in [&alarm, &request, &alarm] {
        pipeline.deliver(event);
    }
    pipeline.settle();
    serves(&pipeline, &a);
    assert_eq!(scene::serves(&pipeline), good);
    assert_eq!(
        (
            told(&pipeline, "Rollback started"),
            told(&pipeline, "Rollback (")
        ),
        (1, 1),
        "{}",
        explain(&pipeline)
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
fn an_endpoint_that_is_no_concern_of_ours_changes_nothing() {
    let mut pipeline = scene::live();
    let before = normal(pipeline.world.snapshot().as_json());
    let event = |name: &str, status: &str| {
        let detail =
            json!({"EndpointName": name, "EndpointConfigName": "x", "EndpointStatus": status});
        let changed = "SageMaker Endpoint State Change";
        pipeline
            .world
            .envelope("aws.sagemaker", changed, &[], &detail)
    };
    let events = [
        event("retail-forecast-prod", "FAILED"),
        // What counts is how it is now.
        event("retail-forecast-dev", "OUT_OF_SERVICE"),
        event("retail-forecast-dev", "UPDATING"),
    ];
    let alarm = scene::endpoint_alarm(&pipeline, "retail-forecast-prod-000000000000");
    let of_before = scene::endpoint_alarm(&pipeline, "retail-forecast-dev-000000000000");
    let decided = pipeline.decided("roll-back").len();
    for event in events.iter().chain([&alarm, &of_before]) {
        pipeline.send("roll-back", event);
    }
    pipeline.settle();
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
    assert_eq!(
        pipeline.decided("roll-back")[decided..],
        [
            "not-for-this-function",
            "nothing-wrong",
            "nothing-wrong",
            "not-for-this-function",
            "not-live"
        ]
    );
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
fn a_paused_deployment_is_tried_to_the_limit_and_then_people_are_called() {
    let (mut pipeline, a, b) = a_then_b();
    pipeline
        .world
        .edit_deployment(|deployment| deployment.paused = true);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    let target = scene::target(&pipeline);
    assert_eq!(target.release, a);
    assert!(
        matches!(target.progress, Progress::Failed { .. }),
        "{target:?}"
    );
    assert_eq!(
        told(&pipeline, "Rollback started"),
        3,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(told(&pipeline, "ROLLBACK FAILED"), 1);
    let notices = pipeline.world.notices();
    let call = notices
        .iter()
        .find(|notice| notice.subject.contains("ROLLBACK FAILED"))
        .unwrap();
    assert!(call.body.contains("paused"), "{}", call.body);
}

#[test]
fn an_image_that_helm_owns_is_left_to_helm_and_its_name_is_said() {
    let (mut pipeline, _, b) = a_then_b();
    pipeline
        .world
        .edit_deployment(|deployment| deployment.image_managers = vec!["helm".to_owned()]);
    let before = pipeline.world.snapshot().as_json()["deployment"].clone();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    assert_eq!(pipeline.world.snapshot().as_json()["deployment"], before);
    let notices = pipeline.world.notices();
    let call = notices
        .iter()
        .find(|notice| notice.subject.contains("ROLLBACK FAILED"))
        .unwrap();
    assert!(call.body.contains("helm"), "{}", call.body);
}

#[test]
fn a_person_may_ask() {
    let (mut pipeline, a, b) = a_then_b();
    let before = pipeline.decided("roll-back").len();
    for (release, request) in [
        ("release-000000000000", "1"),
        (b.as_str(), "2"),
        (b.as_str(), "3"),
    ] {
        let detail = json!({"release": release, "request": request, "by": "ann", "reason": "customers complain", "id": request});
        let event = pipeline
            .world
            .envelope("retail-forecast", "RollbackRequested", &[], &detail);
        deliver(&mut pipeline, &event);
    }
    serves(&pipeline, &a);
    assert_eq!(
        pipeline.decided("roll-back")[before..],
        ["not-live", "roll-back", "not-live"]
    );
}

#[test]
fn of_an_image_and_a_setting_the_image_is_found_guilty_and_the_setting_goes_on() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    serves(&pipeline, &a);
    let told_of = |word| told(&pipeline, word);
    let counts = ["Failure", "Rollback (", "Cause found", "Cause unknown"].map(told_of);
    assert_eq!(counts, [1, 1, 1, 0], "{}", explain(&pipeline));
    assert_eq!(quarantined(&pipeline), ["release", "image"]);
    let body = notice(&pipeline, "Cause found");
    for words in [
        "bad image, good configuration: fails, store 1, item 1",
        "good image, bad configuration: holds, 10 golden rows",
        "good image, good configuration: holds",
        "bad image, bad configuration: fails",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }

    // The image stays away with the old setting too; another image with the new setting is fine.
    pipeline.set_for_deployments("API_ENVIRONMENT", "{}");
    let skipped = told(&pipeline, "Skipped");
    scene::scan_again(&mut pipeline);
    serves(&pipeline, &a);
    assert_eq!(told(&pipeline, "Skipped"), skipped + 1);
    pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#);
    pipeline.world.distort(|_, _| true, 1.0);
    scene::push_another_image(&mut pipeline, "build-3");
    let c = scene::target(&pipeline).release;
    assert_ne!(c, a);
    serves(&pipeline, &c);
}

#[test]
fn of_an_image_and_a_setting_the_setting_is_found_guilty_and_the_image_goes_on() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    let has_setting = |variables: &std::collections::BTreeMap<String, String>| {
        variables.get("DRAIN_S").is_some_and(|value| value == "2")
    };
    pipeline
        .world
        .distort(move |_, variables| has_setting(variables), 1.5);
    pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#);
    scene::push_another_image(&mut pipeline, "build-2");
    serves(&pipeline, &a);
    assert_eq!(quarantined(&pipeline), ["release", "configuration"]);

    scene::push_another_image(&mut pipeline, "build-3");
    serves(&pipeline, &a);
    pipeline.set_for_deployments("API_ENVIRONMENT", "{}");
    scene::scan_again(&mut pipeline);
    let c = scene::target(&pipeline).release;
    assert_ne!(c, a);
    serves(&pipeline, &c);
}

#[test]
fn of_a_model_and_an_instance_type_only_the_model_can_be_tried() {
    for (factor, cause) in [(0.0, "Cause found"), (1.0, "Cause unknown")] {
        let mut pipeline = scene::live();
        let a = scene::target(&pipeline).release;
        pipeline.set_for_deployments("ENDPOINT_INSTANCE_TYPE", "ml.m5.large");
        scene::train_on(&mut pipeline, 560);
        let b = scene::target(&pipeline).release;
        serves(&pipeline, &b);
        let second = pipeline.world.packages()[1].model_uri.clone();
        pipeline.world.predict_with(
            move |uri| uri == second,
            move |row| factor * 1.02 * scene::sales(row),
        );
        alarm_of_live(&mut pipeline);
        serves(&pipeline, &a);
        assert_eq!(told(&pipeline, cause), 1, "{}", explain(&pipeline));
        let body = notice(&pipeline, cause);
        assert!(body.contains("instances differ too"), "{body}");
        let rejected = pipeline.world.packages()[1].approval == Approval::Rejected;
        assert_eq!(rejected, cause == "Cause found");
    }
}

#[test]
fn a_way_back_over_a_quarantined_release_changes_model_and_image_and_tells_them_apart() {
    for (bad, expected) in [("model", "model"), ("image", "image"), ("none", "")] {
        let mut pipeline = scene::stage();
        scene::skip_a_quarantined_refuge(&mut pipeline);
        assert_eq!(quarantined(&pipeline), ["model"], "{}", explain(&pipeline));
        let third = pipeline.world.packages()[2].model_uri.clone();
        let image = scene::image(&pipeline);
        match bad {
            "model" => pipeline
                .world
                .predict_with(move |uri| uri == third, |_| 0.0),
            "image" => pipeline.world.distort(move |name, _| name == image, 1.5),
            _ => {}
        }
        alarm_of_live(&mut pipeline);
        let world = pipeline.world.snapshot();
        let first = &pipeline.world.packages()[0];
        let uri = &world.as_json()["deployment"]["environment"]["MODEL_URI"];
        assert_eq!(*uri, first.model_uri, "{}", explain(&pipeline));
        let mut all = vec!["model", "release"];
        all.extend((bad != "none").then_some(expected));
        assert_eq!(quarantined(&pipeline), all, "{}", explain(&pipeline));
        let why = pipeline.world.packages()[2].approval_description.clone();
        let why = why.unwrap_or_default();
        assert_eq!(why.contains("the model is guilty"), bad == "model", "{why}");
    }
}

#[test]
fn where_every_combination_holds_it_is_said_that_it_can_t_be_told() {
    let mut pipeline = scene::live();
    scene::push_another_image_and_setting(&mut pipeline, 1.0);
    alarm_of_live(&mut pipeline);
    assert_eq!(quarantined(&pipeline), ["release"]);
    let body = notice(&pipeline, "Cause unknown");
    assert!(body.contains("can't be told"), "{body}");
    assert!(body.contains("golden rows don't show"), "{body}");
}

#[test]
fn a_rollback_never_waits_for_the_diagnosis() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    pipeline.world.script(
        |subject| subject.starts_with("transform retail-forecast-diagnose-"),
        Outcome::RunsOn,
    );
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    serves(&pipeline, &a);
    let notices = pipeline.world.notices();
    let at = |word: &str| {
        notices
            .iter()
            .position(|notice| notice.subject.contains(word))
    };
    assert!(at("Rollback (").unwrap() < at("Cause unknown").unwrap());
    let target = scene::target(&pipeline);
    let restored = target.judged_at.unwrap().duration_since(target.since);
    assert!(restored.as_secs() < 120, "{restored}");
    let now = domain::ports::Clock::now(&pipeline.world);
    assert!(now.duration_since(target.since).as_secs() >= 3600);
}

#[test]
fn a_combination_and_its_guilty_part_go_live_again_only_when_both_are_lifted() {
    let mut pipeline = scene::live();
    let a = scene::target(&pipeline).release;
    scene::push_another_image_and_setting(&mut pipeline, 1.5);
    pipeline.world.distort(|_, _| true, 1.0);
    let started: Vec<Value> = pipeline.delivered.clone();
    let held = scene::quarantined(&pipeline);
    assert_eq!(held.len(), 2);
    for (_, identity) in &held {
        scene::scan_again(&mut pipeline);
        serves(&pipeline, &a);
        let lift = json!({"identity": identity, "by": "ann", "reason": "mended", "id": "1"});
        let lift = pipeline
            .world
            .envelope("retail-forecast", "LiftRequested", &[], &lift);
        deliver(&mut pipeline, &lift);
    }
    assert_eq!(told(&pipeline, "Quarantine lifted"), 2);
    scene::scan_again(&mut pipeline);
    let b = scene::target(&pipeline).release;
    assert_eq!(b, held[0].1);
    serves(&pipeline, &b);

    // The rollback's start, once more and late: what a person let go stays free.
    let rollbacks = started.iter();
    for event in rollbacks.filter(|event| event["detail-type"] == "RollbackStarted") {
        deliver(&mut pipeline, event);
    }
    serves(&pipeline, &b);
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
