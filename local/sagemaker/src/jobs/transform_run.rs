//! The run of a transform job: a served model, and every input object through it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::watch;

use super::{
    Outcome,
    batches::{Split, assemble, split},
};
use crate::{
    input::Input,
    process::note,
    service::Service,
    serving::{Server, StartError},
    store::{ObjectStore, S3Uri},
};

/// Longest wait for the container, as AWS has it for transform jobs less the pulling of images.
const START_LIMIT: Duration = Duration::from_secs(30);
/// AWS's defaults.
const PAYLOAD_MB: i64 = 6;
const TIMEOUT_SECONDS: i64 = 600;
const RETRIES: i64 = 3;
/// The reasons of AWS, which keeps the particulars for the job's log; so do we.
const CLIENT_ERROR: &str = "ClientError: See job logs for more information";
const ALGORITHM_ERROR: &str = "AlgorithmError: See job logs for more information";

/// Runs a job that was just created and records what becomes of it.
pub(super) async fn run(
    service: Arc<Service>,
    name: String,
    request: Input,
    mut stop: watch::Receiver<bool>,
) {
    let label = format!("transform-{name}");
    let work = work(&service, &name, &label, &request);
    let outcome = tokio::select! {
        outcome = work => outcome,
        Ok(_) = stop.wait_for(|stop| *stop) => Outcome::Stopped,
    };
    if let Outcome::Failed(reason) = &outcome {
        note(&service.log_path(&label), reason);
    }
    service.transform_ends(&name, outcome);
}

async fn work(service: &Service, name: &str, label: &str, request: &Input) -> Outcome {
    let settings = Settings::read(request);
    let container = {
        let state = service.state();
        state.container(request.text("ModelName").unwrap_or_default())
    };
    let container = match container {
        Ok(container) => container,
        Err(reason) => return Outcome::Failed(format!("ClientError: {reason}")),
    };
    let mut environment = settings.environment();
    environment.extend(request.texts("Environment"));
    let started = Server::start(service, &container, label, &environment, START_LIMIT).await;
    let mut server = match started {
        Ok(server) => server,
        Err(error) => return Outcome::Failed(why_not_started(&error)),
    };
    service.transform_starts(name);
    let store = match service.stores.as_role(&container.role).await {
        Ok(store) => store,
        Err(error) => return Outcome::Failed(format!("ClientError: {error}")),
    };
    let transform = Transform {
        service,
        store: store.as_ref(),
        settings: &settings,
        request,
        url: format!("http://127.0.0.1:{}/invocations", server.port()),
    };
    let result = tokio::select! {
        biased;
        result = transform.all_objects() => result,
        _ = server.ended() => Err(Problem::algorithm("the container ended while it was needed")),
    };
    match result {
        Ok(()) => Outcome::Completed,
        Err(problem) => {
            note(server.log(), &problem.particulars);
            Outcome::Failed(problem.reason)
        }
    }
}

fn why_not_started(error: &StartError) -> String {
    match error {
        StartError::Image(_) => {
            "ClientError: Cannot pull algorithm container. Either the image does \
                                 not exist or its permissions are incorrect."
                .to_owned()
        }
        StartError::ModelData(reason) => format!("ClientError: {reason}"),
        StartError::Unhealthy(reason) => format!("AlgorithmError: {reason}"),
        StartError::Machine(error) => format!("InternalServerError: {error}"),
    }
}

/// Why a transform can't go on: for the API, and for the log.
struct Problem {
    reason: String,
    particulars: String,
}

impl Problem {
    fn client(particulars: impl std::fmt::Display) -> Self {
        Self {
            reason: CLIENT_ERROR.to_owned(),
            particulars: particulars.to_string(),
        }
    }

    fn algorithm(particulars: impl std::fmt::Display) -> Self {
        Self {
            reason: ALGORITHM_ERROR.to_owned(),
            particulars: particulars.to_string(),
        }
    }
}

/// How a request wants its data handled.
struct Settings {
    split: Split,
    by_line: bool,
    /// Bytes of a payload.
    payload: usize,
    payload_mb: i64,
    concurrent: usize,
    retries: i64,
    timeout: Duration,
}

impl Settings {
    fn read(request: &Input) -> Self {
        let payload_mb = request.integer("MaxPayloadInMB").unwrap_or(PAYLOAD_MB);
        let megabytes = usize::try_from(payload_mb).unwrap_or(0);
        let concurrent = request.integer("MaxConcurrentTransforms").unwrap_or(1);
        let seconds = request.integer("ModelClientConfig.InvocationsTimeoutInSeconds");
        Self {
            split: match (
                request.text("TransformInput.SplitType"),
                request.text("BatchStrategy"),
            ) {
                (Some("Line"), Some("SingleRecord")) => Split::SingleLine,
                (Some("Line"), _) => Split::Lines,
                _ => Split::None,
            },
            by_line: request.text("TransformOutput.AssembleWith") == Some("Line"),
            // Zero stands for payloads of any size.
            payload: if megabytes == 0 {
                usize::MAX
            } else {
                megabytes * 1024 * 1024
            },
            payload_mb,
            concurrent: usize::try_from(concurrent).unwrap_or(1).max(1),
            retries: request
                .integer("ModelClientConfig.InvocationsMaxRetries")
                .unwrap_or(RETRIES),
            timeout: Duration::from_secs(
                u64::try_from(seconds.unwrap_or(TIMEOUT_SECONDS)).unwrap_or(0),
            ),
        }
    }

    /// What SageMaker tells a container of a transform job.
    fn environment(&self) -> BTreeMap<String, String> {
        let strategy = if self.split == Split::SingleLine {
            "SingleRecord"
        } else {
            "MultiRecord"
        };
        [
            ("SAGEMAKER_BATCH", "true".to_owned()),
            ("SAGEMAKER_BATCH_STRATEGY", strategy.to_owned()),
            ("SAGEMAKER_MAX_PAYLOAD_IN_MB", self.payload_mb.to_string()),
            (
                "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
                self.concurrent.to_string(),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

struct Transform<'a> {
    /// S3 as the model's role.
    store: &'a dyn ObjectStore,
    service: &'a Service,
    settings: &'a Settings,
    request: &'a Input,
    url: String,
}

impl Transform<'_> {
    async fn all_objects(&self) -> Result<(), Problem> {
        let place = |path| self.request.text(path).and_then(S3Uri::parse);
        let (Some(input), Some(output)) = (
            place("TransformInput.DataSource.S3DataSource.S3Uri"),
            place("TransformOutput.S3OutputPath"),
        ) else {
            return Err(Problem::client("the input or output path is no S3 URI"));
        };
        let keys = input.objects(self.store).await.map_err(Problem::client)?;
        if keys.is_empty() {
            let message = format!("No S3 objects found under S3 URL \"{input}\"");
            return Err(Problem {
                reason: format!("ClientError: {message}"),
                particulars: message,
            });
        }
        // Objects that succeed are written even when another fails, as on AWS.
        let mut failed = None;
        for key in keys {
            let target = output.join(&format!("{}.out", input.relative(&key)));
            if let Err(mut problem) = self.one_object(&input.bucket, &key, &target).await {
                problem.particulars = format!("{key}: {}", problem.particulars);
                failed.get_or_insert(problem);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn one_object(&self, bucket: &str, key: &str, target: &S3Uri) -> Result<(), Problem> {
        let store = self.store;
        let object = store.get(bucket, key).await.map_err(Problem::client)?;
        let object = object.ok_or_else(|| Problem::client("the object is gone"))?;
        let batches =
            split(&object, self.settings.split, self.settings.payload).map_err(Problem::client)?;
        // `buffered` keeps the answers in the order of the batches.
        let answers: Vec<Bytes> =
            stream::iter(batches.into_iter().map(|batch| self.predict(batch)))
                .buffered(self.settings.concurrent)
                .try_collect()
                .await?;
        let result = assemble(&answers, self.settings.by_line);
        store
            .put(&target.bucket, &target.key, result)
            .await
            .map_err(Problem::client)
    }

    /// One mini-batch through the model. What the model refuses (4xx) isn't tried again.
    async fn predict(&self, batch: Bytes) -> Result<Bytes, Problem> {
        let mut left = self.settings.retries;
        loop {
            let problem = match self.ask(batch.clone()).await {
                Ok((status, answer)) if (200..300).contains(&status) => return Ok(answer),
                Ok((status, answer)) => {
                    let said = String::from_utf8_lossy(&answer);
                    let particulars = format!(
                        "Bad HTTP status received from algorithm: {status}: {}",
                        said.chars().take(500).collect::<String>()
                    );
                    if (400..500).contains(&status) {
                        return Err(Problem::client(particulars));
                    }
                    Problem::algorithm(particulars)
                }
                Err(error) => {
                    Problem::algorithm(format!("Unable to get response from algorithm: {error}"))
                }
            };
            if left == 0 {
                return Err(problem);
            }
            left -= 1;
        }
    }

    async fn ask(&self, batch: Bytes) -> Result<(u16, Bytes), reqwest::Error> {
        let mut request = self
            .service
            .http
            .post(&self.url)
            .timeout(self.settings.timeout)
            .body(batch);
        for (header, path) in [
            ("content-type", "TransformInput.ContentType"),
            ("accept", "TransformOutput.Accept"),
        ] {
            if let Some(value) = self.request.text(path) {
                request = request.header(header, value);
            }
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?))
    }
}
