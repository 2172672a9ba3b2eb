//! The command for whose length the state directory is there: when it has ended, however it ended,
//! the pets are stopped and the directory is removed.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::store::{Layout, OwnerFile};

/// Whether this process removes its own state directory.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// The owner of a state directory.
#[derive(Debug)]
pub(super) struct StateOwner {
    /// `None` when it has ended.
    process: Option<OwnedFd>,
}

impl StateOwner {
    /// Finds the owner; `None` where the directory has none.
    pub(super) fn find(layout: &Layout) -> Option<Self> {
        let owner = OwnerFile::of(layout).read()?;
        let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw);
        let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // The number may have been given to another process before it was opened.
        let process = process.filter(|_| owner.is_alive());
        Some(Self { process })
    }

    /// Returns the descriptor that becomes readable at its end, while it lives.
    pub(super) const fn process(&self) -> Option<&OwnedFd> {
        self.process.as_ref()
    }

    /// Returns whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        let Some(process) = &self.process else {
            return true;
        };
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        let ended = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        if ended {
            self.process = None;
        }
        ended
    }
}

/// Keeps this process from ending when its lock is removed.
pub(super) fn begin_to_leave() {
    LEAVING.store(true, Ordering::Relaxed);
}

/// Returns whether this process removes its own state directory.
pub(super) fn is_leaving() -> bool {
    LEAVING.load(Ordering::Relaxed)
}
