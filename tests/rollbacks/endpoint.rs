//! Stories of what the endpoint says: updates that come back, alarms of its own, and what is no concern of ours.

use memory::{CrashPoint, When};

use super::*;

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
        why.contains("came back on") && why.contains("ping health check"),
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
fn an_endpoint_that_finds_no_instances_takes_the_release_along_and_blames_nothing() {
    // Who hears of it is the endpoint's own event, or a verification; the process may die after each effect.
    for lost in ["ReleaseFailed", "SageMaker Endpoint State Change"] {
        for effect in 0..=14 {
            let mut pipeline = scene::live();
            let (a, good) = (scene::target(&pipeline).release, scene::serves(&pipeline));
            scene::deploy_the_challenger(&mut pipeline);
            scene::let_endpoint_updates_come_back_for(&pipeline, scene::NO_INSTANCES);
            let b = scene::target(&pipeline).release;
            pipeline.lose(lost);
            let when = When::After;
            pipeline.crash_at((effect > 0).then_some(CrashPoint { effect, when }));
            pipeline.settle();
            let why = format!("{lost}, {effect}: {}", explain(&pipeline));
            serves(&pipeline, &a);
            assert_eq!(scene::serves(&pipeline), good, "{why}");
            assert!(quarantined(&pipeline).is_empty(), "{why}");
            let package = pipeline.world.packages()[1].clone();
            assert_eq!(package.approval, Approval::Approved, "{why}");
            let body = notice(&pipeline, "Rollback (");
            assert!(body.contains("Nothing is quarantined"), "{body}");
            if effect > 0 {
                continue;
            }
            assert_eq!(rollbacks(&pipeline), 1, "{why}");

            // There are instances again, and a person approves it once more.
            pipeline.lose("nothing");
            pipeline
                .world
                .script(|name| name.starts_with("endpoint "), Outcome::Completes);
            let approved = pipeline.world.approve(&package.arn).unwrap();
            deliver(&mut pipeline, &approved);
            serves(&pipeline, &b);
        }
    }
}
