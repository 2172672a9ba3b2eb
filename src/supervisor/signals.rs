//! The event sources of a supervisor: signals, and watched directories.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectRef};

/// The kind of a watched directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WatchedDir {
    /// All namespaces, and the marker of `petset stop`.
    Wanted,
    /// The objects of one kind.
    Kind(Namespace, ObjectKind),
    /// The records of claims, which `petset volume rm` removes.
    Claims(Namespace),
    /// The directory of a pet.
    Pet(ObjectRef),
    /// A directory of what is observed, which only petset changes.
    Observed,
    /// The registry of the state directories of this machine.
    Registry,
}

/// Signals, as descriptors for `poll`.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) children: UnixStream,
    pub(super) end: UnixStream,
    /// Whether SIGTERM or SIGINT has come.
    pub(super) quit: bool,
    /// Whether to run on when nothing is left to do, as in the foreground.
    pub(super) stays: bool,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let children = signalled(&[SIGCHLD])?;
        let end = signalled(&[SIGTERM, SIGINT])?;
        Ok(Self {
            children,
            end,
            quit: false,
            stays: false,
        })
    }

    /// Makes the supervisor run on when nothing is left to do.
    pub(super) const fn stay(&mut self) {
        self.stays = true;
    }
}

/// Returns a stream that becomes readable when one of these signals has come.
fn signalled(signals: &[i32]) -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for &signal in signals {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(receiver)
}

/// Drains a stream of signals; returns whether there was any.
pub(super) fn drain(mut stream: &UnixStream) -> bool {
    let mut any = false;
    while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {
        any = true;
    }
    any
}
