//! A project of two functions, and whether there is an emulator to run it on.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use local_cloud::{Options, emulator};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest anything is waited for: nothing takes as long, even on a busy machine.
pub(crate) const WAIT: Duration = Duration::from_mins(3);

pub(crate) fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Without an emulator a test fails with what to do, unless `SKIP_WITHOUT_EMULATOR` is set: then it says
/// that it is skipped, past the harness, which keeps what a passing test prints.
pub(crate) fn is_emulator_installed() -> bool {
    use std::io::Write as _;

    let program = emulator::program(&repository_root());
    if program.exists() {
        return true;
    }
    let missing = format!("there is no emulator at {}", program.display());
    assert!(
        std::env::var_os("SKIP_WITHOUT_EMULATOR").is_some(),
        "{missing}: run `make test`, which installs it, or set MINISTACK to its program; \
         SKIP_WITHOUT_EMULATOR=1 leaves these tests out"
    );
    let _ = writeln!(std::io::stdout(), "skipped: {missing}");
    false
}

/// A project of two functions, `probe` and `idle`, both the example program.
pub(crate) struct Project {
    root: TempDir,
    pub(crate) options: Options,
}

impl Project {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        for folder in [
            "bin",
            "infra/policies/roles",
            "events/patterns",
            "infra/k8s/base",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let example = std::env::current_exe().unwrap();
        let example = example.ancestors().nth(2).unwrap().join("examples/probe");
        for function in ["probe", "idle"] {
            fs::copy(&example, bin.join(function)).unwrap();
        }
        for program in ["serve", "train"] {
            let program = bin.join(program);
            fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let options = Options::new(root.path(), &root.path().join("state"), &bin);
        let project = Self { root, options };
        project.write("infra/functions.json", &json!({
            "defaults": {"memory_mb": 128, "timeout_s": 60, "batch_size": 5, "max_receive_count": 2,
                "concurrency": 5, "environment": {"ARTIFACTS_BUCKET": "${artifacts_bucket}"}},
            "functions": {"probe": {}, "idle": {"invoked_by_alarms": ["permitted*"]}},
        }));
        for function in ["probe", "idle"] {
            project.write(&format!("infra/policies/{function}.json"), &policy());
        }
        let roles = "infra/policies/roles";
        for role in fs::read_dir(repository_root().join(roles)).unwrap() {
            let role = role.unwrap();
            let copy = project.root.path().join(roles).join(role.file_name());
            fs::copy(role.path(), copy).unwrap();
        }
        project.write(
            "events/patterns/idle.json",
            &json!({"rules": {
                "weekly": {"description": "", "schedule": "cron(0 2 ? * MON *)"},
            }}),
        );
        project.write(
            "events/patterns/probe.json",
            &json!({"rules": {
                "uploads": {"description": "", "bus": "default", "pattern": {
                    "source": ["aws.s3"], "detail": {"bucket": {"name": ["${data_bucket}"]}}}},
                "ours": {"description": "", "bus": "${event_bus}", "pattern": {
                    "source": ["retail-forecast"]}},
                "images": {"description": "", "bus": "default", "pattern": {
                    "source": ["aws.ecr"], "detail": {"repository-name": ["${infer_repository}"]}}},
            }}),
        );
        project.write_text("infra/k8s/base/kustomization.yaml", KUSTOMIZATION);
        project.write_text("infra/k8s/base/api.yaml", MANIFESTS);
        project
    }

    /// Writes a JSON file of the project.
    pub(crate) fn write(&self, path: &str, value: &Value) {
        self.write_text(path, &value.to_string());
    }

    fn write_text(&self, path: &str, text: &str) {
        fs::write(self.root.path().join(path), text).unwrap();
    }
}

/// The policy that the functions have unless it is written otherwise.
pub(crate) fn policy() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage",
            "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"], "Resource": "${queue_arn}"},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "${dlq_arn}"},
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource":
            "arn:aws:logs:${region}:${account}:log-group:/aws/lambda/retail-forecast-${environment}-${function}:*"},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "${messages_key_arn}",
            "Condition": {"StringEquals": {"kms:ViaService": "sqs.${region}.amazonaws.com"}}},
        {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": "${data_key_arn}",
            "Condition": {"StringEquals": {"kms:ViaService": "s3.${region}.amazonaws.com"}}},
        {"Effect": "Allow", "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::${artifacts_bucket}/notes/*"},
        {"Effect": "Allow", "Action": "ecr:DescribeImageScanFindings",
            "Resource": "arn:aws:ecr:${region}:${account}:repository/${infer_repository}"},
    ]})
}

const KUSTOMIZATION: &str = "
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [api.yaml]
";

const MANIFESTS: &str = "
apiVersion: v1
kind: Service
metadata:
  name: retail-forecast-service
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 1
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: 000000000000.dkr.ecr.ap-southeast-1.amazonaws.com/retail-forecast-infer:latest-dev
";
