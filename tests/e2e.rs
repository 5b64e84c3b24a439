//! The unmodified binaries on the local cloud: the demonstration's scenes, and bad input for every
//! function. `make test-cluster` has them deploy to a real Kubernetes cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use local_cloud::{Cloud, Options, real};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where this build puts its programs.
fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let programs = test.ancestors().nth(2).unwrap().to_owned();
    assert!(
        programs.join("demo").exists(),
        "the programs aren't built: run `make test`, or `make build` first"
    );
    programs
}

/// A namespace of a real cluster is for one cloud at a time.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static NAMESPACE: Mutex<()> = Mutex::new(());
    let real = real::from_environment().unwrap();
    real.map(|_| NAMESPACE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn the_demonstration_ends_as_told() {
    let _alone = alone();
    let output = tempfile::tempdir().unwrap();
    let ended = Command::new(programs().join("demo"))
        .args([
            "--project-root",
            root().to_str().unwrap(),
            "--output",
            output.path().to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{printed}");
    assert!(
        ended.status.success(),
        "{printed}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let report: Value =
        serde_json::from_slice(&fs::read(output.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["scenes"].as_array().unwrap().len(), 9);
}

#[test]
fn bad_input_is_refused_and_nothing_of_it_is_lost() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(bad_input());
}

async fn bad_input() {
    let state = tempfile::tempdir().unwrap();
    let mut options = Options::new(&root(), state.path(), &programs());
    options.cluster = real::from_environment().unwrap();
    let cloud = Cloud::start(options).await.unwrap();
    let functions: Vec<String> = cloud.functions().map(str::to_owned).collect();
    assert!(functions.len() >= 9);
    let unknown = json!({"id": "1", "source": "aws.ec2", "detail-type": "Whatever", "time": "2026-11-23T02:00:00Z", "detail": {}});
    for function in &functions {
        send(&cloud, function, "{\"source\": \"aws.s3\", \"detail").await;
        send(&cloud, function, "not json at all").await;
        cloud.enqueue(function, &unknown).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    for function in &functions {
        loop {
            let depths = cloud.depths(function).await.unwrap();
            if depths.is_idle() && depths.dead == 2 {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{function}: {depths:?}, where two dead letters and an empty queue are expected"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let letters = cloud.dead_letters(function).await.unwrap();
        assert!(
            letters.iter().any(|body| body.contains("aws.s3")),
            "{function}: {letters:?}"
        );
        let logs = cloud.logs(function).await.unwrap().join("\n");
        assert!(
            logs.contains("Malformed"),
            "{function} doesn't say why: {logs}"
        );
        assert!(
            logs.contains("\"decided\""),
            "{function} doesn't say what it made of the unknown event: {logs}"
        );
    }
    cloud.stop().await;
}

async fn send(cloud: &Cloud, function: &str, body: &str) {
    let queue = &cloud.function(function).unwrap().queue.name;
    let url = format!(
        "{}/{}/{queue}",
        cloud.wire().endpoint(),
        cloud.place().account
    );
    let message = json!({"QueueUrl": url, "MessageBody": body});
    cloud
        .wire()
        .json("sqs", "AmazonSQS.SendMessage", message)
        .await
        .unwrap();
}
