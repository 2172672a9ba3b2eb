//! Connections that are begun without waiting for them.

use std::net::{SocketAddrV4, TcpStream};

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// Begins to connect, in this thread's network.
pub(super) fn begin(to: SocketAddrV4) -> Result<TcpStream, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let _ = set_tcp_nodelay(&socket, true);
    // What has died without a word is noticed one day.
    let _ = set_socket_keepalive(&socket, true);
    Ok(socket.into())
}
