//! UDP sessions: each client has a socket of its own to its server, so that answers find their
//! way back.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::shares::Share;

/// A session in which nothing is sent for so long is over.
pub(crate) const IDLE: Duration = Duration::from_secs(60);
/// How many sessions a pet may have, and all clients who are none; one more, and the one that was
/// silent longest is ended.
const MOST: usize = 1024;

/// The sessions of some clients, by key and by token.
#[derive(Debug)]
pub(crate) struct UdpSessions<K> {
    tokens: HashMap<K, u64>,
    all: HashMap<u64, UdpSession<K>>,
}

/// One client's exchange with one server.
#[derive(Debug)]
pub(crate) struct UdpSession<K> {
    /// What identifies the client.
    pub(crate) key: K,
    /// Connected to the server.
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    last: Instant,
    /// What it holds for the pet that it is for.
    share: Option<Share>,
}

impl<K> UdpSession<K> {
    fn pet(&self) -> Option<Ipv4Addr> {
        self.share.as_ref().map(|share| share.pet)
    }
}

impl<K> Default for UdpSessions<K> {
    fn default() -> Self {
        Self {
            tokens: HashMap::new(),
            all: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> UdpSessions<K> {
    /// Returns whether there is no session.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether a session goes on.
    pub(crate) fn has(&self, token: u64) -> bool {
        self.all.contains_key(&token)
    }

    /// Returns the token of a client's session.
    pub(crate) fn token_of(&self, key: &K) -> Option<u64> {
        self.tokens.get(key).copied()
    }

    /// Returns a session in which something is sent now.
    pub(crate) fn touch(&mut self, token: u64) -> Option<&UdpSession<K>> {
        let session = self.all.get_mut(&token)?;
        session.last = Instant::now();
        Some(session)
    }

    /// Begins a client's session, whose socket has been registered with this token.
    pub(crate) fn begin(
        &mut self,
        token: u64,
        key: K,
        (socket, server): (UdpSocket, SocketAddr),
        share: Option<Share>,
    ) {
        let session = UdpSession {
            key,
            socket,
            server,
            last: Instant::now(),
            share,
        };
        self.make_room(session.pet());
        self.tokens.insert(key, token);
        self.all.insert(token, session);
    }

    /// Ends one session of a pet that has as many as it may have.
    fn make_room(&mut self, pet: Option<Ipv4Addr>) {
        if self.all.len() < MOST {
            return;
        }
        let own = self.all.iter().filter(|(_, session)| session.pet() == pet);
        let silent = own.clone().min_by_key(|(_, session)| session.last);
        if own.count() >= MOST
            && let Some(silent) = silent.map(|(token, _)| *token)
        {
            self.end(silent);
        }
    }

    /// Ends a session.
    pub(crate) fn end(&mut self, token: u64) {
        if let Some(session) = self.all.remove(&token) {
            self.tokens.remove(&session.key);
        }
    }

    /// Ends the sessions that match.
    pub(crate) fn end_where(&mut self, matches: impl Fn(&UdpSession<K>) -> bool) {
        let over = self.all.iter().filter(|(_, session)| matches(session));
        let over: Vec<u64> = over.map(|(token, _)| *token).collect();
        over.into_iter().for_each(|token| self.end(token));
    }

    /// Ends the sessions that are idle.
    pub(crate) fn end_idle(&mut self, now: Instant) {
        self.end_where(|session| now.saturating_duration_since(session.last) >= IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    fn server(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_client_has_one_session_until_it_is_ended() {
        let mut sessions = UdpSessions::default();
        sessions.begin(7, "client", (socket(), server(1)), None);
        sessions.begin(8, "other", (socket(), server(2)), None);
        assert_eq!(sessions.token_of(&"client"), Some(7));
        assert_eq!(sessions.touch(7).unwrap().key, "client");
        sessions.end_where(|session| session.server == server(1));
        assert_eq!(sessions.token_of(&"client"), None);
        assert!(!sessions.has(7) && sessions.has(8));
        sessions.end_idle(Instant::now() + IDLE / 2);
        assert!(!sessions.is_empty());
        sessions.end_idle(Instant::now() + IDLE);
        assert!(sessions.is_empty());
    }
}
