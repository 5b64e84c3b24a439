//! What people are told of an upload or a request that leads nowhere, and how often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::ports::Approval;
use memory::DATA_BUCKET;
use serde_json::{Value, json};
use stories::{
    Pipeline, normal,
    scene::{self, live},
};

fn told(pipeline: &Pipeline, word: &str) -> Vec<String> {
    let notices = pipeline.world.notices().into_iter();
    notices
        .filter(|notice| notice.subject.contains(word))
        .map(|notice| notice.body)
        .collect()
}

fn deliver(pipeline: &mut Pipeline, event: &Value) {
    pipeline.deliver(event);
    pipeline.settle();
    assert!(
        pipeline.dead_letters.is_empty(),
        "{:?}",
        pipeline.dead_letters
    );
}

#[test]
fn a_retraining_on_an_unknown_data_set_is_told_for_each_request() {
    let mut pipeline = scene::stage();
    let ask = |pipeline: &Pipeline, request: &str| {
        let detail = json!({"dataset": "0a1b2c3d4e5f", "request": request, "requested_by": "ann",
            "reason": "drift", "id": "00000000000c"});
        let world = &pipeline.world;
        world.envelope("retail-forecast", "RetrainRequested", &[], &detail)
    };
    let first = ask(&pipeline, "r1");
    deliver(&mut pipeline, &first);
    deliver(&mut pipeline, &first);
    let bodies = told(&pipeline, "Training failed");
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for part in ["was not started", "`0a1b2c3d4e5f`", "ann asked: drift"] {
        assert!(bodies[0].contains(part), "`{part}` in: {}", bodies[0]);
    }
    let second = ask(&pipeline, "r2");
    deliver(&mut pipeline, &second);
    assert_eq!(told(&pipeline, "Training failed").len(), 2);
    assert_eq!(
        pipeline.world.snapshot().as_json()["training_jobs"],
        json!({})
    );
}

#[test]
fn a_validation_file_alone_is_waited_for_and_then_told_once() {
    let mut pipeline = scene::stage();
    let rows = scene::csv(530);
    let judging: Vec<&str> = rows
        .lines()
        .take(1)
        .chain(rows.lines().skip(2001))
        .collect();
    let event = pipeline
        .world
        .upload(DATA_BUCKET, "validation/sales_data.csv", judging.join("\n"));
    deliver(&mut pipeline, &event);
    deliver(&mut pipeline, &event);
    let bodies = told(&pipeline, "Data rejected");
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(
        bodies[0].contains("no training file") && bodies[0].contains("training/sales_data.csv"),
        "{}",
        bodies[0]
    );
    let decided = pipeline.decided("validate-dataset");
    let waits = decided
        .iter()
        .filter(|one| *one == "await-training")
        .count();
    assert_eq!(waits, 15, "once a minute: {decided:?}");

    // The pair is one data set as soon as it is whole.
    scene::train_on(&mut pipeline, 500);
    assert_eq!(told(&pipeline, "Data rejected").len(), 1);
    assert_eq!(pipeline.decided("start-training"), ["start"]);
}

#[test]
fn the_same_broken_bytes_uploaded_again_are_told_again() {
    let mut pipeline = scene::stage();
    let broken = scene::csv(500).replace("sales\n", "amount\n");
    let upload = |pipeline: &Pipeline| {
        let world = &pipeline.world;
        world.upload(DATA_BUCKET, "training/broken.csv", broken.clone())
    };
    let first = upload(&pipeline);
    deliver(&mut pipeline, &first);
    deliver(&mut pipeline, &first);
    assert_eq!(told(&pipeline, "Data rejected").len(), 1);
    let second = upload(&pipeline);
    deliver(&mut pipeline, &second);
    deliver(&mut pipeline, &first);
    let bodies = told(&pipeline, "Data rejected");
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert_ne!(bodies[0], bodies[1], "each names its upload");
}

#[test]
fn a_live_package_whose_metadata_changed_is_nothing_new() {
    let mut pipeline = live();
    let before = normal(pipeline.world.snapshot().as_json());
    let (effects, notices) = (
        pipeline.world.effects().len(),
        pipeline.world.notices().len(),
    );
    let arn = pipeline.world.packages()[0].arn.clone();
    // SageMaker sends the approval with every change of a package, whatever changed.
    let event = pipeline
        .world
        .set_approval(&arn, Approval::Approved, None)
        .unwrap();
    let of_approval = pipeline.delivered.iter().find(|event| {
        event["detail-type"] == "SageMaker Model Package State Change"
            && event["detail"]["ModelApprovalStatus"] == "Approved"
    });
    assert_ne!(of_approval.unwrap()["id"], event["id"], "another event");
    deliver(&mut pipeline, &event);
    assert_eq!(
        pipeline.decided("deploy-release").last().unwrap(),
        "already-live"
    );
    let made: Vec<String> = pipeline
        .world
        .made_since(effects)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(made.is_empty(), "{made:?}");
    assert_eq!(pipeline.world.notices().len(), notices);
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
}

/// Deployments, successes, and failures in percent, over all that was published.
fn figures(pipeline: &Pipeline) -> String {
    let decisions = pipeline.decisions.iter();
    let of_notify = decisions.filter(|(function, _)| function == "notify");
    let kpis = of_notify.filter_map(|(_, decision)| decision.get("kpi"));
    let lines: Vec<Value> = kpis
        .map(|kpi| serde_json::from_value::<notify::kpi::Kpi>(kpi.clone()).unwrap())
        .map(|kpi| kpi.embedded("dev"))
        .collect();
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_f64()).sum();
    let [count, success, failed]: [f64; 3] =
        ["DeploymentCount", "DeploymentSuccess", "FailureRate"].map(sum);
    format!("{success} of {count}, {:.1} % failed", failed / count)
}

#[test]
fn a_release_that_is_rolled_back_after_its_verification_counts_as_a_failed_deployment() {
    let (mut pipeline, a, b) = stories::checks::a_then_b();
    assert_eq!(figures(&pipeline), "2 of 2, 0.0 % failed");
    let before = pipeline.delivered.len();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    stories::checks::serves(&pipeline, &a);
    assert_eq!(figures(&pipeline), "1 of 2, 50.0 % failed");
    let delivered = pipeline.delivered.split_off(before);
    for event in &delivered {
        deliver(&mut pipeline, event);
    }
    assert_eq!(figures(&pipeline), "1 of 2, 50.0 % failed");

    // A failed verification counts once, and the way back that follows it does not.
    let good = a.clone();
    let world = &pipeline.world;
    world.break_api(move |release| release != good, memory::ApiFault::Silent);
    scene::push_another_image(&mut pipeline, "build-3");
    stories::checks::serves(&pipeline, &a);
    assert_eq!(figures(&pipeline), "1 of 3, 66.7 % failed");
}
