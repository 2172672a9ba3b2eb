//! Datagrams of pets to the world: each pair of addresses has a socket on the host, so that
//! answers find their way back.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// A session in which nobody says anything for so long is over.
pub(in crate::network) const IDLE: Duration = Duration::from_secs(60);
/// How many sessions there may be; one more, and the one that was silent longest must go.
const MOST: usize = 1024;

/// A pet's address, and whom it talks to.
pub(in crate::network) type Pair = (SocketAddrV4, SocketAddrV4);

/// All sessions there are.
#[derive(Debug, Default)]
pub(in crate::network) struct Sessions {
    ids: HashMap<Pair, u64>,
    all: HashMap<u64, Session>,
}

/// One pet's talk with one address of the world.
#[derive(Debug)]
pub(in crate::network) struct Session {
    pub(in crate::network) pair: Pair,
    pub(in crate::network) socket: UdpSocket,
    last: Instant,
}

impl Sessions {
    pub(in crate::network) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns a session's number, if there is one between the two.
    pub(in crate::network) fn between(&self, pair: &Pair) -> Option<u64> {
        self.ids.get(pair).copied()
    }

    /// Returns a session that something has just happened in.
    pub(in crate::network) fn awake(&mut self, id: u64) -> Option<&Session> {
        let session = self.all.get_mut(&id)?;
        session.last = Instant::now();
        Some(session)
    }

    pub(in crate::network) fn begin(&mut self, id: u64, pair: Pair, socket: UdpSocket) {
        if self.all.len() >= MOST {
            let silent = self.all.iter().min_by_key(|(_, session)| session.last);
            if let Some(silent) = silent.map(|(id, _)| *id) {
                self.end(silent);
            }
        }
        let last = Instant::now();
        self.ids.insert(pair, id);
        self.all.insert(id, Session { pair, socket, last });
    }

    /// Ends the sessions that fit.
    pub(in crate::network) fn end_where(&mut self, fits: impl Fn(&Session) -> bool) {
        let over = self.all.iter().filter(|(_, session)| fits(session));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.end(id));
    }

    pub(in crate::network) fn tidy(&mut self, now: Instant) {
        self.end_where(|session| now.saturating_duration_since(session.last) >= IDLE);
    }

    fn end(&mut self, id: u64) {
        if let Some(session) = self.all.remove(&id) {
            self.ids.remove(&session.pair);
        }
    }
}

/// Makes a socket of this thread's network that talks to one address.
pub(in crate::network) fn open(to: SocketAddrV4) -> io::Result<UdpSocket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    connect(&socket, &to)?;
    Ok(socket.into())
}
