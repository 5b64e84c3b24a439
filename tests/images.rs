//! ECR tells of an image by a push and by its scan's end; either may be missing, late or bad.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::time::Duration;

use memory::{ARTIFACTS_BUCKET, Outcome};
use serde_json::{Value, json};
use stories::{Pipeline, scene, scene::push};

const REPOSITORY: &str = "retail-forecast-infer";

/// What people were told of deployments since so many messages.
fn told(pipeline: &Pipeline, since: usize) -> Vec<String> {
    let notices = pipeline.world.notices().into_iter().skip(since);
    notices
        .map(|notice| format!("{}: {}", notice.subject, notice.body))
        .collect()
}

/// One message, with these words, and nothing else happened.
fn skipped_once(pipeline: &Pipeline, since: usize, image: &str, words: &str) {
    let told = told(pipeline, since);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("Skipped") && told[0].contains(words),
        "{told:#?}"
    );
    assert_eq!(scene::image(pipeline), image);
    assert_eq!(pipeline.dead_letters, []);
}

/// The image is live, by one rollout.
fn deployed_once(pipeline: &Pipeline, since: usize, digest: &str) {
    let told = told(pipeline, since);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("Success"), "{told:#?}");
    assert!(scene::image(pipeline).ends_with(digest));
    let rollouts = pipeline.delivered.iter();
    let rollouts = rollouts.filter(|event| event["detail-type"] == "ReleaseVerified");
    assert_eq!(rollouts.count(), 2, "one for each image");
    assert_eq!(pipeline.dead_letters, []);
}

/// An environment with a verified release, and how many messages there were until then.
fn live() -> (Pipeline, usize, String) {
    let pipeline = scene::live();
    let since = pipeline.world.notices().len();
    let image = scene::image(&pipeline);
    (pipeline, since, image)
}

/// What `ci/scan.py` keeps.
fn keep_pipeline_scan(pipeline: &Pipeline, of: &str, digest: &str, findings: &Value) {
    let record = json!({"schema": 1, "digest": digest, "scanner": "Version: 0.66.0", "status": "COMPLETE",
        "findings": findings, "at": "2026-11-02T07:40:00Z"});
    let key = format!("scans/{}.json", of.trim_start_matches("sha256:"));
    let world = &pipeline.world;
    let _ = world.upload(ARTIFACTS_BUCKET, &key, record.to_string());
}

#[test]
fn an_image_is_deployed_once_whichever_of_its_events_are_lost() {
    for lost in ["", "ECR Image Scan", "ECR Image Action"] {
        let (mut pipeline, since, _) = live();
        pipeline.lose(lost);
        let digest = push(&mut pipeline, &["latest-dev", "build-2"], &[("LOW", 1)]);
        deployed_once(&pipeline, since, &digest);
    }
}

#[test]
fn an_image_scanned_before_is_deployed_when_it_gets_the_environments_tag() {
    let (mut pipeline, since, image) = live();
    let digest = push(&mut pipeline, &["build-2"], &[]);
    assert_eq!(scene::image(&pipeline), image);
    pipeline.world.advance(Duration::from_hours(50));
    scene::tag(&mut pipeline, &digest, "latest-dev");
    let mut delivered = pipeline.delivered.iter().rev();
    let tagged = delivered.find(|event| event["detail-type"] == "ECR Image Action");
    let tagged = tagged.cloned().unwrap();
    pipeline.deliver(&tagged);
    pipeline.settle();
    deployed_once(&pipeline, since, &digest);
}

#[test]
fn a_push_waits_for_its_scan_and_no_longer_than_the_limit() {
    let (mut pipeline, since, image) = live();
    let world = pipeline.world.clone();
    world.script(|what| what.starts_with("scan "), Outcome::RunsOn);
    push(&mut pipeline, &["latest-dev", "build-2"], &[]);
    skipped_once(
        &pipeline,
        since,
        &image,
        "900 s after its push (SCAN_LIMIT_S)",
    );

    let (mut pipeline, since, _) = live();
    let world = pipeline.world.clone();
    world.script(|what| what.starts_with("scan "), Outcome::RunsOn);
    let events = world.push_image(REPOSITORY, &["latest-dev", "build-2"], &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.work();
    assert_eq!(
        pipeline.decided("deploy-release").last().unwrap(),
        "scanning"
    );
    world.script(|what| what.starts_with("scan "), Outcome::Completes);
    pipeline.settle();
    let digest = events[0]["detail"]["image-digest"].as_str().unwrap();
    deployed_once(&pipeline, since, digest);
}

#[test]
fn people_are_told_once_why_an_image_was_not_deployed() {
    let failing = |reason: &'static str| Some(Outcome::Fails(reason.to_owned()));
    for (outcome, findings, words) in [
        (None, vec![("HIGH", 2)], "0 CRITICAL and 2 HIGH"),
        (failing("no disk"), vec![], "scan is FAILED"),
        (
            failing("UNSUPPORTED_IMAGE"),
            vec![],
            "has no result of the pipeline's scan",
        ),
    ] {
        let (mut pipeline, since, image) = live();
        // The scan takes its time, so that its end is told later than the push.
        let scans = |what: &str| what.starts_with("scan ");
        pipeline.world.script(scans, Outcome::RunsOn);
        let tags = ["latest-dev", "build-2"];
        for event in pipeline.world.push_image(REPOSITORY, &tags, &findings) {
            pipeline.deliver(&event);
        }
        pipeline.settle_within(Duration::from_secs(40));
        let outcome = outcome.unwrap_or(Outcome::Completes);
        pipeline.world.script(scans, outcome);
        pipeline.settle();
        skipped_once(&pipeline, since, &image, words);
    }
}

#[test]
fn where_ecr_cannot_scan_the_pipelines_scan_of_that_very_digest_decides() {
    let unsupported = || {
        let (pipeline, since, image) = live();
        let cannot = Outcome::Fails("UNSUPPORTED_IMAGE".to_owned());
        let world = &pipeline.world;
        world.script(|what| what.starts_with("scan "), cannot);
        // The digest is computed from the push: what will be pushed has this one.
        let digest = memory::World::new().push_image(REPOSITORY, &["latest-dev", "build-2"], &[])
            [0]["detail"]["image-digest"]
            .as_str()
            .unwrap()
            .to_owned();
        (pipeline, since, image, digest)
    };
    let tags = ["latest-dev", "build-2"];

    let (mut pipeline, since, _, digest) = unsupported();
    keep_pipeline_scan(&pipeline, &digest, &digest, &json!({"MEDIUM": 3}));
    assert_eq!(push(&mut pipeline, &tags, &[]), digest);
    deployed_once(&pipeline, since, &digest);

    let (mut pipeline, since, image, digest) = unsupported();
    keep_pipeline_scan(
        &pipeline,
        &digest,
        &digest,
        &json!({"HIGH": 1, "CRITICAL": 4}),
    );
    push(&mut pipeline, &tags, &[]);
    skipped_once(&pipeline, since, &image, "4 CRITICAL and 1 HIGH");

    let (mut pipeline, since, image, digest) = unsupported();
    keep_pipeline_scan(&pipeline, &digest, "sha256:0", &json!({}));
    push(&mut pipeline, &tags, &[]);
    skipped_once(
        &pipeline,
        since,
        &image,
        "has no result of the pipeline's scan",
    );
}

#[test]
fn an_image_that_no_event_told_of_is_deployed_when_somebody_asks_for_it() {
    for by_digest in [false, true] {
        let (mut pipeline, since, _) = live();
        let digest = scene::push_unheard(&pipeline);
        let image = by_digest.then_some(digest.as_str());
        let asked = scene::ask_for(&mut pipeline, image, "ann-1");
        deployed_once(&pipeline, since, &digest);

        // Delivered again it is the request that was fulfilled; asked again it is another.
        pipeline.deliver(&asked);
        pipeline.settle();
        assert_eq!(told(&pipeline, since).len(), 1);
        scene::ask_for(&mut pipeline, image, "ann-2");
        let told = told(&pipeline, since);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(told[1].contains("Request refused"), "{told:#?}");
        assert!(told[1].contains("ann-2"), "{told:#?}");
        assert!(
            told[1].contains("this image with the live model, is live since"),
            "{told:#?}"
        );
        assert_eq!(pipeline.decided("deploy-release").last().unwrap(), "refuse");
    }
}

#[test]
fn who_asks_for_an_image_that_cannot_be_deployed_is_told_each_time() {
    let (mut pipeline, since, image) = live();
    scene::ask_for(&mut pipeline, Some("sha256:0"), "ann-1");
    let digest = push(&mut pipeline, &["build-2"], &[]);
    scene::ask_for(&mut pipeline, Some(&digest), "ann-2");
    let bad = push(
        &mut pipeline,
        &["latest-dev", "build-3"],
        &[("CRITICAL", 1)],
    );
    for request in ["ann-3", "ann-4"] {
        pipeline.world.advance(Duration::from_secs(1));
        scene::ask_for(&mut pipeline, Some(&bad), request);
    }
    let told = told(&pipeline, since);
    let words = [
        "ECR has no sha256:0",
        "doesn't carry the tag `latest-dev`",
        "1 CRITICAL",
        "1 CRITICAL",
        "1 CRITICAL",
    ];
    assert_eq!(told.len(), words.len(), "{told:#?}");
    let refused = told.iter().filter(|told| told.contains("Request refused"));
    assert_eq!(refused.count(), 4, "{told:#?}");
    for (told, word) in told.iter().zip(words) {
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(scene::image(&pipeline), image);
    assert_eq!(pipeline.dead_letters, []);
}

#[test]
fn a_request_and_the_images_own_events_are_one_rollout() {
    let (mut pipeline, since, _) = live();
    let events = pipeline
        .world
        .push_image(REPOSITORY, &["latest-dev", "build-2"], &[]);
    for event in &events {
        pipeline.deliver(event);
    }
    let digest = events[0]["detail"]["image-digest"].as_str().unwrap();
    pipeline.work();
    let _ = scene::ask_for(&mut pipeline, Some(digest), "ann-1");
    let told = told(&pipeline, since);
    assert!(told[0].contains("Success"), "{told:#?}");
    let verified = pipeline.delivered.iter();
    let verified = verified.filter(|event| event["detail-type"] == "ReleaseVerified");
    assert_eq!(verified.count(), 2, "one for each image");
}
