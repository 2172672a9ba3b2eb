//! One port of a virtual address: its socket, and where it is offered if not as it should be.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::balance::Balance;
use super::plan::{Protocol, VirtualPort, alternatives};
use super::socket;
use crate::relay::UdpSessions;
use crate::sorted::SortedSet;
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

/// What became of the wish to open a port.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: Option<PortSocket>,
    /// Where it is offered if not as it should be.
    pub(super) detour: Option<Detour>,
    /// Whether another process has the port: some day it will be free.
    pub(super) busy: bool,
}

/// Opens a port that was in use before.
pub(super) fn open_again(port: &VirtualPort) -> Option<PortSocket> {
    let opened = open_at(port.protocol, port.address);
    opened.ok().map(|(socket, _)| socket)
}

/// Opens a port, or another one where it cannot be had, which is none of those `taken`.
pub(super) fn open(port: &VirtualPort, taken: &SortedSet<SocketAddr>) -> Opened {
    let detour = |at, why: String| Detour {
        port: port.address.port(),
        protocol: port.protocol.to_string(),
        at,
        why,
    };
    if port.protocol == Protocol::Other {
        let why = "only TCP and UDP are passed on".to_owned();
        return Opened {
            socket: None,
            detour: Some(detour(None, why)),
            busy: false,
        };
    }
    let error = match open_at(port.protocol, port.address) {
        Ok((socket, _)) => {
            return Opened {
                socket: Some(socket),
                detour: None,
                busy: false,
            };
        }
        Err(error) => error,
    };
    let busy = error.kind() == io::ErrorKind::AddrInUse;
    let why = match error.kind() == io::ErrorKind::PermissionDenied {
        true => "this user may not listen there".to_owned(),
        false => error.to_string(),
    };
    let others = alternatives(port.address.port())
        .map(|number| SocketAddr::new(port.address.ip(), number))
        .filter(|other| !taken.contains(other));
    let mut opened = others.filter_map(|other| open_at(port.protocol, other).ok());
    let (socket, at) = opened.next().unzip();
    Opened {
        socket,
        detour: Some(detour(at, why)),
        busy,
    }
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
