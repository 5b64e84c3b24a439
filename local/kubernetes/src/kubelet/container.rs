//! One container: found, started, probed, ended, started again.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use jiff::Timestamp;
use local_wire::{ImageSpec, ReservedPort};
use serde_json::Value;
use tokio::process::Command;

use super::{
    Kubelet, Stop,
    environment::{self, Place},
    probe::Probe,
    process::Process,
    report::{Exit, Report},
};
use crate::json::{number, text};

/// A container that ran this long starts afresh with its back-off.
const PROVEN: Duration = Duration::from_mins(10);

/// What a container needs to run.
pub(super) struct Container {
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) pod: Arc<Value>,
    /// The entry of the pod's `spec.containers`.
    pub(super) spec: Value,
    pub(super) report: Report,
    /// Working directory, shared by the pod's containers.
    pub(super) work: PathBuf,
}

/// The three probes of a container.
struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

/// Why a container can't be started: the reason that its state shows, and in words.
struct NotStarted {
    reason: &'static str,
    message: String,
}

/// What ended a run of the program.
enum End {
    /// By itself.
    Exited(Exit),
    /// Its liveness or startup probe failed.
    Unhealthy,
    /// The pod is to end.
    Stopped(Duration),
}

/// Waits that double.
struct BackOff {
    first: Duration,
    next: Duration,
}

impl BackOff {
    fn new(first: Duration) -> Self {
        Self { first, next: first }
    }

    fn step(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.first * 30);
        wait
    }

    fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Container {
    fn name(&self) -> &str {
        text(&self.spec, "/name")
    }

    /// Runs the container until its pod is to end, or until it is done and needn't run again.
    pub(super) async fn run(self, mut stop: Stop) {
        let mut pulls = BackOff::new(self.kubelet.restart_back_off);
        let mut crashes = BackOff::new(self.kubelet.restart_back_off);
        let mut crashed_before = false;
        loop {
            let probes = match self.probes() {
                Ok(probes) => probes,
                Err(refused) => return self.give_up(&refused),
            };
            let wait = match self.start().await {
                Ok((mut process, reserved)) => {
                    let port = reserved.number();
                    let started = Timestamp::now();
                    self.report
                        .running(self.name(), text(&self.spec, "/image"), port);
                    let end = self.attend(&mut process, &probes, port, &mut stop).await;
                    let exit = self.end(&mut process, &end).await;
                    let stopped = matches!(end, End::Stopped(_));
                    let again = !stopped && self.restarts_after(exit);
                    self.report.ended(self.name(), exit, started, again);
                    if !again {
                        return;
                    }
                    tracing::info!(
                        pod = text(&self.pod, "/metadata/name"),
                        container = self.name(),
                        exit = exit.code,
                        "container ended, starting it again"
                    );
                    let ran = Timestamp::now().duration_since(started);
                    if Duration::try_from(ran).unwrap_or_default() >= PROVEN {
                        crashes.reset();
                        crashed_before = false;
                    }
                    // The first restart is immediate; only a container that keeps ending waits.
                    if !crashed_before {
                        crashed_before = true;
                        continue;
                    }
                    let wait = crashes.step();
                    self.report
                        .waiting(self.name(), "CrashLoopBackOff", &self.crash_message(wait));
                    wait
                }
                Err(failed) if failed.reason == "CreateContainerConfigError" => {
                    return self.give_up(&failed);
                }
                Err(failed) => {
                    self.report
                        .waiting(self.name(), failed.reason, &failed.message);
                    if failed.reason == "ErrImagePull" {
                        let message = format!("Back-off pulling image {}", self.spec["image"]);
                        self.report
                            .waiting(self.name(), "ImagePullBackOff", &message);
                    }
                    pulls.step()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(Option::is_some) => return,
            }
        }
    }

    /// Nothing that time could mend: the state tells why, and the pod is never ready.
    fn give_up(&self, refused: &NotStarted) {
        tracing::warn!(
            pod = text(&self.pod, "/metadata/name"),
            container = self.name(),
            message = refused.message,
            "container can't be run"
        );
        self.report
            .waiting(self.name(), refused.reason, &refused.message);
    }

    fn crash_message(&self, wait: Duration) -> String {
        format!(
            "back-off {wait:?} restarting failed container={} pod={}_{}({})",
            self.name(),
            text(&self.pod, "/metadata/name"),
            text(&self.pod, "/metadata/namespace"),
            text(&self.pod, "/metadata/uid"),
        )
    }

    fn restarts_after(&self, exit: Exit) -> bool {
        match text(&self.pod, "/spec/restartPolicy") {
            "Never" => false,
            "OnFailure" => exit.code != 0,
            _ => true,
        }
    }

    fn probes(&self) -> Result<Probes, NotStarted> {
        let probe = |field| {
            Probe::of(&self.spec, field).map_err(|message| NotStarted {
                reason: "CreateContainerConfigError",
                message,
            })
        };
        Ok(Probes {
            startup: probe("startupProbe")?,
            readiness: probe("readinessProbe")?,
            liveness: probe("livenessProbe")?,
        })
    }

    /// Finds the image's program and starts it on a port that is its own until the reservation is dropped.
    async fn start(&self) -> Result<(Process, ReservedPort), NotStarted> {
        let image = self.pull().await?;
        let program = image.serve.ok_or_else(|| NotStarted {
            reason: "RunContainerError",
            message: format!("image {} has no program to serve with", self.spec["image"]),
        })?;
        let not_run = |error: std::io::Error| NotStarted {
            reason: "RunContainerError",
            message: format!("failed to start {}: {error}", program.display()),
        };
        let port = ReservedPort::take().map_err(not_run)?;
        let place = Place {
            port: port.number(),
            work: &self.work,
        };
        let given = &self.kubelet.environment;
        let variables =
            environment::resolve(given, &image.environment, &self.pod, &self.spec, &place)
                .map_err(|message| NotStarted {
                    reason: "CreateContainerConfigError",
                    message,
                })?;
        let root = self.work.join(self.name());
        tokio::fs::create_dir_all(&root).await.map_err(not_run)?;
        let log = Kubelet::log_file(
            &self.kubelet.directory,
            text(&self.pod, "/metadata/namespace"),
            text(&self.pod, "/metadata/name"),
        );
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(not_run)?;
        let mut command = Command::new(&program);
        command
            .env_clear()
            .envs(variables)
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(not_run)?)
            .stderr(log);
        let process = Process::start(command).map_err(not_run)?;
        Ok((process, port))
    }

    async fn pull(&self) -> Result<ImageSpec, NotStarted> {
        let reference = text(&self.spec, "/image");
        let message = match self.kubelet.images.resolve(reference).await {
            Ok(Some(image)) => return Ok(image),
            Ok(None) => format!(
                "rpc error: code = NotFound desc = failed to pull and unpack image {reference:?}: not found"
            ),
            Err(error) => format!("failed to pull image {reference:?}: {error}"),
        };
        Err(NotStarted {
            reason: "ErrImagePull",
            message,
        })
    }

    /// Waits for whatever ends this run, and reports health meanwhile.
    async fn attend(
        &self,
        process: &mut Process,
        probes: &Probes,
        port: u16,
        stop: &mut Stop,
    ) -> End {
        tokio::select! {
            exit = process.wait() => End::Exited(exit),
            () = self.watch_health(probes, port) => End::Unhealthy,
            // An error says that the kubelet is gone.
            grace = stop.wait_for(Option::is_some) => {
                End::Stopped(grace.ok().and_then(|grace| *grace).unwrap_or_default())
            }
        }
    }

    /// Reports `started` and `ready`; returns when the container has to be killed for its health.
    async fn watch_health(&self, probes: &Probes, port: u16) {
        let http = &self.kubelet.http;
        if let Some(startup) = &probes.startup {
            let mut up = false;
            startup
                .watch(http, port, |answer| {
                    up = answer;
                    false
                })
                .await;
            if !up {
                return;
            }
        }
        self.report.health(self.name(), "started", true);
        let readiness = async {
            match &probes.readiness {
                Some(probe) => {
                    let report = |ready| {
                        self.report.health(self.name(), "ready", ready);
                        true
                    };
                    probe.watch(http, port, report).await;
                }
                None => self.report.health(self.name(), "ready", true),
            }
            std::future::pending::<()>().await;
        };
        let liveness = async {
            match &probes.liveness {
                Some(probe) => probe.watch(http, port, |alive| alive).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readiness => {}
            () = liveness => {}
        }
    }

    async fn end(&self, process: &mut Process, end: &End) -> Exit {
        let grace = match end {
            End::Exited(exit) => return *exit,
            End::Stopped(grace) => *grace,
            End::Unhealthy => {
                let seconds = number(&self.pod, "/spec/terminationGracePeriodSeconds");
                Duration::from_secs(seconds.unsigned_abs())
            }
        };
        // Not ready from here on, so that no request is sent to a program on its way out.
        self.report.health(self.name(), "ready", false);
        process.end(grace).await
    }
}
