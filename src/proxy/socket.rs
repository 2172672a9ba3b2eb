//! The sockets of the proxy: none of them ever makes it wait.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{SocketType, bind, connect as connect_now, listen};

use crate::relay;

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens for connections.
pub(super) fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = relay::nonblocking(at, SocketType::STREAM)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Listens for datagrams.
pub(super) fn datagrams(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = relay::nonblocking(at, SocketType::DGRAM)?;
    bind(&socket, &at)?;
    Ok(socket.into())
}

/// Begins to connect to a pet on behalf of a client.
pub(super) fn connect(pet: SocketAddr, client: IpAddr) -> io::Result<TcpStream> {
    let socket = relay::nonblocking(pet, SocketType::STREAM)?;
    appear_as(&socket, client);
    Ok(relay::connect(socket, pet)?)
}

/// Makes a socket that exchanges datagrams with one pet on behalf of a client.
pub(super) fn session(pet: SocketAddr, client: IpAddr) -> io::Result<UdpSocket> {
    let socket = relay::nonblocking(pet, SocketType::DGRAM)?;
    appear_as(&socket, client);
    connect_now(&socket, &pet)?;
    Ok(socket.into())
}

/// Lets the pet see the client's own address, where that is one of loopback.
fn appear_as(socket: &OwnedFd, client: IpAddr) {
    if client.is_loopback() {
        // If this fails, the pet sees 127.0.0.1, which serves as well.
        let _ = bind(socket, &SocketAddr::new(client, 0));
    }
}
