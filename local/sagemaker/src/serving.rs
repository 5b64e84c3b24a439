//! A model's container, serving: its data unpacked, its program started, its `/ping` answered.

use std::{collections::BTreeMap, io, path::Path, process::ExitStatus, time::Duration};

use local_wire::ReservedPort;
use tokio::time::{sleep, timeout};

use crate::{
    archive,
    models::Container,
    process::{Program, Spec, WorkDir, exit_code, note},
    service::Service,
};

/// Pause between two pings, and the longest one may take (AWS's limit is 2 s).
const PING_PAUSE: Duration = Duration::from_millis(20);
const PING_LIMIT: Duration = Duration::from_secs(2);

/// Why a container didn't come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// There is no such image, or it can't serve.
    #[error("the image {0} doesn't exist or can't serve")]
    Image(String),
    /// The model's data can't be read.
    #[error("{0}")]
    ModelData(String),
    /// The program ended or never answered `/ping`.
    #[error("the container did not pass the ping health check: {0}")]
    Unhealthy(String),
    /// This machine's fault.
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// A container that answers.
#[derive(Debug)]
pub(crate) struct Server {
    program: Program,
    spec: Spec,
    // Removed after the program, which is dropped first.
    _work: WorkDir,
    port: ReservedPort,
}

impl Server {
    /// Starts `container` and waits until it answers, `limit` at most. `label` names its folder and
    /// its log; `environment` wins over the model's.
    pub(crate) async fn start(
        service: &Service,
        container: &Container,
        label: &str,
        environment: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<Self, StartError> {
        let image = service.images.resolve(&container.image).await;
        let image = image.map_err(io::Error::other)?;
        let missing = || StartError::Image(container.image.clone());
        let image = image.ok_or_else(missing)?;
        let program = image.serve.ok_or_else(missing)?;

        let work = WorkDir::create(service.work_path(label), &["model"])?;
        unpack_model(service, container, &work.path().join("model")).await?;
        let port = ReservedPort::take()?;
        let mut all = image.environment;
        all.extend(container.environment.clone());
        all.extend(environment.clone());
        all.insert("SERVE_PORT".to_owned(), port.number().to_string());
        let spec = Spec {
            program,
            root: work.path().to_owned(),
            environment: all,
            log: service.log_path(label),
        };
        let program = Program::start(&spec).await?;
        let mut server = Self {
            program,
            spec,
            _work: work,
            port,
        };
        server.healthy(&service.http, limit).await?;
        Ok(server)
    }

    async fn healthy(&mut self, http: &reqwest::Client, limit: Duration) -> Result<(), StartError> {
        let url = format!("http://127.0.0.1:{}/ping", self.port());
        let answered = async {
            loop {
                let ping = http.get(&url).timeout(PING_LIMIT).send().await;
                if ping.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                sleep(PING_PAUSE).await;
            }
        };
        let reason = tokio::select! {
            // An answer counts even when the program is about to end.
            biased;
            outcome = timeout(limit, answered) => match outcome {
                Ok(()) => return Ok(()),
                Err(_) => format!("no answer within {} s", limit.as_secs()),
            },
            ended = self.program.wait() => format!("the program ended, exit code: {}", exit_code(ended?)),
        };
        note(&self.spec.log, &reason);
        Err(StartError::Unhealthy(reason))
    }

    /// Where it listens, on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Waits until the program ends.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.program.wait().await
    }

    /// Starts the program again where it was.
    pub(crate) async fn restart(&mut self) -> io::Result<()> {
        self.program = Program::start(&self.spec).await?;
        Ok(())
    }

    /// Where the program's output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.spec.log
    }
}

async fn unpack_model(
    service: &Service,
    container: &Container,
    folder: &Path,
) -> Result<(), StartError> {
    let Some(data) = &container.data else {
        return Ok(());
    };
    let found = async {
        let store = service.stores.as_role(&container.role).await?;
        store.get(&data.bucket, &data.key).await
    };
    let archive = found
        .await
        .map_err(|error| {
            StartError::ModelData(format!("Could not access model data at {data}: {error}"))
        })?
        .ok_or_else(|| StartError::ModelData(format!("Could not find model data at {data}.")))?;
    let folder = folder.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&archive, &folder)).await;
    unpacked.map_err(io::Error::other)?.map_err(|error| {
        StartError::ModelData(format!(
            "Failed to extract model data archive from URL \"{data}\": {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc};

    use local_wire::{
        AlarmState, Authorize, BoxFuture, Caller, Credentials, Deliver, ImageSpec, Images, Refused,
        Watch, Wire,
    };

    use super::*;
    use crate::Config;

    /// Allows everything, forgets every event, runs one program.
    struct Seams(std::path::PathBuf);

    impl Authorize for Seams {
        fn check<'a>(
            &'a self,
            _: &'a Caller,
            _: &'a str,
            _: &'a str,
        ) -> BoxFuture<'a, Result<(), Refused>> {
            Box::pin(async { Ok(()) })
        }
    }

    impl Deliver for Seams {
        fn deliver(&self, _: serde_json::Value) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async { Ok(()) })
        }
    }

    impl Images for Seams {
        fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
            Box::pin(async {
                Ok(Some(ImageSpec {
                    train: None,
                    serve: Some(self.0.clone()),
                    environment: BTreeMap::new(),
                }))
            })
        }
    }

    impl Watch for Seams {
        fn put_metrics<'a>(
            &'a self,
            _: &'a str,
            _: Vec<serde_json::Value>,
        ) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(async { Ok(()) })
        }

        fn alarms<'a>(
            &'a self,
            _: &'a str,
            _: &'a [String],
        ) -> BoxFuture<'a, Result<Vec<AlarmState>, String>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    #[tokio::test]
    async fn a_program_that_never_answers_is_given_up_and_ended() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("serve");
        std::fs::write(&program, "#!/bin/sh\necho $$ > ../../pid\nexec sleep 63\n")?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let seams = Arc::new(Seams(program));
        let credentials = Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
        };
        let service = Service::new(Config {
            region: "r".to_owned(),
            account: "1".to_owned(),
            state_dir: folder.path().to_owned(),
            stores: Arc::new(Wire::new("http://127.0.0.1:1", "r", credentials)),
            authorize: seams.clone(),
            deliver: seams.clone(),
            images: seams.clone(),
            watch: seams,
            metrics_period: Duration::from_secs(5),
        })?;
        let container = Container {
            image: "silent".to_owned(),
            data: None,
            role: String::new(),
            environment: BTreeMap::new(),
        };
        // On a busy machine the program may not come to its first line within the first limit.
        let mut pid = String::new();
        for limit_ms in [300, 3_000, 30_000] {
            let limit = Duration::from_millis(limit_ms);
            let started = Server::start(&service, &container, "x", &BTreeMap::new(), limit).await;
            assert!(
                matches!(started, Err(StartError::Unhealthy(_))),
                "{started:?}"
            );
            pid = std::fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
            if pid.ends_with('\n') {
                break;
            }
        }
        let pid: u32 = pid.trim().parse()?;
        let status = format!("/proc/{pid}/cmdline");
        for _ in 0..12_000 {
            if std::fs::read(&status).unwrap_or_default().is_empty() {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("{pid} lives on");
    }
}
