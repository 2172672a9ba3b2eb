//! The few calls that rustix and std lack: the only unsafe code.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};

/// Distinguishes the stages of a launch in the one number that a failed child can report.
const STAGE: i32 = 10_000;

/// Where a launch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Detaching,
    ChangingDirectory,
    Executing,
}

impl Stage {
    /// Returns the stage that a launch error names, and the error itself.
    pub(crate) fn of(error: io::Error) -> (Self, io::Error) {
        let Some(code) = error.raw_os_error() else {
            return (Self::Executing, error);
        };
        let stage = match code / STAGE {
            0 => Self::Executing,
            1 => Self::Detaching,
            _ => Self::ChangingDirectory,
        };
        (stage, io::Error::from_raw_os_error(code % STAGE))
    }
}

/// Makes the child of `command` lead its own session, die with the thread that starts it, and
/// begin in `directory`. The thread must be the main one: the kernel looks at the thread.
#[expect(
    unsafe_code,
    reason = "std has no session, death signal, or staged chdir"
)]
pub(crate) fn detach(command: &mut Command, directory: std::ffi::CString) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        at(1, rustix::process::setsid().map(|_| ()))?;
        let kill = Some(Signal::KILL);
        at(1, rustix::process::set_parent_process_death_signal(kill))?;
        // The parent may have died before the call above took effect.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(STAGE + libc_esrch()));
        }
        at(2, rustix::process::chdir(directory.as_c_str()))
    };
    // SAFETY: between fork and exec the closure makes four plain system calls and neither
    // allocates nor takes a lock (an `io::Error` made from a number holds no memory).
    unsafe {
        command.pre_exec(prepare);
    }
}

fn libc_esrch() -> i32 {
    rustix::io::Errno::SRCH.raw_os_error()
}

fn at(stage: i32, outcome: rustix::io::Result<()>) -> io::Result<()> {
    outcome.map_err(|errno| io::Error::from_raw_os_error(stage * STAGE + errno.raw_os_error()))
}

/// Closes every descriptor above stderr: nothing of who started this program stays open.
///
/// To be called first in `main`, while nothing else is open.
pub(crate) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<i32>().ok().filter(|&fd| fd > 2)
    });
    #[expect(
        unsafe_code,
        reason = "std and rustix close only descriptors that have an owner"
    )]
    unsafe extern "C" {
        safe fn close(descriptor: i32) -> i32;
    }
    // The listing's own descriptor is among them and closed by now, which is no harm. Nothing in
    // this process owns a descriptor yet, so none is closed under its owner.
    for descriptor in numbers.collect::<Vec<_>>() {
        close(descriptor);
    }
}

/// Gives the signals that a shell or `nohup` may have set to be ignored their usual meaning, for
/// an ignored signal stays ignored in every process started from here.
pub(crate) fn reset_signals() {
    #[expect(unsafe_code, reason = "std and rustix do not offer it")]
    unsafe extern "C" {
        safe fn signal(number: i32, meaning: usize) -> usize;
    }
    const DEFAULT: usize = 0;
    let mostly_ignored = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::CHILD,
    ];
    for number in mostly_ignored {
        signal(number.as_raw(), DEFAULT);
    }
}

/// Sends `signal` to one process; one that is already gone is a success.
pub(crate) fn signal_process(pid: u32, signal: Signal) -> io::Result<()> {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .filter(|&pid| pid > 1)
        .and_then(Pid::from_raw)
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match rustix::process::kill_process(pid, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.map_err(Into::into),
    }
}
