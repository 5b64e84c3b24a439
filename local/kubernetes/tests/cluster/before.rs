//! The bridge and the node before a real cluster, whose part our own API server and controllers play.

use std::{sync::Arc, time::Duration};

use local_kubernetes::{RealCluster, SCHEDULER};
use serde_json::json;

use crate::support::{
    Cluster, NAME, NAMESPACE, cluster, complete, deployment, deployments_path, until,
};

const NODE: &str = "/api/v1/nodes/retail-forecast-local-retail-forecast-prod";
const DEPLOYER: &str = "session-of-deployer";
const ADMIN: &str = "admin-token";

/// What stands before `real`, and runs the images pushed there.
async fn before(real: &Cluster) -> Cluster {
    let state = tempfile::tempdir().unwrap();
    let theirs = RealCluster {
        endpoint: real.running.api_url.clone(),
        ca_pem: real.running.ca_pem.clone(),
        token: ADMIN.to_owned(),
        namespace: NAMESPACE.to_owned(),
    };
    let config = crate::support::config(state.path(), Arc::clone(&real.images));
    let running = local_kubernetes::start_before(config, theirs)
        .await
        .unwrap();
    Cluster {
        running,
        images: Arc::clone(&real.images),
        state,
    }
}

#[tokio::test]
async fn pods_of_a_real_cluster_run_here_and_end_there() {
    let real = cluster().await;
    let bridge = before(&real).await;
    let (_, node) = real.get(NODE).await;
    assert_eq!(node["status"]["conditions"][3]["type"], "Ready", "{node}");
    real.push_api("api:1");
    let mut wanted = deployment("api:1", 2);
    wanted["spec"]["template"]["spec"]["schedulerName"] = json!(SCHEDULER);
    real.create_deployment(&wanted).await;
    real.deployment_where(complete).await;
    for pod in real.pods().await {
        assert_eq!(pod["spec"]["nodeName"], node["metadata"]["name"]);
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(
            pod["status"].get("podIP"),
            None,
            "an address of this machine"
        );
    }
    let service = json!({"metadata": {"name": "api"}, "spec": {
        "selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": "http"}]}});
    let services = format!("/api/v1/namespaces/{NAMESPACE}/services");
    assert_eq!(real.post(&services, &service).await.0, 201);
    let url = until(async || bridge.running.service_url(NAMESPACE, "api").await).await;
    let answer = reqwest::get(format!("{url}/health")).await.unwrap();
    assert_eq!(answer.status(), 200);

    // A pod that is deleted there ends here, and another one takes its place.
    let first = real.pods().await[0]["metadata"]["name"].clone();
    let path = format!(
        "/api/v1/namespaces/{NAMESPACE}/pods/{}",
        first.as_str().unwrap()
    );
    real.send_as(ADMIN, "DELETE", &path, "application/json", None)
        .await;
    real.pods_where(|pods| pods.iter().all(|pod| pod["metadata"]["name"] != first))
        .await;
    real.deployment_where(complete).await;

    let ours = format!("{}/{NAME}", deployments_path());
    real.send_as(ADMIN, "DELETE", &ours, "application/json", None)
        .await;
    real.pods_where(<[_]>::is_empty).await;
    bridge.running.stop(Duration::from_secs(1)).await;
    assert_eq!(real.get(NODE).await.0, 404);
    real.running.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn the_real_cluster_decides_what_a_role_session_may() {
    let real = cluster().await;
    let bridge = before(&real).await;
    real.create_deployment(&deployment("x:1", 0)).await;
    crate::access::grant(&real).await;
    let as_who = async |token: &str, method: &str, path: &str| {
        bridge
            .send_as(token, method, path, "application/json", None)
            .await
            .0
    };
    let ours = format!("{}/{NAME}", deployments_path());
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    assert_eq!(as_who(DEPLOYER, "GET", &ours).await, 200);
    assert_eq!(as_who(DEPLOYER, "GET", &pods).await, 403);
    assert_eq!(as_who(DEPLOYER, "DELETE", &ours).await, 403);
    assert_eq!(as_who("session-of-stranger", "GET", &ours).await, 401);
    assert_eq!(as_who("nobody", "GET", &ours).await, 401);
    // Not even the administrator's token is good at the bridge.
    assert_eq!(as_who(ADMIN, "GET", &ours).await, 401);
}

#[tokio::test]
async fn a_node_of_that_name_that_is_none_of_ours_is_left_alone() {
    let real = cluster().await;
    let node = json!({"metadata": {"name": NODE.rsplit('/').next()}});
    assert_eq!(real.post("/api/v1/nodes", &node).await.0, 201);
    let theirs = RealCluster {
        endpoint: real.running.api_url.clone(),
        ca_pem: real.running.ca_pem.clone(),
        token: ADMIN.to_owned(),
        namespace: NAMESPACE.to_owned(),
    };
    let state = tempfile::tempdir().unwrap();
    let config = crate::support::config(state.path(), Arc::clone(&real.images));
    let refused = local_kubernetes::start_before(config, theirs).await;
    let refused = format!("{:#}", refused.err().unwrap());
    assert!(refused.contains("none of ours"), "{refused}");
}
