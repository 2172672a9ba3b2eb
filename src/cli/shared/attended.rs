//! Running a child process to its end, with the signals of this process passed on.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::sys::{self, is_in_foreground};

/// The signals that end a command.
const ENDING: [(i32, Signal); 3] = [
    (SIGINT, Signal::INT),
    (SIGTERM, Signal::TERM),
    (SIGHUP, Signal::HUP),
];

/// Receives the signals that end a command, for as long as this process runs.
pub(crate) struct Attendance {
    signals: Vec<(UnixStream, Signal)>,
    /// How many came so far, and the first of them.
    came: Cell<u32>,
    first: Cell<Option<Signal>>,
}

impl Attendance {
    pub(crate) fn begin() -> io::Result<Self> {
        let mut signals = Vec::new();
        for (number, signal) in ENDING {
            let (receiver, sender) = UnixStream::pair()?;
            receiver.set_nonblocking(true)?;
            pipe::register(number, sender)?;
            signals.push((receiver, signal));
        }
        Ok(Self {
            signals,
            came: Cell::new(0),
            first: Cell::new(None),
        })
    }

    /// Runs a command to its end. It ends with this process, too.
    pub(crate) fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        sys::end_with_parent(command, Signal::TERM);
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        loop {
            let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
            let receivers = self.signals.iter().map(|(receiver, _)| receiver);
            fds.extend(receivers.map(|it| PollFd::new(it, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let is = |fd: &PollFd<'_>| !fd.revents().is_empty();
            if is(&fds[0]) {
                return child.wait();
            }
            drop(fds);
            self.pass_on(pid, &mut child)?;
        }
    }

    /// Returns the ends that become readable when a signal comes.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &UnixStream> {
        self.signals.iter().map(|(receiver, _)| receiver)
    }

    /// Returns how many signals have come.
    pub(crate) fn count(&self) -> u32 {
        for (receiver, signal) in &self.signals {
            self.hear(receiver, *signal);
        }
        self.came.get()
    }

    /// Returns the first signal that has come.
    pub(crate) fn first(&self) -> Option<Signal> {
        self.first.get()
    }

    /// Takes note of a signal, if it has come.
    fn hear(&self, mut receiver: &UnixStream, signal: Signal) -> bool {
        let came = matches!(receiver.read(&mut [0; 16]), Ok(count) if count > 0);
        if came {
            self.came.set(self.came.get() + 1);
            self.first.set(self.first.get().or(Some(signal)));
        }
        came
    }

    /// Passes on the signals that came; the second one ends the child at once.
    fn pass_on(&self, pid: Pid, child: &mut Child) -> io::Result<()> {
        for (receiver, signal) in &self.signals {
            if !self.hear(receiver, *signal) {
                continue;
            }
            if self.came.get() > 1 {
                child.kill()?;
            } else if *signal != Signal::INT || !gets_keys() {
                // The keys of a terminal signal all in the foreground, the child as well.
                let _ = kill_process(pid, *signal);
            }
        }
        Ok(())
    }
}

/// Returns whether the keys of the terminal signal this process.
fn gets_keys() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| is_in_foreground(terminal.as_fd()))
}
