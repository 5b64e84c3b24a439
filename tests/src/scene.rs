//! What stories begin with: a world with an image, and data that a model can learn.

mod spoken;

use std::fmt::Write as _;

use domain::{
    layout::Artifacts,
    ports::Approval,
    release::{Manifest, Pointer, Target, endpoint_config},
};
use jiff::{ToSpan as _, civil::Date};
use memory::{ARTIFACTS_BUCKET, DATA_BUCKET, Outcome, Row, World, demand};
use serde_json::Value;

use crate::Pipeline;

pub use spoken::*;

/// Repository of the inference image.
const REPOSITORY: &str = "retail-forecast-infer";
/// First day of the data.
const FIRST: Date = Date::constant(2022, 7, 1);

/// Sales that grow by a quarter each year, so that last year's sales are a poor forecast.
pub fn sales(row: &Row) -> f64 {
    let years = f64::from((row.date - FIRST).get_days()) / 365.0;
    (demand(row) * (1.0 + 0.25 * years)).round()
}

/// A CSV file of two stores and two items.
pub fn csv(days: i64) -> String {
    let mut text = String::from("date,store,item,sales\n");
    for day in 0..days {
        let date = FIRST.saturating_add(day.days());
        for (store, item) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let row = Row { store, item, date };
            let _ = writeln!(text, "{date},{store},{item},{}", sales(&row));
        }
    }
    text
}

/// A pipeline whose models predict two per cent too much, in an environment with a clean image. The
/// image's events are delivered when `settled`.
pub fn stage() -> Pipeline {
    let world = World::new();
    world.edit_deployment(|deployment| {
        deployment.image_managers = vec!["retail-forecast-manifests".to_owned()];
    });
    world.predict_with(|_| true, |row| 1.02 * sales(row));
    Pipeline::new(world)
}

/// Pushes a clean image and lets its events be handled.
pub fn push_image(pipeline: &mut Pipeline) {
    push(pipeline, &["latest-dev", "build-1"], &[("LOW", 2)]);
}

/// Pushes an image with these tags, in which a scan finds this, and lets its events be handled; answers
/// its digest.
pub fn push(pipeline: &mut Pipeline, tags: &[&str], findings: &[(&str, u32)]) -> String {
    let events = pipeline.world.push_image(REPOSITORY, tags, findings);
    for event in &events {
        pipeline.deliver(event);
    }
    pipeline.settle();
    let digest = events
        .first()
        .and_then(|event| event["detail"]["image-digest"].as_str());
    digest.unwrap_or_default().to_owned()
}

/// Gives an image another tag, and lets ECR's event be handled.
pub fn tag(pipeline: &mut Pipeline, digest: &str, tag: &str) {
    if let Some(event) = pipeline.world.tag_image(REPOSITORY, digest, tag) {
        pipeline.deliver(&event);
    }
    pipeline.settle();
}

/// Pushes a clean image of which no event comes; answers its digest.
pub fn push_unheard(pipeline: &Pipeline) -> String {
    let tags = ["latest-dev", "build-2"];
    let events = pipeline.world.push_image(REPOSITORY, &tags, &[]);
    let digest = events[0]["detail"]["image-digest"].as_str();
    digest.unwrap_or_default().to_owned()
}

/// A person asks for an image, by its digest or for the one with the environment's tag; answers the event.
pub fn ask_for(pipeline: &mut Pipeline, image: Option<&str>, request: &str) -> Value {
    let mut detail = serde_json::json!({
        "request": request,
        "by": "ann",
        "reason": "the freeze is over",
        "id": request,
    });
    if let Some(image) = image {
        detail["image"] = image.into();
    }
    let kind = "DeploymentRequested";
    let world = &pipeline.world;
    let event = world.envelope("retail-forecast", kind, &[], &detail);
    pipeline.deliver(&event);
    pipeline.settle();
    event
}

/// Somebody rejects the model package that is live.
pub fn reject_the_live_package(pipeline: &mut Pipeline) {
    let arn = pipeline.world.packages()[0].arn.clone();
    let world = &pipeline.world;
    if let Ok(event) = world.set_approval(&arn, Approval::Rejected, Some("drift")) {
        pipeline.deliver(&event);
    }
    pipeline.settle();
}

/// The event of an upload of `days` days of sales.
pub fn upload(pipeline: &Pipeline, days: i64) -> Value {
    pipeline
        .world
        .upload(DATA_BUCKET, "training/sales_data.csv", csv(days))
}

/// The events of a pair over the last one: `days` days to learn from, and 30 more to judge by.
pub fn upload_pair(pipeline: &Pipeline, days: i64) -> [Value; 2] {
    let (training, all) = (csv(days), csv(days + 30));
    let header = all.lines().take(1);
    let later = all.lines().skip(training.lines().count());
    let validation = header.chain(later).collect::<Vec<_>>().join("\n");
    let put = |key: &str, rows: String| pipeline.world.upload(DATA_BUCKET, key, rows);
    [
        put("training/sales_data.csv", training),
        put("validation/sales_data.csv", validation),
    ]
}

/// Two months of pairs, and then every event of an upload once more.
pub fn last_months_pair_again(pipeline: &mut Pipeline) {
    let mut uploads = Vec::new();
    for days in [500, 530] {
        let pair = upload_pair(pipeline, days);
        for event in &pair {
            pipeline.deliver(event);
        }
        uploads.extend(pair);
        pipeline.settle();
        let month = std::time::Duration::from_hours(30 * 24);
        pipeline.world.advance(month);
    }
    for event in &uploads {
        pipeline.deliver(event);
    }
    pipeline.settle();
}

/// An environment with a verified release, learnt from 500 days.
pub fn live() -> Pipeline {
    let mut pipeline = stage();
    push_image(&mut pipeline);
    train_on(&mut pipeline, 500);
    pipeline
}

/// Uploads `days` days of sales and lets all that follows happen.
pub fn train_on(pipeline: &mut Pipeline, days: i64) {
    let event = upload(pipeline, days);
    pipeline.deliver(&event);
    pipeline.settle();
}

/// 100 more days come in, and the model that learns from them predicts half too much: it is refused,
/// and the live model has rows that are new to it.
pub fn refuse_a_challenger(pipeline: &mut Pipeline) {
    let champion = pipeline.world.packages()[0].model_uri.clone();
    pipeline
        .world
        .predict_with(move |uri| uri != champion, |row| 1.5 * sales(row));
    train_on(pipeline, 600);
}

/// The schedule fires.
pub fn monday(pipeline: &mut Pipeline) {
    let rule = "arn:aws:events:ap-southeast-1:123456789012:rule/retail-forecast-dev-check-model-weekly-check";
    let event = pipeline.world.envelope(
        "aws.events",
        "Scheduled Event",
        &[rule.to_owned()],
        &serde_json::json!({}),
    );
    pipeline.deliver(&event);
    pipeline.settle();
}

/// Somebody lets the refused model pass; its package then waits for an approval.
pub fn override_refusal(pipeline: &mut Pipeline) {
    let jobs = pipeline.world.snapshot().as_json()["training_jobs"].clone();
    let jobs = jobs.as_object().cloned().unwrap_or_default();
    let approved: Vec<_> = pipeline
        .world
        .packages()
        .iter()
        .filter_map(|package| package.metadata.get("training_job").cloned())
        .collect();
    for job in jobs.keys().filter(|job| !approved.contains(job)) {
        let detail = serde_json::json!({
            "training_job": job,
            "by": "ann",
            "reason": "known promotion in the held-out weeks",
            "id": "00000000000b",
        });
        let event = pipeline
            .world
            .envelope("retail-forecast", "OverrideRequested", &[], &detail);
        pipeline.deliver(&event);
    }
    pipeline.settle();
}

/// Pushes another clean image, which is deployed with the live model.
pub fn push_another_image(pipeline: &mut Pipeline, build: &str) {
    push(pipeline, &["latest-dev", build], &[("LOW", 2)]);
}

/// Another image while another setting waits for its first release; every image but the live one makes of a
/// prediction what `factor` says.
pub fn push_another_image_and_setting(pipeline: &mut Pipeline, factor: f64) {
    let live = image(pipeline);
    pipeline
        .world
        .distort(move |image, _| image != live, factor);
    pipeline.set_for_deployments("API_ENVIRONMENT", r#"{"DRAIN_S": "2"}"#);
    push_another_image(pipeline, "build-2");
}

/// The image of the Deployment.
pub fn image(pipeline: &Pipeline) -> String {
    let world = pipeline.world.snapshot();
    let image = &world.as_json()["deployment"]["image"];
    image.as_str().unwrap_or_default().to_owned()
}

/// Releases whose verification made them known good, in this order, and then an alarm: the first model and
/// image; a second model; a second image; a third model; the second model again, which goes wrong. What is
/// live in the end is the third model in the second image, and the release before it has the second model,
/// which is quarantined: a way back leads to the very first release, with another model and another image.
pub fn skip_a_quarantined_refuge(pipeline: &mut Pipeline) {
    push_image(pipeline);
    train_on(pipeline, 500);
    train_on(pipeline, 560);
    push_another_image(pipeline, "build-2");
    train_on(pipeline, 590);
    let second = pipeline.world.packages()[1].arn.clone();
    approve(pipeline, &second);
    let release = target(pipeline).release;
    let alarm = alarm(pipeline, "Error-Rate", &release);
    pipeline.deliver(&alarm);
    pipeline.settle();
}

/// Somebody approves a model package, once more.
pub fn approve(pipeline: &mut Pipeline, arn: &str) {
    let approved = pipeline.world.approve(arn);
    if let Ok(event) = &approved {
        pipeline.deliver(event);
    }
    pipeline.settle();
}

/// The last scan's event is delivered once more.
pub fn scan_again(pipeline: &mut Pipeline) {
    let mut delivered = pipeline.delivered.iter().rev();
    let scan = delivered.find(|event| event["detail-type"] == "ECR Image Scan");
    if let Some(event) = scan.cloned() {
        pipeline.deliver(&event);
    }
    pipeline.settle();
}

/// What is quarantined, in the order of the list: parts and what names them.
pub fn quarantined(pipeline: &Pipeline) -> Vec<(String, String)> {
    let at = Artifacts::new(ARTIFACTS_BUCKET).quarantine("dev");
    let list = pipeline.world.read_json(&at).unwrap_or_default();
    let entries = list["entries"].as_array().cloned().unwrap_or_default();
    let held = entries.iter().filter(|entry| entry["lifted"].is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    held.map(|entry| (text(&entry["part"]), text(&entry["identity"])))
        .collect()
}

/// A person lets go all that is quarantined.
pub fn lift_all(pipeline: &mut Pipeline) {
    for (_, identity) in quarantined(pipeline) {
        let detail = serde_json::json!({
            "identity": identity,
            "by": "ann",
            "reason": "the database was down",
            "id": "00000000000c",
        });
        let event = pipeline
            .world
            .envelope("retail-forecast", "LiftRequested", &[], &detail);
        pipeline.deliver(&event);
    }
    pipeline.settle();
}

/// Somebody pauses the Deployment, or resumes it.
pub fn pause(pipeline: &Pipeline, paused: bool) {
    pipeline
        .world
        .edit_deployment(move |deployment| deployment.paused = paused);
}

/// What SageMaker says of a container that doesn't come up.
pub const NO_PING: &str = "The primary container for production variant default did not pass the ping health check. Please check CloudWatch logs for this endpoint.";

/// What it says where it has no instances.
pub const NO_INSTANCES: &str = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different ML instance type or after some time.";

/// Every update of the endpoint from the configuration that serves now comes back to it.
pub fn let_endpoint_updates_come_back(pipeline: &Pipeline) {
    let_endpoint_updates_come_back_for(pipeline, NO_PING);
}

/// The same, for this reason.
pub fn let_endpoint_updates_come_back_for(pipeline: &Pipeline, reason: &str) {
    let serves = format!("endpoint {}", serves(pipeline));
    pipeline.world.script(
        move |subject| subject.starts_with("endpoint ") && subject != serves,
        Outcome::Fails(reason.to_owned()),
    );
}

/// The refused challenger is approved after all, and is being deployed: nothing of it has come up yet.
///
/// # Panics
/// When there is no package to approve.
#[allow(clippy::unwrap_used)]
pub fn deploy_the_challenger(pipeline: &mut Pipeline) {
    refuse_a_challenger(pipeline);
    override_refusal(pipeline);
    let packages = pipeline.world.packages();
    let approved = pipeline
        .world
        .approve(&packages.last().unwrap().arn)
        .unwrap();
    pipeline.deliver(&approved);
    pipeline.work();
}

/// The endpoint configuration that the target expects.
///
/// # Panics
/// When there is no target, or it has no manifest.
pub fn expected(pipeline: &Pipeline) -> String {
    expected_by(pipeline, &target(pipeline).release)
}

/// The endpoint configuration that a release expects.
///
/// # Panics
/// When it has no manifest.
#[allow(clippy::unwrap_used)]
pub fn expected_by(pipeline: &Pipeline, release: &str) -> String {
    let at = Artifacts::new(ARTIFACTS_BUCKET).release(release);
    let manifest: Manifest =
        serde_json::from_value(pipeline.world.read_json(&at).unwrap()).unwrap();
    endpoint_config(&manifest).unwrap()
}

/// The endpoint configuration in service.
pub fn serves(pipeline: &Pipeline) -> String {
    let world = pipeline.world.snapshot();
    let config = &world.as_json()["endpoints"]["retail-forecast-dev"]["config"];
    config.as_str().unwrap_or_default().to_owned()
}

/// The release that the environment converges on.
///
/// # Panics
/// When there is none.
#[allow(clippy::unwrap_used)]
pub fn target(pipeline: &Pipeline) -> Target {
    let at = Artifacts::new(ARTIFACTS_BUCKET).pointer("dev");
    let pointer = pipeline.world.read_json(&at).unwrap();
    let pointer: Pointer = serde_json::from_value(pointer).unwrap();
    pointer.target.unwrap()
}
