//! Sockets in the state directory, however long its name is.
//!
//! An address holds 107 bytes of path (unix(7)), and the path of a state directory may be longer.
//! A socket is therefore addressed through a descriptor of its directory.
//!
//! Who may open a socket is a question of files. A pet that gets at one all the same has no say:
//! the kernel tells who sends, and a process of a pet is one of another process namespace.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_passcred, socket_peercred};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix,
    SocketFlags, SocketType, bind, recvmsg, socket_with,
};

use super::files::remove;
use crate::sys::proc;

/// What a sender does while the receiver's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenBusy {
    /// It fails.
    GiveUp,
    /// It waits up to this long.
    Wait(Duration),
}

/// Sends a datagram to the socket at `path`; an error of kind `NotFound` or `ConnectionRefused`
/// means that no process listens there.
pub(crate) fn send_to(path: &Path, message: &[u8], when_busy: WhenBusy) -> io::Result<()> {
    let (_directory, short) = shorten(path)?;
    let socket = UnixDatagram::unbound()?;
    match when_busy {
        WhenBusy::GiveUp => socket.set_nonblocking(true)?,
        WhenBusy::Wait(limit) => socket.set_write_timeout(Some(limit))?,
    }
    socket.send_to(message, short).map(drop)
}

/// Binds a non-blocking socket at `path`, replacing that of a dead process.
///
/// The caller holds the lock that makes it the only process to listen there.
pub(crate) fn listen_at(path: &Path) -> io::Result<UnixDatagram> {
    let (_directory, short) = shorten(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // Before anything can be sent to it.
    set_socket_passcred(&socket, true)?;
    let address = SocketAddrUnix::new(&short)?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            remove(path)?;
            bind(&socket, &address)?;
        }
        bound => bound?,
    }
    Ok(socket.into())
}

/// Whose process has sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// One in the same process namespace: a command, a supervisor or a runner. A pet with isolation
    /// `none` is no different.
    Host,
    /// One of a pet.
    Pet,
    /// One that has ended, or that cannot be seen from here.
    Unknown,
}

impl Sender {
    fn of(pid: u32) -> Self {
        let own = proc::namespaces_of(std::process::id());
        Self::by(proc::namespaces_of(pid).as_ref(), own.as_ref())
    }

    /// Tells by its namespaces and those of this process. Whoever looks may be out of descriptors:
    /// then nobody is known.
    fn by<N: PartialEq>(theirs: Option<&N>, own: Option<&N>) -> Self {
        match (theirs, own) {
            (Some(theirs), Some(own)) if theirs == own => Self::Host,
            (Some(_), Some(_)) => Self::Pet,
            (None, _) | (_, None) => Self::Unknown,
        }
    }
}

/// Receives a datagram, and who has sent it.
pub(super) fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, Sender)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut senders = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(it) => u32::try_from(it.pid.as_raw_pid()).ok(),
        RecvAncillaryMessage::ScmRights(_) | _ => None,
    });
    let sender = senders.next().map_or(Sender::Unknown, Sender::of);
    Ok((received.bytes, sender))
}

/// Returns whether a process of the host is at the other end of a connection.
pub(crate) fn is_from_host(connection: impl AsFd) -> bool {
    let peer = socket_peercred(connection).ok();
    let pid = peer.and_then(|peer| u32::try_from(peer.pid.as_raw_pid()).ok());
    pid.map(Sender::of) == Some(Sender::Host)
}

/// Listens for connections at `path`, replacing the socket of a dead process.
pub(crate) fn wait_at(path: &Path) -> io::Result<UnixListener> {
    let (_directory, short) = shorten(path)?;
    remove(path)?;
    UnixListener::bind(&short)
}

/// Connects to the socket at `path`.
pub(crate) fn connect_to(path: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = shorten(path)?;
    UnixStream::connect(&short)
}

/// Returns whether there is a socket at `path`, though nobody may listen there.
pub(crate) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

/// Returns a name for `path` that fits into a socket address, as long as the file is open.
fn shorten(path: &Path) -> io::Result<(File, PathBuf)> {
    let only_name = rustix::fs::OFlags::PATH.bits().cast_signed();
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(only_name)
        .open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    Ok((directory, short.join(path.file_name().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn nobody_is_taken_for_a_pet_because_this_process_cannot_see_itself() {
        let by = |theirs: Option<u8>, own: Option<u8>| Sender::by(theirs.as_ref(), own.as_ref());
        assert_eq!(by(Some(1), Some(1)), Sender::Host);
        assert_eq!(by(Some(2), Some(1)), Sender::Pet);
        for unknown in [(None, Some(1)), (Some(1), None), (None, None)] {
            assert_eq!(by(unknown.0, unknown.1), Sender::Unknown);
        }
    }

    use super::*;

    #[test]
    fn a_socket_is_reached_however_deep_it_lies_and_taken_over_from_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("socket");
        assert!(send_to(&path, b"x", WhenBusy::GiveUp).is_err());
        drop(listen_at(&path).unwrap());
        let socket = listen_at(&path).unwrap();
        send_to(&path, b"hello", WhenBusy::GiveUp).unwrap();
        let mut message = [0; 16];
        assert_eq!(socket.recv(&mut message).unwrap(), 5);
    }
}
