//! What can't go on, half way through the chain: people are told why, once for each fact, and nothing is
//! left as a dead letter only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use domain::layout::{Artifacts, Location};
use memory::{ARTIFACTS_BUCKET, CrashPoint, Outcome, When};
use serde_json::{Value, json};
use stories::{
    Pipeline,
    scene::{self, push_image},
};

const REFUSAL: &str = "ValidationException: Could not assume role sagemaker-exec-role";

fn told(pipeline: &Pipeline, word: &str) -> Vec<String> {
    let notices = pipeline.world.notices().into_iter();
    notices
        .filter(|notice| notice.subject.contains(word))
        .map(|notice| notice.body)
        .collect()
}

fn failures(pipeline: &Pipeline) -> Vec<String> {
    told(pipeline, "Training failed")
}

fn deliver(pipeline: &mut Pipeline, event: &Value) {
    pipeline.deliver(event);
    pipeline.settle();
    let dead = &pipeline.dead_letters;
    assert!(dead.is_empty(), "{dead:?}");
}

fn ready() -> Pipeline {
    let mut pipeline = scene::stage();
    push_image(&mut pipeline);
    pipeline
}

fn contains_all(body: &str, parts: &[&str]) {
    for part in parts {
        assert!(body.contains(part), "`{part}` in: {body}");
    }
}

/// The story, stopped before and after each of its effects: people are told as often, in the same words.
fn the_same_is_told_wherever_it_stops(story: impl Fn(&mut Pipeline), word: &str) {
    let mut undisturbed = ready();
    let before = undisturbed.world.effects().len();
    story(&mut undisturbed);
    let effects = undisturbed.world.effects().len() - before;
    let expected = told(&undisturbed, word);
    assert!(!expected.is_empty());
    for effect in 1..=effects {
        for when in [When::Before, When::After] {
            let mut pipeline = ready();
            pipeline.crash_at([CrashPoint { effect, when }]);
            story(&mut pipeline);
            let seen = told(&pipeline, word);
            // Who dies after publishing publishes again: a message twice is better than none.
            let mut once = seen.clone();
            once.dedup();
            assert_eq!(once, expected, "stopped {when:?} effect {effect}: {seen:?}");
        }
    }
}

#[test]
fn a_training_that_sagemaker_refuses_is_told_for_each_upload() {
    let mut pipeline = ready();
    pipeline.world.refuse_effects_of("ensure_training", REFUSAL);
    let first = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &first);
    deliver(&mut pipeline, &first);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    contains_all(&bodies[0], &["was not started", REFUSAL, "was accepted"]);
    let second = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &second);
    assert_eq!(failures(&pipeline).len(), 2);

    pipeline.world.let_effects_succeed();
    let third = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &third);
    assert_eq!(failures(&pipeline).len(), 2);
    assert_eq!(pipeline.world.packages().len(), 1);
}

#[test]
fn a_refused_training_is_told_over_a_crash() {
    let story = |pipeline: &mut Pipeline| {
        pipeline.world.refuse_effects_of("ensure_training", REFUSAL);
        let event = scene::upload(pipeline, 500);
        deliver(pipeline, &event);
    };
    the_same_is_told_wherever_it_stops(story, "Training failed");
}

#[test]
fn the_data_of_a_failed_job_uploaded_again_is_told_again() {
    let mut pipeline = ready();
    let fails = Outcome::Fails("AlgorithmError: out of memory".to_owned());
    pipeline.world.script(|job| job.contains("-build-"), fails);
    let first = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &first);
    deliver(&mut pipeline, &first);
    assert_eq!(failures(&pipeline).len(), 1, "what began it is no news");
    let again = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &again);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    contains_all(
        &bodies[1],
        &["was not started", "out of memory", "Ask for a retraining"],
    );
}

#[test]
fn a_build_that_runs_again_with_other_data_is_told_and_trains_nothing() {
    let mut pipeline = ready();
    scene::train_on(&mut pipeline, 500);
    let newest = |pipeline: &Pipeline| {
        let at = Artifacts::new(ARTIFACTS_BUCKET).newest_dataset();
        pipeline.world.read_json(&at).unwrap()["dataset"].clone()
    };
    let ask = |pipeline: &mut Pipeline| {
        let detail = json!({"dataset": newest(pipeline), "request": "run 17", "build_id": "build-17-0a1b2c3",
            "requested_by": "Ann O'Neil, ops", "reason": "a pipeline", "id": "00000000000c"});
        let world = &pipeline.world;
        let event = world.envelope("retail-forecast", "RetrainRequested", &[], &detail);
        deliver(pipeline, &event);
    };
    ask(&mut pipeline);
    ask(&mut pipeline);
    assert_eq!(failures(&pipeline), Vec::<String>::new());
    scene::train_on(&mut pipeline, 530);
    ask(&mut pipeline);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    contains_all(
        &bodies[0],
        &["has other data", "build id", "Ann O'Neil, ops"],
    );
}

#[test]
fn a_model_that_can_not_be_registered_is_told_over_a_crash() {
    let refused = |pipeline: &mut Pipeline| {
        pipeline.world.refuse_effects_of("register retail", REFUSAL);
        let event = scene::upload(pipeline, 500);
        deliver(pipeline, &event);
    };
    the_same_is_told_wherever_it_stops(refused, "Training failed");
    let mut pipeline = ready();
    refused(&mut pipeline);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    contains_all(&bodies[0], &["can't be registered", REFUSAL]);
}

#[test]
fn a_model_whose_artifact_is_gone_is_told() {
    let mut pipeline = ready();
    pipeline.world.interleave("announce ModelJudged", |world| {
        let jobs = world.snapshot().as_json()["training_jobs"].clone();
        let job = jobs.as_object().unwrap().keys().next().unwrap().clone();
        let key = format!("models/{job}/output/model.tar.gz");
        world.delete(&Location::new(ARTIFACTS_BUCKET, key));
    });
    scene::train_on(&mut pipeline, 500);
    assert_eq!(pipeline.dead_letters, []);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    contains_all(
        &bodies[0],
        &["can't be registered", "the model artifact is missing"],
    );
}

#[test]
fn of_the_trainings_that_wait_for_an_image_each_is_dealt_with_by_itself() {
    let mut pipeline = scene::stage();
    scene::train_on(&mut pipeline, 500);
    scene::train_on(&mut pipeline, 530);
    assert_eq!(pipeline.decided("start-training"), ["start", "start"]);
    let kept = pipeline.world.snapshot().as_json().to_string();
    assert!(kept.contains("decisions/start-evaluation/"), "{kept}");
    let jobs = pipeline.world.snapshot().as_json()["training_jobs"].clone();
    let first = jobs.as_object().unwrap().keys().next().unwrap().clone();
    let doomed = format!("ensure_transform {first}-");
    pipeline.world.refuse_effects_of(&doomed, REFUSAL);
    push_image(&mut pipeline);
    assert_eq!(pipeline.dead_letters, []);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    contains_all(&bodies[0], &[&first, REFUSAL]);
    assert_eq!(pipeline.world.packages().len(), 1, "the other went on");
}

#[test]
fn a_training_that_waits_for_an_image_is_told_once_and_goes_on_with_either_of_its_events() {
    for lost in ["", "ECR Image Scan", "ECR Image Action"] {
        let mut pipeline = scene::stage();
        scene::train_on(&mut pipeline, 500);
        let mut delivered = pipeline.delivered.iter();
        let ended = delivered.find(|event| event["detail"]["TrainingJobStatus"] == "Completed");
        let ended = ended.unwrap().clone();
        deliver(&mut pipeline, &ended);
        let bodies = told(&pipeline, "Waiting for an image");
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        contains_all(&bodies[0], &["can't be evaluated yet", "`latest-dev`"]);
        pipeline.lose(lost);
        push_image(&mut pipeline);
        assert_eq!(pipeline.world.packages().len(), 1, "without {lost:?}");
        assert_eq!(told(&pipeline, "Waiting for an image").len(), 1);
    }
}

#[test]
fn a_training_that_waits_goes_on_with_an_image_that_is_tagged_later() {
    let mut pipeline = scene::stage();
    let digest = scene::push(&mut pipeline, &["build-1"], &[]);
    scene::train_on(&mut pipeline, 500);
    pipeline.world.advance(std::time::Duration::from_hours(50));
    scene::tag(&mut pipeline, &digest, "latest-dev");
    assert_eq!(pipeline.dead_letters, []);
    assert_eq!(pipeline.world.packages().len(), 1);
}

/// Goes on until the transforms of an evaluation are under way; answers the training job.
fn until_evaluated(pipeline: &mut Pipeline) -> Value {
    let before = pipeline.decisions.len();
    loop {
        pipeline.work();
        let since = pipeline.decisions[before..].iter();
        let mut evaluated = since.filter(|(_, decision)| decision[0]["decision"] == "evaluate");
        if let Some((_, decision)) = evaluated.next() {
            return decision[0]["plan"]["training_job"].clone();
        }
        let events = pipeline.world.run_services();
        assert!(!events.is_empty(), "nothing is evaluated");
        for event in &events {
            pipeline.deliver(event);
        }
    }
}

/// Somebody asks for a training on the newest data.
fn retrain(pipeline: &mut Pipeline, request: &str, build_id: Option<&str>) {
    let at = Artifacts::new(ARTIFACTS_BUCKET).newest_dataset();
    let dataset = pipeline.world.read_json(&at).unwrap()["dataset"].clone();
    let detail = json!({"dataset": dataset, "request": request, "build_id": build_id, "requested_by": "ann",
        "reason": "drift", "id": "00000000000c"});
    let world = &pipeline.world;
    let event = world.envelope("retail-forecast", "RetrainRequested", &[], &detail);
    deliver(pipeline, &event);
}

#[test]
fn a_build_id_that_can_not_name_a_job_is_told_for_each_request_and_trains_nothing() {
    let too_long = "build-this-is-a-rather-long-build-identifier-1";
    for build in ["nightly-7", too_long, "My Build!", ""] {
        let mut pipeline = scene::live();
        let before = pipeline.world.snapshot().as_json()["training_jobs"].clone();
        for (request, times) in [("run 17", 1), ("run 17", 1), ("run 18", 2)] {
            retrain(&mut pipeline, request, Some(build));
            let bodies = failures(&pipeline);
            assert_eq!(bodies.len(), times, "{bodies:?}");
        }
        let shown = format!("`{build}` is no build id");
        contains_all(
            &failures(&pipeline)[0],
            &["was not started", &shown, "run 17", "ann"],
        );
        assert_eq!(pipeline.world.snapshot().as_json()["training_jobs"], before);
    }
}

#[test]
fn the_data_of_a_model_that_could_not_be_judged_uploaded_again_is_told_again() {
    let mut pipeline = ready();
    let fails = Outcome::Fails("bad image".to_owned());
    pipeline
        .world
        .script(|job| job.contains("-candidate"), fails);
    let first = scene::upload(&pipeline, 500);
    pipeline.deliver(&first);
    // While the model is being evaluated, the same data is no news.
    until_evaluated(&mut pipeline);
    let meanwhile = scene::upload(&pipeline, 500);
    pipeline.deliver(&meanwhile);
    pipeline.work();
    assert_eq!(
        pipeline.decided("start-training"),
        ["start", "already-started"]
    );
    pipeline.settle();
    assert_eq!(failures(&pipeline).len(), 1);

    pipeline.world.script(|_| true, Outcome::Completes);
    deliver(&mut pipeline, &first);
    assert_eq!(failures(&pipeline).len(), 1, "what began it is no news");
    let again = scene::upload(&pipeline, 500);
    deliver(&mut pipeline, &again);
    let bodies = failures(&pipeline);
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    contains_all(
        &bodies[1],
        &[
            "was not started",
            "couldn't be judged",
            "bad image",
            "`RetrainRequested`",
        ],
    );
    // What it advises helps.
    retrain(&mut pipeline, "again", None);
    assert_eq!(pipeline.world.packages().len(), 1);
}

#[test]
fn a_failure_means_nothing_once_the_model_was_judged_after_all() {
    let mut pipeline = ready();
    pipeline
        .world
        .refuse_effects_of("ensure_transform", REFUSAL);
    scene::train_on(&mut pipeline, 500);
    assert_eq!(failures(&pipeline).len(), 1);
    pipeline.world.let_effects_succeed();
    let mut delivered = pipeline.delivered.iter();
    let ended = delivered.find(|event| event["detail"]["TrainingJobStatus"] == "Completed");
    let ended = ended.unwrap().clone();
    deliver(&mut pipeline, &ended);
    assert_eq!(pipeline.world.packages().len(), 1);
    scene::train_on(&mut pipeline, 500);
    assert_eq!(failures(&pipeline).len(), 1);
    assert_eq!(
        pipeline.decided("start-training").last().unwrap(),
        "already-started"
    );
}

/// Somebody lets a model pass.
fn override_verdict(pipeline: &Pipeline, training_job: &Value, by: &str) -> Value {
    let detail = json!({"training_job": training_job, "by": by, "reason": "a promotion", "id": "00000000000d"});
    let world = &pipeline.world;
    world.envelope("retail-forecast", "OverrideRequested", &[], &detail)
}

#[test]
fn an_override_of_nothing_is_told_once() {
    let mut pipeline = scene::live();
    let champion = pipeline.world.packages()[0].metadata["training_job"].clone();
    for (job, why) in [
        (
            "retail-forecast-build-nope",
            "isn't evaluated in this environment",
        ),
        (champion.as_str(), "nothing keeps it back"),
    ] {
        let event = override_verdict(&pipeline, &json!(job), "ann");
        deliver(&mut pipeline, &event);
        deliver(&mut pipeline, &event);
        let bodies = told(&pipeline, "Request refused");
        let bodies: Vec<_> = bodies.iter().filter(|body| body.contains(job)).collect();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        contains_all(bodies[0], &["ann asked for: override of", why]);
    }
}

#[test]
fn an_override_that_comes_before_the_verdict_waits_for_it() {
    for (factor, packages, refused) in [(1.5, 2, 0), (1.002, 2, 1)] {
        let mut pipeline = scene::live();
        let champion = pipeline.world.packages()[0].model_uri.clone();
        let world = &pipeline.world;
        world.predict_with(
            move |uri| uri != champion,
            move |row| factor * scene::sales(row),
        );
        let event = scene::upload(&pipeline, 600);
        pipeline.deliver(&event);
        let job = until_evaluated(&mut pipeline);
        let event = override_verdict(&pipeline, &job, "ann");
        deliver(&mut pipeline, &event);
        assert_eq!(pipeline.world.packages().len(), packages, "{factor}");
        let bodies = told(&pipeline, "Request refused");
        assert_eq!(bodies.len(), refused, "{factor}: {bodies:?}");
    }
}
