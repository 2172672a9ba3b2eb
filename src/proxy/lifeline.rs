//! Noticing the death of the supervisor, which may happen at any moment: also when it had nothing
//! left to run, and was about to remove the file that keeps its proxy alive.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::store::{Layout, Lock, PidFile};

/// The supervisor that the pid file names.
#[derive(Debug, Default)]
pub(super) struct Lifeline {
    pid: Option<u32>,
    /// `None` when it had ended before it was looked for.
    process: Option<OwnedFd>,
}

impl Lifeline {
    /// Looks for the supervisor. Returns the descriptor that becomes readable when it ends, if it
    /// is another one than before.
    pub(super) fn look(&mut self, layout: &Layout) -> Option<&OwnedFd> {
        let pid = PidFile::of_supervisor(layout).read();
        if pid == self.pid && self.process.is_some() {
            return None;
        }
        self.pid = pid;
        let raw = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let process = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // The number may be another process's by now.
        let runs = Lock::is_held(&layout.supervisor_lock()).unwrap_or(true);
        self.process = process.filter(|_| runs);
        self.process.as_ref()
    }

    /// Returns whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        let Some(process) = &self.process else {
            return true;
        };
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(layout: &Layout, pid: u32) {
        std::fs::create_dir_all(layout.supervisor()).unwrap();
        std::fs::write(layout.supervisor_pid(), format!("{pid}\n")).unwrap();
    }

    #[test]
    fn a_supervisor_lives_until_its_process_ends() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        supervisor(&layout, child.id());
        let mut lifeline = Lifeline::default();
        assert!(lifeline.look(&layout).is_none(), "nobody holds the lock");
        assert!(lifeline.has_ended());
        let lock = Lock::wait(&layout.supervisor_lock(), "1", std::time::Duration::ZERO);
        assert!(lifeline.look(&layout).is_some());
        assert!(lifeline.look(&layout).is_none(), "it is the same one");
        assert!(!lifeline.has_ended());
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(lifeline.has_ended());
        drop(lock);
        // The next one.
        supervisor(&layout, std::process::id());
        let _lock = Lock::wait(&layout.supervisor_lock(), "1", std::time::Duration::ZERO);
        assert!(lifeline.look(&layout).is_some());
        assert!(!lifeline.has_ended());
    }
}
