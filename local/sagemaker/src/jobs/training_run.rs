//! The run of a training job, as the container contract has it.

use std::{io, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::{sync::watch, time::sleep};

use super::{
    Outcome, STOP_GRACE,
    training_request::{channels, max_runtime},
};
use crate::{
    archive,
    input::Input,
    process::{Program, Spec, WorkDir, exit_code, note},
    service::Service,
    store::{ObjectStore, S3Uri, StoreError},
};

const FOLDERS: [&str; 4] = ["input/config", "input/data", "model", "output/data"];

/// Runs a job that was just created and records what becomes of it.
pub(super) async fn run(
    service: Arc<Service>,
    name: String,
    request: Input,
    mut stop: watch::Receiver<bool>,
) {
    let run = Run {
        service: &service,
        name: &name,
        request: &request,
        label: format!("training-{name}"),
    };
    let (outcome, artifacts) = match run.work(&mut stop).await {
        Ok(ended) => ended,
        // An error is the stand-in's own, where AWS would say the same of itself.
        Err(error) => (
            Outcome::Failed(format!("InternalServerError: {error}")),
            None,
        ),
    };
    if let Outcome::Failed(reason) = &outcome {
        note(&service.log_path(&run.label), reason);
    }
    service.training_ends(&name, outcome, artifacts);
}

struct Run<'a> {
    service: &'a Service,
    name: &'a str,
    request: &'a Input,
    label: String,
}

impl Run<'_> {
    /// The whole life of the job; the work folder goes with this call.
    async fn work(
        &self,
        stop: &mut watch::Receiver<bool>,
    ) -> io::Result<(Outcome, Option<String>)> {
        let work = WorkDir::create(self.service.work_path(&self.label), &FOLDERS)?;
        let root = work.path();
        self.service.training_enters(self.name, "Downloading");
        let outcome = tokio::select! {
            outcome = self.download(root) => outcome?,
            () = stopped(stop) => Some(Outcome::Stopped),
        };
        if let Some(outcome) = outcome {
            return Ok((outcome, None));
        }
        self.service.training_enters(self.name, "Training");
        let outcome = self.train(root, stop).await?;
        if matches!(outcome, Outcome::Failed(_)) {
            return Ok((outcome, None));
        }
        // A job that was stopped keeps what it has saved.
        self.service.training_enters(self.name, "Uploading");
        match self.upload(root).await? {
            Ok(artifacts) => Ok((outcome, artifacts)),
            Err(failed) => Ok((failed, None)),
        }
    }

    /// Fills `input/`. Answers how the job ended, when it can't go on.
    async fn download(&self, root: &Path) -> io::Result<Option<Outcome>> {
        for channel in channels(self.request) {
            let folder = root.join("input/data").join(&channel.name);
            std::fs::create_dir_all(&folder)?;
            if let Err(reason) = self.fetch(&channel.data, &folder).await {
                return Ok(Some(Outcome::Failed(format!(
                    "ClientError: Data download failed:{reason}"
                ))));
            }
        }
        let config = root.join("input/config");
        let hyperparameters = self.request.at("HyperParameters");
        let hyperparameters = hyperparameters.cloned().unwrap_or_else(|| json!({}));
        write_json(&config.join("hyperparameters.json"), &hyperparameters)?;
        write_json(&config.join("inputdataconfig.json"), &self.input_config())?;
        write_json(&config.join("resourceconfig.json"), &self.resource_config())?;
        Ok(None)
    }

    /// S3 as the job's role.
    async fn store(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let role = self.request.text("RoleArn").unwrap_or_default();
        self.service.stores.as_role(role).await
    }

    async fn fetch(&self, data: &S3Uri, folder: &Path) -> Result<(), String> {
        let store = self.store().await.map_err(|e| e.to_string())?;
        let keys = data.objects(store.as_ref()).await;
        let keys = keys.map_err(|e| e.to_string())?;
        if keys.is_empty() {
            return Err(format!("No S3 objects found under S3 URL \"{data}\""));
        }
        for key in keys {
            let body = store.get(&data.bucket, &key).await;
            let body = body
                .map_err(|error| error.to_string())?
                .ok_or_else(|| format!("Key \"{key}\" of bucket \"{}\" is gone", data.bucket))?;
            save(folder, data.relative(&key), &body).map_err(|error| format!("{key}: {error}"))?;
        }
        Ok(())
    }

    fn input_config(&self) -> Value {
        let channels = channels(self.request).into_iter().map(|channel| {
            let mut config = json!({
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            });
            if let Some(content_type) = channel.content_type {
                config["ContentType"] = json!(content_type);
            }
            (channel.name, config)
        });
        Value::Object(channels.collect::<Map<_, _>>())
    }

    fn resource_config(&self) -> Value {
        let instance = self.request.text("ResourceConfig.InstanceType");
        json!({
            "current_host": "algo-1",
            "current_instance_type": instance,
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [{
                "instance_group_name": "homogeneousCluster",
                "instance_type": instance,
                "hosts": ["algo-1"],
            }],
            "network_interface_name": "eth0",
        })
    }

    /// Runs the image's `train` until it ends, is stopped or is out of time.
    async fn train(&self, root: &Path, stop: &mut watch::Receiver<bool>) -> io::Result<Outcome> {
        let reference = self.request.text("AlgorithmSpecification.TrainingImage");
        let image = self.service.images.resolve(reference.unwrap_or_default());
        let image = image.await.map_err(io::Error::other)?;
        let Some((program, environment)) =
            image.and_then(|image| Some((image.train?, image.environment)))
        else {
            return Ok(Outcome::Failed(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or \
                 its permissions are incorrect."
                    .to_owned(),
            ));
        };
        let mut spec = Spec {
            program,
            root: root.to_owned(),
            environment,
            log: self.service.log_path(&self.label),
        };
        spec.environment.extend(self.request.texts("Environment"));
        spec.environment
            .insert("TRAINING_JOB_NAME".to_owned(), self.name.to_owned());
        let arn = self.service.names.arn("training-job", self.name);
        spec.environment.insert("TRAINING_JOB_ARN".to_owned(), arn);

        let mut program = match Program::start(&spec).await {
            Ok(program) => program,
            Err(error) => {
                return Ok(Outcome::Failed(format!(
                    "ClientError: Please use an image whose train program can run: {}: {error}",
                    spec.program.display()
                )));
            }
        };
        let limit = Duration::from_secs(max_runtime(self.request));
        let early = tokio::select! {
            // A program that has ended wins over a stop that comes in the same moment.
            biased;
            status = program.wait() => return Ok(outcome_of(status?, root)),
            () = stopped(stop) => Outcome::Stopped,
            () = sleep(limit) => Outcome::OutOfTime,
        };
        program.stop(STOP_GRACE).await?;
        Ok(early)
    }

    /// Packs and writes the model, and what is in `output/data`. The inner error is the job's.
    async fn upload(&self, root: &Path) -> io::Result<Result<Option<String>, Outcome>> {
        let output = self
            .request
            .text("OutputDataConfig.S3OutputPath")
            .and_then(S3Uri::parse)
            .ok_or_else(|| io::Error::other("the output path is no S3 URI"))?;
        let mut model = None;
        for (folder, file) in [("model", "model.tar.gz"), ("output/data", "output.tar.gz")] {
            let Some(archive) = pack(root.join(folder)).await? else {
                continue;
            };
            let place = output.join(&format!("{}/output/{file}", self.name));
            let put = async {
                let store = self.store().await?;
                store.put(&place.bucket, &place.key, archive).await
            };
            if let Err(error) = put.await {
                return Ok(Err(Outcome::Failed(format!(
                    "ClientError: Artifact upload failed:{error}"
                ))));
            }
            if folder == "model" {
                model = Some(place.to_string());
            }
        }
        Ok(Ok(model))
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The job is forgotten, which only happens when the service ends.
        std::future::pending::<()>().await;
    }
}

fn outcome_of(status: ExitStatus, root: &Path) -> Outcome {
    if status.success() {
        return Outcome::Completed;
    }
    // Left behind by the program to say why; without it AWS leaves the place empty as well.
    let said = std::fs::read(root.join("output/failure")).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    // The exit code stays readable when the text is longer than a reason can be.
    let said: String = said.trim().chars().take(900).collect();
    Outcome::Failed(format!(
        "AlgorithmError: {said}, exit code: {}",
        exit_code(status)
    ))
}

async fn pack(folder: std::path::PathBuf) -> io::Result<Option<Bytes>> {
    let packed = tokio::task::spawn_blocking(move || archive::pack(&folder)).await;
    packed.map_err(io::Error::other)?
}

fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    std::fs::write(path, value.to_string())
}

fn save(folder: &Path, relative: &str, body: &[u8]) -> io::Result<()> {
    if relative.split('/').any(|part| part == "..") {
        return Err(io::Error::other("the key leaves its folder"));
    }
    let path = folder.join(relative.trim_start_matches('/'));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, body)
}
