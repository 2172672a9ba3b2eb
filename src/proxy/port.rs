//! One port of a virtual address: its socket, and where it is offered if not as it should be.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::balance::Balance;
use super::plan::{Protocol, VirtualPort, alternatives};
use super::socket;
use crate::relay::UdpSessions;
use crate::store::detours::Detour;

/// One port that is offered.
#[derive(Debug)]
pub(super) struct OfferedPort {
    pub(super) socket: PortSocket,
    pub(super) balance: Balance,
    /// No client is accepted until then.
    pub(super) paused: Option<Instant>,
}

/// What listens at an offered port.
#[derive(Debug)]
pub(super) enum PortSocket {
    Tcp(TcpListener),
    /// With the sessions of its clients, by the client's address.
    Udp(UdpSocket, UdpSessions<SocketAddr>),
}

impl AsFd for PortSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Udp(socket, _) => socket.as_fd(),
        }
    }
}

impl OfferedPort {
    /// Ends the sessions with pets that get no clients any more, and those that are idle.
    pub(super) fn tidy(&mut self, now: Instant) {
        if let PortSocket::Udp(_, sessions) = &mut self.socket {
            let balance = &self.balance;
            sessions.end_where(|session| !balance.has(session.server));
            sessions.end_idle(now);
        }
    }
}

/// Opens a port, or another one where it cannot be had, which is none of those `taken`.
pub(super) fn open(
    port: &VirtualPort,
    taken: &BTreeSet<SocketAddr>,
) -> (Option<PortSocket>, Option<Detour>) {
    let detour = |at, why: String| Detour {
        port: port.address.port(),
        protocol: port.protocol.to_string(),
        at,
        why,
    };
    if port.protocol == Protocol::Other {
        let why = "only TCP and UDP are passed on".to_owned();
        return (None, Some(detour(None, why)));
    }
    let why = match open_at(port.protocol, port.address) {
        Ok((socket, _)) => return (Some(socket), None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            "this user may not listen there".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let others = alternatives(port.address.port())
        .map(|number| SocketAddr::new(port.address.ip(), number))
        .filter(|other| !taken.contains(other));
    for other in others {
        if let Ok((socket, at)) = open_at(port.protocol, other) {
            return (Some(socket), Some(detour(Some(at), why)));
        }
    }
    (None, Some(detour(None, why)))
}

fn open_at(protocol: Protocol, at: SocketAddr) -> io::Result<(PortSocket, SocketAddr)> {
    if protocol == Protocol::Udp {
        let socket = socket::datagrams(at)?;
        let at = socket.local_addr()?;
        return Ok((PortSocket::Udp(socket, UdpSessions::default()), at));
    }
    let listener = socket::listener(at)?;
    let at = listener.local_addr()?;
    Ok((PortSocket::Tcp(listener), at))
}
