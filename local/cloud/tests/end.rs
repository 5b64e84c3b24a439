//! However the cloud ends, nothing of it is left.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use local_cloud::{Findings, image};
use local_wire::{Credentials, ImageSpec, Method, Wire};
use serde_json::json;

use support::{Project, WAIT, is_emulator_installed};

/// `local-cloud up`, with a function, a pod and the emulator running.
async fn up(project: &Project) -> Child {
    let options = &project.options;
    let mut cloud = Command::new(env!("CARGO_BIN_EXE_local-cloud"))
        .arg("up")
        .arg("--project-root")
        .arg(&options.project_root)
        .arg("--bin-dir")
        .arg(&options.bin_dir)
        .arg("--state-dir")
        .arg(&options.state_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(cloud.stdout.as_mut().unwrap()).lines();
    let mut address = |name: &str| {
        let prefix = format!("export {name}=");
        let mut values = lines.by_ref().map(|line| line.unwrap());
        values
            .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
            .unwrap()
    };
    let (aws, ecr) = (address("AWS_ENDPOINT_URL"), address("AWS_ENDPOINT_URL_ECR"));
    let credentials = Credentials {
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        session_token: None,
    };
    let wire = Wire::new(&aws, &options.region, credentials);
    let path = "/2015-03-31/functions/retail-forecast-dev-probe/invocations";
    let event = json!({"Records": []}).to_string();
    wire.rest("lambda", Method::POST, path, &[], event)
        .await
        .unwrap();
    let spec = ImageSpec {
        train: None,
        serve: Some(options.bin_dir.join("serve")),
        environment: [].into(),
    };
    let (repository, tags) = ("retail-forecast-infer", ["latest-dev"]);
    image::push(&wire.at(&ecr), repository, &tags, &spec, &Findings::new())
        .await
        .unwrap();
    wait_for(project, |processes| {
        processes
            .iter()
            .any(|process| process.contains("ministack"))
            && processes
                .iter()
                .any(|process| process.contains("bootstrap"))
            && processes
                .iter()
                .any(|process| process.contains("sleep 600"))
    });
    cloud
}

/// Command lines of the processes that have the cloud's folder in their environment.
fn processes(project: &Project) -> Vec<String> {
    let state = fs::canonicalize(&project.options.state_dir).unwrap();
    let state = state.to_str().unwrap();
    let of = |process: &Path| {
        let environment = fs::read(process.join("environ")).ok()?;
        let command = fs::read(process.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        String::from_utf8_lossy(&environment)
            .contains(state)
            .then_some(command)
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| of(&entry.unwrap().path()))
        .collect()
}

fn wait_for(project: &Project, done: impl Fn(&[String]) -> bool) {
    let began = Instant::now();
    while !done(&processes(project)) {
        assert!(began.elapsed() < WAIT, "{:#?}", processes(project));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_cloud_leaves_nothing_behind() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    let mut cloud = up(&project).await;
    cloud.kill().unwrap();
    cloud.wait().unwrap();
    wait_for(&project, <[String]>::is_empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_asked_to_end_leaves_nothing_behind() {
    if !is_emulator_installed() {
        return;
    }
    for signal in ["-INT", "-TERM"] {
        let project = Project::new();
        let mut cloud = up(&project).await;
        let sent = Command::new("kill")
            .args([signal, &cloud.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        assert!(cloud.wait().unwrap().success());
        assert_eq!(processes(&project), [""; 0]);
    }
}
