//! Rollouts with real processes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    NAME, NAMESPACE, cluster, complete, deployment, deployments_path, pod_program, recorded,
};

/// Counts of the status, as a rollout's watcher reads them.
fn counts(deployment: &Value) -> [i64; 3] {
    ["replicas", "updatedReplicas", "availableReplicas"]
        .map(|field| deployment["status"][field].as_i64().unwrap_or(0))
}

#[tokio::test]
async fn a_release_rolls_out_quickly_and_serves_throughout() {
    let cluster = cluster().await;
    // Pods that drain: what is on its way to one when it is told to end is answered.
    let drains = format!("trap '' TERM\nexec {}", pod_program().display());
    cluster.push_script("x:1", &drains);
    cluster.push_script("x:2", &drains);
    let mut wanted = deployment("x:1", 3);
    wanted["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(60);
    cluster.create_deployment(&wanted).await;
    let service = json!({
        "metadata": {"name": "api"},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": "http"}]}
    });
    let path = format!("/api/v1/namespaces/{NAMESPACE}/services");
    cluster.post(&path, &service).await;
    let url = cluster.running.service_url(NAMESPACE, "api").await.unwrap();
    cluster.deployment_where(complete).await;

    let client = async {
        let mut answers = Vec::new();
        loop {
            let answer = reqwest::get(&url).await.unwrap();
            assert_eq!(answer.status(), 200);
            let text = answer.text().await.unwrap();
            let release = text.split(' ').nth(1).unwrap().to_owned();
            if answers.last() != Some(&release) {
                answers.push(release);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let rollout = async {
        // Until one is quick: a busy machine slows some, a fixed wait all of them.
        for revision in 2..10 {
            let started = Instant::now();
            cluster.release("x:2", &format!("r{revision}")).await;
            let done = cluster.deployment_where(complete).await;
            let told = &done["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            assert_eq!(*told, json!(revision.to_string()));
            if started.elapsed() < Duration::from_secs(5) {
                return revision;
            }
        }
        panic!("no rollout was quick");
    };
    let revision = tokio::select! {
        rolled = rollout => rolled,
        () = client => unreachable!(),
    };
    let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(text.ends_with(&format!("r{revision}")), "{text}");
}

#[tokio::test]
async fn a_crashing_release_loops_exceeds_its_deadline_and_is_rolled_back() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    cluster.push_script("x:crash", "echo no model; exit 3");
    let mut wanted = deployment("x:1", 2);
    wanted["spec"]["progressDeadlineSeconds"] = json!(2);
    cluster.create_deployment(&wanted).await;
    cluster.deployment_where(complete).await;
    cluster.release("x:crash", "r2").await;

    let looping = |pods: &[Value]| {
        pods.iter().any(|pod| {
            let state = &pod["status"]["containerStatuses"][0];
            state["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                && state["lastState"]["terminated"]["exitCode"] == 3
                && state["restartCount"].as_i64() >= Some(2)
        })
    };
    let pods = cluster.pods_where(looping).await;
    let crashing = pods
        .iter()
        .find(|pod| pod["spec"]["containers"][0]["image"] == "x:crash")
        .unwrap();
    let name = crashing["metadata"]["name"].as_str().unwrap();
    let log = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/log?tailLines=1");
    let (_, log) = cluster.get(&log).await;
    assert_eq!(log.as_str().unwrap(), "no model\n");

    let failed = cluster
        .deployment_where(|deployment| {
            let conditions = deployment["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                condition["reason"] == "ProgressDeadlineExceeded" && condition["status"] == "False"
            })
        })
        .await;
    assert_eq!(counts(&failed), [3, 1, 2], "the old pods stay");
    let fields = |status: &Value| {
        let mut fields: Vec<String> = status.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        fields
    };
    let recorded = recorded("deployment-deadline-exceeded.json");
    assert_eq!(fields(&failed["status"]), fields(&recorded["status"]));

    cluster.release("x:1", "r1").await;
    let back = cluster.deployment_where(complete).await;
    assert_eq!(
        back["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
    let sets = format!("/apis/apps/v1/namespaces/{NAMESPACE}/replicasets");
    let (_, sets) = cluster.get(&sets).await;
    assert_eq!(
        sets["items"].as_array().map(Vec::len),
        Some(2),
        "the old one is used again"
    );
}

#[tokio::test]
async fn an_image_that_is_missing_is_waited_for() {
    let cluster = cluster().await;
    cluster.create_deployment(&deployment("x:1", 1)).await;
    let pods = cluster
        .pods_where(|pods| {
            pods.iter().any(|pod| {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                    == "ImagePullBackOff"
            })
        })
        .await;
    assert_eq!(pods[0]["status"]["phase"], "Pending");
    cluster.push_api("x:1");
    cluster.deployment_where(complete).await;
}

#[tokio::test]
async fn a_paused_deployment_runs_on_as_it_was() {
    let cluster = cluster().await;
    cluster.push_api("x:1");
    cluster.create_deployment(&deployment("x:1", 1)).await;
    cluster.deployment_where(complete).await;
    let path = format!("{}/{NAME}", deployments_path());
    let pause = json!({"spec": {"paused": true}});
    cluster.patch(&path, "merge-patch+json", &pause).await;
    let generation = cluster.release("x:2", "r2").await;
    let paused = cluster
        .deployment_where(|deployment| {
            deployment["status"]["observedGeneration"].as_i64() == Some(generation)
        })
        .await;
    assert_eq!(counts(&paused), [1, 0, 1]);
    let conditions = paused["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition["reason"] == "DeploymentPaused")
    );
}
