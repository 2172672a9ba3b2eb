//! Signals: what this process does on them, and sending one to another process.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

#[expect(unsafe_code, reason = "std and rustix do not offer it")]
unsafe extern "C" {
    /// Sets the action of a signal, see signal(2).
    safe fn signal(number: i32, action: usize) -> usize;
}

/// Restores the default action of the signals that a shell or `nohup` may have set to be ignored,
/// for an ignored signal stays ignored in every process started from here.
pub(crate) fn reset_signals() {
    let mostly_ignored = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::CHILD,
    ];
    for number in mostly_ignored {
        signal(number.as_raw(), libc::SIG_DFL);
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
        Err(Errno::SRCH) => Ok(()),
        other => other.map_err(Into::into),
    }
}

/// Makes the kernel reap the children of this process by itself.
pub(crate) fn reap_automatically() {
    signal(Signal::CHILD.as_raw(), libc::SIG_IGN);
}

/// Ignores the signals that a terminal's keys send.
pub(crate) fn ignore_terminal_signals() {
    for number in [Signal::INT, Signal::QUIT] {
        signal(number.as_raw(), libc::SIG_IGN);
    }
}
