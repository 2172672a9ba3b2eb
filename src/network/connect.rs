//! Sockets of this thread's network that are connected without waiting.

use std::io;
use std::net::{SocketAddrV4, TcpStream, UdpSocket};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_keepalive;
use rustix::net::{SocketType, connect};

use crate::relay;

/// A client's address, and the address that it has sent to.
pub(super) type Pair = (SocketAddrV4, SocketAddrV4);

/// Begins to connect by TCP.
pub(super) fn tcp(to: SocketAddrV4) -> Result<TcpStream, Errno> {
    let socket = relay::nonblocking(to.into(), SocketType::STREAM)?;
    let stream = relay::connect(socket, to.into())?;
    // A peer that has died without a reset is noticed some day.
    let _ = set_socket_keepalive(&stream, true);
    Ok(stream)
}

/// Opens a UDP socket for exchanging datagrams with one address.
pub(super) fn udp(to: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = relay::nonblocking(to.into(), SocketType::DGRAM)?;
    connect(&socket, &to)?;
    Ok(socket.into())
}
