//! The sockets of a DNS server: each address for UDP and for TCP.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::net::sockopt::set_socket_recv_buffer_size;

/// How many pairs of ports are tried when any port will do.
const ATTEMPTS: u32 = 16;
/// The receive buffer of a UDP socket, so that a burst is not lost; the kernel may allow less.
const RECEIVE_BUFFER: usize = 512 * 1024;

/// The sockets of a server that does not run yet, in the network namespace of the thread that
/// opened them.
#[derive(Debug)]
pub(crate) struct Sockets(pub(super) Vec<(UdpSocket, TcpListener)>);

impl Sockets {
    /// Binds each of `addresses`, for UDP and TCP.
    pub(crate) fn open(addresses: &[SocketAddr]) -> io::Result<Self> {
        let pairs = addresses.iter().map(|address| bind(*address));
        pairs.collect::<io::Result<_>>().map(Self)
    }
}

/// Binds the same port for UDP and TCP.
fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = 0;
    loop {
        let udp = UdpSocket::bind(address)?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                let _ = set_socket_recv_buffer_size(&udp, RECEIVE_BUFFER);
                tcp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(error) if address.port() != 0 || attempts >= ATTEMPTS => return Err(error),
            Err(_) => attempts += 1,
        }
    }
}
