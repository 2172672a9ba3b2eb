//! Signals: what this process does on them, and sending one to another process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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

/// Signals that people send, with their names.
const NAMED: [(&str, Signal); 16] = [
    ("SIGHUP", Signal::HUP),
    ("SIGINT", Signal::INT),
    ("SIGQUIT", Signal::QUIT),
    ("SIGILL", Signal::ILL),
    ("SIGABRT", Signal::ABORT),
    ("SIGFPE", Signal::FPE),
    ("SIGKILL", Signal::KILL),
    ("SIGSEGV", Signal::SEGV),
    ("SIGALRM", Signal::ALARM),
    ("SIGTERM", Signal::TERM),
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGCONT", Signal::CONT),
    ("SIGSTOP", Signal::STOP),
    ("SIGTSTP", Signal::TSTP),
    ("SIGWINCH", Signal::WINCH),
];

/// Returns the signal that a word means: `TERM`, `SIGTERM`, `sigterm` or `15`.
pub(crate) fn signal_named(word: &str) -> Option<Signal> {
    let word = word.to_ascii_uppercase();
    let bare = word.strip_prefix("SIG").unwrap_or(&word);
    let mut named = NAMED.iter().filter(|(name, _)| name[3..] == *bare);
    let number = || word.parse().ok().and_then(Signal::from_named_raw);
    named.next().map(|(_, signal)| *signal).or_else(number)
}

/// Returns the name of a signal, or its number.
pub(crate) fn name_of_signal(signal: Signal) -> String {
    let name = NAMED.iter().find(|(_, known)| *known == signal);
    name.map_or_else(
        || format!("signal {}", signal.as_raw()),
        |(name, _)| (*name).to_owned(),
    )
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

/// Has the kernel send this process SIGIO whenever a name is removed from a directory, for as long
/// as that is open. No limit is on how many processes may ask for this.
#[expect(unsafe_code, reason = "std and rustix do not offer it")]
pub(crate) fn signal_removals(folder: BorrowedFd<'_>) -> io::Result<()> {
    const DN_DELETE: libc::c_ulong = 0x8;
    const DN_MULTISHOT: libc::c_ulong = 0x8000_0000;
    let what = DN_DELETE | DN_MULTISHOT;
    // SAFETY: only numbers are passed.
    let outcome = unsafe { libc::fcntl(folder.as_raw_fd(), libc::F_NOTIFY, what) };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_by_number() {
        for word in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(signal_named(word), Some(Signal::TERM), "{word}");
        }
        for word in ["", "SIG", "NOPE", "0", "-9", "99"] {
            assert_eq!(signal_named(word), None, "{word}");
        }
        assert_eq!(name_of_signal(Signal::KILL), "SIGKILL");
        assert_eq!(name_of_signal(Signal::URG), "signal 23");
    }
}
