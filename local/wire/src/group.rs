//! Processes that don't outlive us, however we end.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// The group's leader: it waits for the end of its input, which the kernel brings about when the
/// process that holds the other end of the pipe is gone, killed or not; then it kills its group.
const LEADER: &str = "cat >/dev/null; kill -s KILL -- -$$";

/// A process group that is killed when this value is dropped or this process dies, even by SIGKILL.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Child,
}

impl ProcessGroup {
    /// An empty group.
    pub fn start() -> io::Result<Self> {
        let leader = Command::new("/bin/sh")
            .args(["-c", LEADER])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { leader })
    }

    /// The group's id, for `Command::process_group`.
    pub fn id(&self) -> i32 {
        // Process ids fit: Linux's largest is 4,194,304.
        i32::try_from(self.leader.id()).unwrap_or(i32::MAX)
    }

    /// A command whose process, and those it starts, belong to the group.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.process_group(self.id());
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

/// The id of a group that lives as long as this process, for `Command::process_group`: whatever
/// joins it is killed when this process ends, even by SIGKILL.
pub fn tethered_group() -> io::Result<i32> {
    static GROUP: OnceLock<ProcessGroup> = OnceLock::new();
    if let Some(group) = GROUP.get() {
        return Ok(group.id());
    }
    let group = ProcessGroup::start()?;
    Ok(GROUP.get_or_init(|| group).id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::ProcessGroup;

    #[test]
    fn a_dropped_group_takes_its_members_and_their_children_with_it() {
        let group = ProcessGroup::start().unwrap();
        let mut member = group
            .command("/bin/sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .unwrap();
        drop(group);
        assert_eq!(member.wait().unwrap().signal(), Some(9));
    }
}
