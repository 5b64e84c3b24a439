//! However the cloud ends, nothing of it is left.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use local_cloud::{Findings, emulator, image};
use local_wire::{Credentials, ImageSpec, Method, Wire};
use serde_json::{Value, json};

use support::{Project, WAIT, is_emulator_installed};

/// `local-cloud up` and where its services are, by the variables that it prints.
struct Up {
    process: Child,
    lines: BTreeMap<String, String>,
}

/// Starts `local-cloud up`; its state is in the project's folder or, without one, among the temporary
/// files below that folder.
fn start(project: &Project, names_folder: bool) -> Up {
    let options = &project.options;
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-cloud"));
    command
        .arg("up")
        .arg("--project-root")
        .arg(&options.project_root)
        .arg("--bin-dir")
        .arg(&options.bin_dir)
        .stdout(Stdio::piped());
    if names_folder {
        command.arg("--state-dir").arg(&options.state_dir);
    } else {
        fs::create_dir_all(&options.state_dir).unwrap();
        command.env("TMPDIR", &options.state_dir);
    }
    let mut process = command.spawn().unwrap();
    let mut lines = BTreeMap::new();
    for line in BufReader::new(process.stdout.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        let (name, value) = line
            .strip_prefix("export ")
            .unwrap()
            .split_once('=')
            .unwrap();
        lines.insert(name.to_owned(), value.to_owned());
        if name == "ARTIFACTS_BUCKET" {
            break;
        }
    }
    Up { process, lines }
}

impl Up {
    /// Calls as the root user, to the service whose address has this name.
    fn wire(&self, address: &str) -> Wire {
        let credentials = Credentials {
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
            session_token: None,
        };
        Wire::new(&self.lines[address], &self.lines["AWS_REGION"], credentials)
    }

    async fn sagemaker(&self, operation: &str, body: Value) -> Value {
        let wire = self.wire("AWS_ENDPOINT_URL_SAGEMAKER");
        let target = format!("SageMaker.{operation}");
        wire.json("sagemaker", &target, body).await.unwrap()
    }
}

/// A cloud with a function, a pod and the emulator running.
async fn up(project: &Project) -> Up {
    let options = &project.options;
    let cloud = start(project, true);
    let path = "/2015-03-31/functions/retail-forecast-dev-probe/invocations";
    let event = json!({"Records": []}).to_string();
    let aws = cloud.wire("AWS_ENDPOINT_URL");
    aws.rest("lambda", Method::POST, path, &[], event)
        .await
        .unwrap();
    let spec = ImageSpec {
        train: None,
        serve: Some(options.bin_dir.join("serve")),
        environment: [].into(),
    };
    let (repository, tags) = ("retail-forecast-infer", ["latest-dev"]);
    let ecr = cloud.wire("AWS_ENDPOINT_URL_ECR");
    image::push(&ecr, repository, &tags, &spec, &Findings::new())
        .await
        .unwrap();
    wait_for(project, |processes| {
        ["ministack", "bootstrap", "sleep 600"]
            .iter()
            .all(|program| processes.iter().any(|process| process.contains(program)))
    });
    cloud
}

/// The emulator's own Python, for what a test can't do with a shell.
fn python() -> PathBuf {
    emulator::program(&support::repository_root()).with_file_name("python")
}

/// An endpoint's container that answers each request.
const ANSWERS: &str = "
import http.server, os
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
port = int(os.environ['SERVE_PORT'])
http.server.HTTPServer(('127.0.0.1', port), Ok).serve_forever()
";
/// An empty archive, as a model is stored.
const ARCHIVE: &str = "
import sys, tarfile
tarfile.open(fileobj=sys.stdout.buffer, mode='w|gz').close()
";

/// Starts a training job whose program has a child of its own, and an endpoint that is in service.
async fn train_and_serve(project: &Project, cloud: &Up) {
    let folder = &project.options.bin_dir;
    let program = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        file
    };
    let trains = program("trains", "#!/bin/sh\nsleep 700 &\nwait\n".to_owned());
    let answers = format!("#!/bin/sh\nexec {} -c \"{ANSWERS}\"\n", python().display());
    let answers = program("answers", answers);
    let ecr = cloud.wire("AWS_ENDPOINT_URL_ECR");
    let push = async |repository: &str, train: Option<PathBuf>, serve: Option<PathBuf>| {
        let spec = ImageSpec {
            train,
            serve,
            environment: [].into(),
        };
        image::push(&ecr, repository, &["build-9"], &spec, &Findings::new())
            .await
            .unwrap();
        format!("000000000000.dkr.ecr.ap-southeast-1.amazonaws.com/{repository}:build-9")
    };
    let train_image = push("retail-forecast-train", Some(trains), None).await;
    let serve_image = push("retail-forecast-infer", None, Some(answers)).await;

    let bucket = &cloud.lines["ARTIFACTS_BUCKET"];
    let aws = cloud.wire("AWS_ENDPOINT_URL");
    aws.s3_put(bucket, "datasets/a/train/sales.csv", "1,2\n")
        .await
        .unwrap();
    let archive = Command::new(python())
        .args(["-c", ARCHIVE])
        .output()
        .unwrap();
    let model = "models/a/model.tar.gz";
    aws.s3_put(bucket, model, archive.stdout).await.unwrap();
    let role = "arn:aws:iam::000000000000:role/sagemaker-exec-role";
    let job = json!({
        "TrainingJobName": "retail-forecast-build-9",
        "AlgorithmSpecification": {"TrainingImage": train_image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": format!("s3://{bucket}/datasets/a/train/"),
            "S3DataDistributionType": "FullyReplicated"}}}],
        "OutputDataConfig": {"S3OutputPath": format!("s3://{bucket}/models/")},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    });
    cloud.sagemaker("CreateTrainingJob", job).await;
    let container = json!({"Image": serve_image, "ModelDataUrl": format!("s3://{bucket}/{model}")});
    let model = json!({"ModelName": "m", "ExecutionRoleArn": role, "PrimaryContainer": container});
    cloud.sagemaker("CreateModel", model).await;
    let variant = json!({"VariantName": "default", "ModelName": "m",
        "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1});
    let config = json!({"EndpointConfigName": "c", "ProductionVariants": [variant]});
    cloud.sagemaker("CreateEndpointConfig", config).await;
    let endpoint = json!({"EndpointName": "e", "EndpointConfigName": "c"});
    cloud.sagemaker("CreateEndpoint", endpoint).await;
    let began = Instant::now();
    loop {
        let endpoint = json!({"EndpointName": "e"});
        let endpoint = cloud.sagemaker("DescribeEndpoint", endpoint).await;
        if endpoint["EndpointStatus"] == "InService" {
            break;
        }
        assert!(began.elapsed() < WAIT, "{endpoint}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wait_for(project, |processes| {
        ["sleep 700", "http.server"]
            .iter()
            .all(|program| processes.iter().any(|process| process.contains(program)))
    });
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
    train_and_serve(&project, &cloud).await;
    cloud.process.kill().unwrap();
    cloud.process.wait().unwrap();
    wait_for(&project, <[String]>::is_empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_killed_cloud_goes_at_the_next_start() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    let folders = || {
        let entries = fs::read_dir(&project.options.state_dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let names = names.filter(|name| name.to_string_lossy().starts_with("retail-mlops-"));
        names.collect::<BTreeSet<_>>()
    };
    let mut killed = start(&project, false);
    let left = folders();
    assert_eq!(left.len(), 1, "{left:?}");
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    wait_for(&project, <[String]>::is_empty);
    assert_eq!(folders(), left, "nobody was left to remove it");

    let mut next = start(&project, false);
    let used = folders();
    assert!(used.len() == 1 && used.is_disjoint(&left), "{used:?}");
    end(&mut next, "-TERM");
    assert!(folders().is_empty());
}

/// Asks a cloud to end, which it does well.
fn end(cloud: &mut Up, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &cloud.process.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert!(cloud.process.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_is_asked_to_end_leaves_nothing_behind() {
    if !is_emulator_installed() {
        return;
    }
    for signal in ["-INT", "-TERM"] {
        let project = Project::new();
        let mut cloud = up(&project).await;
        end(&mut cloud, signal);
        // What is killed with its group is gone once the kernel comes to it.
        wait_for(&project, <[String]>::is_empty);
    }
}
