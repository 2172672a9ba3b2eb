//! A connection that is carried: bytes go both ways until both peers have sent all.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::event::epoll::EventFlags;

use super::event_loop::EventLoop;
use super::socket::reset;

/// How often one half is read before others have their turn.
const ROUNDS: usize = 4;

/// One of the two sockets of a carried connection.
#[derive(Debug)]
struct Half {
    stream: TcpStream,
    /// The events it is registered for; none where it is not registered.
    armed: EventFlags,
    /// What it could not take yet.
    pending: Vec<u8>,
    /// The peer will send nothing more.
    read_closed: bool,
    /// The peer was told that it will be sent nothing more.
    write_closed: bool,
}

/// The two halves of a carried connection: the client's, and the server's.
#[derive(Debug)]
pub(crate) struct Duplex {
    client: Half,
    server: Half,
}

/// How a carried connection goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DuplexState {
    Open,
    /// Both peers have sent all, and know it of the other.
    Closed,
}

impl Half {
    const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            armed: EventFlags::empty(),
            pending: Vec::new(),
            read_closed: false,
            write_closed: false,
        }
    }

    /// Sends what the socket takes now, and keeps the rest.
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

    /// Gives up writing to a peer that takes nothing more: the other half need not be read.
    fn stop_writing(&mut self, other: &mut Self) {
        self.pending = Vec::new();
        self.write_closed = true;
        other.read_closed = true;
    }

    /// Returns the events that the next step needs.
    fn needed(&self, other: &Self) -> EventFlags {
        let mut needed = EventFlags::empty();
        needed.set(
            EventFlags::IN,
            !self.read_closed && other.pending.is_empty(),
        );
        needed.set(EventFlags::OUT, !self.pending.is_empty());
        needed
    }

    /// Changes the events it is registered for. A half that needs none is not registered, because
    /// the kernel would report its end again and again.
    fn rearm(&mut self, events: &EventLoop, token: u64, needed: EventFlags) -> io::Result<()> {
        match (self.armed.is_empty(), needed.is_empty()) {
            _ if self.armed == needed => return Ok(()),
            (true, _) => events.add(&self.stream, token, needed)?,
            (false, true) => events.remove(&self.stream)?,
            (false, false) => events.modify(&self.stream, token, needed)?,
        }
        self.armed = needed;
        Ok(())
    }
}

/// Carries what one peer sends to the other.
fn carry(from: &mut Half, to: &mut Half, buffer: &mut [u8]) -> io::Result<()> {
    if to.flush().is_err() {
        to.stop_writing(from);
    }
    for _ in 0..ROUNDS {
        if from.read_closed || !to.pending.is_empty() {
            break;
        }
        match from.stream.read(buffer) {
            Ok(0) => from.read_closed = true,
            Ok(length) => {
                if to.send(&buffer[..length]).is_err() {
                    to.stop_writing(from);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if from.read_closed && to.pending.is_empty() && !to.write_closed {
        to.write_closed = true;
        let _ = to.stream.shutdown(Shutdown::Write);
    }
    Ok(())
}

impl Duplex {
    /// Joins a client and its server, of which neither is registered.
    pub(crate) const fn new(client: TcpStream, server: TcpStream) -> Self {
        Self {
            client: Half::new(client),
            server: Half::new(server),
        }
    }

    /// Returns the socket to the server.
    pub(crate) const fn server(&self) -> &TcpStream {
        &self.server.stream
    }

    /// Gives up the server, which has not accepted.
    pub(crate) fn into_client(self) -> TcpStream {
        self.client.stream
    }

    /// Takes another server in the place of one that has not accepted.
    pub(crate) fn retry(&mut self, server: TcpStream) {
        self.server = Half::new(server);
    }

    /// Waits, by this token, until the server has accepted or refused.
    pub(crate) fn await_server(&mut self, events: &EventLoop, token: u64) -> io::Result<()> {
        self.server.rearm(events, token, EventFlags::OUT)
    }

    /// Carries what can be carried without waiting, and waits for what comes next by this token.
    /// An error means that a peer broke off, and the other must learn it by [`reset`](Self::reset).
    pub(crate) fn proceed(
        &mut self,
        events: &EventLoop,
        token: u64,
        buffer: &mut [u8],
    ) -> io::Result<DuplexState> {
        carry(&mut self.client, &mut self.server, buffer)?;
        carry(&mut self.server, &mut self.client, buffer)?;
        if self.client.write_closed && self.server.write_closed {
            return Ok(DuplexState::Closed);
        }
        self.rearm(events, token)?;
        Ok(DuplexState::Open)
    }

    /// Waits for whatever the next step needs.
    pub(crate) fn rearm(&mut self, events: &EventLoop, token: u64) -> io::Result<()> {
        let client = self.client.needed(&self.server);
        let server = self.server.needed(&self.client);
        self.client.rearm(events, token, client)?;
        self.server.rearm(events, token, server)
    }

    /// Makes both ends resets, so that neither peer takes what it got for everything.
    pub(crate) fn reset(&self) {
        reset(&self.client.stream);
        reset(&self.server.stream);
    }
}
