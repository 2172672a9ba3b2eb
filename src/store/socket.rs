//! Sockets in the state directory, however long its name is.
//!
//! An address holds 107 bytes of path (unix(7)), and the path of a state directory may be longer.
//! A socket is therefore addressed through a descriptor of its directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::remove;

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
    let socket = match UnixDatagram::bind(&short) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove(path)?;
            UnixDatagram::bind(&short)?
        }
        bound => bound?,
    };
    socket.set_nonblocking(true)?;
    Ok(socket)
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
