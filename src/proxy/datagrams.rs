//! Datagrams: each client has a session with one pet, so that answers find their way back.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::balance::Balance;
use super::socket;

/// A session in which nobody says anything for so long is over.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// How many sessions a port may have; one more, and the one that was silent longest must go.
const MOST: usize = 1024;
/// How many datagrams are passed on before others have their turn.
const TURN: usize = 64;

/// The sessions of one port.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: HashMap<SocketAddr, Session>,
    by_id: HashMap<u64, SocketAddr>,
}

/// One client's talk with one pet.
#[derive(Debug)]
struct Session {
    id: u64,
    pet: SocketAddr,
    socket: UdpSocket,
    last: Instant,
}

impl Sessions {
    /// Tells whether a session goes on.
    pub(super) fn has(&self, id: u64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Passes on what clients sent. `open` registers the socket of a new session and numbers it.
    pub(super) fn pass_in(
        &mut self,
        port: &UdpSocket,
        balance: &mut Balance,
        buffer: &mut [u8],
        mut open: impl FnMut(&UdpSocket) -> Option<u64>,
    ) {
        for _ in 0..TURN {
            let Ok((length, client)) = port.recv_from(buffer) else {
                return;
            };
            let now = Instant::now();
            if !self.all.contains_key(&client) && !self.begin(client, balance, now, &mut open) {
                continue;
            }
            let Some(session) = self.all.get_mut(&client) else {
                continue;
            };
            session.last = now;
            // A pet that is not there says so with an error: the next datagram goes to another.
            let sent = session.socket.send(&buffer[..length]);
            if sent.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
                self.end(client);
            }
        }
    }

    fn begin(
        &mut self,
        client: SocketAddr,
        balance: &mut Balance,
        now: Instant,
        open: &mut impl FnMut(&UdpSocket) -> Option<u64>,
    ) -> bool {
        let Some(pet) = balance.pick(client.ip(), &[], now) else {
            return false;
        };
        let Ok(socket) = socket::session(pet, client.ip()) else {
            return false;
        };
        let Some(id) = open(&socket) else {
            return false;
        };
        if self.all.len() >= MOST {
            let silent = self.all.iter().min_by_key(|(_, session)| session.last);
            if let Some(silent) = silent.map(|(client, _)| *client) {
                self.end(silent);
            }
        }
        let last = now;
        let session = Session {
            id,
            pet,
            socket,
            last,
        };
        self.all.insert(client, session);
        self.by_id.insert(id, client);
        true
    }

    /// Passes on what the pet of a session answered.
    pub(super) fn pass_out(&mut self, id: u64, port: &UdpSocket, buffer: &mut [u8]) {
        let Some(&client) = self.by_id.get(&id) else {
            return;
        };
        for _ in 0..TURN {
            let Some(session) = self.all.get_mut(&client) else {
                return;
            };
            match session.socket.recv(buffer) {
                Ok(length) => {
                    session.last = Instant::now();
                    let _ = port.send_to(&buffer[..length], client);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => return self.end(client),
            }
        }
    }

    /// Ends the sessions with pets that get no clients any more, and those that are idle.
    pub(super) fn tidy(&mut self, balance: &Balance, now: Instant) {
        let over = self.all.iter().filter(|(_, session)| {
            !balance.has(session.pet) || now.saturating_duration_since(session.last) >= IDLE
        });
        let over: Vec<SocketAddr> = over.map(|(client, _)| *client).collect();
        over.into_iter().for_each(|client| self.end(client));
    }

    fn end(&mut self, client: SocketAddr) {
        if let Some(session) = self.all.remove(&client) {
            self.by_id.remove(&session.id);
        }
    }
}
