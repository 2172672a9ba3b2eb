//! DNS by TCP: messages with their length in front, many clients, one thread.

use std::io::{self, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::forward::{self, Upstreams};
use super::reply::{reply_to, wait};
use crate::dns::zone::Zone;
use crate::dns::zone::forwarded::Forwarded;
use crate::dns::zone::message::{QueryOutcome, Transport};

/// How many clients are kept; one more, and the one that has been silent longest must go.
const MOST_CLIENTS: usize = 64;
/// How long a client may take over one question and its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long no client is accepted after the system has run out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
const LARGEST_QUERY: usize = 4096;
const STACK: usize = 128 * 1024;
/// How many queries may be forwarded at once; more are answered with SERVFAIL.
const MOST_WAITING: usize = 16;

/// A client that is connected.
struct Client {
    stream: TcpStream,
    /// Received bytes that are not a whole query yet.
    incoming: Vec<u8>,
    /// Bytes still to be sent. Nothing is read before they are.
    outgoing: Vec<u8>,
    /// The thread that forwards its query, and what has come of the reply so far.
    asked: Option<(PipeReader, Vec<u8>)>,
    deadline: Instant,
}

/// Whether a client stays connected.
#[derive(PartialEq, Eq)]
enum ClientState {
    Open,
    Closed,
}

/// Serves until the other end of `quit` is closed.
///
/// Each client has one query answered in turn, so that none waits for one that asks a lot.
pub(super) fn serve(
    listeners: &[TcpListener],
    zone: &RwLock<Zone>,
    quit: &OwnedFd,
    upstreams: &Upstreams,
) {
    let mut clients: Vec<Client> = Vec::new();
    let mut accept_from = Instant::now();
    loop {
        let now = Instant::now();
        clients.retain(|client| client.deadline > now);
        let accepting = accept_from <= now;
        let limit = time_limit(&clients, (!accepting).then_some(accept_from), now);
        let Ok(Some(ready)) = wait_for(listeners, &clients, quit, accepting, limit) else {
            return;
        };
        let (came, moved) = ready.split_at(listeners.len());
        let mut moved = moved.iter();
        clients.retain_mut(|client| {
            let moved = moved.next() == Some(&true);
            client.proceed(moved, zone, upstreams) == ClientState::Open
        });
        for (listener, came) in listeners.iter().zip(came) {
            if *came && accept(listener, &mut clients).is_err() {
                accept_from = Instant::now() + PAUSE;
            }
        }
    }
}

/// Returns, for each listener and client, whether it is ready; `None` at the end.
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
    polled.extend(clients.iter().map(Client::awaited));
    wait(&mut polled, limit.as_ref())?;
    let happened: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    Ok((!happened[0]).then(|| happened[1..].to_vec()))
}

/// Returns how long to wait at most: until a client's deadline, or until accepting resumes.
fn time_limit(clients: &[Client], accept_from: Option<Instant>, now: Instant) -> Option<Timespec> {
    if clients.iter().any(Client::has_question) {
        return Some(Timespec::default());
    }
    let deadlines = clients.iter().map(|client| client.deadline);
    let next = deadlines.chain(accept_from).min()?;
    let left = next.saturating_duration_since(now) + Duration::from_millis(1);
    Timespec::try_from(left).ok()
}

/// Accepts all clients that wait. An error means that the system has run out of descriptors.
fn accept(listener: &TcpListener, clients: &mut Vec<Client>) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
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
            asked: None,
            deadline: Instant::now() + PATIENCE,
        }
    }

    fn awaited(&self) -> PollFd<'_> {
        match &self.asked {
            Some((answer, _)) => PollFd::new(answer, PollFlags::IN),
            None if self.outgoing.is_empty() => PollFd::new(&self.stream, PollFlags::IN),
            None => PollFd::new(&self.stream, PollFlags::OUT),
        }
    }

    /// Does what can be done without waiting; `moved` means that its socket is ready.
    fn proceed(&mut self, moved: bool, zone: &RwLock<Zone>, upstreams: &Upstreams) -> ClientState {
        let done = match (moved, self.outgoing.is_empty()) {
            (false, _) => Ok(ClientState::Open),
            (true, _) if self.asked.is_some() => Ok(self.take_answer()),
            (true, false) => self.send(),
            (true, true) if self.has_question() => Ok(ClientState::Open),
            (true, true) => self.receive(),
        };
        match done {
            Ok(ClientState::Open) => self.answer(zone, upstreams),
            Ok(ClientState::Closed) => ClientState::Closed,
            Err(error) => state_after(&error),
        }
    }

    fn receive(&mut self) -> io::Result<ClientState> {
        let mut buffer = [0; 1024];
        let length = self.stream.read(&mut buffer)?;
        self.incoming.extend_from_slice(&buffer[..length]);
        Ok(if length == 0 {
            ClientState::Closed
        } else {
            ClientState::Open
        })
    }

    fn send(&mut self) -> io::Result<ClientState> {
        while !self.outgoing.is_empty() {
            let length = self.stream.write(&self.outgoing)?;
            if length == 0 {
                return Ok(ClientState::Closed);
            }
            self.outgoing.drain(..length);
        }
        self.outgoing = Vec::new();
        self.deadline = Instant::now() + PATIENCE;
        Ok(ClientState::Open)
    }

    /// Returns the length that the client has announced for its query.
    fn announced(&self) -> Option<usize> {
        let [high, low] = *self.incoming.first_chunk()?;
        Some(usize::from(u16::from_be_bytes([high, low])))
    }

    /// Returns whether a whole query has come, and its reply can be sent.
    fn has_question(&self) -> bool {
        let whole = |length| self.incoming.len() >= 2 + length;
        let free = self.outgoing.is_empty() && self.asked.is_none();
        free && self.announced().is_some_and(whole)
    }

    /// Answers the first query, if it is complete.
    fn answer(&mut self, zone: &RwLock<Zone>, upstreams: &Upstreams) -> ClientState {
        let length = self.announced();
        if length.is_some_and(|length| length == 0 || length > LARGEST_QUERY) {
            return ClientState::Closed;
        }
        let Some(length) = length.filter(|_| self.has_question()) else {
            return ClientState::Open;
        };
        let query: Vec<u8> = self.incoming.drain(..2 + length).skip(2).collect();
        let asker = self.stream.peer_addr();
        let may = asker.is_ok_and(|asker| upstreams.is_open_to(asker.ip()));
        let reply = match reply_to(zone, &query, Transport::Tcp, may) {
            Some(QueryOutcome::Forward(forwarded)) => {
                return self.hand_over(forwarded, Arc::clone(&upstreams.addresses));
            }
            Some(QueryOutcome::Ready(reply)) => Some(reply),
            None => None,
        };
        match reply {
            Some(reply) => self.say(&reply),
            None => ClientState::Closed,
        }
    }

    fn say(&mut self, reply: &[u8]) -> ClientState {
        let Ok(size) = u16::try_from(reply.len()) else {
            return ClientState::Closed;
        };
        self.outgoing.extend_from_slice(&size.to_be_bytes());
        self.outgoing.extend_from_slice(reply);
        self.send().unwrap_or_else(|error| state_after(&error))
    }
}

/// How many threads forward a query.
static WAITING: AtomicUsize = AtomicUsize::new(0);

impl Client {
    /// Forwards a query in a thread of its own, which is rare by TCP, so that no other client waits
    /// for it. More queries of the client are answered after this one.
    fn hand_over(&mut self, forwarded: Forwarded, upstreams: Arc<[SocketAddr]>) -> ClientState {
        let Ok((answer, mut told)) = io::pipe() else {
            return ClientState::Closed;
        };
        let waiting = WAITING.fetch_add(1, Ordering::Relaxed);
        let ask = move || {
            let reply = match waiting < MOST_WAITING {
                true => forward::ask_by_tcp(&forwarded, &upstreams),
                false => forwarded.own_reply(),
            };
            let _ = told.write_all(&reply);
            WAITING.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().name("dns-forward".to_owned());
        if thread.stack_size(STACK).spawn(ask).is_err() {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            return ClientState::Closed;
        }
        self.asked = Some((answer, Vec::new()));
        ClientState::Open
    }

    fn take_answer(&mut self) -> ClientState {
        let Some((answer, mut told)) = self.asked.take() else {
            return ClientState::Open;
        };
        let mut buffer = [0; 4096];
        match (&answer).read(&mut buffer) {
            Ok(0) => return self.say(&told),
            Ok(length) => told.extend_from_slice(&buffer[..length]),
            Err(error) => return state_after(&error),
        }
        self.asked = Some((answer, told));
        ClientState::Open
    }
}

/// Returns whether a client stays after an error: one that only has to wait does.
fn state_after(error: &io::Error) -> ClientState {
    match error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted {
        true => ClientState::Open,
        false => ClientState::Closed,
    }
}
