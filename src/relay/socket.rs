//! Sockets that never make their thread wait.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, accept_with, connect as rustix_connect, socket_with,
};

/// What became of accepting a client.
#[derive(Debug)]
pub(crate) enum Accepted {
    Client(TcpStream),
    /// This one is gone already; there may be another.
    Aborted,
    /// No client waits.
    Empty,
    /// The system has run out of descriptors or memory: clients have to wait for a while.
    Exhausted,
}

/// Opens a socket for addresses of the family of `like`.
pub(crate) fn nonblocking(like: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = match like {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    socket_with(
        family,
        kind,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

/// Accepts the next client of a listener.
pub(crate) fn accept(listener: &TcpListener) -> Accepted {
    match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(client) => {
            let _ = set_tcp_nodelay(&client, true);
            Accepted::Client(client.into())
        }
        Err(Errno::CONNABORTED | Errno::INTR) => Accepted::Aborted,
        Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Accepted::Exhausted,
        Err(_) => Accepted::Empty,
    }
}

/// Begins to connect a TCP socket. Its first event tells whether the server has accepted.
pub(crate) fn connect(socket: OwnedFd, server: SocketAddr) -> Result<TcpStream, Errno> {
    match rustix_connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let _ = set_tcp_nodelay(&socket, true);
    Ok(socket.into())
}

/// Makes the end of a connection a reset: its peer must not take it for an orderly one.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
