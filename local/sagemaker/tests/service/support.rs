//! A running stand-in, its store, its images, and what it told.

mod seams;

use std::{
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use axum::{Router, http::StatusCode, routing};
use local_sagemaker::Config;
use local_wire::ImageSpec;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) use seams::{Alarms, Folder, Gate, Recorder, Scripts, lock};

pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/sagemaker-exec-role";
pub(crate) const ARN: &str = "arn:aws:sagemaker:ap-southeast-1:000000000000";
/// Longest anything is waited for: nothing takes as long, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/ap-southeast-1/sagemaker/aws4_request, \
                      SignedHeaders=host, Signature=0";

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
        self.serving_image_after(name, mode, "")
    }

    /// The same, which isn't up before [`Cloud::release`].
    pub(crate) fn held_image(&self, name: &str) -> anyhow::Result<()> {
        let held = "while [ ! -e $ML_ROOT/../../released ]; do sleep 0.02; done\n";
        self.serving_image_after(name, "good", held)
    }

    /// Lets go on what waits for it.
    pub(crate) fn release(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.state().join("released"), "")?)
    }

    fn serving_image_after(&self, name: &str, mode: &str, first: &str) -> anyhow::Result<()> {
        let this = std::env::current_exe()?;
        let body = format!(
            "{first}exec {} --ignored --exact support::image_that_serves --nocapture",
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

    /// Describes until `done`.
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
            if start.elapsed() > PATIENCE {
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
    let released = std::fs::canonicalize(root.join("../.."))?.join("released");
    let invocations = move |body: String| async move {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        match mode.as_str() {
            "refuses" => return (StatusCode::BAD_REQUEST, "no such feature".to_owned()),
            "broken" => return (StatusCode::INTERNAL_SERVER_ERROR, "lost my mind".to_owned()),
            "stumbles" if call == 0 => return (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            "dies" => std::process::exit(9),
            "slow" => {
                println!("asked");
                while !released.exists() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
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
