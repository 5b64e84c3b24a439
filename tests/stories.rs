//! Stories, told in memory: what the whole pipeline does from a cause to its end.

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
use memory::{ARTIFACTS_BUCKET, DATA_BUCKET, Outcome, World};
use serde_json::{Value, json};
use stories::{Pipeline, normal, report, scene, scene::live};

fn artifacts() -> Artifacts {
    Artifacts::new(ARTIFACTS_BUCKET)
}

fn pointer(world: &World) -> Option<Pointer> {
    world
        .read_json(&artifacts().pointer("dev"))
        .map(|pointer| serde_json::from_value(pointer).unwrap())
}

fn subjects(world: &World) -> Vec<String> {
    world
        .notices()
        .into_iter()
        .map(|notice| notice.subject)
        .collect()
}

fn told(world: &World, word: &str) -> usize {
    subjects(world)
        .iter()
        .filter(|subject| subject.contains(word))
        .count()
}

/// The pipeline's whole outcome in one line a function, for a test that fails.
fn explain(pipeline: &Pipeline) -> String {
    let decisions = pipeline
        .decisions
        .iter()
        .map(|(function, decision)| format!("{function}: {decision}"));
    let dead = pipeline
        .dead_letters
        .iter()
        .map(|(function, reason)| format!("DEAD {function}: {reason}"));
    decisions.chain(dead).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_first_upload_becomes_a_verified_release() {
    let pipeline = live();
    let world = &pipeline.world;
    let pointer = pointer(world).unwrap_or_else(|| panic!("no pointer:\n{}", explain(&pipeline)));
    let target = pointer.target.as_ref().unwrap();
    assert_eq!(
        target.progress,
        Progress::Verified,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(pointer.known_good.as_ref().unwrap().release, target.release);
    assert_eq!(world.packages().len(), 1);
    assert_eq!(told(world, "Success"), 1, "{:?}", subjects(world));
    assert!(pipeline.dead_letters.is_empty(), "{}", explain(&pipeline));
    let job = &world.packages()[0].metadata["training_job"];
    let judgement = world.read_json(&artifacts().judgement(job)).unwrap();
    assert_eq!(judgement["verdict"], "first-model");
}

#[test]
fn a_challenger_meets_the_champion_on_the_same_rows() {
    let mut pipeline = live();
    scene::train_on(&mut pipeline, 560);
    let world = &pipeline.world;
    assert_eq!(world.packages().len(), 2, "{}", explain(&pipeline));
    let job = &world.packages()[1].metadata["training_job"];
    let judgement = world.read_json(&artifacts().judgement(job)).unwrap();
    assert_eq!(judgement["verdict"], "pass");
    let pointer = pointer(world).unwrap();
    assert_eq!(pointer.known_good.unwrap().earlier.len(), 1);
    assert_eq!(told(world, "Success"), 2);
}

#[test]
fn a_worse_challenger_leaves_the_champion_live() {
    let mut pipeline = live();
    let before = pointer(&pipeline.world);
    let champion = pipeline.world.packages()[0].model_uri.clone();
    pipeline
        .world
        .predict_with(move |uri| uri != champion, |row| 1.3 * scene::sales(row));
    scene::train_on(&mut pipeline, 560);
    assert_eq!(pipeline.world.packages().len(), 1, "{}", explain(&pipeline));
    assert_eq!(pointer(&pipeline.world), before);
    assert_eq!(
        told(&pipeline.world, "Model rejected"),
        1,
        "{:?}",
        subjects(&pipeline.world)
    );
}

#[test]
fn a_broken_upload_trains_nothing() {
    let mut pipeline = scene::stage();
    scene::push_image(&mut pipeline);
    let broken = scene::csv(500).replace("sales\n", "amount\n");
    let event = pipeline
        .world
        .upload(DATA_BUCKET, "training/broken.csv", broken);
    pipeline.deliver(&event);
    pipeline.settle();
    assert_eq!(
        told(&pipeline.world, "Data rejected"),
        1,
        "{}",
        explain(&pipeline)
    );
    assert_eq!(
        pipeline.world.snapshot().as_json()["training_jobs"],
        json!({})
    );
}

#[test]
fn a_training_that_fails_or_is_stopped_registers_nothing() {
    for (outcome, status) in [
        (Outcome::Fails("out of memory".into()), "Failed"),
        (Outcome::Stops, "Stopped"),
    ] {
        let mut pipeline = scene::stage();
        scene::push_image(&mut pipeline);
        pipeline
            .world
            .script(|subject| subject.starts_with("training "), outcome);
        let upload = scene::upload(&pipeline, 500);
        pipeline.deliver(&upload);
        pipeline.settle();
        assert_eq!(
            told(&pipeline.world, "Training failed"),
            1,
            "{status}: {}",
            explain(&pipeline)
        );
        assert!(pipeline.world.packages().is_empty());
        assert!(
            pipeline
                .world
                .notices()
                .iter()
                .any(|notice| notice.body.contains(status))
        );
    }
}

#[test]
fn a_first_model_waits_for_an_image_and_goes_on_when_it_comes() {
    let mut pipeline = scene::stage();
    scene::train_on(&mut pipeline, 500);
    assert!(pointer(&pipeline.world).is_none(), "{}", explain(&pipeline));
    scene::push_image(&mut pipeline);
    assert_eq!(
        told(&pipeline.world, "Success"),
        1,
        "{}",
        explain(&pipeline)
    );
}

#[test]
fn a_vulnerable_image_is_not_deployed() {
    let mut pipeline = live();
    let before = pointer(&pipeline.world);
    let events = pipeline.world.push_image(
        "retail-forecast-infer",
        &["latest-dev", "build-2"],
        &[("HIGH", 1)],
    );
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.settle();
    assert_eq!(pointer(&pipeline.world), before);
    assert_eq!(
        told(&pipeline.world, "Skipped"),
        1 + 1,
        "the first image had no model: {:?}",
        subjects(&pipeline.world)
    );
}

#[test]
fn a_clean_image_takes_the_live_model_along() {
    let mut pipeline = live();
    let model =
        pipeline.world.snapshot().as_json()["deployment"]["environment"]["MODEL_URI"].clone();
    let image = pipeline.world.snapshot().as_json()["deployment"]["image"].clone();
    let events =
        pipeline
            .world
            .push_image("retail-forecast-infer", &["latest-dev", "build-2"], &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.settle();
    let after = pipeline.world.snapshot();
    assert_eq!(
        after.as_json()["deployment"]["environment"]["MODEL_URI"],
        model
    );
    assert_ne!(after.as_json()["deployment"]["image"], image);
    assert_eq!(told(&pipeline.world, "Success"), 2);
}

#[test]
fn a_rollout_that_fails_is_told_and_never_known_good() {
    let mut pipeline = live();
    let good = pointer(&pipeline.world).unwrap().known_good;
    pipeline.world.script(
        |subject| subject.starts_with("rollout "),
        Outcome::Fails("no memory on the nodes".into()),
    );
    scene::train_on(&mut pipeline, 560);
    let pointer = pointer(&pipeline.world).unwrap();
    assert!(
        matches!(pointer.target.unwrap().progress, Progress::Failed { .. }),
        "{}",
        explain(&pipeline)
    );
    assert_eq!(pointer.known_good, good);
    assert_eq!(told(&pipeline.world, "Failure"), 1);
}

#[test]
fn an_endpoint_update_that_comes_back_is_a_failure_though_its_event_is_lost() {
    let mut pipeline = live();
    pipeline.lose("SageMaker Endpoint State Change");
    pipeline.world.script(
        |subject| subject.starts_with("endpoint "),
        Outcome::Fails("the container doesn't answer".into()),
    );
    scene::train_on(&mut pipeline, 560);
    assert_eq!(
        told(&pipeline.world, "Failure"),
        1,
        "{}",
        explain(&pipeline)
    );
    assert!(
        pipeline
            .world
            .notices()
            .iter()
            .any(|notice| notice.body.contains("came back on"))
    );
}

#[test]
fn a_rejected_package_is_not_deployed() {
    let mut pipeline = live();
    let before = pointer(&pipeline.world);
    let arn = pipeline.world.packages()[0].arn.clone();
    let event = pipeline
        .world
        .set_approval(&arn, Approval::Rejected, Some("drift"))
        .unwrap();
    pipeline.deliver(&event);
    pipeline.settle();
    assert_eq!(pointer(&pipeline.world), before);
    assert!(
        pipeline
            .world
            .notices()
            .iter()
            .any(|notice| notice.body.contains("Rejected (drift)"))
    );
}

#[test]
fn every_event_of_a_finished_story_again_makes_nothing_new() {
    let mut pipeline = live();
    // Within ten minutes a repeated verification lets the alarms begin anew once more.
    pipeline.world.advance(std::time::Duration::from_mins(15));
    let before = normal(pipeline.world.snapshot().as_json());
    let (messages, events) = (pipeline.world.notices().len(), pipeline.delivered.clone());
    let effects = pipeline.world.effects().len();
    // Backwards, so that they are late and out of order as well.
    for event in events.iter().rev() {
        pipeline.deliver(event);
    }
    pipeline.settle();
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
    assert_eq!(
        pipeline.world.notices().len(),
        messages,
        "{:?}",
        subjects(&pipeline.world)
    );
    let made: Vec<String> = pipeline
        .world
        .made_since(effects)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(made.is_empty(), "made something new: {made:?}");
    report(&format!(
        "{} events delivered again, nothing new was made",
        events.len()
    ));
}

#[test]
fn events_of_others_do_nothing() {
    let mut pipeline = live();
    let before = normal(pipeline.world.snapshot().as_json());
    let world = pipeline.world.clone();
    let foreign: [(&str, &str, Value); 4] = [
        (
            "aws.s3",
            "Object Created",
            json!({"bucket": {"name": "somebody-elses"}, "object": {"key": "training/x.csv", "size": 1}}),
        ),
        (
            "aws.sagemaker",
            "SageMaker Training Job State Change",
            json!({"TrainingJobName": "churn-1", "TrainingJobStatus": "Completed"}),
        ),
        (
            "aws.sagemaker",
            "SageMaker Model Package State Change",
            json!({"ModelPackageArn": "a", "ModelPackageGroupName": "churn", "ModelApprovalStatus": "Approved"}),
        ),
        (
            "aws.ec2",
            "EC2 Instance State-change Notification",
            json!({}),
        ),
    ];
    for (source, detail_type, detail) in foreign {
        let event = world.envelope(source, detail_type, &[], &detail);
        pipeline.deliver(&event);
    }
    pipeline.settle();
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
}

#[test]
fn a_read_that_fails_is_not_taken_for_nothing() {
    let pipeline = live();
    let before = normal(pipeline.world.snapshot().as_json());
    pipeline.world.fail_reads_of("pointer.json");
    let events =
        pipeline
            .world
            .push_image("retail-forecast-infer", &["latest-dev", "build-9"], &[]);
    for event in events
        .iter()
        .filter(|event| event["detail-type"] == "ECR Image Scan")
    {
        let received = events::Received::from_value(event.clone()).unwrap();
        let answer = pipeline.invoke("deploy-release", received);
        assert_eq!(answer.unwrap_err().class(), domain::Class::Transient);
    }
    pipeline.world.let_reads_succeed();
    assert_eq!(normal(pipeline.world.snapshot().as_json()), before);
}

#[test]
fn an_old_approval_that_comes_again_undoes_no_later_one() {
    let mut pipeline = scene::live();
    pipeline.world.advance(std::time::Duration::from_hours(5));
    scene::train_on(&mut pipeline, 560);
    let mut approvals = pipeline.delivered.iter();
    let of_second = approvals
        .rfind(|event| event["detail-type"] == "SageMaker Model Package State Change")
        .unwrap()
        .clone();
    let second = scene::target(&pipeline).release;
    pipeline.world.advance(std::time::Duration::from_hours(5));
    let first = pipeline.world.packages()[0].arn.clone();
    scene::approve(&mut pipeline, &first);
    let back = scene::target(&pipeline).release;
    assert_ne!(back, second, "a person's word counts");
    pipeline.world.advance(std::time::Duration::from_hours(5));
    pipeline.deliver(&of_second);
    pipeline.settle();
    assert_eq!(scene::target(&pipeline).release, back);
}

#[test]
fn a_challenger_that_met_another_champion_is_not_deployed_until_a_person_says_so() {
    let mut pipeline = scene::live();
    // Two uploads at a short interval: both models are judged against the one that is live then.
    let champion = pipeline.world.packages()[0].metadata["training_job"].clone();
    let upload = scene::upload(&pipeline, 560);
    pipeline.deliver(&upload);
    pipeline.work();
    let snapshot = pipeline.world.snapshot();
    let jobs = snapshot.as_json()["training_jobs"].as_object().unwrap();
    let better = jobs.keys().find(|job| **job != champion).unwrap().clone();
    pipeline.world.predict_with(
        move |uri| uri.contains(&better),
        |row| 1.002 * scene::sales(row),
    );
    let upload = scene::upload(&pipeline, 600);
    pipeline.deliver(&upload);
    pipeline.work();
    pipeline.settle();
    let packages = pipeline.world.packages();
    assert_eq!(packages.len(), 3);
    let live = scene::target(&pipeline);
    assert!(live.cause.contains(&packages[1].arn), "{}", live.cause);
    let notices = pipeline.world.notices();
    let told = notices
        .iter()
        .filter(|notice| notice.body.contains("nobody compared the two"));
    assert_eq!(told.count(), 1);
    scene::approve(&mut pipeline, &packages[2].arn);
    let live = scene::target(&pipeline);
    assert!(live.cause.contains(&packages[2].arn), "{}", live.cause);
}
