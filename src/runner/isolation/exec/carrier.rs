//! The streams of a program that has no terminal of its own: those of this process, but pipes in
//! the place of a terminal. A terminal itself stays outside: who has it can read the keys that are
//! meant for others, for as long as it likes, and type for the user.

use std::io::{self, IsTerminal, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::stdio::{stderr, stdin, stdout};
use signal_hook::consts::{SIGCONT, SIGINT, SIGQUIT};

use super::terminal::pass;
use crate::sys::is_in_foreground;

/// The keys of a terminal that signal the program.
const KEYS: [(i32, Signal); 2] = [(SIGINT, Signal::INT), (SIGQUIT, Signal::QUIT)];

/// How often output is copied when the program has ended: as much as the pipes hold. What the
/// program leaves behind may say something for ever.
const MOST_AT_END: u32 = 32;

/// This process's ends of the pipes, and the signals that it passes on.
#[derive(Debug)]
pub(super) struct Carrier {
    typed: Option<PipeWriter>,
    shown: Option<PipeReader>,
    shown_errors: Option<PipeReader>,
    keys: [PipeReader; KEYS.len()],
    /// Readable when this process was stopped and goes on, perhaps in the foreground.
    resumed: PipeReader,
}

impl Carrier {
    /// Gives a program that is about to be started the streams of this process, and pipes where
    /// one is a terminal.
    pub(super) fn between(command: &mut Command) -> io::Result<Self> {
        let (mut typed, mut shown, mut shown_errors) = (None, None, None);
        if io::stdin().is_terminal() {
            let (reader, writer) = io::pipe()?;
            rustix::io::ioctl_fionbio(&writer, true)?;
            command.stdin(Stdio::from(reader));
            typed = Some(writer);
        }
        if io::stdout().is_terminal() {
            let (reader, writer) = io::pipe()?;
            command.stdout(Stdio::from(writer));
            shown = Some(reader);
        }
        if io::stderr().is_terminal() {
            let (reader, writer) = io::pipe()?;
            command.stderr(Stdio::from(writer));
            shown_errors = Some(reader);
        }
        let [interrupted, quit] = KEYS;
        Ok(Self {
            typed,
            shown,
            shown_errors,
            keys: [heed(interrupted.0)?, heed(quit.0)?],
            resumed: heed(SIGCONT)?,
        })
    }

    /// Copies and passes on signals until the attendant of the program has ended and all that the
    /// program has said by then was shown.
    pub(super) fn serve(mut self, attendant: u32, program: u32) -> io::Result<()> {
        let pid = |number: u32| i32::try_from(number).ok().and_then(Pid::from_raw);
        let attendant = pid(attendant).ok_or(io::ErrorKind::NotFound)?;
        let ended = pidfd_open(attendant, PidfdFlags::empty())?;
        let (mut left, mut late) = (Vec::new(), 0);
        loop {
            let ready = self.wait(&ended, &left)?;
            for (at, (_, signal)) in KEYS.into_iter().enumerate() {
                if ready.keys[at] {
                    drain(&self.keys[at]);
                    // It leads the group of its session.
                    pid(program).map(|group| kill_process_group(group, signal));
                }
            }
            if ready.resumed {
                drain(&self.resumed);
            }
            if ready.typed {
                self.pass_on_keys(&mut left);
            }
            let mut said = false;
            if ready.shown {
                said |= show(&mut self.shown, stdout())?;
            }
            if ready.shown_errors {
                said |= show(&mut self.shown_errors, stderr())?;
            }
            late += u32::from(ready.ended);
            if ready.ended && (!said || late > MOST_AT_END) {
                return Ok(());
            }
        }
    }

    /// Waits until something is to be done.
    fn wait(&self, ended: &OwnedFd, left: &[u8]) -> io::Result<Ready> {
        let (read, write) = (PollFlags::IN, PollFlags::OUT);
        let mut fds = vec![PollFd::new(ended, read), PollFd::new(&self.resumed, read)];
        fds.extend(self.keys.iter().map(|it| PollFd::new(it, read)));
        let mut places = [None; 3];
        let [shown, shown_errors, typed] = &mut places;
        for (place, stream) in [(shown, &self.shown), (shown_errors, &self.shown_errors)] {
            if let Some(stream) = stream {
                *place = Some(fds.len());
                fds.push(PollFd::new(stream, read));
            }
        }
        if let Some(writer) = &self.typed {
            if !left.is_empty() {
                *typed = Some(fds.len());
                fds.push(PollFd::new(writer, write));
            } else if is_in_foreground(stdin()) {
                // Who is in the background would be stopped for reading.
                *typed = Some(fds.len());
                fds.push(PollFd::from_borrowed_fd(stdin(), read));
            }
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => fds.iter_mut().for_each(PollFd::clear_revents),
            other => drop(other?),
        }
        let is = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let [shown, shown_errors, typed] = places.map(|place| place.is_some_and(is));
        Ok(Ready {
            ended: is(0),
            resumed: is(1),
            keys: [is(2), is(3)],
            shown,
            shown_errors,
            typed,
        })
    }

    /// Reads what was typed, or writes what is `left` of it; closes the pipe at its end.
    fn pass_on_keys(&mut self, left: &mut Vec<u8>) {
        let Some(writer) = &self.typed else { return };
        if left.is_empty() {
            let mut buffer = [0; 4096];
            match rustix::io::read(stdin(), &mut buffer) {
                Ok(0) => return self.typed = None,
                Ok(read) => left.extend(&buffer[..read]),
                Err(Errno::INTR | Errno::AGAIN) => return,
                Err(_) => return self.typed = None,
            }
        }
        match rustix::io::write(writer, left) {
            Ok(written) => drop(left.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Nobody reads it any more.
            Err(_) => {
                left.clear();
                self.typed = None;
            }
        }
    }
}

/// What can be done without waiting.
#[derive(Debug)]
struct Ready {
    ended: bool,
    resumed: bool,
    keys: [bool; KEYS.len()],
    shown: bool,
    shown_errors: bool,
    typed: bool,
}

/// Returns a pipe that becomes readable with a signal.
fn heed(signal: i32) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    signal_hook::low_level::pipe::register(signal, OwnedFd::from(writer))?;
    Ok(reader)
}

fn drain(pipe: &PipeReader) {
    let _ = rustix::io::read(pipe, &mut [0; 64]);
}

/// Shows what can be read now; returns whether that was anything.
fn show(from: &mut Option<PipeReader>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let Some(reader) = from else { return Ok(false) };
    let said = pass(reader.as_fd(), to)?;
    if !said {
        *from = None;
    }
    Ok(said)
}
