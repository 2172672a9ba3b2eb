//! The port forwarder: it carries what comes to the ports on the host to the pets.
//!
//! The ports are opened in the host's network; the thread that drives the forwarder lives in the
//! private network, and so reaches the pets.

use std::collections::{HashMap, HashSet};
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_error;

use super::handle::{Order, PortForwarderHandle};
use super::host_port::{HostPort, HostSocket};
use crate::network::connect::{self, Pair};
use crate::relay::{
    Accepted, BUFFER, Duplex, DuplexState, EventLoop, Handler, PAUSE, Share, Shares, TICK, TURN,
    UdpSessions, accept, reset,
};

/// How long a pet may take to accept a client.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client on the host and the pet that it is connected with.
struct ForwardedConnection {
    attachment_id: u64,
    duplex: Duplex,
    to: SocketAddrV4,
    /// Until when the pet has to accept; `None` once it has.
    until: Option<Instant>,
    /// What it holds for the pet.
    _share: Share,
}

/// All ports of all attached pets, and their clients.
pub(in crate::network) struct PortForwarder {
    orders: Receiver<Order>,
    wake: PipeReader,
    woken: u64,
    shares: Arc<Shares>,
    events: EventLoop,
    ports: HashMap<u64, HostPort>,
    connections: HashMap<u64, ForwardedConnection>,
    /// The connections whose pet has not accepted yet.
    connecting: HashSet<u64>,
    /// By the client's address and the port's.
    sessions: UdpSessions<Pair>,
    buffer: Vec<u8>,
}

impl PortForwarder {
    /// Makes a forwarder without ports, and the handle by which it gets some.
    pub(in crate::network) fn new(shares: Arc<Shares>) -> io::Result<(PortForwarderHandle, Self)> {
        let (wake, waker) = io::pipe()?;
        let (sender, orders) = channel();
        let mut events = EventLoop::new()?;
        let woken = events.add_readable(&wake)?;
        let handle = PortForwarderHandle {
            orders: sender,
            waker: Arc::new(waker),
        };
        let forwarder = Self {
            orders,
            wake,
            woken,
            shares,
            events,
            ports: HashMap::new(),
            connections: HashMap::new(),
            connecting: HashSet::new(),
            sessions: UdpSessions::default(),
            buffer: vec![0; BUFFER],
        };
        Ok((handle, forwarder))
    }

    fn take_orders(&mut self) {
        let _ = self.wake.read(&mut [0; 64]);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Open(ports) => {
                    for port in ports {
                        if let Ok(token) = self.events.add_readable(&port.socket) {
                            self.ports.insert(token, port);
                        }
                    }
                }
                Order::Close(attachment_id) => self.close(attachment_id),
            }
        }
    }

    /// Closes the ports of a pet, and breaks off its connections.
    fn close(&mut self, attachment_id: u64) {
        let ports = self.ports.values();
        let ports = ports.filter(|port| port.attachment_id == attachment_id);
        let places: Vec<SocketAddrV4> = ports.map(|port| port.at).collect();
        self.ports
            .retain(|_, port| port.attachment_id != attachment_id);
        self.sessions
            .end_where(|session| places.contains(&session.key.1));
        let connections = self.connections.iter();
        let connections = connections.filter(|(_, it)| it.attachment_id == attachment_id);
        let connections: Vec<u64> = connections.map(|(token, _)| *token).collect();
        connections.into_iter().for_each(|it| self.break_off(it));
    }

    /// Accepts the clients of a port, or passes on their datagrams.
    fn serve(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some(port) = self.ports.get(&token) else {
                return;
            };
            let listener = match &port.socket {
                HostSocket::Tcp(listener) => listener,
                HostSocket::Udp(_) => return self.receive(token),
            };
            match accept(listener) {
                Accepted::Client(client) => {
                    let (attachment_id, to) = (port.attachment_id, port.to);
                    self.connect(client, attachment_id, to);
                }
                Accepted::Aborted => {}
                Accepted::Empty => return,
                Accepted::Exhausted => return thread::sleep(PAUSE),
            }
        }
    }

    /// Connects a client with the pet; one whose pet cannot be reached is reset at once.
    fn connect(&mut self, client: TcpStream, attachment_id: u64, to: SocketAddrV4) {
        let share = self.shares.take(*to.ip(), 2);
        let (Some(share), Ok(pet)) = (share, connect::tcp(to)) else {
            return reset(&client);
        };
        let token = self.events.token();
        let mut duplex = Duplex::new(client, pet);
        if duplex.await_server(&self.events, token).is_err() {
            return duplex.reset();
        }
        let connection = ForwardedConnection {
            attachment_id,
            duplex,
            to,
            until: Some(Instant::now() + PATIENCE),
            _share: share,
        };
        self.connections.insert(token, connection);
        self.connecting.insert(token);
    }

    fn connect_again(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let again = connect::tcp(connection.to).map_err(io::Error::from);
        let awaited = again.and_then(|pet| {
            connection.duplex.retry(pet);
            connection.duplex.await_server(&self.events, token)
        });
        if awaited.is_err() {
            self.break_off(token);
        }
    }

    fn proceed(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if let Some(until) = connection.until {
            match socket_error(connection.duplex.server()) {
                Ok(Ok(())) => {
                    connection.until = None;
                    self.connecting.remove(&token);
                }
                // Its device is not up yet: the kernel may take seconds on a busy machine.
                Ok(Err(Errno::HOSTUNREACH)) if Instant::now() < until => {
                    return self.connect_again(token);
                }
                Ok(Err(_)) | Err(_) => return self.break_off(token),
            }
        }
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
        self.connecting.remove(&token);
        if let Some(connection) = self.connections.remove(&token) {
            connection.duplex.reset();
        }
    }

    /// Passes on datagrams to a pet.
    fn receive(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some(port) = self.ports.get(&token) else {
                return;
            };
            let HostSocket::Udp(socket) = &port.socket else {
                return;
            };
            let (length, client) = match socket.recv_from(&mut self.buffer) {
                Ok((length, SocketAddr::V4(client))) => (length, client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => continue,
            };
            let (pair, to) = ((client, port.at), port.to);
            let known = self.sessions.token_of(&pair);
            let Some(session) = known.or_else(|| self.begin_session(pair, to)) else {
                continue;
            };
            if let Some(session) = self.sessions.touch(session) {
                // An error may be about an earlier datagram; it is reported once.
                let sent = session.socket.send(&self.buffer[..length]);
                let _ = sent.or_else(|_| session.socket.send(&self.buffer[..length]));
            }
        }
    }

    fn begin_session(&mut self, pair: Pair, to: SocketAddrV4) -> Option<u64> {
        let share = self.shares.take(*to.ip(), 1)?;
        let socket = connect::udp(to).ok()?;
        let token = self.events.add_readable(&socket).ok()?;
        let way = (socket, to.into());
        self.sessions.begin(token, pair, way, Some(share));
        Some(token)
    }

    /// Passes on what a pet answers.
    fn answer(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some(session) = self.sessions.touch(token) else {
                return;
            };
            let (client, at) = session.key;
            match session.socket.recv(&mut self.buffer) {
                Ok(length) => {
                    let is_it = |port: &&HostPort| {
                        port.at == at && matches!(port.socket, HostSocket::Udp(_))
                    };
                    let port = self.ports.values().find(is_it);
                    if let Some(HostSocket::Udp(socket)) = port.map(|port| &port.socket) {
                        let _ = socket.send_to(&self.buffer[..length], client);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }
}

impl Handler for PortForwarder {
    fn event_loop(&mut self) -> &mut EventLoop {
        &mut self.events
    }

    fn handle(&mut self, token: u64) {
        match token {
            token if token == self.woken => self.take_orders(),
            token if self.connections.contains_key(&token) => self.proceed(token),
            token if self.ports.contains_key(&token) => self.serve(token),
            token => self.answer(token),
        }
    }

    fn interval(&self) -> Option<Duration> {
        let idle = self.connecting.is_empty() && self.sessions.is_empty();
        (!idle).then_some(TICK)
    }

    fn tick(&mut self, now: Instant) {
        self.sessions.end_idle(now);
        let until = |token: &u64| self.connections.get(token)?.until;
        let late = self.connecting.iter().copied();
        let late: Vec<u64> = late
            .filter(|token| until(token).is_some_and(|until| until <= now))
            .collect();
        late.into_iter().for_each(|token| self.break_off(token));
    }
}
