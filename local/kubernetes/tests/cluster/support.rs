//! A cluster for a test, with images that are programs of this crate or shell scripts.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use local_kubernetes::{AccessEntry, Config, Running, TokenRefused, VerifyToken, start};
use local_wire::{Authorize, BoxFuture, Caller, ImageSpec, Images, Refused};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NAMESPACE: &str = "retail-forecast-prod";
pub(crate) const NAME: &str = "retail-forecast-api";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/deployer";
const ADMIN: &str = "admin-token";

/// Images that tests push.
#[derive(Default)]
pub(crate) struct Registry(Mutex<BTreeMap<String, PathBuf>>);

impl Registry {
    pub(crate) fn push(&self, reference: &str, program: &Path) {
        let mut images = self.0.lock().unwrap();
        images.insert(reference.to_owned(), program.to_owned());
    }
}

impl Images for Registry {
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
        let program = self.0.lock().unwrap().get(reference).cloned();
        Box::pin(async move {
            Ok(program.map(|program| ImageSpec {
                train: None,
                serve: Some(program),
                environment: BTreeMap::from([("FROM_IMAGE".to_owned(), "yes".to_owned())]),
            }))
        })
    }
}

/// Lets in everybody whose key is not `NOBODY`.
struct Permissive;

impl Authorize for Permissive {
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            if caller.access_key_id == "NOBODY" {
                return Err(Refused(format!(
                    "not authorized to perform: {action} on resource: {resource}"
                )));
            }
            Ok(())
        })
    }
}

/// Takes `session-of-ROLE` for a session of that role.
struct Sessions;

impl VerifyToken for Sessions {
    fn verify<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, TokenRefused>> {
        Box::pin(async move {
            let role = token.strip_prefix("session-of-");
            let role = role.ok_or_else(|| TokenRefused("no session".to_owned()))?;
            Ok(format!("arn:aws:sts::000000000000:assumed-role/{role}/s1"))
        })
    }
}

pub(crate) struct Cluster {
    pub(crate) running: Running,
    pub(crate) images: Arc<Registry>,
    pub(crate) state: TempDir,
}

/// What the clusters of the tests are made of.
pub(crate) fn config(state: &Path, images: Arc<Registry>) -> Config {
    let entry = AccessEntry {
        username: Some("retail-forecast-deployer".to_owned()),
        groups: vec!["deployers".to_owned()],
    };
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    Config {
        region: "ap-southeast-1".to_owned(),
        account: "000000000000".to_owned(),
        cluster_name: "retail-mlops-prod".to_owned(),
        state_dir: state.to_owned(),
        api_port: 0,
        eks_port: 0,
        service_ports: BTreeMap::new(),
        admin_token: ADMIN.to_owned(),
        images,
        authorize: Arc::new(Permissive),
        tokens: Arc::new(Sessions),
        access_entries: BTreeMap::from([(ROLE.to_owned(), entry)]),
        pod_environment: map(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]),
        service_account_environment: BTreeMap::from([(
            format!("{NAMESPACE}/api"),
            map(&[("AWS_ACCESS_KEY_ID", "of-the-api")]),
        )]),
        restart_back_off: Duration::from_millis(100),
    }
}

/// A cluster with the namespace of the tests.
pub(crate) async fn cluster() -> Cluster {
    let state = tempfile::tempdir().unwrap();
    let images = Arc::new(Registry::default());
    let running = start(config(state.path(), Arc::clone(&images)))
        .await
        .unwrap();
    let cluster = Cluster {
        running,
        images,
        state,
    };
    cluster
        .post(
            "/api/v1/namespaces",
            &json!({"metadata": {"name": NAMESPACE}}),
        )
        .await;
    cluster
}

/// The example that answers HTTP; cargo builds examples with the tests.
pub(crate) fn pod_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples/pod");
    assert!(program.exists(), "{} was not built", program.display());
    program
}

impl Cluster {
    /// A client that presents `token`.
    pub(crate) fn client_of(&self, token: &str) -> Client {
        let mut config = kube::Config::new(self.running.api_url.parse().unwrap());
        let pem = self.running.ca_pem.lines();
        let der: String = pem.filter(|line| !line.starts_with('-')).collect();
        config.root_cert = Some(vec![BASE64_STANDARD.decode(der).unwrap()]);
        config.auth_info.token = Some(token.to_owned().into());
        Client::try_from(config).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of(ADMIN)
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client(), NAMESPACE)
    }

    /// Status and body of a request.
    pub(crate) async fn send_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        media_type: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http_request(method, path, media_type, body);
        let mut answer = self.client_of(token).send(request).await.unwrap();
        let status = answer.status().as_u16();
        let mut text = Vec::new();
        while let Some(frame) = next_frame(answer.body_mut()).await {
            text.extend_from_slice(&frame);
        }
        let text = String::from_utf8(text).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send_as(ADMIN, "GET", path, "application/json", None)
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send_as(ADMIN, "POST", path, "application/json", Some(body))
            .await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let media_type = format!("application/{kind}");
        self.send_as(ADMIN, "PATCH", path, &media_type, Some(body))
            .await
    }

    /// Pushes the HTTP example under `reference`.
    pub(crate) fn push_api(&self, reference: &str) {
        self.images.push(reference, &pod_program());
    }

    /// Pushes a shell script under `reference`.
    pub(crate) fn push_script(&self, reference: &str, script: &str) {
        let name = reference.replace(['/', ':', '@'], "-");
        let file = self.state.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.images.push(reference, &file);
    }

    pub(crate) async fn create_deployment(&self, deployment: &Value) {
        let path = deployments_path();
        let (status, body) = self.post(&path, deployment).await;
        assert_eq!(status, 201, "{body}");
    }

    /// Sets the image and the release of the API's container.
    pub(crate) async fn release(&self, image: &str, release: &str) -> i64 {
        let patch = json!({"spec": {"template": {"spec": {"containers": [{
            "name": "api", "image": image, "env": [{"name": "RELEASE", "value": release}]
        }]}}}});
        let path = format!("{}/{NAME}", deployments_path());
        let (status, body) = self
            .patch(&path, "strategic-merge-patch+json", &patch)
            .await;
        assert_eq!(status, 200, "{body}");
        body["metadata"]["generation"].as_i64().unwrap()
    }

    pub(crate) async fn deployment(&self) -> Value {
        self.get(&format!("{}/{NAME}", deployments_path())).await.1
    }

    pub(crate) async fn pods(&self) -> Vec<Value> {
        let (_, list) = self
            .get(&format!("/api/v1/namespaces/{NAMESPACE}/pods"))
            .await;
        list["items"].as_array().unwrap().clone()
    }

    /// Looks at the Deployment until `wanted` is true of it.
    pub(crate) async fn deployment_where(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until(async || Some(self.deployment().await).filter(|found| wanted(found))).await
    }

    /// Looks at the pods until `wanted` is true of them.
    pub(crate) async fn pods_where(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(async || Some(self.pods().await).filter(|found| wanted(found))).await
    }
}

pub(crate) fn deployments_path() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
}

/// The API's Deployment, quick enough for a test.
pub(crate) fn deployment(image: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 30,
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "serviceAccountName": "api",
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{
                        "name": "api",
                        "image": image,
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [{"name": "RELEASE", "value": "r1"}],
                        // A busy machine's delays are no answers.
                        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1,
                            "timeoutSeconds": 60}
                    }]
                }
            }
        }
    })
}

/// Whether a rollout is complete, by kubectl's rules.
pub(crate) fn complete(deployment: &Value) -> bool {
    let count = |pointer: &str| {
        deployment
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    let wanted = count("/spec/replicas");
    count("/status/observedGeneration") >= count("/metadata/generation")
        && count("/status/updatedReplicas") == wanted
        && count("/status/replicas") == wanted
        && count("/status/availableReplicas") == wanted
}

/// Longest anything is waited for: nothing takes as long, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Asks every 10 ms until there is an answer.
pub(crate) async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("not seen in time")
}

pub(crate) fn recorded(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn http_request(
    method: &str,
    path: &str,
    media_type: &str,
    body: String,
) -> axum::http::Request<kube::client::Body> {
    axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .header("user-agent", "tests/1.0")
        .body(kube::client::Body::from(body.into_bytes()))
        .unwrap()
}

/// The next piece of a body.
async fn next_frame(body: &mut kube::client::Body) -> Option<Vec<u8>> {
    use hyper::body::Body as _;
    let mut body = std::pin::Pin::new(body);
    loop {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await?;
        if let Ok(data) = frame.unwrap().into_data() {
            return Some(data.to_vec());
        }
    }
}
