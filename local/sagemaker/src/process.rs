//! Programs of images, run as containers would be: a clean environment, `/opt/ml` as a folder of
//! their own, output kept, and nothing left running behind them.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

/// A container's usual search path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Tries to start a program whose file is still open for writing somewhere (it was just built or
/// copied), and the pause between them.
const BUSY_TRIES: u32 = 1_000;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The folder that is `/opt/ml` in a container. It goes away with this value.
#[derive(Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    /// Makes an empty folder at `path`, with `folders` in it.
    pub(crate) fn create(path: PathBuf, folders: &[&str]) -> io::Result<Self> {
        remove(&path)?;
        for folder in folders {
            std::fs::create_dir_all(path.join(folder))?;
        }
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a work folder stays behind");
        }
    }
}

/// Removes a folder; none is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// The image's program.
    pub(crate) program: PathBuf,
    /// Folder that is `/opt/ml`.
    pub(crate) root: PathBuf,
    /// The whole environment but for `PATH` (may be in here) and `ML_ROOT` (set from `root`).
    pub(crate) environment: BTreeMap<String, String>,
    /// File that standard output and error are appended to.
    pub(crate) log: PathBuf,
}

/// A running program and whatever it started: a process group, killed when this value goes.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    group: Option<Pid>,
}

impl Program {
    /// Starts it.
    pub(crate) async fn start(spec: &Spec) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            match Self::spawn(spec) {
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
                {
                    tries += 1;
                    sleep(BUSY_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    fn spawn(spec: &Spec) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(&spec.log)?;
        let child = Command::new(&spec.program)
            .env_clear()
            .env("PATH", PATH)
            .envs(&spec.environment)
            .env("ML_ROOT", &spec.root)
            .current_dir(&spec.root)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits until the program ends, then ends what it left behind.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.signal(Signal::KILL);
        self.group = None;
        status
    }

    /// Asks the program to end, and ends it after `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        if let Ok(status) = timeout(grace, self.wait()).await {
            return status;
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may be gone already, which is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The exit code as Docker reports it: 128 and the signal's number for a killed program.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A message next to a program's own output, where people look for the reason of a failure.
pub(crate) fn note(log: &Path, message: &str) {
    use io::Write as _;
    let written = File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|mut file| writeln!(file, "[local sagemaker] {message}"));
    if let Err(error) = written {
        tracing::warn!(log = %log.display(), %error, message, "a job's log can't be written");
    }
}
