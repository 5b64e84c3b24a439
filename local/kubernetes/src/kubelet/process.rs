//! A process with all its descendants.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::report::Exit;

/// A started program that leads a process group of its own. Dropping it kills the group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts the program.
    pub(super) fn start(mut command: Command) -> std::io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits until the program ends; what it left running in its group is killed.
    pub(super) async fn wait(&mut self) -> Exit {
        let ended = self.child.wait().await;
        self.signal(Signal::KILL);
        self.group = None;
        match ended {
            Ok(status) => exit(status),
            Err(error) => {
                tracing::error!(%error, "lost sight of a process");
                Exit {
                    code: 255,
                    signal: 0,
                }
            }
        }
    }

    /// Asks the program to end, and makes it when it takes longer than `grace`.
    pub(super) async fn end(&mut self, grace: Duration) -> Exit {
        self.signal(Signal::TERM);
        if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
            return exit;
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may have ended by itself in the meantime.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn exit(status: ExitStatus) -> Exit {
    let signal = status.signal().unwrap_or_default();
    Exit {
        code: status.code().unwrap_or(128 + signal),
        signal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Process::start(command).unwrap()
    }

    #[tokio::test]
    async fn exit_codes_and_signals_are_told_apart() {
        let exit = shell("exit 3").wait().await;
        assert_eq!(exit, Exit { code: 3, signal: 0 });
        let exit = shell("kill -TERM $$").wait().await;
        assert_eq!(
            exit,
            Exit {
                code: 143,
                signal: 15
            }
        );
    }

    #[tokio::test]
    async fn a_program_that_ignores_the_request_is_killed_after_its_grace() {
        let folder = tempfile::tempdir().unwrap();
        // Told to end before its `trap`, a shell would just end.
        let trapped = async |trap: &str| {
            let file = folder.path().join("trapped");
            let name = file.display();
            let script = format!("trap {trap} TERM; touch {name}; while :; do sleep 0.01; done");
            let process = shell(&script);
            while std::fs::remove_file(&file).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            process
        };
        let exit = trapped("''").await.end(Duration::from_millis(100)).await;
        assert_eq!(exit.signal, 9);
        let exit = trapped("'exit 7'").await.end(Duration::from_secs(10)).await;
        assert_eq!(exit.code, 7);
    }

    #[tokio::test]
    async fn descendants_go_with_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let process = shell(&script);
        let pid = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<i32>() {
                break Pid::from_raw(pid).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        drop(process);
        let gone = async {
            // A killed process stays in the table until its parent has read its end.
            while std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), gone)
            .await
            .unwrap();
    }
}
