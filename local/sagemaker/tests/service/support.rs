//! A running stand-in, its store, its images, and what it told.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use axum::{Router, http::StatusCode, routing};
use bytes::Bytes;
use local_sagemaker::{Config, ObjectStore, StoreError};
use local_wire::{
    AlarmState, Authorize, BoxFuture, Caller, Deliver, ImageSpec, Images, Refused, Watch,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/sagemaker-exec-role";
pub(crate) const ARN: &str = "arn:aws:sagemaker:ap-southeast-1:000000000000";
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/ap-southeast-1/sagemaker/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// A failed test poisons nothing that another reads.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buckets as folders.
#[derive(Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn write(&self, bucket: &str, key: &str, body: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.0.join(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
        std::fs::write(path, body)
    }

    pub(crate) fn read(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(bucket).join(key))
    }

    pub(crate) fn text(&self, bucket: &str, key: &str) -> anyhow::Result<String> {
        let body = self.read(bucket, key).context(key.to_owned())?;
        Ok(String::from_utf8(body)?)
    }
}

fn keys(folder: &Path, base: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            keys(&path, base, found)?;
        } else if let Ok(key) = path.strip_prefix(base) {
            found.push(key.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

impl ObjectStore for Folder {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            match self.read(bucket, key) {
                Ok(body) => Ok(Some(body.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StoreError(error.to_string())),
            }
        })
    }

    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let written = self.write(bucket, key, body);
            written.map_err(|error| StoreError(error.to_string()))
        })
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let base = self.0.join(bucket);
            let mut found = Vec::new();
            let listed = keys(&base, &base, &mut found);
            listed.map_err(|error| StoreError(format!("NoSuchBucket: {bucket}: {error}")))?;
            found.retain(|key| key.starts_with(prefix));
            Ok(found)
        })
    }
}

/// Keeps every event; fails the first `failures` deliveries.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Value>>,
    failures: AtomicU32,
}

impl Recorder {
    pub(crate) fn fail_next(&self, times: u32) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// Details of the events of a type, in the order they arrived.
    pub(crate) fn details(&self, detail_type: &str) -> Vec<Value> {
        let envelopes = self.envelopes(detail_type);
        envelopes.into_iter().map(|e| e["detail"].clone()).collect()
    }

    pub(crate) fn envelopes(&self, detail_type: &str) -> Vec<Value> {
        let events = lock(&self.events);
        let wanted = events.iter().filter(|e| e["detail-type"] == detail_type);
        wanted.cloned().collect()
    }

    /// Waits until `count` events of a type are here, and returns their details.
    pub(crate) async fn wait(&self, detail_type: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let details = self.details(detail_type);
            if details.len() >= count {
                return Ok(details);
            }
            if start.elapsed() > Duration::from_secs(10) {
                bail!(
                    "{} of {count} events of {detail_type}: {details:#?}",
                    details.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Deliver for Recorder {
    fn deliver(&self, event: Value) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let fail = |left: u32| left.checked_sub(1);
            if self
                .failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail)
                .is_ok()
            {
                return Err("the rules can't be reached".to_owned());
            }
            lock(&self.events).push(event);
            Ok(())
        })
    }
}

/// Alarms as a test sets them, and every data point that was put.
#[derive(Default)]
pub(crate) struct Alarms {
    states: Mutex<BTreeMap<String, String>>,
    pub(crate) data: Mutex<Vec<Value>>,
    /// The roles that looked.
    pub(crate) roles: Mutex<Vec<String>>,
}

impl Alarms {
    pub(crate) fn set(&self, name: &str, state: &str) {
        lock(&self.states).insert(name.to_owned(), state.to_owned());
    }
}

impl Watch for Alarms {
    fn put_metrics<'a>(
        &'a self,
        namespace: &'a str,
        data: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), String>> {
        assert_eq!(namespace, "AWS/SageMaker");
        lock(&self.data).extend(data);
        Box::pin(async { Ok(()) })
    }

    fn alarms<'a>(
        &'a self,
        role_arn: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<AlarmState>, String>> {
        lock(&self.roles).push(role_arn.to_owned());
        let states = lock(&self.states);
        let found = names.iter().filter_map(|name| {
            Some(AlarmState {
                name: name.clone(),
                state: states.get(name)?.clone(),
                reason: "Threshold Crossed".to_owned(),
            })
        });
        let found = found.collect();
        Box::pin(async { Ok(found) })
    }
}

/// Refuses what starts with one of these `{action} {resource}` texts, and remembers what was asked.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) refused: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Authorize for Gate {
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        let asked = format!("{action} {resource}");
        let refused = lock(&self.refused);
        let refuse = refused.iter().any(|start| asked.starts_with(start));
        lock(&self.asked).push(asked);
        let who = caller.access_key_id.clone();
        Box::pin(async move {
            if refuse {
                Err(Refused(format!(
                    "User: {who} is not authorized to perform: {action} on resource: {resource}"
                )))
            } else {
                Ok(())
            }
        })
    }
}

/// Images: a shell script for each, and one that serves.
#[derive(Default)]
pub(crate) struct Scripts(Mutex<BTreeMap<String, ImageSpec>>);

impl Images for Scripts {
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
        let found = lock(&self.0).get(reference).cloned();
        Box::pin(async move { Ok(found) })
    }
}

/// What a refused call says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) struct Cloud {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) store: Folder,
    pub(crate) events: Arc<Recorder>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) alarms: Arc<Alarms>,
    images: Arc<Scripts>,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    server: JoinHandle<anyhow::Result<()>>,
}

impl Cloud {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let store = Folder(folder.path().join("s3"));
        std::fs::create_dir_all(folder.path().join("s3/data"))?;
        let events = Arc::new(Recorder::default());
        let gate = Arc::new(Gate::default());
        let alarms = Arc::new(Alarms::default());
        let images = Arc::new(Scripts::default());
        let config = Config {
            region: "ap-southeast-1".to_owned(),
            account: "000000000000".to_owned(),
            state_dir: folder.path().join("state"),
            stores: Arc::new(store.clone()),
            authorize: gate.clone(),
            deliver: events.clone(),
            images: images.clone(),
            watch: alarms.clone(),
            metrics_period: Duration::from_millis(50),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(local_sagemaker::serve(listener, config, async {
            let _ = stopped.await;
        }));
        Ok(Self {
            url,
            http: reqwest::Client::builder().no_proxy().build()?,
            store,
            events,
            gate,
            alarms,
            images,
            folder,
            stop,
            server,
        })
    }

    /// Stops the stand-in and waits until it is gone.
    pub(crate) async fn stop(self) -> anyhow::Result<TempDir> {
        let _ = self.stop.send(());
        self.server.await??;
        Ok(self.folder)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn log(&self, label: &str) -> String {
        let path = self.state().join("jobs").join(format!("{label}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    fn script(&self, name: &str, body: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// An image whose `train` runs `body` in a shell.
    pub(crate) fn training_image(&self, name: &str, body: &str) -> anyhow::Result<()> {
        let train = self.script(&format!("{name}.train"), body)?;
        self.add(name, Some(train), None, &[]);
        Ok(())
    }

    /// An image whose `serve` is [`image_that_serves`] in the manner of `mode`.
    pub(crate) fn serving_image(&self, name: &str, mode: &str) -> anyhow::Result<()> {
        let this = std::env::current_exe()?;
        let body = format!(
            "exec {} --ignored --exact support::image_that_serves --nocapture",
            this.display()
        );
        let serve = self.script(&format!("{name}.serve"), &body)?;
        self.add(name, None, Some(serve), &[("MODE", mode)]);
        Ok(())
    }

    /// An image whose `serve` runs `body` in a shell.
    pub(crate) fn broken_image(&self, name: &str, body: &str) -> anyhow::Result<()> {
        let serve = self.script(&format!("{name}.serve"), body)?;
        self.add(name, None, Some(serve), &[]);
        Ok(())
    }

    fn add(
        &self,
        name: &str,
        train: Option<PathBuf>,
        serve: Option<PathBuf>,
        environment: &[(&str, &str)],
    ) {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let spec = ImageSpec {
            train,
            serve,
            environment,
        };
        let mut images = lock(&self.images.0);
        images.insert(name.to_owned(), spec);
    }

    /// A model on the serving image `image` whose data says `text`.
    pub(crate) async fn model(&self, name: &str, image: &str, text: &str) -> anyhow::Result<()> {
        let key = format!("models/{name}/model.tar.gz");
        self.store.write("data", &key, model_archive(text)?)?;
        self.ok(
            "CreateModel",
            json!({
                "ModelName": name,
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": image, "ModelDataUrl": format!("s3://data/{key}")},
            }),
        )
        .await?;
        Ok(())
    }

    /// A call that must succeed.
    pub(crate) async fn ok(&self, operation: &str, body: Value) -> anyhow::Result<Value> {
        match self.call(operation, body).await? {
            Ok(answer) => Ok(answer),
            Err(refusal) => bail!("{operation}: {refusal:?}"),
        }
    }

    /// A call that must be refused.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> anyhow::Result<Refusal> {
        match self.call(operation, body).await? {
            Ok(answer) => bail!("{operation} succeeded: {answer}"),
            Err(refusal) => Ok(refusal),
        }
    }

    async fn call(&self, operation: &str, body: Value) -> anyhow::Result<Result<Value, Refusal>> {
        let answer = self
            .http
            .post(&self.url)
            .header("x-amz-target", format!("SageMaker.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", SIGNED)
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let body: Value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        };
        Ok(if status == 200 {
            Ok(body)
        } else {
            Err(Refusal {
                status,
                code: body["__type"].as_str().unwrap_or_default().to_owned(),
                message: body["message"]
                    .as_str()
                    .or_else(|| body["Message"].as_str())
                    .unwrap_or_default()
                    .to_owned(),
            })
        })
    }

    /// Describes until `done`, for 20 s at most.
    pub(crate) async fn until(
        &self,
        operation: &str,
        request: Value,
        done: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            let answer = self.ok(operation, request.clone()).await?;
            if done(&answer) {
                return Ok(answer);
            }
            if start.elapsed() > Duration::from_secs(20) {
                bail!("{operation} never got there: {answer:#}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn invoke(
        &self,
        endpoint: &str,
        body: &str,
    ) -> anyhow::Result<reqwest::Response> {
        self.invoke_with(endpoint, body, &[]).await
    }

    pub(crate) async fn invoke_with(
        &self,
        endpoint: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .http
            .post(format!("{}/endpoints/{endpoint}/invocations", self.url))
            .header("authorization", SIGNED)
            .header("content-type", "text/csv")
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.send().await?)
    }
}

fn model_archive(text: &str) -> anyhow::Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "model.txt", text.as_bytes())?;
    Ok(tar.into_inner()?.finish()?)
}

/// Not a test: what the serving images of the tests run. It answers each line of a request with the
/// line and the model's text.
#[tokio::test]
#[ignore = "run by images only"]
async fn image_that_serves() -> anyhow::Result<()> {
    let Ok(port) = std::env::var("SERVE_PORT") else {
        return Ok(());
    };
    let mode = std::env::var("MODE").unwrap_or_default();
    let root = PathBuf::from(std::env::var("ML_ROOT")?);
    let model = std::fs::read_to_string(root.join("model/model.txt")).unwrap_or_default();
    println!(
        "serving {model} on {port}, batch: {:?}",
        std::env::var("SAGEMAKER_BATCH")
    );
    let calls = Arc::new(AtomicU32::new(0));
    let invocations = move |body: String| async move {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        match mode.as_str() {
            "refuses" => return (StatusCode::BAD_REQUEST, "no such feature".to_owned()),
            "broken" => return (StatusCode::INTERNAL_SERVER_ERROR, "lost my mind".to_owned()),
            "stumbles" if call == 0 => return (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            "dies" => std::process::exit(9),
            "slow" => tokio::time::sleep(Duration::from_millis(400)).await,
            _ => {}
        }
        let answers: Vec<String> = body.lines().map(|line| format!("{line},{model}")).collect();
        (StatusCode::OK, answers.join("\n"))
    };
    let app = Router::new()
        .route("/ping", routing::get(|| async { "" }))
        .route("/invocations", routing::post(invocations));
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
