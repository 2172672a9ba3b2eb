//! The sockets of the proxy: none of them ever makes it wait.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 1024;

fn socket(like: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if like.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, kind, flags, None)?)
}

/// Listens for connections.
pub(super) fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(at, SocketType::STREAM)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Listens for datagrams.
pub(super) fn datagrams(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(at, SocketType::DGRAM)?;
    bind(&socket, &at)?;
    Ok(socket.into())
}

/// Accepts the next client, if one waits.
pub(super) fn accept(listener: &TcpListener) -> Result<TcpStream, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let stream = accept_with(listener, flags)?;
    let _ = set_tcp_nodelay(&stream, true);
    Ok(stream.into())
}

/// Begins to connect to a pet on behalf of a client.
pub(super) fn begin(pet: SocketAddr, client: IpAddr) -> io::Result<TcpStream> {
    let socket = socket(pet, SocketType::STREAM)?;
    appear_as(&socket, client);
    match connect(&socket, &pet) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let _ = set_tcp_nodelay(&socket, true);
    Ok(socket.into())
}

/// Makes a socket that exchanges datagrams with one pet on behalf of a client.
pub(super) fn session(pet: SocketAddr, client: IpAddr) -> io::Result<UdpSocket> {
    let socket = socket(pet, SocketType::DGRAM)?;
    appear_as(&socket, client);
    connect(&socket, &pet)?;
    Ok(socket.into())
}

/// Lets the pet see the client's own address, where that is one of loopback.
fn appear_as(socket: &OwnedFd, client: IpAddr) {
    if client.is_loopback() {
        // Without it the pet sees 127.0.0.1, as good as any.
        let _ = bind(socket, &SocketAddr::new(client, 0));
    }
}

/// Makes the end of a connection a reset: its other end must not take it for an orderly one.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
