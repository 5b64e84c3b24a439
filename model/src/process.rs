//! What both commands take from the process they run in.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

/// Logs JSON lines to standard error, from the level (or filter) that `LOG` names, `info` by default.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// The root of SageMaker's container contract: `ML_ROOT`, or `/opt/ml`.
pub fn ml_root() -> PathBuf {
    std::env::var_os("ML_ROOT").map_or_else(|| PathBuf::from("/opt/ml"), PathBuf::from)
}
