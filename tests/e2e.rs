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
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use local_cloud::{Cloud, Options, real};
use serde_json::{Value, json};

/// Longest anything is waited for: nothing takes as long, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

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

/// One cloud at a time: a real cluster's namespace is for one only.
fn alone() -> MutexGuard<'static, ()> {
    static CLOUD: Mutex<()> = Mutex::new(());
    CLOUD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_demonstration_ends_as_told() {
    let _alone = alone();
    let output = tempfile::tempdir().unwrap();
    let mut demo = Command::new(programs().join("demo"))
        .args([
            "--keep",
            "--project-root",
            root().to_str().unwrap(),
            "--output",
            output.path().to_str().unwrap(),
        ])
        // By this a process of it is known.
        .env("TMPDIR", output.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = String::new();
    for line in BufReader::new(demo.stdout.as_mut().unwrap()).lines() {
        printed += &(line.unwrap() + "\n");
        // Its last line, when everything was shown and the cloud stays up.
        if printed.ends_with("$SERVICE_URL/predict\n") {
            break;
        }
    }
    println!("{printed}");
    let up = left_in(output.path());
    let ended = Command::new("kill")
        .args(["-INT", &demo.id().to_string()])
        .status();
    let status = demo.wait().unwrap();
    assert!(ended.unwrap().success(), "{printed}");
    let report: Value =
        serde_json::from_slice(&fs::read(output.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(report["passed"], true, "{printed}");
    let scenes = report["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 9);
    assert_eq!(
        status.code(),
        Some(0),
        "it was shown; ending the stay is no failure"
    );
    assert!(up.len() > 3, "the cloud stayed up: {up:?}");
    // What is killed with its group is gone once the kernel comes to it.
    let deadline = Instant::now() + PATIENCE;
    let mut left = left_in(output.path());
    while !left.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        left = left_in(output.path());
    }
    assert_eq!(left, [""; 0], "nothing is left running");
    let seconds = report["seconds"].as_f64().unwrap();
    stories::report(&format!(
        "the demonstration's 9 scenes ended as told, in {seconds:.0} s"
    ));
}

/// Command lines of the processes that have this folder in their environment.
fn left_in(folder: &Path) -> Vec<String> {
    let folder = fs::canonicalize(folder).unwrap();
    let of = |process: PathBuf| {
        let environment = fs::read(process.join("environ")).ok()?;
        let command = fs::read(process.join("cmdline")).ok()?;
        let is_of_it = String::from_utf8_lossy(&environment).contains(folder.to_str()?);
        is_of_it.then(|| String::from_utf8_lossy(&command).replace('\0', " "))
    };
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|process| of(process.unwrap().path()))
        .collect()
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
    let deadline = Instant::now() + PATIENCE;
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
