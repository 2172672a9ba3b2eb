//! DNS by TCP: messages with their length in front, many clients, one thread.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::message::Transport;
use super::server::{reply_to, wait};
use super::zone::Zone;

/// How many clients are kept; one more, and the one that has been silent longest must go.
const MOST_CLIENTS: usize = 64;
/// How long a client may take over one question and its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody is accepted after the system could not give another descriptor.
const PAUSE: Duration = Duration::from_millis(100);
const LARGEST_QUERY: usize = 4096;

/// A client that is connected.
struct Client {
    stream: TcpStream,
    /// What came in and is not a whole question yet.
    incoming: Vec<u8>,
    /// What is still to be sent. Nothing more is read before it has gone.
    outgoing: Vec<u8>,
    deadline: Instant,
}

/// Whether a client stays.
#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
}

/// Serves until the other end of `quit` is closed.
pub(super) fn serve(listeners: &[TcpListener], zone: &RwLock<Zone>, quit: &OwnedFd) {
    let mut clients: Vec<Client> = Vec::new();
    let mut accept_from = Instant::now();
    loop {
        let now = Instant::now();
        clients.retain(|client| client.deadline > now);
        let accepting = accept_from <= now;
        let limit = time_limit(&clients, (!accepting).then_some(accept_from), now);
        let Ok(ready) = wait_for(listeners, &clients, quit, accepting, limit) else {
            return;
        };
        let Some(ready) = ready else { return };
        let (came, moved) = ready.split_at(listeners.len());
        let mut moved = moved.iter();
        clients.retain_mut(|client| {
            moved.next() != Some(&true) || client.proceed(zone) == Fate::Stays
        });
        for (listener, came) in listeners.iter().zip(came) {
            if *came && accept(listener, &mut clients).is_err() {
                accept_from = Instant::now() + PAUSE;
            }
        }
    }
}

/// Returns, for each listener and client, whether something happened; nothing at the end.
fn wait_for(
    listeners: &[TcpListener],
    clients: &[Client],
    quit: &OwnedFd,
    accepting: bool,
    limit: Option<Timespec>,
) -> io::Result<Option<Vec<bool>>> {
    let listen = if accepting {
        PollFlags::IN
    } else {
        PollFlags::empty()
    };
    let mut polled = vec![PollFd::new(quit, PollFlags::IN)];
    polled.extend(
        listeners
            .iter()
            .map(|listener| PollFd::new(listener, listen)),
    );
    polled.extend(
        clients
            .iter()
            .map(|client| PollFd::new(&client.stream, client.wants())),
    );
    wait(&mut polled, limit.as_ref())?;
    let happened: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    Ok((!happened[0]).then(|| happened[1..].to_vec()))
}

/// Returns how long may be waited until a client's patience ends or accepting resumes.
fn time_limit(clients: &[Client], accept_from: Option<Instant>, now: Instant) -> Option<Timespec> {
    let deadlines = clients.iter().map(|client| client.deadline);
    let next = deadlines.chain(accept_from).min()?;
    let left = next.saturating_duration_since(now) + Duration::from_millis(1);
    Timespec::try_from(left).ok()
}

/// Accepts everyone who waits. An error means that the system has no room.
fn accept(listener: &TcpListener, clients: &mut Vec<Client>) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(()),
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                _ => return Err(error),
            },
        };
        if clients.len() >= MOST_CLIENTS {
            let silent = clients
                .iter()
                .enumerate()
                .min_by_key(|(_, client)| client.deadline);
            let silent = silent.map(|(index, _)| index).unwrap_or_default();
            clients.remove(silent);
        }
        if stream.set_nonblocking(true).is_ok() {
            let _ = stream.set_nodelay(true);
            clients.push(Client::new(stream));
        }
    }
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            deadline: Instant::now() + PATIENCE,
        }
    }

    fn wants(&self) -> PollFlags {
        if self.outgoing.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::OUT
        }
    }

    /// Does what can be done without waiting.
    fn proceed(&mut self, zone: &RwLock<Zone>) -> Fate {
        let done = if self.outgoing.is_empty() {
            self.receive()
        } else {
            self.send()
        };
        match done {
            Ok(Fate::Stays) => self.answer(zone),
            Ok(Fate::Goes) => Fate::Goes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Stays,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Fate::Stays,
            Err(_) => Fate::Goes,
        }
    }

    fn receive(&mut self) -> io::Result<Fate> {
        let mut buffer = [0; 1024];
        let length = self.stream.read(&mut buffer)?;
        self.incoming.extend_from_slice(&buffer[..length]);
        Ok(if length == 0 { Fate::Goes } else { Fate::Stays })
    }

    fn send(&mut self) -> io::Result<Fate> {
        while !self.outgoing.is_empty() {
            let length = self.stream.write(&self.outgoing)?;
            self.outgoing.drain(..length);
        }
        self.deadline = Instant::now() + PATIENCE;
        Ok(Fate::Stays)
    }

    /// Answers the questions that are complete, one after the other, as fast as they are taken.
    fn answer(&mut self, zone: &RwLock<Zone>) -> Fate {
        while self.outgoing.is_empty() && self.incoming.len() >= 2 {
            let length = usize::from(u16::from_be_bytes([self.incoming[0], self.incoming[1]]));
            if length == 0 || length > LARGEST_QUERY {
                return Fate::Goes;
            }
            let Some(query) = self.incoming.get(2..2 + length) else {
                break;
            };
            let Some(reply) = reply_to(zone, query, Transport::Tcp) else {
                return Fate::Goes;
            };
            let Ok(size) = u16::try_from(reply.len()) else {
                return Fate::Goes;
            };
            self.incoming.drain(..2 + length);
            self.outgoing.extend_from_slice(&size.to_be_bytes());
            self.outgoing.extend_from_slice(&reply);
            match self.send() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Fate::Goes,
                Ok(_) | Err(_) => {}
            }
        }
        Fate::Stays
    }
}
