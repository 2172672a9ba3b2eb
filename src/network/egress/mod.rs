//! The way out of a private network: what pets send to the world goes on from the host.
//!
//! A pet's connection begins when the other end has been reached, and not before: the packet by
//! which it asks is seen on the bridge and dropped, the host connects, and then the packet is let
//! in, or the pet is told why not. So a pet learns of a closed port as it would from a kernel.
//! Thereafter bytes are carried both ways, one buffer at a time.
//!
//! The sockets of the private network are a [`Gate`]'s; those to the world are made here, by a
//! thread that has stayed in the host's network.

mod gate;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};

pub(super) use gate::Gate;
use wire::{Obstacle, Syn};

use super::guests::Guests;
use super::sessions::{self, Pair, Sessions};
use super::tcp;
use super::turns::Turns;
use super::{gateway, host};
use crate::model::address::Block;
use crate::proxy::link::{Fate, Side, await_on, exchange, reset};
use crate::sys::packets;

const BUFFER: usize = 64 << 10;
/// How much of one kind is done before others have their turn.
const TURN: usize = 64;
/// How long a pet may take over what it has begun itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections may be on their way out at once.
const MOST_BEGUN: usize = 4096;

/// What an event is about; numbers below those of connections.
const BEGINNINGS: u64 = 0;
const LISTENER: u64 = 1;
const DATAGRAMS: u64 = 2;
const NEWS: u64 = 3;
const FIRST: u64 = 4;

/// A connection that a pet has asked for.
#[derive(Debug)]
struct Begun {
    syn: Syn,
    stream: TcpStream,
    /// Until when the pet has to take it; nothing while the world has not accepted.
    until: Option<Instant>,
}

/// A connection of a pet with the world.
#[derive(Debug)]
struct Link {
    of: Ipv4Addr,
    pet: Side,
    world: Side,
}

/// All connections and sessions there are.
pub(super) struct Egress {
    gate: Gate,
    guests: Arc<Guests>,
    block: Block,
    epoll: OwnedFd,
    last: u64,
    asked: HashMap<Pair, u64>,
    begun: HashMap<u64, Begun>,
    links: HashMap<u64, Link>,
    sessions: Sessions,
    buffer: Vec<u8>,
    /// The system had no more descriptors to give.
    short: bool,
}

impl Egress {
    pub(super) fn new(gate: Gate, guests: Arc<Guests>, block: Block) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64;
        epoll::add(&epoll, &gate.beginnings, data(BEGINNINGS), EventFlags::IN)?;
        epoll::add(&epoll, &gate.listener, data(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &gate.datagrams, data(DATAGRAMS), EventFlags::IN)?;
        epoll::add(&epoll, guests.news(), data(NEWS), EventFlags::IN)?;
        Ok(Self {
            gate,
            guests,
            block,
            epoll,
            last: FIRST,
            asked: HashMap::new(),
            begun: HashMap::new(),
            links: HashMap::new(),
            sessions: Sessions::default(),
            buffer: vec![0; BUFFER],
            short: false,
        })
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Returns whom a pet means by an address, or why it cannot be reached.
    fn target(&self, (from, to): &Pair) -> Result<SocketAddrV4, Obstacle> {
        let (ip, port) = (*to.ip(), to.port());
        match () {
            () if !self.guests.may_leave(*from.ip()) => Err(Obstacle::Prohibited),
            () if ip == host(self.block) => Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)),
            () if self.is_inside(ip) => Err(Obstacle::Host),
            () if ip.is_loopback() || ip.octets()[0] == 0 => Err(Obstacle::Network),
            () if ip.is_multicast() || ip.is_broadcast() => Err(Obstacle::Network),
            () => Ok(*to),
        }
    }

    fn is_inside(&self, ip: Ipv4Addr) -> bool {
        let own = gateway(self.block).octets();
        own[..2] == ip.octets()[..2] && ip != host(self.block)
    }

    fn begin_all(&mut self) {
        for _ in 0..TURN {
            match self.gate.next() {
                Some(Some(syn)) => self.begin(syn),
                Some(None) => {}
                None => return,
            }
        }
    }

    fn begin(&mut self, syn: Syn) {
        let pair = (syn.from, syn.to);
        if self.is_inside(*syn.to.ip()) {
            // The kernel of the network answers it.
            return;
        }
        if let Some(begun) = self.asked.get(&pair).and_then(|id| self.begun.get_mut(id)) {
            // It asks again because it has no answer. Its packet may have been lost.
            if begun.until.is_some() {
                self.gate.let_in(&syn);
            }
            begun.syn = syn;
            return;
        }
        let target = match self.target(&pair) {
            Ok(target) => target,
            Err(why) => return self.gate.turn_away(&syn, why),
        };
        if self.begun.len() >= MOST_BEGUN {
            // It asks again by itself.
            return;
        }
        let id = self.number();
        let stream = match tcp::begin(target) {
            Ok(stream) => stream,
            Err(error) => return self.fail(&syn, error),
        };
        let data = EventData::new_u64(id);
        if epoll::add(&self.epoll, &stream, data, EventFlags::OUT).is_err() {
            return;
        }
        self.asked.insert(pair, id);
        let until = None;
        self.begun.insert(id, Begun { syn, stream, until });
    }

    fn fail(&self, syn: &Syn, error: Errno) {
        match error {
            Errno::CONNREFUSED | Errno::CONNRESET => self.gate.refuse(syn),
            Errno::NETUNREACH => self.gate.turn_away(syn, Obstacle::Network),
            Errno::ACCESS | Errno::PERM => self.gate.turn_away(syn, Obstacle::Prohibited),
            // It asks again by itself.
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {}
            _ => self.gate.turn_away(syn, Obstacle::Host),
        }
    }

    /// The world has accepted, or refused.
    fn reached(&mut self, id: u64) {
        let Some(begun) = self.begun.get_mut(&id) else {
            return;
        };
        // What happens to it from now on is found out when the pet is there.
        let _ = epoll::delete(&self.epoll, &begun.stream);
        let outcome = socket_error(&begun.stream).unwrap_or(Ok(()));
        match outcome {
            Ok(()) => {
                begun.until = Some(Instant::now() + PATIENCE);
                self.gate.let_in(&begun.syn);
            }
            Err(error) => {
                if let Some(begun) = self.forget(id) {
                    self.fail(&begun.syn, error);
                }
            }
        }
    }

    fn forget(&mut self, id: u64) -> Option<Begun> {
        let begun = self.begun.remove(&id)?;
        self.asked.remove(&(begun.syn.from, begun.syn.to));
        Some(begun)
    }

    fn accept_all(&mut self) {
        for _ in 0..TURN {
            match self.gate.accept() {
                Ok(stream) => self.join(stream),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.short = true;
                    return;
                }
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Connects a pet that was let in with whom it asked for.
    fn join(&mut self, pet: TcpStream) {
        let addresses = (pet.peer_addr(), pet.local_addr());
        let (Ok(SocketAddr::V4(from)), Ok(SocketAddr::V4(to))) = addresses else {
            return;
        };
        let asked = self.asked.get(&(from, to)).copied();
        let Some(begun) = asked.and_then(|id| self.forget(id)) else {
            return reset(&pet);
        };
        let _ = set_tcp_nodelay(&pet, true);
        let link = Link {
            of: *from.ip(),
            pet: Side::new(pet),
            world: Side::new(begun.stream),
        };
        let id = self.number();
        self.links.insert(id, link);
        self.attend(id);
    }

    fn proceed(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match exchange(&mut link.pet, &mut link.world, &mut self.buffer) {
            Ok(Fate::Stays) => self.attend(id),
            Ok(Fate::Ends) => drop(self.links.remove(&id)),
            Err(_) => self.break_off(id),
        }
    }

    /// Waits for what a connection wants now.
    fn attend(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let (pet, world) = (link.pet.wants(&link.world), link.world.wants(&link.pet));
        let awaited = await_on(&self.epoll, &mut link.pet, pet, id)
            .and_then(|()| await_on(&self.epoll, &mut link.world, world, id));
        if awaited.is_err() {
            self.break_off(id);
        }
    }

    fn break_off(&mut self, id: u64) {
        if let Some(link) = self.links.remove(&id) {
            reset(&link.pet.stream);
            reset(&link.world.stream);
        }
    }

    /// Passes on what pets send.
    fn send_out(&mut self) {
        for _ in 0..TURN {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = packets::receive(&self.gate.datagrams, &mut buffer);
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
        let id = match self.sessions.between(pair) {
            Some(id) => id,
            None => match self.open_session(pair) {
                Ok(id) => id,
                Err(Some(why)) => return self.gate.return_unread(pair.0, pair.1, why),
                Err(None) => return,
            },
        };
        let Some(session) = self.sessions.awake(id) else {
            return;
        };
        // An error may be about an earlier datagram; it is reported once.
        if let Err(error) = session.socket.send(content)
            && let Some(why) = obstacle(&error)
        {
            self.gate.return_unread(pair.0, pair.1, why);
            let _ = session.socket.send(content);
        }
    }

    /// Begins a session; an error that the pet is not told of is one of this machine's means.
    fn open_session(&mut self, pair: &Pair) -> Result<u64, Option<Obstacle>> {
        let target = match self.target(pair) {
            Err(_) if pair.1.ip().is_multicast() || pair.1.ip().is_broadcast() => return Err(None),
            other => other.map_err(Some)?,
        };
        let socket = sessions::open(target).map_err(|error| obstacle(&error))?;
        let id = self.number();
        let data = EventData::new_u64(id);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN).map_err(|_| None)?;
        self.sessions.begin(id, *pair, socket);
        Ok(id)
    }

    /// Passes on what the world answers.
    fn hand_in(&mut self, id: u64) {
        for _ in 0..TURN {
            let Some(session) = self.sessions.awake(id) else {
                return;
            };
            let (pet, world) = session.pair;
            match session.socket.recv(&mut self.buffer) {
                Ok(length) => self.gate.hand_in(world, pet, &self.buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if let Some(why) = obstacle(&error) {
                        self.gate.return_unread(pet, world, why);
                    }
                }
            }
        }
    }

    /// Ends all that a pet had in the world.
    fn part(&mut self, ip: Ipv4Addr) {
        let links = self.links.iter().filter(|(_, link)| link.of == ip);
        let links: Vec<u64> = links.map(|(id, _)| *id).collect();
        links.into_iter().for_each(|id| self.break_off(id));
        self.sessions
            .end_where(|session| *session.pair.0.ip() == ip);
        self.forget_where(|begun| *begun.syn.from.ip() == ip);
    }

    fn forget_where(&mut self, fits: impl Fn(&Begun) -> bool) {
        let over = self.begun.iter().filter(|(_, begun)| fits(begun));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            if let Some(begun) = self.forget(id) {
                reset(&begun.stream);
            }
        }
    }
}

impl Turns for Egress {
    fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    fn is_timed(&self) -> bool {
        !self.begun.is_empty() || !self.sessions.is_empty()
    }

    fn turn(&mut self, about: u64) {
        match about {
            BEGINNINGS => self.begin_all(),
            LISTENER => self.accept_all(),
            DATAGRAMS => self.send_out(),
            NEWS => self
                .guests
                .departed()
                .into_iter()
                .for_each(|ip| self.part(ip)),
            id if self.links.contains_key(&id) => self.proceed(id),
            id if self.begun.contains_key(&id) => self.reached(id),
            id => self.hand_in(id),
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.sessions.tidy(now);
        self.forget_where(|begun| begun.until.is_some_and(|until| until <= now));
    }

    fn ran_short(&mut self) -> bool {
        std::mem::take(&mut self.short)
    }
}

/// Returns what a pet is to be told about an error of a datagram.
fn obstacle(error: &io::Error) -> Option<Obstacle> {
    match Errno::from_io_error(error)? {
        Errno::CONNREFUSED => Some(Obstacle::Port),
        Errno::HOSTUNREACH => Some(Obstacle::Host),
        Errno::NETUNREACH => Some(Obstacle::Network),
        Errno::ACCESS | Errno::PERM => Some(Obstacle::Prohibited),
        _ => None,
    }
}
