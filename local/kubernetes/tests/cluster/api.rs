//! Answers of the API, against recorded ones.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use crate::support::{NAME, NAMESPACE, cluster, complete, deployment, deployments_path, recorded};

#[tokio::test]
async fn refusals_are_worded_as_recorded() {
    let cluster = cluster().await;
    let nosuch = format!("{}/nosuch", deployments_path());
    assert_eq!(cluster.get(&nosuch).await, (404, recorded("404.json")));
    let anonymous = cluster
        .send_as("wrong", "GET", &nosuch, "application/json", None)
        .await;
    assert_eq!(anonymous, (401, recorded("401.json")));
    let (status, body) = cluster.get("/apis/batch/v1/jobs").await;
    assert_eq!((status, &body["reason"]), (404, &json!("NotFound")));
    let path = format!("{}/{NAME}", deployments_path());
    cluster.create_deployment(&deployment("x:1", 0)).await;
    let test = json!([{"op": "test", "path": "/metadata/generation", "value": 99}]);
    assert_eq!(
        cluster.patch(&path, "json-patch+json", &test).await,
        (422, recorded("422-json-patch-test.json"))
    );
    let (status, _) = cluster.patch(&path, "unknown+json", &json!({})).await;
    assert_eq!(status, 415);
}

#[tokio::test]
async fn the_typed_client_reads_writes_and_applies() {
    let cluster = cluster().await;
    let api = cluster.deployments();
    let wanted: Deployment = serde_json::from_value(deployment("x:1", 0)).unwrap();
    let us = PatchParams::apply("retail-forecast-deployer");
    let applied = api.patch(NAME, &us, &Patch::Apply(&wanted)).await.unwrap();
    assert_eq!(applied.metadata.generation, Some(1));
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "api", "image": "x:2"}]}}}
    });
    let them = PatchParams::apply("other");
    let refused = api
        .patch(NAME, &them, &Patch::Apply(&other))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = refused else {
        panic!("{refused}");
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(
        status.message.contains("\"retail-forecast-deployer\""),
        "{}",
        status.message
    );
    api.patch(NAME, &them.force(), &Patch::Apply(&other))
        .await
        .unwrap();
    let found = api.get(NAME).await.unwrap();
    assert_eq!(found.metadata.generation, Some(2));
    let mut stale = applied;
    stale.spec.as_mut().unwrap().replicas = Some(7);
    let refused = api
        .replace(NAME, &kube::api::PostParams::default(), &stale)
        .await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 409));
    let status = api.get_status(NAME).await.unwrap();
    assert_eq!(status.metadata.name.as_deref(), Some(NAME));
    api.delete(NAME, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    assert!(api.get_opt(NAME).await.unwrap().is_none());
}

#[tokio::test]
async fn a_watch_tells_a_rollout_to_its_end() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let api: Api<Deployment> = cluster.deployments();
    let params = WatchParams::default().fields(&format!("metadata.name={NAME}"));
    let mut events = api.watch(&params, "0").await.unwrap().boxed();
    cluster.create_deployment(&deployment("x:1", 2)).await;
    let mut versions = Vec::new();
    let last = loop {
        let (first, object) = match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(object) => (true, object),
            WatchEvent::Modified(object) => (false, object),
            other => panic!("{other:?}"),
        };
        assert_eq!(first, versions.is_empty(), "added once, then modified");
        let version = object.metadata.resource_version.clone().unwrap();
        versions.push(version.parse::<u64>().unwrap());
        let object = serde_json::to_value(&object).unwrap();
        if complete(&object) {
            break object;
        }
    };
    assert!(versions.is_sorted());
    // From a version of before, the same changes are told again.
    let params = WatchParams::default();
    let events = api.watch(&params, &versions[0].to_string()).await.unwrap();
    let events = events.take(versions.len() - 1);
    let again = events.map_ok(|event| match event {
        WatchEvent::Modified(object) => object.metadata.resource_version.unwrap(),
        other => panic!("{other:?}"),
    });
    let again: Vec<String> = again.try_collect().await.unwrap();
    let told = versions[1..].iter().map(u64::to_string);
    assert_eq!(again, told.collect::<Vec<_>>());
    assert_eq!(last["status"]["readyReplicas"], 2);
}

#[tokio::test]
async fn what_stops_to_match_a_watch_is_deleted_for_it() {
    let cluster = cluster().await;
    cluster.create_deployment(&deployment("x:1", 0)).await;
    let api: Api<Deployment> = cluster.deployments();
    let params = WatchParams::default().labels(&format!("app={NAME}"));
    let mut events = api.watch(&params, "0").await.unwrap().boxed();
    assert!(matches!(
        events.try_next().await.unwrap(),
        Some(WatchEvent::Added(_))
    ));
    let path = format!("{}/{NAME}", deployments_path());
    let patch = json!({"metadata": {"labels": {"app": "other"}}});
    cluster.patch(&path, "merge-patch+json", &patch).await;
    loop {
        match events.try_next().await.unwrap() {
            Some(WatchEvent::Modified(_)) => {}
            Some(WatchEvent::Deleted(object)) => {
                assert_eq!(object.metadata.name.as_deref(), Some(NAME));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn other_kinds_are_kept_as_they_are_sent() {
    let cluster = cluster().await;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let map = json!({"metadata": {"name": "settings"}, "data": {"a": "1"}});
    let (status, made) = cluster.post(&path, &map).await;
    assert_eq!((status, &made["data"]), (201, &json!({"a": "1"})));
    let (_, list) = cluster.get(&path).await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0].get("kind"), None::<&Value>);
    let (status, _) = cluster.get("/openapi/v2").await;
    assert_eq!(status, 404);
}
