//! Stories of a Deployment whose image belongs to somebody else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use domain::release::Progress;
use serde_json::{Value, json};
use stories::{
    Pipeline,
    checks::{a_then_b, deliver, explain, notice, serves},
    scene,
};

/// These field managers own the image.
fn owned_by(pipeline: &Pipeline, managers: &[&str]) {
    let managers = managers.iter().map(|manager| (*manager).to_owned());
    let managers: Vec<String> = managers.collect();
    pipeline
        .world
        .edit_deployment(|deployment| deployment.image_managers = managers);
}

/// A person asks for a rollback that takes over what these own.
fn taking_over(pipeline: &Pipeline, managers: &str, request: &str) -> Value {
    let mut asked = scene::asked_to_go_back(pipeline, None, request);
    asked["detail"]["take_over"] = json!(managers);
    asked
}

#[test]
fn an_image_that_helm_owns_is_left_to_helm_and_its_name_is_said() {
    let (mut pipeline, _, b) = a_then_b();
    owned_by(&pipeline, &["helm"]);
    let before = pipeline.world.snapshot().as_json()["deployment"].clone();
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    assert_eq!(pipeline.world.snapshot().as_json()["deployment"], before);
    let body = notice(&pipeline, "ROLLBACK FAILED");
    assert!(body.contains("helm"), "{body}");
}

#[test]
fn what_helm_owns_is_taken_over_on_a_person_s_word_or_by_a_setting() {
    let (mut pipeline, a, b) = a_then_b();
    owned_by(&pipeline, &["helm"]);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    let body = notice(&pipeline, "ROLLBACK FAILED");
    assert!(body.contains("`\"take_over\": \"helm\"`"), "{body}");
    for (manager, comes_back) in [("argocd", false), ("helm", true)] {
        let request = taking_over(&pipeline, manager, manager);
        deliver(&mut pipeline, &request);
        let is_back = scene::target(&pipeline).release == a;
        assert_eq!(is_back, comes_back, "{manager}: {}", explain(&pipeline));
    }
    serves(&pipeline, &a);

    owned_by(&pipeline, &["helm"]);
    scene::push_another_image(&mut pipeline, "build-3");
    serves(&pipeline, &a);
    let notices = pipeline.world.notices();
    let body = &notices.last().unwrap().body;
    assert!(body.contains("FIRST_FIELD_MANAGER"), "{body}");
    pipeline.set_for_deployments("FIRST_FIELD_MANAGER", "helm");
    scene::push_another_image(&mut pipeline, "build-4");
    assert_ne!(scene::target(&pipeline).release, a);
    assert_eq!(scene::target(&pipeline).progress, Progress::Verified);
}

#[test]
fn what_several_own_is_taken_over_as_people_are_told() {
    let (mut pipeline, a, b) = a_then_b();
    let two = ["helm", "kubectl-edit"];
    owned_by(&pipeline, &two);
    let alarm = scene::alarm(&pipeline, "Error-Rate", &b);
    deliver(&mut pipeline, &alarm);
    let body = notice(&pipeline, "ROLLBACK FAILED");
    let (_, rest) = body.split_once("`\"take_over\": \"").unwrap();
    let (advised, _) = rest.split_once("\"`").unwrap();

    // One of the two isn't enough.
    let request = taking_over(&pipeline, "helm", "1");
    deliver(&mut pipeline, &request);
    assert_eq!(scene::target(&pipeline).release, b);
    let request = taking_over(&pipeline, advised, "2");
    deliver(&mut pipeline, &request);
    serves(&pipeline, &a);

    owned_by(&pipeline, &two);
    scene::push_another_image(&mut pipeline, "build-3");
    serves(&pipeline, &a);
    let notices = pipeline.world.notices();
    let body = &notices.last().unwrap().body;
    let owners = "belongs to the field manager helm, kubectl-edit: ";
    assert!(body.contains(owners), "{body}");
    let names = format!("retail-forecast-manifests, {advised}");
    pipeline.set_for_deployments("FIRST_FIELD_MANAGER", &names);
    scene::push_another_image(&mut pipeline, "build-4");
    let c = scene::target(&pipeline).release;
    assert_ne!(c, a);
    serves(&pipeline, &c);
}
