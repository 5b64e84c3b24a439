use super::*;
use crate::{
    catalog::{DEPLOYMENTS, SERVICES},
    json::items,
};

const NAMESPACE: &str = "retail-forecast-prod";
const ONE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/retail-forecast-api@sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What was sent to make the recorded Deployment.
fn sent() -> Value {
    let complete = recorded(include_str!(
        "../../tests/fixtures/deployment-complete.json"
    ));
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let text = complete["metadata"]["annotations"][annotation]
        .as_str()
        .unwrap();
    let mut sent = recorded(text);
    sent["metadata"]["annotations"][annotation] = json!(text);
    sent
}

fn cluster() -> Registry {
    let registry = Registry::new();
    let namespace = json!({"metadata": {"name": NAMESPACE}});
    registry
        .create(&NAMESPACES, "", namespace, Writer::named("test"))
        .unwrap();
    registry
}

fn key() -> Key {
    Key::new(&DEPLOYMENTS, NAMESPACE, "retail-forecast-api")
}

fn created(registry: &Registry) -> Arc<Value> {
    let writer = Writer::named("kubectl-client-side-apply");
    registry
        .create(&DEPLOYMENTS, NAMESPACE, sent(), writer)
        .unwrap()
}

fn image_patch(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "api", "image": image}]}}}})
}

fn strategic(registry: &Registry, patch: Value, manager: &str) -> Result<Arc<Value>, Status> {
    registry.patch(
        &key(),
        Part::Whole,
        Patch::Strategic(patch),
        Writer::named(manager),
    )
}

fn apply_as(
    registry: &Registry,
    manager: &str,
    config: Value,
    force: bool,
) -> Result<Arc<Value>, Status> {
    registry.patch(
        &key(),
        Part::Whole,
        Patch::Apply { config, force },
        Writer::named(manager),
    )
}

/// The field set of a manager.
fn owned(object: &Value, manager: &str) -> Value {
    let entries = items(object, "/metadata/managedFields");
    let mut found = entries.iter().filter(|entry| entry["manager"] == manager);
    let fields = found.next().map(|entry| entry["fieldsV1"].clone());
    fields.unwrap_or_default()
}

#[test]
fn creation_and_a_patch_own_what_was_recorded() {
    let registry = cluster();
    let complete = recorded(include_str!(
        "../../tests/fixtures/deployment-complete.json"
    ));
    // The recorded image field has been patched since, so that its owner is another one.
    let mut sent = sent();
    sent["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x:0");
    let writer = Writer::named("kubectl-client-side-apply");
    registry
        .create(&DEPLOYMENTS, NAMESPACE, sent, writer)
        .unwrap();
    let deployer = "retail-forecast-deployer";
    let patched = strategic(&registry, image_patch(ONE), deployer).unwrap();
    for manager in ["kubectl-client-side-apply", deployer] {
        assert_eq!(
            owned(&patched, manager),
            owned(&complete, manager),
            "{manager}"
        );
    }
    assert_eq!(patched["spec"], complete["spec"]);
}

#[test]
fn status_is_written_through_its_own_door() {
    let registry = cluster();
    created(&registry);
    let complete = recorded(include_str!(
        "../../tests/fixtures/deployment-complete.json"
    ));
    let written = registry
        .modify(
            &key(),
            Part::Status,
            "kube-controller-manager",
            |deployment| {
                deployment["status"] = complete["status"].clone();
                deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                    json!("1");
                deployment["metadata"]["labels"] = json!({"lost": "yes"});
                deployment["spec"]["replicas"] = json!(9);
            },
        )
        .unwrap();
    assert_eq!(written["spec"]["replicas"], 3);
    assert_eq!(
        written["metadata"]["labels"],
        json!({"app": "retail-forecast-api"})
    );
    assert_eq!(written["metadata"]["generation"], 1);
    let mut expected = owned(&complete, "kube-controller-manager");
    // What was unavailable for a while stays owned; here it never was.
    if let Some(fields) = expected["f:status"].as_object_mut() {
        fields.remove("f:unavailableReplicas");
    }
    assert_eq!(owned(&written, "kube-controller-manager"), expected);
    let mut whole = Value::clone(&written);
    whole["status"] = json!({});
    let replaced = registry
        .replace(&key(), Part::Whole, whole, Writer::named("us"))
        .unwrap();
    assert_eq!(replaced["status"], complete["status"]);
}

#[test]
fn generation_counts_changes_of_the_spec_alone() {
    let registry = cluster();
    let first = created(&registry);
    let labelled = json!({"metadata": {"labels": {"extra": "1"}}});
    let second = strategic(&registry, labelled, "us").unwrap();
    assert_eq!(second["metadata"]["generation"], 1);
    assert_ne!(
        first["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
    let third = strategic(&registry, image_patch("x:2"), "us").unwrap();
    assert_eq!(third["metadata"]["generation"], 2);
    let again = strategic(&registry, image_patch("x:2"), "us").unwrap();
    assert_eq!(again, third, "a write that changes nothing isn't one");
}

#[test]
fn a_failing_json_patch_test_is_refused_as_recorded_and_writes_nothing() {
    let registry = cluster();
    let before = created(&registry);
    let patch = |generation: i64| {
        let patch = json!([
            {"op": "test", "path": "/metadata/generation", "value": generation},
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x:2"}
        ]);
        let patch = Patch::Json(serde_json::from_value(patch).unwrap());
        registry.patch(&key(), Part::Whole, patch, Writer::named("us"))
    };
    let refused = patch(7).unwrap_err();
    assert_eq!(
        refused.body(),
        recorded(include_str!(
            "../../tests/fixtures/422-json-patch-test.json"
        ))
    );
    assert_eq!(registry.get(&key()).unwrap(), before);
    assert_eq!(patch(1).unwrap()["metadata"]["generation"], 2);
}

#[test]
fn stale_versions_and_other_uids_conflict() {
    let registry = cluster();
    let old = created(&registry);
    strategic(&registry, image_patch("x:2"), "us").unwrap();
    let replaced = registry.replace(&key(), Part::Whole, Value::clone(&old), Writer::named("us"));
    let refused = replaced.unwrap_err();
    assert_eq!((refused.code, refused.reason), (409, "Conflict"));
    assert!(
        refused
            .message
            .ends_with("please apply your changes to the latest version and try again")
    );
    let version = json!({"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}});
    let merged = registry.patch(
        &key(),
        Part::Whole,
        Patch::Merge(version),
        Writer::named("us"),
    );
    assert_eq!(merged.unwrap_err().code, 409);
    let other = json!({"metadata": {"uid": "0"}});
    let merged = registry.patch(
        &key(),
        Part::Whole,
        Patch::Merge(other),
        Writer::named("us"),
    );
    assert_eq!(merged.unwrap_err().code, 409);
}

#[test]
fn an_apply_conflicts_as_recorded_until_it_is_forced() {
    let registry = cluster();
    created(&registry);
    strategic(&registry, image_patch("x:2"), "retail-forecast-deployer").unwrap();
    let refused = apply_as(&registry, "other", image_patch("x:3"), false).unwrap_err();
    assert_eq!(
        refused.body(),
        recorded(include_str!("../../tests/fixtures/409-apply-conflict.json"))
    );
    let forced = apply_as(&registry, "other", image_patch("x:3"), true).unwrap();
    assert_eq!(
        forced["spec"]["template"]["spec"]["containers"][0]["image"],
        "x:3"
    );
    assert_eq!(owned(&forced, "retail-forecast-deployer"), Value::Null);
    apply_as(&registry, "other", image_patch("x:4"), false).unwrap();
}

#[test]
fn an_apply_creates_keeps_and_prunes() {
    let registry = cluster();
    let mut config = sent();
    config["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    let first = apply_as(&registry, "us", config.clone(), false).unwrap();
    assert_eq!(first["metadata"]["generation"], 1);
    assert_eq!(
        apply_as(&registry, "us", config.clone(), false).unwrap(),
        first
    );
    config["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "B", "value": "2"}]);
    config["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("readinessProbe");
    let second = apply_as(&registry, "us", config, false).unwrap();
    let container = &second["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], json!([{"name": "B", "value": "2"}]));
    assert!(
        container.get("readinessProbe").is_none(),
        "its defaults go with it"
    );
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(second["metadata"]["generation"], 2);
}

/// As seen on kube-apiserver 1.20.
#[test]
fn a_field_that_two_apply_stays_until_its_last_owner_leaves_it_out_and_an_image_has_to_stay() {
    let registry = cluster();
    let image = |applied: Result<Arc<Value>, Status>| {
        let containers = "/spec/template/spec/containers/0/image";
        let applied = applied.map_err(|refused| refused.code)?;
        Ok::<String, u16>(
            applied
                .pointer(containers)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    let apply = |manager: &str, image_of: Option<&str>, force: bool| {
        let mut config = sent();
        let container = &mut config["spec"]["template"]["spec"]["containers"][0];
        match image_of {
            Some(image) => container["image"] = json!(image),
            None => drop(container.as_object_mut().unwrap().remove("image")),
        }
        image(apply_as(&registry, manager, config, force))
    };
    let helm = |image: Option<&str>| apply("helm", image, false);
    assert_eq!(helm(Some("x:1")).unwrap(), "x:1");
    assert_eq!(helm(None), Err(422), "its only owner");
    assert_eq!(apply("us", Some("x:2"), false), Err(409));
    assert_eq!(apply("us", Some("x:2"), true).unwrap(), "x:2");
    assert_eq!(helm(None).unwrap(), "x:2", "not its own any more");

    assert_eq!(helm(Some("x:2")).unwrap(), "x:2");
    assert_eq!(apply("us", Some("x:2"), true).unwrap(), "x:2");
    assert_eq!(apply("us", Some("x:3"), false), Err(409), "shared still");
    assert_eq!(helm(None).unwrap(), "x:2");
    assert_eq!(apply("us", Some("x:3"), false).unwrap(), "x:3");
}

#[test]
fn an_apply_says_who_applies_and_holds_no_owners() {
    let registry = cluster();
    assert_eq!(
        apply_as(&registry, "", sent(), false).unwrap_err().code,
        422
    );
    let mut config = sent();
    config["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(
        apply_as(&registry, "us", config, false).unwrap_err().code,
        400
    );
}

#[test]
fn who_owns_what_may_be_written_but_not_by_leaving_it_out() {
    let registry = cluster();
    let before = created(&registry);
    let forced = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "retail-forecast-api"}, "spec": {"paused": true}});
    apply_as(&registry, "helm", forced, true).unwrap();
    let owners = |owners: Value| {
        let patch = Patch::Merge(json!({"metadata": {"managedFields": owners}}));
        let patched = registry.patch(&key(), Part::Whole, patch, Writer::named("us"));
        patched.unwrap()
    };
    for nothing_said in [json!(null), json!([])] {
        let kept = owners(nothing_said);
        assert_ne!(owned(&kept, "helm"), Value::Null);
    }
    let disowned = owners(before["metadata"]["managedFields"].clone());
    assert_eq!(
        disowned["metadata"]["managedFields"],
        before["metadata"]["managedFields"]
    );
    assert_eq!(disowned["spec"]["paused"], true, "what was applied stays");
    let nobodys = owners(json!([{}]));
    assert!(items(&nobodys, "/metadata/managedFields").is_empty());
}

#[test]
fn a_dry_run_answers_and_writes_nothing() {
    let registry = cluster();
    let before = created(&registry);
    let writer = Writer {
        manager: "us",
        dry_run: true,
    };
    let patch = Patch::Strategic(image_patch("x:2"));
    let would = registry.patch(&key(), Part::Whole, patch, writer).unwrap();
    assert_eq!(would["metadata"]["generation"], 2);
    assert_eq!(registry.get(&key()).unwrap(), before);
}

#[test]
fn names_are_taken_once_and_namespaces_are_there_first() {
    let registry = cluster();
    created(&registry);
    let writer = Writer::named("us");
    let again = registry
        .create(&DEPLOYMENTS, NAMESPACE, sent(), writer)
        .unwrap_err();
    assert_eq!((again.code, again.reason), (409, "AlreadyExists"));
    let mut elsewhere = sent();
    elsewhere["metadata"]["namespace"] = json!("nosuch");
    let nowhere = registry
        .create(&DEPLOYMENTS, "nosuch", elsewhere, writer)
        .unwrap_err();
    assert_eq!(nowhere.message, "namespaces \"nosuch\" not found");
    let misplaced = registry
        .create(&DEPLOYMENTS, "default", sent(), writer)
        .unwrap_err();
    assert_eq!(misplaced.code, 400);
    let service =
        json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}});
    let refused = registry
        .create(&SERVICES, NAMESPACE, service, writer)
        .unwrap_err();
    assert_eq!(refused.code, 400, "kinds must match");
}

#[test]
fn a_pod_gets_its_grace_and_others_go_at_once() {
    let registry = cluster();
    let pod = json!({
        "metadata": {"generateName": "p-"},
        "spec": {"containers": [{"name": "c", "image": "x"}]}
    });
    let pod = registry
        .create(&PODS, NAMESPACE, pod, Writer::named("us"))
        .unwrap();
    let key = Key::of(&PODS, &pod);
    let told = registry.delete(&key, &DeleteOptions::default()).unwrap();
    assert_eq!(told["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(registry.get(&key).is_ok());
    let now = DeleteOptions {
        grace_period_seconds: Some(0),
        ..DeleteOptions::default()
    };
    registry.delete(&key, &now).unwrap();
    assert_eq!(registry.get(&key).unwrap_err().code, 404);
    created(&registry);
    registry
        .delete(&super::tests::key(), &DeleteOptions::default())
        .unwrap();
    assert_eq!(registry.get(&super::tests::key()).unwrap_err().code, 404);
}
