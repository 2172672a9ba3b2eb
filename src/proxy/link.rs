//! One client connected to one pet: bytes are carried both ways until both have said all.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};

pub(crate) use super::socket::reset;

/// How often one side is read before others have their turn.
const ROUNDS: usize = 4;

/// One end of a link.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) stream: TcpStream,
    /// What the engine waits for on it now; nothing where it is not registered.
    pub(crate) awaited: EventFlags,
    /// What it did not take yet.
    pending: Vec<u8>,
    /// It will say nothing more.
    ended: bool,
    /// It has been told that it will be told nothing more.
    shut: bool,
}

/// A client and its pet.
#[derive(Debug)]
pub(super) struct Link {
    /// The engine's number of the port that the client came to.
    pub(super) port: u64,
    pub(super) from: SocketAddr,
    pub(super) client: Side,
    pub(super) pet: Side,
    /// The pets that were tried, the last one being the one above.
    pub(super) tried: Vec<SocketAddr>,
    /// Until when the pet has to accept; nothing once it has.
    pub(super) connecting: Option<Instant>,
}

/// How a link goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// Both sides have said all, and know it.
    Ends,
}

impl Side {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            awaited: EventFlags::empty(),
            pending: Vec::new(),
            ended: false,
            shut: false,
        }
    }

    /// Sends what can be sent now, and keeps the rest.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.send(&pending)
    }

    /// It takes nothing more: whoever talks to it need not go on.
    fn deafen(&mut self, other: &mut Self) {
        self.pending = Vec::new();
        self.shut = true;
        other.ended = true;
    }

    pub(crate) fn wants(&self, other: &Self) -> EventFlags {
        let mut wants = EventFlags::empty();
        wants.set(EventFlags::IN, !self.ended && other.pending.is_empty());
        wants.set(EventFlags::OUT, !self.pending.is_empty());
        wants
    }
}

/// Carries what one side says to the other.
fn carry(from: &mut Side, to: &mut Side, buffer: &mut [u8]) -> io::Result<()> {
    if to.flush().is_err() {
        to.deafen(from);
    }
    for _ in 0..ROUNDS {
        if from.ended || !to.pending.is_empty() {
            break;
        }
        match from.stream.read(buffer) {
            Ok(0) => from.ended = true,
            Ok(length) => {
                if to.send(&buffer[..length]).is_err() {
                    to.deafen(from);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if from.ended && to.pending.is_empty() && !to.shut {
        to.shut = true;
        let _ = to.stream.shutdown(Shutdown::Write);
    }
    Ok(())
}

/// Carries what two sides say to each other, as far as that needs no waiting. An error means that
/// one of them broke off.
pub(crate) fn exchange(one: &mut Side, other: &mut Side, buffer: &mut [u8]) -> io::Result<Fate> {
    carry(one, other, buffer)?;
    carry(other, one, buffer)?;
    let over = one.shut && other.shut;
    Ok(if over { Fate::Ends } else { Fate::Stays })
}

/// Changes what is waited for on one side. A side of which nothing is wanted is not registered,
/// because the system would report its end again and again.
pub(crate) fn await_on(
    epoll: &OwnedFd,
    side: &mut Side,
    wants: EventFlags,
    token: u64,
) -> io::Result<()> {
    let data = EventData::new_u64(token);
    match (side.awaited.is_empty(), wants.is_empty()) {
        _ if side.awaited == wants => return Ok(()),
        (true, _) => epoll::add(epoll, &side.stream, data, wants)?,
        (false, true) => epoll::delete(epoll, &side.stream)?,
        (false, false) => epoll::modify(epoll, &side.stream, data, wants)?,
    }
    side.awaited = wants;
    Ok(())
}

impl Link {
    /// Does what can be done without waiting. An error means that one side broke off, and the
    /// other must learn it.
    pub(super) fn proceed(&mut self, buffer: &mut [u8]) -> io::Result<Fate> {
        if self.connecting.is_some() {
            return Ok(Fate::Stays);
        }
        exchange(&mut self.client, &mut self.pet, buffer)
    }

    /// Returns what has to be waited for on the client and on the pet.
    pub(super) fn wants(&self) -> (EventFlags, EventFlags) {
        if self.connecting.is_some() {
            return (EventFlags::empty(), EventFlags::OUT);
        }
        (self.client.wants(&self.pet), self.pet.wants(&self.client))
    }

    /// Breaks it off, so that neither side takes what it got for everything.
    pub(super) fn reset(self) {
        reset(&self.client.stream);
        reset(&self.pet.stream);
    }
}
