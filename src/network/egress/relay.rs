//! The egress relay: it connects the pets with addresses outside the private network.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;

use super::packet::{Syn, Unreachable};
use super::tproxy::TproxySockets;
use crate::model::address::Block;
use crate::network::attached::Attached;
use crate::network::connect::{self, Pair};
use crate::relay::{
    Accepted, BUFFER, Duplex, DuplexState, EventLoop, Handler, PAUSE, Share, Shares, TICK, TURN,
    UdpSessions, accept, reset,
};
use crate::sys::packets;

/// How long a pet may take until its connection arrives at the listener.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that a pet has asked for.
#[derive(Debug)]
struct Begun {
    syn: Syn,
    stream: TcpStream,
    /// Until when the pet's connection has to arrive; `None` while the world has not accepted.
    until: Option<Instant>,
    /// What it holds for the pet.
    share: Share,
}

/// A connection of a pet with the world.
#[derive(Debug)]
struct EgressConnection {
    duplex: Duplex,
    /// What it holds for the pet.
    share: Share,
}

/// All connections and UDP sessions of pets with the world.
pub(in crate::network) struct EgressRelay {
    sockets: TproxySockets,
    tokens: Tokens,
    attached: Arc<Attached>,
    shares: Arc<Shares>,
    block: Block,
    events: EventLoop,
    /// Which connection was asked for, by the pet's address and the other.
    asked: HashMap<Pair, u64>,
    begun: HashMap<u64, Begun>,
    connections: HashMap<u64, EgressConnection>,
    /// By the pet's address and the other.
    sessions: UdpSessions<Pair>,
    buffer: Vec<u8>,
}

/// The tokens of the sockets that are always there.
struct Tokens {
    syns: u64,
    listener: u64,
    datagrams: u64,
    gone: u64,
}

impl EgressRelay {
    /// Begins to serve the pets that are attached.
    pub(in crate::network) fn new(
        sockets: TproxySockets,
        attached: Arc<Attached>,
        shares: Arc<Shares>,
        block: Block,
    ) -> io::Result<Self> {
        let mut events = EventLoop::new()?;
        let tokens = Tokens {
            syns: events.add_readable(&sockets.syns)?,
            listener: events.add_readable(&sockets.listener)?,
            datagrams: events.add_readable(&sockets.datagrams)?,
            gone: events.add_readable(attached.wake())?,
        };
        Ok(Self {
            sockets,
            tokens,
            attached,
            shares,
            block,
            events,
            asked: HashMap::new(),
            begun: HashMap::new(),
            connections: HashMap::new(),
            sessions: UdpSessions::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Returns the address on the host's side that stands for one in the private network, or why
    /// it cannot be reached.
    fn target(&self, (from, to): &Pair) -> Result<SocketAddrV4, Unreachable> {
        let (ip, port) = (*to.ip(), to.port());
        match () {
            () if !self.attached.may_leave(*from.ip()) => Err(Unreachable::Prohibited),
            () if ip == self.block.host() => Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)),
            () if self.is_inside(ip) => Err(Unreachable::Host),
            () if ip.is_loopback() || ip.octets()[0] == 0 => Err(Unreachable::Network),
            () if ip.is_multicast() || ip.is_broadcast() => Err(Unreachable::Network),
            () => Ok(*to),
        }
    }

    fn is_inside(&self, ip: Ipv4Addr) -> bool {
        self.block.holds_inside(ip) && ip != self.block.host()
    }

    fn take_syns(&mut self) {
        for _ in 0..TURN {
            match self.sockets.next_syn() {
                Some(Some(syn)) => self.begin(syn),
                Some(None) => {}
                None => return,
            }
        }
    }

    /// Begins to connect to where a pet's SYN is sent.
    fn begin(&mut self, syn: Syn) {
        let pair = (syn.from, syn.to);
        if self.is_inside(*syn.to.ip()) {
            // The kernel answers it in the private network.
            return;
        }
        if let Some(begun) = self.asked.get(&pair).and_then(|id| self.begun.get_mut(id)) {
            // It is sent again because there was no answer. The first may have been lost.
            if begun.until.is_some() {
                self.sockets.let_in(&syn);
            }
            begun.syn = syn;
            return;
        }
        let target = match self.target(&pair) {
            Ok(target) => target,
            Err(why) => return self.sockets.send_unreachable(&syn, why),
        };
        let Some(share) = self.shares.take(*syn.from.ip(), 2) else {
            return self.sockets.send_reset(&syn);
        };
        let stream = match connect::tcp(target) {
            Ok(stream) => stream,
            Err(error) => return self.fail(&syn, error),
        };
        let token = self.events.token();
        if self.events.add(&stream, token, EventFlags::OUT).is_err() {
            return;
        }
        self.asked.insert(pair, token);
        let begun = Begun {
            syn,
            stream,
            until: None,
            share,
        };
        self.begun.insert(token, begun);
    }

    /// Tells a pet why it cannot connect.
    fn fail(&self, syn: &Syn, error: Errno) {
        match error {
            Errno::CONNREFUSED | Errno::CONNRESET => self.sockets.send_reset(syn),
            Errno::NETUNREACH => self.sockets.send_unreachable(syn, Unreachable::Network),
            Errno::ACCESS | Errno::PERM => {
                self.sockets.send_unreachable(syn, Unreachable::Prohibited);
            }
            // The pet's kernel sends it again.
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {}
            _ => self.sockets.send_unreachable(syn, Unreachable::Host),
        }
    }

    /// Lets a pet's SYN in when the world has accepted, or tells the pet why not.
    fn finish_connect(&mut self, token: u64) {
        let Some(begun) = self.begun.get_mut(&token) else {
            return;
        };
        // What happens to it from now on is found out when the pet is connected.
        let _ = self.events.remove(&begun.stream);
        match socket_error(&begun.stream).unwrap_or(Ok(())) {
            Ok(()) => {
                begun.until = Some(Instant::now() + PATIENCE);
                self.sockets.let_in(&begun.syn);
            }
            Err(error) => {
                if let Some(begun) = self.forget(token) {
                    self.fail(&begun.syn, error);
                }
            }
        }
    }

    fn forget(&mut self, token: u64) -> Option<Begun> {
        let begun = self.begun.remove(&token)?;
        self.asked.remove(&(begun.syn.from, begun.syn.to));
        Some(begun)
    }

    fn accept_all(&mut self) {
        for _ in 0..TURN {
            match accept(&self.sockets.listener) {
                Accepted::Client(stream) => self.join(stream),
                Accepted::Aborted => {}
                Accepted::Empty => return,
                Accepted::Exhausted => return thread::sleep(PAUSE),
            }
        }
    }

    /// Joins the connection of a pet that was let in with the one to the world.
    fn join(&mut self, pet: TcpStream) {
        let addresses = (pet.peer_addr(), pet.local_addr());
        let (Ok(SocketAddr::V4(from)), Ok(SocketAddr::V4(to))) = addresses else {
            return;
        };
        let asked = self.asked.get(&(from, to)).copied();
        let Some(begun) = asked.and_then(|token| self.forget(token)) else {
            return reset(&pet);
        };
        let mut duplex = Duplex::new(pet, begun.stream);
        let token = self.events.token();
        if duplex.rearm(&self.events, token).is_err() {
            return duplex.reset();
        }
        let share = begun.share;
        self.connections
            .insert(token, EgressConnection { duplex, share });
    }

    fn proceed(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let proceeded = connection
            .duplex
            .proceed(&self.events, token, &mut self.buffer);
        match proceeded {
            Ok(DuplexState::Open) => {}
            Ok(DuplexState::Closed) => drop(self.connections.remove(&token)),
            Err(_) => self.break_off(token),
        }
    }

    fn break_off(&mut self, token: u64) {
        if let Some(connection) = self.connections.remove(&token) {
            connection.duplex.reset();
        }
    }

    /// Passes on the datagrams that pets send.
    fn receive(&mut self) {
        for _ in 0..TURN {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = packets::receive(&self.sockets.datagrams, &mut buffer);
            if let Ok((length, from, to)) = &received {
                self.send(&(*from, *to), &buffer[..*length]);
            }
            self.buffer = buffer;
            if received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
        }
    }

    fn send(&mut self, pair: &Pair, content: &[u8]) {
        let token = match self.sessions.token_of(pair) {
            Some(token) => token,
            None => match self.begin_session(pair) {
                Ok(token) => token,
                Err(Some(why)) => return self.sockets.send_undelivered(pair, why),
                Err(None) => return,
            },
        };
        let Some(session) = self.sessions.touch(token) else {
            return;
        };
        // An error may be about an earlier datagram; it is reported once.
        if let Err(error) = session.socket.send(content)
            && let Some(why) = unreachable(&error)
        {
            self.sockets.send_undelivered(pair, why);
            let _ = session.socket.send(content);
        }
    }

    /// Begins a session. The pet is not told of an error for which there is no ICMP code.
    fn begin_session(&mut self, pair: &Pair) -> Result<u64, Option<Unreachable>> {
        let target = match self.target(pair) {
            Err(_) if pair.1.ip().is_multicast() || pair.1.ip().is_broadcast() => return Err(None),
            other => other.map_err(Some)?,
        };
        let share = self.shares.take(*pair.0.ip(), 1).ok_or(None)?;
        let socket = connect::udp(target).map_err(|error| unreachable(&error))?;
        let token = self.events.add_readable(&socket).map_err(|_| None)?;
        self.sessions
            .begin(token, *pair, (socket, target.into()), Some(share));
        Ok(token)
    }

    /// Passes on what the world answers.
    fn answer(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some(session) = self.sessions.touch(token) else {
                return;
            };
            let (pet, world) = session.key;
            match session.socket.recv(&mut self.buffer) {
                Ok(length) => {
                    self.sockets
                        .send_datagram(world, pet, &self.buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if let Some(why) = unreachable(&error) {
                        self.sockets.send_undelivered(&session.key, why);
                    }
                }
            }
        }
    }

    /// Ends all that a pet had in the world.
    fn end_all_of(&mut self, pet: Ipv4Addr) {
        let connections = self.connections.iter();
        let connections = connections.filter(|(_, connection)| connection.share.pet == pet);
        let connections: Vec<u64> = connections.map(|(token, _)| *token).collect();
        connections.into_iter().for_each(|it| self.break_off(it));
        self.sessions
            .end_where(|session| *session.key.0.ip() == pet);
        self.forget_where(|begun| *begun.syn.from.ip() == pet);
    }

    fn forget_where(&mut self, matches: impl Fn(&Begun) -> bool) {
        let over = self.begun.iter().filter(|(_, begun)| matches(begun));
        let over: Vec<u64> = over.map(|(token, _)| *token).collect();
        for token in over {
            if let Some(begun) = self.forget(token) {
                reset(&begun.stream);
            }
        }
    }
}

impl Handler for EgressRelay {
    fn event_loop(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn handle(&mut self, token: u64) {
        match token {
            token if self.connections.contains_key(&token) => self.proceed(token),
            token if token == self.tokens.syns => self.take_syns(),
            token if token == self.tokens.listener => self.accept_all(),
            token if token == self.tokens.datagrams => self.receive(),
            token if token == self.tokens.gone => {
                let gone = self.attached.take_gone();
                gone.into_iter().for_each(|pet| self.end_all_of(pet));
            }
            token if self.begun.contains_key(&token) => self.finish_connect(token),
            token => self.answer(token),
        }
    }

    fn interval(&self) -> Option<Duration> {
        let idle = self.begun.is_empty() && self.sessions.is_empty();
        (!idle).then_some(TICK)
    }

    fn tick(&mut self, now: Instant) {
        self.sessions.end_idle(now);
        self.forget_where(|begun| begun.until.is_some_and(|until| until <= now));
    }
}

/// Returns what a pet is to be told about the error of a datagram.
fn unreachable(error: &io::Error) -> Option<Unreachable> {
    match Errno::from_io_error(error)? {
        Errno::CONNREFUSED => Some(Unreachable::Port),
        Errno::HOSTUNREACH => Some(Unreachable::Host),
        Errno::NETUNREACH => Some(Unreachable::Network),
        Errno::ACCESS | Errno::PERM => Some(Unreachable::Prohibited),
        _ => None,
    }
}
