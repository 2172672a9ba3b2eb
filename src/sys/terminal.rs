//! This process's terminal in raw mode, and how it becomes what it was.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use signal_hook::low_level::{emulate_default_handler, register};

/// The signals that end a process, but for those of a terminal's keys, which are ignored, and
/// those of its own faults.
const ENDS: [i32; 12] = [
    libc::SIGABRT,
    libc::SIGALRM,
    libc::SIGHUP,
    libc::SIGIO,
    libc::SIGPROF,
    libc::SIGSYS,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGVTALRM,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];
/// The signals that stop a process, until SIGCONT lets it go on.
const STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The terminal that is stdin, in raw mode. Dropping this restores its former mode, as does every
/// signal that ends or stops the process; only SIGKILL and SIGSTOP leave no time for that.
pub(crate) struct RawTerminal {
    modes: Modes,
}

#[derive(Clone)]
struct Modes {
    before: Termios,
    raw: Termios,
    /// Whether the terminal is to be raw.
    wanted: Arc<AtomicBool>,
    /// What is written to it before it becomes what it was.
    farewell: &'static [u8],
}

impl RawTerminal {
    /// Makes the terminal raw.
    pub(crate) fn make() -> io::Result<Self> {
        Self::make_with_farewell(b"")
    }

    /// Makes the terminal raw. A signal that ends or stops the process writes this to it before.
    pub(crate) fn make_with_farewell(farewell: &'static [u8]) -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let wanted = Arc::new(AtomicBool::new(true));
        let modes = Modes {
            before,
            raw,
            wanted,
            farewell,
        };
        modes.heed_signals()?;
        tcsetattr(stdin(), OptionalActions::Now, &modes.raw)?;
        Ok(Self { modes })
    }

    /// Lets something have the terminal in its former mode.
    #[cfg(feature = "live")]
    pub(crate) fn lend<T>(&self, to: impl FnOnce() -> T) -> T {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.modes.before);
        self.modes.wanted.store(false, Ordering::Relaxed);
        let outcome = to();
        self.modes.wanted.store(true, Ordering::Relaxed);
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.modes.raw);
        outcome
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.modes.before);
        self.modes.wanted.store(false, Ordering::Relaxed);
    }
}

impl Modes {
    /// Handles the signals in their handlers: this process may be waiting for the terminal to
    /// take its output.
    #[expect(unsafe_code, reason = "a handler must not do everything")]
    fn heed_signals(&self) -> io::Result<()> {
        for signal in ENDS.into_iter().chain(STOPS) {
            let modes = self.clone();
            let handle = move || {
                modes.say_farewell();
                modes.set(&modes.before);
                let _ = emulate_default_handler(signal);
                // Only who was stopped comes here. It may go on without the terminal.
                modes.set(&modes.raw);
            };
            // SAFETY: the handler makes system calls that are allowed there, and neither
            // allocates nor takes a lock.
            unsafe { register(signal, handle) }?;
        }
        let modes = self.clone();
        // SAFETY: as above.
        unsafe { register(libc::SIGCONT, move || modes.set(&modes.raw)) }?;
        Ok(())
    }

    fn say_farewell(&self) {
        if self.wanted.load(Ordering::Relaxed) && !self.farewell.is_empty() {
            let _ = rustix::io::write(rustix::stdio::stdout(), self.farewell);
        }
    }

    /// Changes the mode at once, unless the terminal is somebody else's now: who is in the
    /// background would be stopped for that.
    fn set(&self, mode: &Termios) {
        let own = rustix::process::getpgrp();
        let background = tcgetpgrp(stdin()).is_ok_and(|group| group != own);
        if self.wanted.load(Ordering::Relaxed) && !background {
            let _ = tcsetattr(stdin(), OptionalActions::Now, mode);
        }
    }
}

/// Returns whether this process is among those that have the terminal: its keys signal them, and
/// others are stopped for reading from it.
pub(crate) fn is_in_foreground(terminal: BorrowedFd<'_>) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
