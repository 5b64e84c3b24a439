//! Pods as processes, and Services before them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Cluster, NAME, NAMESPACE, cluster, complete, deployment, until};

async fn with_service(cluster: &Cluster) -> String {
    let service = json!({
        "metadata": {"name": "api"},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]}
    });
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services");
    let (status, body) = cluster.post(&path, &service).await;
    assert_eq!(status, 201, "{body}");
    cluster.running.service_url(NAMESPACE, "api").await.unwrap()
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[tokio::test]
async fn a_service_spreads_requests_over_ready_pods_alone() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let url = with_service(&cluster).await;
    assert_eq!(
        reqwest::get(&url).await.unwrap().status(),
        503,
        "no pod yet"
    );
    cluster.create_deployment(&deployment("x:1", 3)).await;
    cluster.deployment_where(complete).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let path = format!("{url}/predict?x=1");
        seen.insert(reqwest::get(path).await.unwrap().text().await.unwrap());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(
        cluster
            .running
            .service_url(NAMESPACE, "nosuch")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_container_sees_its_own_environment_and_nothing_else() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let mut wanted = deployment("x:1", 1);
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "RELEASE", "value": "r1"},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
    ]);
    cluster.create_deployment(&wanted).await;
    let url = with_service(&cluster).await;
    cluster.deployment_where(complete).await;
    let text = reqwest::get(format!("{url}/environment"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let environment: Value = serde_json::from_str(&text).unwrap();
    let pod = &cluster.pods().await[0];
    assert_eq!(environment["POD_NAME"], pod["metadata"]["name"]);
    assert_eq!(environment["POD_NAMESPACE"], NAMESPACE);
    assert_eq!(environment["FROM_IMAGE"], "yes");
    assert_eq!(environment["AWS_ENDPOINT_URL"], "http://127.0.0.1:4566");
    assert_eq!(environment["AWS_ACCESS_KEY_ID"], "of-the-api");
    assert_eq!(
        environment["SERVE_PORT"],
        pod["metadata"]["annotations"]["serve-port.local/api"]
    );
    assert!(environment.get("CARGO_MANIFEST_DIR").is_none());
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["ready"], true);
    assert!(container["state"]["running"]["startedAt"].is_string());
}

#[tokio::test]
async fn a_pod_that_stops_to_be_ready_gets_no_requests_and_comes_back() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let file = cluster.state.path().join("health");
    let mut wanted = deployment("x:1", 1);
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "HEALTH_FILE", "value": file.to_str()}]);
    wanted["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] =
        json!(1);
    cluster.create_deployment(&wanted).await;
    let url = with_service(&cluster).await;
    cluster.deployment_where(complete).await;
    std::fs::write(&file, "500").unwrap();
    cluster.pods_where(|pods| !ready(&pods[0])).await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 503);
    let deployment = cluster
        .deployment_where(|found| found["status"]["unavailableReplicas"] == 1)
        .await;
    assert!(
        deployment["status"].get("availableReplicas").is_none(),
        "absent is zero"
    );
    std::fs::write(&file, "200").unwrap();
    cluster.deployment_where(complete).await;
    let restarts = &cluster.pods().await[0]["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(*restarts, 0, "not ready is not dead");
}

#[tokio::test]
async fn a_pod_that_is_not_alive_is_started_again() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let file = cluster.state.path().join("health");
    let mut wanted = deployment("x:1", 1);
    let container = &mut wanted["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "HEALTH_FILE", "value": file.to_str()}]);
    container["livenessProbe"] = json!({
        "httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1
    });
    cluster.create_deployment(&wanted).await;
    cluster.deployment_where(complete).await;
    std::fs::write(&file, "500").unwrap();
    cluster
        .pods_where(|pods| {
            pods[0]["status"]["containerStatuses"][0]["restartCount"].as_i64() >= Some(1)
        })
        .await;
    std::fs::write(&file, "200").unwrap();
    cluster.deployment_where(complete).await;
}

#[tokio::test]
async fn a_pod_is_asked_to_end_before_it_is_made_to() {
    let cluster = cluster().await;
    let folder = cluster.state.path().display();
    let told = cluster.state.path().join("told");
    // Told to end before its `trap`, a shell would just end.
    let trapped = |name: &str| cluster.state.path().join(format!("trapped-{name}"));
    for (name, trap, grace_s) in [
        ("polite", format!("echo bye > {folder}/told; exit 0"), 120),
        ("deaf", String::new(), 1),
    ] {
        let image = format!("x:{name}");
        let script = format!(
            "trap '{trap}' TERM\ntouch {folder}/trapped-{name}\nwhile :; do sleep 0.02; done"
        );
        cluster.push_script(&image, &script);
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"terminationGracePeriodSeconds": grace_s, "containers": [{"name": "c", "image": image}]}
        });
        cluster
            .post(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &pod)
            .await;
    }
    cluster
        .pods_where(|pods| pods.len() == 2 && pods.iter().all(ready))
        .await;
    for name in ["polite", "deaf"] {
        until(async || trapped(name).exists().then_some(())).await;
    }
    for name in ["polite", "deaf"] {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}");
        let (status, pod) = cluster
            .send_as("admin-token", "DELETE", &path, "application/json", None)
            .await;
        assert_eq!(status, 200);
        assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    }
    cluster.pods_where(<[Value]>::is_empty).await;
    assert_eq!(std::fs::read_to_string(told).unwrap(), "bye\n");
}

#[tokio::test]
async fn what_cannot_be_run_says_why_and_is_never_ready() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    let mut wanted = deployment("x:1", 1);
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    ]);
    cluster.create_deployment(&wanted).await;
    let pods = cluster
        .pods_where(|pods| {
            pods.iter().any(|pod| {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                    == "CreateContainerConfigError"
            })
        })
        .await;
    let state = &pods[0]["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(state["message"].as_str().unwrap().contains("KEY"));
}

/// Processes with this text in their environment.
fn processes_with(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            environment
                .windows(text.len())
                .any(|found| found == text.as_bytes())
        })
        .count()
}

#[tokio::test]
async fn pods_end_with_the_cluster_however_it_ends() {
    for graceful in [true, false] {
        let cluster = cluster().await;
        cluster.push_api("x:1");
        let mark = format!("{}-{graceful}", cluster.state.path().display());
        let mut wanted = deployment("x:1", 2);
        wanted["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "MARK", "value": mark}]);
        cluster.create_deployment(&wanted).await;
        cluster.deployment_where(complete).await;
        assert_eq!(processes_with(&mark), 2);
        let state = cluster.state;
        if graceful {
            cluster.running.stop(Duration::from_secs(5)).await;
        } else {
            drop(cluster.running);
        }
        until(async || (processes_with(&mark) == 0).then_some(())).await;
        let logs = std::fs::read_dir(state.path().join("pods").join(NAMESPACE)).unwrap();
        let logs: Vec<_> = logs
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "log"))
            .collect();
        assert_eq!(logs.len(), 2, "logs stay");
    }
}
