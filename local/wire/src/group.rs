//! Processes that don't outlive us, however we end.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// The group's leader: it waits for the end of its input, which the kernel brings about when the
/// process that holds the other end of the pipe is gone, killed or not. Then it kills the programs
/// that work in its folder (those of containers have groups of their own; `ML_ROOT` tells where a
/// container's program works), and its group.
const LEADER: &str = r#"
cat >/dev/null
grep -lsF "ML_ROOT=$1/" /proc/[0-9]*/environ | while IFS=/ read -r _ _ process _; do
    kill -s KILL "$process"
done
kill -s KILL -- -$$
"#;

/// A process group that is killed when this value is dropped or this process dies, even by SIGKILL.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Child,
}

impl ProcessGroup {
    /// An empty group. Programs of containers that work in `folder` go with it.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let leader = Command::new("/bin/sh")
            .args(["-c", LEADER, "sh"])
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { leader })
    }

    /// A command whose process, and those it starts, belong to the group.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Process ids fit: Linux's largest is 4,194,304.
        command.process_group(i32::try_from(self.leader.id()).unwrap_or(i32::MAX));
        command
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        drop(self.leader.stdin.take());
        // Collects the leader, which kills itself with its group.
        if let Err(error) = self.leader.wait() {
            tracing::warn!(%error, "a process group's leader was not collected");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};

    use super::{Command, ProcessGroup};

    #[test]
    fn a_dropped_group_takes_its_members_and_their_children_with_it() {
        let group = ProcessGroup::start("/elsewhere".as_ref()).unwrap();
        let mut member = group
            .command("/bin/sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .unwrap();
        drop(group);
        assert_eq!(member.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn programs_of_containers_go_with_their_folders_group() {
        let group = ProcessGroup::start("/nowhere/a".as_ref()).unwrap();
        let container = |root: &str| {
            let mut command = Command::new("sleep");
            command.arg("60").env("ML_ROOT", root).process_group(0);
            command.spawn().unwrap()
        };
        let mut ours = container("/nowhere/a/job");
        let mut others = container("/nowhere/abc/job");
        drop(group);
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        assert!(others.try_wait().unwrap().is_none());
        others.kill().unwrap();
        others.wait().unwrap();
    }
}
