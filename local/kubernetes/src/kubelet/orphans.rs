//! Processes of an earlier run that was killed before it could end them.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Kills every process whose working directory lies in `directory`: only pods run there.
pub(super) fn kill(directory: &Path) {
    let Ok(directory) = directory.canonicalize() else {
        return;
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        let inside = std::fs::read_link(process.path().join("cwd"))
            .is_ok_and(|working| working.starts_with(&directory));
        if inside && kill_process(pid, Signal::KILL).is_ok() {
            tracing::info!(pid = pid.as_raw_nonzero(), "ended a pod of an earlier run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_in_the_directory_is_killed() {
        let ours = tempfile::tempdir().unwrap();
        let theirs = tempfile::tempdir().unwrap();
        let sleep = |folder: &Path| {
            std::process::Command::new("sleep")
                .arg("60")
                .current_dir(folder)
                .spawn()
                .unwrap()
        };
        let (mut orphan, mut stranger) = (sleep(ours.path()), sleep(theirs.path()));
        kill(ours.path());
        assert!(!orphan.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
