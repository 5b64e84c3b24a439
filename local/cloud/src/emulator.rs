//! The emulator of AWS's services, as a process of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use local_wire::{Credentials, ProcessGroup, ReservedPort, Wire};

use crate::names::Place;

/// Longest the emulator may take to answer; it needs about 0.6 s, and much more on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// The emulator's root user.
pub fn root_credentials() -> Credentials {
    Credentials {
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        session_token: None,
    }
}

/// A running emulator; it and the functions it runs are killed when this value is dropped or this
/// process dies.
#[derive(Debug)]
pub struct Emulator {
    _group: ProcessGroup,
    wire: Wire,
    // Free again after the group, which is gone by then.
    _port: ReservedPort,
}

impl Emulator {
    /// Starts it with its state and log below `state_dir` and waits until it answers.
    pub async fn start(program: &Path, place: &Place, state_dir: &Path) -> anyhow::Result<Self> {
        for folder in ["tmp", "state", "s3"] {
            let folder = state_dir.join(folder);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let port = ReservedPort::take().context("a port")?;
        let endpoint = format!("http://127.0.0.1:{}", port.number());
        let log_path = state_dir.join("emulator.log");
        let log = File::create(&log_path).with_context(|| log_path.display().to_string())?;
        let group = ProcessGroup::start(state_dir).context("a process group")?;
        let mut process = group
            .command(program)
            // The functions inherit the emulator's environment: nothing of ours may leak into them.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("GATEWAY_PORT", port.number().to_string())
            .env("BIND_HOST", "127.0.0.1")
            // What queue addresses start with.
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("MINISTACK_REGION", &place.region)
            .env("MINISTACK_ACCOUNT_ID", &place.account)
            .env("AUTH", "true")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // Without it functions wouldn't find the emulator.
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("TMPDIR", state_dir.join("tmp"))
            .env("STATE_DIR", state_dir.join("state"))
            .env("S3_DATA_DIR", state_dir.join("s3"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}: is it installed? (`make` does)", program.display()))?;
        let health = format!("{endpoint}/_ministack/health");
        let client = local_wire::http_client();
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = process.try_wait()? {
                bail!(
                    "the emulator ended with {status}:\n{}",
                    last_lines(&log_path)
                );
            }
            if let Ok(answer) = client.get(&health).send().await
                && answer.status().is_success()
            {
                let wire = Wire::new(&endpoint, &place.region, root_credentials());
                return Ok(Self {
                    _group: group,
                    wire,
                    _port: port,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        bail!(
            "the emulator doesn't answer within {} s:\n{}",
            START_LIMIT.as_secs(),
            last_lines(&log_path)
        )
    }

    /// Calls as its root user.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }
}

/// How a log ends: its folder may be gone when somebody wants to read it.
fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The emulator's program: `MINISTACK`, or what `make` installs below the project's root.
pub fn program(project_root: &Path) -> PathBuf {
    std::env::var_os("MINISTACK")
        .map_or_else(|| project_root.join(".venv/bin/ministack"), PathBuf::from)
}
