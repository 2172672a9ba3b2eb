//! What is left in a pet's network when its runner has gone: nothing, unless the runner was killed.
//!
//! Main processes die with their runner, but the kernel forgets that of one that changes its user.
//! The supervisor ends those, and so does this process, which may be the only one that is left.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use crate::sys::{self, proc};

/// The network namespace of a pet, kept open so that no other can have its number.
#[derive(Debug)]
pub(super) struct PetNetwork {
    _namespace: File,
    device: u64,
    number: u64,
}

impl PetNetwork {
    /// Opens the network namespace of a process.
    pub(super) fn of_process(pid: u32) -> io::Result<Self> {
        let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
        let found = namespace.metadata()?;
        Ok(Self {
            device: found.dev(),
            number: found.ino(),
            _namespace: namespace,
        })
    }

    /// Kills all processes that are in it.
    pub(super) fn end_processes(&self) {
        let own = std::process::id();
        for pid in proc::processes().filter(|pid| *pid != own && self.has(*pid)) {
            let _ = sys::signal_process(pid, Signal::KILL);
        }
    }

    fn has(&self, pid: u32) -> bool {
        let found = fs::metadata(format!("/proc/{pid}/ns/net"));
        found.is_ok_and(|it| (it.dev(), it.ino()) == (self.device, self.number))
    }
}
