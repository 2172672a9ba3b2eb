//! The proxy's thread: it accepts clients, connects each with a pet, and carries what they send.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::net::sockopt::socket_error;

use super::balance::Balance;
use super::log::log;
use super::plan::{Backends, Desired, VirtualPort};
use super::port::{OfferedPort, Opened, PortSocket, open, open_again};
use super::socket;
use crate::model::ObjectRef;
use crate::relay::{
    self, Accepted, BUFFER, Duplex, DuplexState, EventLoop, Handler, IDLE, PAUSE, Share, Shares,
    TURN, accept,
};
use crate::sorted::{SortedMap, SortedSet};
use crate::store::detours::Detour;

/// How long a pet may take to accept a connection before another one is tried.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a port that is in use is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A client that has been accepted, and the pet it was given.
#[derive(Debug)]
struct ClientConnection {
    /// The token of the port that the client came to.
    port: u64,
    from: SocketAddr,
    duplex: Duplex,
    /// The pets that were tried; the last one is connected now.
    tried: Vec<SocketAddr>,
    share: Option<Share>,
    /// Until when the pet has to accept; `None` once it has.
    connecting: Option<Instant>,
}

/// All that is offered, and all clients that are connected.
pub(super) struct Engine {
    events: EventLoop,
    /// What each client may hold, where those are the pets of a private network.
    shares: Option<Arc<Shares>>,
    ports: HashMap<u64, OfferedPort>,
    offered: SortedMap<VirtualPort, u64>,
    connections: HashMap<u64, ClientConnection>,
    /// The connections whose pet has not accepted yet.
    connecting: SortedSet<u64>,
    /// Which port a UDP session belongs to.
    sessions: HashMap<u64, u64>,
    detours: SortedMap<VirtualPort, Detour>,
    /// The ports that another process has, and the pets that are to be behind them.
    busy: SortedMap<VirtualPort, Backends>,
    /// Whether such a port has become free since [`take_freed`](Self::take_freed).
    freed: bool,
    buffer: Vec<u8>,
}

impl Engine {
    /// Begins with nothing offered. [`turn`](Self::turn) also returns when `news` can be read.
    pub(super) fn new(news: &impl AsFd) -> io::Result<Self> {
        let mut events = EventLoop::new()?;
        events.add_readable(news)?;
        Ok(Self {
            events,
            shares: None,
            ports: HashMap::new(),
            offered: SortedMap::new(),
            connections: HashMap::new(),
            connecting: SortedSet::new(),
            sessions: HashMap::new(),
            detours: SortedMap::new(),
            busy: SortedMap::new(),
            freed: false,
            buffer: vec![0; BUFFER],
        })
    }

    /// Lets each pet of a private network hold no more than its share.
    pub(super) fn with_shares(self, shares: Arc<Shares>) -> Self {
        let shares = Some(shares);
        Self { shares, ..self }
    }

    /// Returns what a client holds from now on, if that is limited; an error where that would be
    /// more than it may.
    fn take_share(&self, client: SocketAddr, count: usize) -> Result<Option<Share>, ()> {
        match (&self.shares, client.ip()) {
            (Some(shares), IpAddr::V4(pet)) => shares.take(pet, count).map(Some).ok_or(()),
            (Some(_) | None, IpAddr::V4(_) | IpAddr::V6(_)) => Ok(None),
        }
    }

    /// Makes a turn return once when `fd` can be read.
    pub(super) fn wake_once(&mut self, fd: &impl AsFd) -> io::Result<()> {
        let token = self.events.token();
        let once = EventFlags::IN | EventFlags::ONESHOT;
        self.events.add(fd, token, once)
    }

    /// Waits until something happens, and handles it.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        relay::turn(self)
    }

    /// Offers what is desired from now on.
    ///
    /// A port without a ready pet is closed, so that clients are refused as in Kubernetes;
    /// connections that exist go on until they end.
    pub(super) fn adjust(&mut self, desired: Desired) {
        let ports = self.offered.keys();
        let gone = ports.filter(|port| desired.get(port).is_none_or(|to| to.pets.is_empty()));
        for port in gone.cloned().collect::<Vec<_>>() {
            if let Some(token) = self.offered.remove(&port) {
                self.ports.remove(&token);
            }
        }
        self.detours.retain(|port, _| desired.contains_key(port));
        let has_pets = |port: &VirtualPort| desired.get(port).is_some_and(|to| !to.pets.is_empty());
        self.busy.retain(|port, _| has_pets(port));
        let taken: SortedSet<SocketAddr> = desired.keys().map(|port| port.address).collect();
        for (port, backends) in desired {
            if let Some(waiting) = self.busy.get_mut(&port) {
                waiting.clone_from(&backends);
            }
            match self.offered.get(&port) {
                Some(token) => self.follow(*token, backends),
                None if backends.pets.is_empty() => {}
                None => self.offer(port, backends, &taken),
            }
        }
        let ports = &self.ports;
        self.sessions.retain(|_, port| ports.contains_key(port));
    }

    fn follow(&mut self, port: u64, backends: Backends) {
        if let Some(port) = self.ports.get_mut(&port) {
            port.balance.follow(backends.pets, backends.affinity);
            port.tidy(Instant::now());
        }
    }

    fn offer(&mut self, port: VirtualPort, backends: Backends, taken: &SortedSet<SocketAddr>) {
        let Opened {
            socket,
            detour,
            busy,
        } = open(&port, taken);
        match detour {
            Some(detour) => drop(self.detours.insert(port.clone(), detour)),
            None => drop(self.detours.remove(&port)),
        }
        match busy {
            true => drop(self.busy.insert(port.clone(), backends.clone())),
            false => drop(self.busy.remove(&port)),
        }
        if let Some(socket) = socket {
            self.listen(port, socket, backends);
        }
    }

    fn listen(&mut self, port: VirtualPort, socket: PortSocket, backends: Backends) {
        let token = match self.events.add_readable(&socket) {
            Ok(token) => token,
            Err(error) => return log(&format!("cannot wait on {}: {error}", port.address)),
        };
        let mut balance = Balance::default();
        balance.follow(backends.pets, backends.affinity);
        let offered = OfferedPort {
            socket,
            balance,
            paused: None,
        };
        self.ports.insert(token, offered);
        self.offered.insert(port, token);
    }

    /// Offers the ports that were in use and are free now as they are.
    fn open_busy(&mut self) {
        let free = |port: &VirtualPort| Some((port.clone(), open_again(port)?));
        let free: Vec<_> = self.busy.keys().filter_map(free).collect();
        for (port, socket) in free {
            let backends = self.busy.remove(&port).unwrap_or_default();
            self.detours.remove(&port);
            self.freed = true;
            match self.offered.get(&port).copied() {
                Some(token) => self.exchange(token, socket),
                None => self.listen(port, socket, backends),
            }
        }
    }

    /// Lets a port listen at another socket.
    fn exchange(&mut self, token: u64, socket: PortSocket) {
        let Some(offered) = self.ports.get_mut(&token) else {
            return;
        };
        match self.events.add(&socket, token, EventFlags::IN) {
            Ok(()) => (offered.socket, offered.paused) = (socket, None),
            Err(error) => log(&format!("cannot wait on a port that is free now: {error}")),
        }
    }

    /// Returns whether the detours are others than before, since ports that were in use are free.
    pub(super) const fn take_freed(&mut self) -> bool {
        std::mem::replace(&mut self.freed, false)
    }

    /// Returns the ports that could not be offered as they are, by service.
    pub(super) fn detours(&self) -> SortedMap<ObjectRef, Vec<Detour>> {
        let mut detours: SortedMap<ObjectRef, Vec<Detour>> = SortedMap::new();
        for (port, detour) in &self.detours {
            let of_service = detours.entry(port.service.clone()).or_default();
            of_service.push(detour.clone());
        }
        detours
    }

    /// Accepts the clients of a port, or passes on their datagrams.
    fn serve(&mut self, port: u64) {
        for _ in 0..TURN {
            let Some(offered) = self.ports.get_mut(&port) else {
                return;
            };
            let listener = match &offered.socket {
                PortSocket::Tcp(listener) => listener,
                PortSocket::Udp(..) => return self.receive(port),
            };
            let client = match accept(listener) {
                Accepted::Client(client) => client,
                Accepted::Aborted => continue,
                Accepted::Empty => return,
                Accepted::Exhausted => {
                    let _ = self.events.modify(listener, port, EventFlags::empty());
                    offered.paused = Some(Instant::now() + PAUSE);
                    return;
                }
            };
            let Ok(from) = client.peer_addr() else {
                continue;
            };
            let Ok(share) = self.take_share(from, 2) else {
                relay::reset(&client);
                continue;
            };
            let token = self.events.token();
            self.connect(token, (port, from), (client, share), Vec::new());
        }
    }

    /// Connects a client to the next pet that can be had; a client that gets none is refused.
    fn connect(
        &mut self,
        token: u64,
        (port, from): (u64, SocketAddr),
        (client, share): (TcpStream, Option<Share>),
        mut tried: Vec<SocketAddr>,
    ) {
        let Some(server) = self.next_pet(port, from, &mut tried) else {
            return relay::reset(&client);
        };
        let mut connection = ClientConnection {
            port,
            from,
            duplex: Duplex::new(client, server),
            tried,
            share,
            connecting: Some(Instant::now() + PATIENCE),
        };
        if connection.duplex.await_server(&self.events, token).is_err() {
            return connection.duplex.reset();
        }
        self.connections.insert(token, connection);
        self.connecting.insert(token);
    }

    /// Begins to connect to the pet whose turn it is, other than those that were `tried`.
    fn next_pet(
        &mut self,
        port: u64,
        from: SocketAddr,
        tried: &mut Vec<SocketAddr>,
    ) -> Option<TcpStream> {
        let balance = &mut self.ports.get_mut(&port)?.balance;
        let now = Instant::now();
        while let Some(pet) = balance.pick(from.ip(), tried, now) {
            tried.push(pet);
            if let Ok(server) = socket::connect(pet, from.ip()) {
                return Some(server);
            }
        }
        None
    }

    /// Gives up a pet that does not accept, and tries another one.
    fn try_another(&mut self, token: u64) {
        self.connecting.remove(&token);
        if let Some(connection) = self.connections.remove(&token) {
            let (to, tried) = ((connection.port, connection.from), connection.tried);
            let client = connection.duplex.into_client();
            self.connect(token, to, (client, connection.share), tried);
        }
    }

    fn proceed(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if connection.connecting.is_some() {
            if !matches!(socket_error(connection.duplex.server()), Ok(Ok(()))) {
                return self.try_another(token);
            }
            connection.connecting = None;
            self.connecting.remove(&token);
            connection.tried = Vec::new();
        }
        let proceeded = connection
            .duplex
            .proceed(&self.events, token, &mut self.buffer);
        match proceeded {
            Ok(DuplexState::Open) => {}
            Ok(DuplexState::Closed) => drop(self.connections.remove(&token)),
            Err(_) => {
                connection.duplex.reset();
                self.connections.remove(&token);
            }
        }
    }

    /// Passes on the datagrams that clients have sent to a port.
    fn receive(&mut self, port: u64) {
        for _ in 0..TURN {
            let Some(offered) = self.ports.get(&port) else {
                return;
            };
            let PortSocket::Udp(socket, sessions) = &offered.socket else {
                return;
            };
            let Ok((length, client)) = socket.recv_from(&mut self.buffer) else {
                return;
            };
            let known = sessions.token_of(&client);
            if let Some(token) = known.or_else(|| self.begin_session(port, client)) {
                self.send(port, token, length);
            }
        }
    }

    /// Begins the session of a UDP client with the pet whose turn it is.
    fn begin_session(&mut self, port: u64, client: SocketAddr) -> Option<u64> {
        let share = self.take_share(client, 1).ok()?;
        let offered = self.ports.get_mut(&port)?;
        let PortSocket::Udp(_, sessions) = &mut offered.socket else {
            return None;
        };
        let pet = offered.balance.pick(client.ip(), &[], Instant::now())?;
        let socket: UdpSocket = socket::session(pet, client.ip()).ok()?;
        let token = self.events.add_readable(&socket).ok()?;
        sessions.begin(token, client, (socket, pet), share);
        self.sessions.insert(token, port);
        Some(token)
    }

    /// Sends what is in the buffer to the pet of a session.
    fn send(&mut self, port: u64, token: u64, length: usize) {
        let Some(offered) = self.ports.get_mut(&port) else {
            return;
        };
        let PortSocket::Udp(_, sessions) = &mut offered.socket else {
            return;
        };
        let Some(session) = sessions.touch(token) else {
            return;
        };
        let sent = session.socket.send(&self.buffer[..length]);
        // No pet listens there any more: the next datagram goes to another.
        if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            sessions.end(token);
        }
    }

    /// Passes on what the pet of a session has answered.
    fn answer(&mut self, token: u64) {
        let port = self.sessions.get(&token);
        let Some(offered) = port.and_then(|port| self.ports.get_mut(port)) else {
            return;
        };
        let PortSocket::Udp(socket, sessions) = &mut offered.socket else {
            return;
        };
        for _ in 0..TURN {
            let Some(session) = sessions.touch(token) else {
                return;
            };
            match session.socket.recv(&mut self.buffer) {
                Ok(length) => drop(socket.send_to(&self.buffer[..length], session.key)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return sessions.end(token),
            }
        }
    }
}

impl Handler for Engine {
    fn event_loop(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn handle(&mut self, token: u64) {
        match token {
            token if self.connections.contains_key(&token) => self.proceed(token),
            token if self.ports.contains_key(&token) => self.serve(token),
            token => self.answer(token),
        }
    }

    fn interval(&self) -> Option<Duration> {
        let paused = self.ports.values().any(|port| port.paused.is_some());
        match () {
            () if paused => Some(PAUSE),
            () if !self.connecting.is_empty() => Some(PATIENCE / 4),
            () if !self.busy.is_empty() => Some(AGAIN),
            () if !self.sessions.is_empty() => Some(IDLE / 4),
            () => None,
        }
    }

    fn tick(&mut self, now: Instant) {
        for (token, port) in &mut self.ports {
            port.tidy(now);
            if port.paused.take_if(|until| *until <= now).is_some() {
                let _ = self.events.modify(&port.socket, *token, EventFlags::IN);
            }
        }
        let ports = &self.ports;
        self.sessions.retain(|session, port| {
            let port = ports.get(port).map(|port| &port.socket);
            matches!(port, Some(PortSocket::Udp(_, sessions)) if sessions.has(*session))
        });
        let until = |token: &u64| self.connections.get(token)?.connecting;
        let late = self.connecting.iter().copied();
        let late: Vec<u64> = late
            .filter(|token| until(token).is_some_and(|until| until <= now))
            .collect();
        late.into_iter().for_each(|token| self.try_another(token));
        self.open_busy();
    }
}
