//! The doors of a private network: what listens on the host for a pet, and passes on what comes.
//!
//! A [`Porter`] opens doors, in the host's network; one thread, which lives in the private
//! network, stands at all of them and reaches the pets.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{SocketFlags, accept_with};

use super::sessions::{self, Sessions};
use super::tcp;
use super::turns::Turns;
use crate::proxy::link::{Fate, Side, await_on, exchange, reset};

/// What is offered elsewhere if its own port is not free to this user.
const ELSEWHERE: u16 = 10_000;
const BUFFER: usize = 64 << 10;
const TURN: usize = 64;
/// How long a pet may take to accept a visitor.
const PATIENCE: Duration = Duration::from_secs(10);
const NEWS: u64 = 0;

/// The ports of a pet, for connections and for datagrams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports<'a> {
    pub(super) tcp: &'a [u16],
    pub(super) udp: &'a [u16],
}

/// What has become of a pet's doors.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Those that are not where they should be: `80=10080`, `53/udp=10053`.
    pub(super) moved: Vec<String>,
    /// Those that are nowhere, and why.
    pub(super) missing: Vec<String>,
}

#[derive(Debug)]
enum Socket {
    Connections(TcpListener),
    Datagrams(UdpSocket),
}

/// A port on the host, and where it leads.
#[derive(Debug)]
struct Door {
    /// Whose it is.
    ticket: u64,
    at: SocketAddrV4,
    socket: Socket,
    to: SocketAddrV4,
}

enum Order {
    Open(Vec<Door>),
    /// Closes the doors of who has this ticket.
    Close(u64),
}

/// Opens and closes doors.
#[derive(Debug, Clone)]
pub(super) struct Porter {
    orders: Sender<Order>,
    waker: Arc<PipeWriter>,
}

impl Porter {
    /// Returns a porter, and who is to stand at the doors.
    pub(super) fn new() -> io::Result<(Self, Stand)> {
        let (wake, waker) = io::pipe()?;
        let (orders, taken) = channel();
        let waker = Arc::new(waker);
        let stand = Stand::new(taken, wake)?;
        Ok((Self { orders, waker }, stand))
    }

    /// Opens the doors of a pet in this thread's network.
    pub(super) fn open(
        &self,
        ticket: u64,
        ip: Ipv4Addr,
        inside: Ipv4Addr,
        ports: Ports<'_>,
    ) -> Opened {
        let mut opened = Opened::default();
        let mut doors = Vec::new();
        let tcp = ports.tcp.iter().map(|port| (*port, false));
        let udp = ports.udp.iter().map(|port| (*port, true));
        for (port, udp) in tcp.chain(udp) {
            let name = format!("{port}{}", if udp { "/udp" } else { "" });
            match open(ip, port, udp) {
                Ok((socket, at)) => {
                    if at.port() != port {
                        opened.moved.push(format!("{name}={}", at.port()));
                    }
                    let to = SocketAddrV4::new(inside, port);
                    doors.push(Door {
                        ticket,
                        at,
                        socket,
                        to,
                    });
                }
                Err(error) => opened.missing.push(format!("{name}: {error}")),
            }
        }
        self.order(Order::Open(doors));
        opened
    }

    /// Closes the doors of a pet.
    pub(super) fn close(&self, ticket: u64) {
        self.order(Order::Close(ticket));
    }

    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        let _ = (&*self.waker).write(&[0]);
    }
}

/// Opens a port, or the one that stands in for it.
fn open(ip: Ipv4Addr, port: u16, udp: bool) -> io::Result<(Socket, SocketAddrV4)> {
    let listen = |port: u16| -> io::Result<(Socket, SocketAddrV4)> {
        let at = SocketAddrV4::new(ip, port);
        let socket = if udp {
            let socket = UdpSocket::bind(at)?;
            socket.set_nonblocking(true)?;
            Socket::Datagrams(socket)
        } else {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            Socket::Connections(listener)
        };
        Ok((socket, at))
    };
    let elsewhere = port.checked_add(ELSEWHERE).filter(|_| port < 1024);
    listen(port).or_else(|error| elsewhere.map_or(Err(error), listen))
}

/// A visitor and the pet they came for.
struct Visit {
    ticket: u64,
    visitor: Side,
    pet: Side,
    to: SocketAddrV4,
    /// Until when the pet has to accept; nothing once it has.
    until: Option<Instant>,
}

/// Who stands at the doors, in the pets' network.
pub(super) struct Stand {
    orders: Receiver<Order>,
    wake: PipeReader,
    epoll: OwnedFd,
    last: u64,
    doors: HashMap<u64, Door>,
    visits: HashMap<u64, Visit>,
    sessions: Sessions,
    buffer: Vec<u8>,
    short: bool,
}

impl Stand {
    fn new(orders: Receiver<Order>, wake: PipeReader) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(NEWS), EventFlags::IN)?;
        Ok(Self {
            orders,
            wake,
            epoll,
            last: NEWS,
            doors: HashMap::new(),
            visits: HashMap::new(),
            sessions: Sessions::default(),
            buffer: vec![0; BUFFER],
            short: false,
        })
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn obey(&mut self) {
        let _ = self.wake.read(&mut [0; 64]);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Open(doors) => doors.into_iter().for_each(|door| self.stand_at(door)),
                Order::Close(ticket) => self.leave(ticket),
            }
        }
    }

    fn stand_at(&mut self, door: Door) {
        let id = self.number();
        let data = EventData::new_u64(id);
        let added = match &door.socket {
            Socket::Connections(listener) => {
                epoll::add(&self.epoll, listener, data, EventFlags::IN)
            }
            Socket::Datagrams(socket) => epoll::add(&self.epoll, socket, data, EventFlags::IN),
        };
        if added.is_ok() {
            self.doors.insert(id, door);
        }
    }

    fn leave(&mut self, ticket: u64) {
        let doors = self.doors.values().filter(|door| door.ticket == ticket);
        let places: Vec<SocketAddrV4> = doors.map(|door| door.at).collect();
        self.doors.retain(|_, door| door.ticket != ticket);
        self.sessions
            .end_where(|session| places.contains(&session.pair.1));
        let visits = self.visits.iter().filter(|(_, it)| it.ticket == ticket);
        let visits: Vec<u64> = visits.map(|(id, _)| *id).collect();
        visits.into_iter().for_each(|id| self.break_off(id));
    }

    fn answer_door(&mut self, id: u64) {
        for _ in 0..TURN {
            let Some(door) = self.doors.get(&id) else {
                return;
            };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let listener = match &door.socket {
                Socket::Connections(listener) => listener,
                Socket::Datagrams(_) => return self.hand_in(id),
            };
            match accept_with(listener, flags) {
                Ok(visitor) => {
                    let (ticket, to) = (door.ticket, door.to);
                    self.lead(visitor.into(), ticket, to);
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.short = true;
                    return;
                }
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Connects a visitor with the pet; one who finds nobody is sent away at once.
    fn lead(&mut self, visitor: TcpStream, ticket: u64, to: SocketAddrV4) {
        let Ok(pet) = tcp::begin(to) else {
            return reset(&visitor);
        };
        let _ = set_tcp_nodelay(&visitor, true);
        let id = self.number();
        let visit = Visit {
            ticket,
            visitor: Side::new(visitor),
            pet: Side::new(pet),
            to,
            until: Some(Instant::now() + PATIENCE),
        };
        self.visits.insert(id, visit);
        self.attend(id);
    }

    fn lead_again(&mut self, id: u64) {
        let Some(visit) = self.visits.get_mut(&id) else {
            return;
        };
        match tcp::begin(visit.to) {
            Ok(pet) => {
                visit.pet = Side::new(pet);
                self.attend(id);
            }
            Err(_) => self.break_off(id),
        }
    }

    fn proceed(&mut self, id: u64) {
        let Some(visit) = self.visits.get_mut(&id) else {
            return;
        };
        if let Some(until) = visit.until {
            match socket_error(&visit.pet.stream) {
                Ok(Ok(())) => visit.until = None,
                // Its wire is not alive yet: the kernel may take seconds on a busy machine.
                Ok(Err(Errno::HOSTUNREACH)) if Instant::now() < until => {
                    return self.lead_again(id);
                }
                Ok(Err(_)) | Err(_) => return self.break_off(id),
            }
        }
        match exchange(&mut visit.visitor, &mut visit.pet, &mut self.buffer) {
            Ok(Fate::Stays) => self.attend(id),
            Ok(Fate::Ends) => drop(self.visits.remove(&id)),
            Err(_) => self.break_off(id),
        }
    }

    fn attend(&mut self, id: u64) {
        let Some(visit) = self.visits.get_mut(&id) else {
            return;
        };
        let (visitor, pet) = visit.wants();
        let awaited = await_on(&self.epoll, &mut visit.visitor, visitor, id)
            .and_then(|()| await_on(&self.epoll, &mut visit.pet, pet, id));
        if awaited.is_err() {
            self.break_off(id);
        }
    }

    fn break_off(&mut self, id: u64) {
        if let Some(visit) = self.visits.remove(&id) {
            reset(&visit.visitor.stream);
            reset(&visit.pet.stream);
        }
    }

    /// Passes on datagrams to a pet.
    fn hand_in(&mut self, id: u64) {
        for _ in 0..TURN {
            let Some(door) = self.doors.get(&id) else {
                return;
            };
            let Socket::Datagrams(socket) = &door.socket else {
                return;
            };
            let (length, visitor) = match socket.recv_from(&mut self.buffer) {
                Ok((length, SocketAddr::V4(visitor))) => (length, visitor),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => continue,
            };
            let (pair, to) = ((visitor, door.at), door.to);
            let known = self.sessions.between(&pair);
            let Some(session) = known.or_else(|| self.open_session(pair, to)) else {
                continue;
            };
            if let Some(session) = self.sessions.awake(session) {
                // An error may be about an earlier datagram; it is reported once.
                let sent = session.socket.send(&self.buffer[..length]);
                let _ = sent.or_else(|_| session.socket.send(&self.buffer[..length]));
            }
        }
    }

    fn open_session(&mut self, pair: sessions::Pair, to: SocketAddrV4) -> Option<u64> {
        let socket = sessions::open(to).ok()?;
        let id = self.number();
        let data = EventData::new_u64(id);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN).ok()?;
        self.sessions.begin(id, pair, socket);
        Some(id)
    }

    /// Passes on what a pet answers.
    fn hand_out(&mut self, id: u64) {
        for _ in 0..TURN {
            let Some(session) = self.sessions.awake(id) else {
                return;
            };
            let (visitor, at) = session.pair;
            match session.socket.recv(&mut self.buffer) {
                Ok(length) => {
                    let datagrams =
                        |door: &&Door| door.at == at && matches!(door.socket, Socket::Datagrams(_));
                    let door = self.doors.values().find(datagrams);
                    if let Some(Socket::Datagrams(socket)) = door.map(|door| &door.socket) {
                        let _ = socket.send_to(&self.buffer[..length], visitor);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }
}

impl Turns for Stand {
    fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    fn is_timed(&self) -> bool {
        let connecting = self.visits.values().any(|visit| visit.until.is_some());
        connecting || !self.sessions.is_empty()
    }

    fn turn(&mut self, about: u64) {
        match about {
            NEWS => self.obey(),
            id if self.visits.contains_key(&id) => self.proceed(id),
            id if self.doors.contains_key(&id) => self.answer_door(id),
            id => self.hand_out(id),
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.sessions.tidy(now);
        let late = |visit: &Visit| visit.until.is_some_and(|until| until <= now);
        let late = self.visits.iter().filter(|(_, visit)| late(visit));
        let late: Vec<u64> = late.map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.break_off(id));
    }

    fn ran_short(&mut self) -> bool {
        std::mem::take(&mut self.short)
    }
}

impl Visit {
    fn wants(&self) -> (EventFlags, EventFlags) {
        match self.until {
            Some(_) => (EventFlags::empty(), EventFlags::OUT),
            None => (self.visitor.wants(&self.pet), self.pet.wants(&self.visitor)),
        }
    }
}
