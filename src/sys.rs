//! The few calls that rustix and std lack; the only unsafe code.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Closes every descriptor but the standard three, so that nothing inherited stays open: not a
/// Makefile's jobserver, not the pipe that somebody reads the caller's output from.
///
/// Call it first thing in a process that has opened nothing of its own yet.
pub(crate) fn close_inherited() -> io::Result<()> {
    let entries = fs::read_dir("/proc/self/fd")?;
    let open = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let open: Vec<RawFd> = open.filter(|&descriptor| descriptor > 2).collect();
    for descriptor in open {
        close(descriptor);
    }
    Ok(())
}

#[expect(
    unsafe_code,
    reason = "a descriptor that nobody in this process owns has to be closed"
)]
fn close(descriptor: RawFd) {
    // The directory that was read to list them is closed already, and its number is free.
    if fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok() {
        // SAFETY: it was inherited, so no value of this process owns it.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}
