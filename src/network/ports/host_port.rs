//! One port of a pet on the host.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

/// Added to a port below 1024 that this user may not listen at: 80 becomes 10080.
const MOVED_BY: u16 = 10_000;
/// The pause between attempts to have a port that is in use.
const PAUSE: Duration = Duration::from_millis(10);

/// What listens at a port of the host.
#[derive(Debug)]
pub(super) enum HostSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl AsFd for HostSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

/// A port of the host, and the port of a pet that it leads to.
#[derive(Debug)]
pub(super) struct HostPort {
    /// Which attached pet it belongs to.
    pub(super) attachment_id: u64,
    pub(super) at: SocketAddrV4,
    pub(super) socket: HostSocket,
    /// The pet's address in the private network.
    pub(super) to: SocketAddrV4,
}

/// Listens at a port in this thread's network, or at the one that stands in for it. A port that is
/// in use is tried again until `deadline`: that of a pet's predecessor is only about to be closed.
pub(super) fn listen(
    ip: Ipv4Addr,
    port: u16,
    udp: bool,
    deadline: Instant,
) -> io::Result<(HostSocket, SocketAddrV4)> {
    loop {
        match listen_once(ip, port, udp) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn listen_once(ip: Ipv4Addr, port: u16, udp: bool) -> io::Result<(HostSocket, SocketAddrV4)> {
    let listen = |port: u16| -> io::Result<(HostSocket, SocketAddrV4)> {
        let at = SocketAddrV4::new(ip, port);
        let socket = if udp {
            let socket = UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            HostSocket::Udp(socket)
        } else {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            HostSocket::Tcp(listener)
        };
        Ok((socket, at))
    };
    let moved = port.checked_add(MOVED_BY).filter(|_| port < 1024);
    listen(port).or_else(|error| moved.map_or(Err(error), listen))
}
