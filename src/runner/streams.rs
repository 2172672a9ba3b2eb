//! The standard streams of a process of a container: pipes or, for a main process with `tty`, a
//! terminal; with `stdin` it can wait for words that nobody says.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;

use k8s_openapi::api::core::v1::Container;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

/// The streams that a process is started with.
#[derive(Debug)]
pub(super) struct Streams {
    /// What it reads; `None` is at its end at once.
    pub(super) stdin: Option<OwnedFd>,
    pub(super) output: OwnedFd,
    /// Whether they are a terminal.
    pub(super) terminal: bool,
}

/// The runner's ends of the streams of a main process.
#[derive(Debug)]
pub(super) struct OwnEnds {
    pub(super) output: PipeReader,
    /// While it is open, stdin has no end.
    pub(super) input: Option<PipeWriter>,
}

impl Streams {
    /// Returns those of a process that says something and reads nothing.
    pub(super) fn of(output: PipeWriter) -> Self {
        Self {
            stdin: None,
            output: output.into(),
            terminal: false,
        }
    }

    /// Opens those of a container's main process.
    pub(super) fn open(container: &Container) -> io::Result<(OwnEnds, Self)> {
        if container.tty == Some(true) {
            return open_terminal();
        }
        let (output, writer) = pipe()?;
        let mut streams = Self::of(writer);
        let mut input = None;
        if container.stdin == Some(true) {
            let (reader, writer) = io::pipe()?;
            streams.stdin = Some(reader.into());
            input = Some(writer);
        }
        Ok((OwnEnds { output, input }, streams))
    }
}

fn open_terminal() -> io::Result<(OwnEnds, Streams)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags)?;
    unlockpt(&outer)?;
    let inner = ioctl_tiocgptpeer(&outer, flags)?;
    rustix::io::ioctl_fionbio(&outer, true)?;
    let streams = Streams {
        stdin: Some(inner.try_clone()?),
        output: inner,
        terminal: true,
    };
    let output = PipeReader::from(outer);
    let input = None;
    Ok((OwnEnds { output, input }, streams))
}

/// Makes a pipe whose reading end never blocks.
pub(super) fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}
