//! Waiting on all sockets at once, and giving each its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;

use super::balance::Balance;
use super::datagrams::{IDLE, Sessions};
use super::detour::Detour;
use super::follow::Key;
use super::link::{Fate, Link, Side, await_on};
use super::plan::{Place, Protocol, Wish, Wishes, detours};
use super::{log, socket};

/// How many bytes are carried at once.
const BUFFER: usize = 64 * 1024;
/// How many clients of one port are accepted before others have their turn.
const TURN: usize = 64;
/// How long a pet may take to accept a connection before another one is tried.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nobody is accepted after the system could not give another descriptor.
const PAUSE: Duration = Duration::from_millis(50);
const EVENTS: usize = 64;

/// What an event is about, beside a number that is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Port,
    Client,
    Pet,
    /// The socket of a session of datagrams.
    Session,
}

const ROLES: [Role; 4] = [Role::Port, Role::Client, Role::Pet, Role::Session];
/// The number that stands for the state directory's own news.
const NEWS: u64 = 0;

/// One port that is offered.
#[derive(Debug)]
struct Port {
    socket: Socket,
    balance: Balance,
    /// Nobody is accepted until then.
    paused: Option<Instant>,
}

#[derive(Debug)]
enum Socket {
    Connections(TcpListener),
    Datagrams(UdpSocket, Sessions),
}

/// All that is offered, and everyone who is connected.
pub(super) struct Engine {
    epoll: OwnedFd,
    last: u64,
    ports: HashMap<u64, Port>,
    places: BTreeMap<Place, u64>,
    links: HashMap<u64, Link>,
    /// The links whose pet has not accepted yet.
    connecting: BTreeSet<u64>,
    /// Which port a session belongs to.
    sessions: HashMap<u64, u64>,
    refused: BTreeMap<Place, Detour>,
    buffer: Vec<u8>,
}

impl Engine {
    /// Begins with nothing offered; `news` wakes it too.
    pub(super) fn new(news: &impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(token(NEWS, Role::Port));
        epoll::add(&epoll, news, data, EventFlags::IN)?;
        Ok(Self {
            epoll,
            last: NEWS,
            ports: HashMap::new(),
            places: BTreeMap::new(),
            links: HashMap::new(),
            connecting: BTreeSet::new(),
            sessions: HashMap::new(),
            refused: BTreeMap::new(),
            buffer: vec![0; BUFFER],
        })
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Offers what is wished for from now on.
    ///
    /// A port without a ready pet is closed, so that clients are refused as Kubernetes does it;
    /// connections that exist go on until they end.
    pub(super) fn adjust(&mut self, wishes: Wishes) {
        let gone: Vec<Place> = self
            .places
            .keys()
            .filter(|place| wishes.get(place).is_none_or(|wish| wish.pets.is_empty()))
            .cloned()
            .collect();
        for place in gone {
            if let Some(id) = self.places.remove(&place) {
                self.ports.remove(&id);
            }
        }
        self.refused.retain(|place, _| wishes.contains_key(place));
        let taken: BTreeSet<SocketAddr> = wishes.keys().map(|place| place.address).collect();
        for (place, wish) in wishes {
            match self.places.get(&place) {
                Some(id) => self.follow(*id, wish),
                None if wish.pets.is_empty() => {}
                None => self.offer(place, wish, &taken),
            }
        }
        let ports = &self.ports;
        self.sessions.retain(|_, port| ports.contains_key(port));
    }

    fn follow(&mut self, id: u64, wish: Wish) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        port.balance.follow(wish.pets, wish.affinity);
        if let Socket::Datagrams(_, sessions) = &mut port.socket {
            sessions.tidy(&port.balance, Instant::now());
        }
    }

    fn offer(&mut self, place: Place, wish: Wish, taken: &BTreeSet<SocketAddr>) {
        let (socket, detour) = open(&place, taken);
        match detour {
            Some(detour) => drop(self.refused.insert(place.clone(), detour)),
            None => drop(self.refused.remove(&place)),
        }
        let Some(socket) = socket else { return };
        let id = self.number();
        let data = EventData::new_u64(token(id, Role::Port));
        let added = match &socket {
            Socket::Connections(listener) => {
                epoll::add(&self.epoll, listener, data, EventFlags::IN)
            }
            Socket::Datagrams(port, _) => epoll::add(&self.epoll, port, data, EventFlags::IN),
        };
        if let Err(error) = added {
            return log(&format!("cannot wait on {}: {error}", place.address));
        }
        let mut balance = Balance::default();
        balance.follow(wish.pets, wish.affinity);
        let port = Port {
            socket,
            balance,
            paused: None,
        };
        self.ports.insert(id, port);
        self.places.insert(place, id);
    }

    /// Returns the ports that could not be offered as they are, by service.
    pub(super) fn detours(&self) -> BTreeMap<Key, Vec<Detour>> {
        let mut detours: BTreeMap<Key, Vec<Detour>> = BTreeMap::new();
        for (place, detour) in &self.refused {
            if let Ok(namespace) = place.namespace.parse() {
                let key = (namespace, place.service.clone());
                detours.entry(key).or_default().push(detour.clone());
            }
        }
        detours
    }

    /// Waits until something happens, and does what it asks for.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let limit = self.time_limit();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), limit.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let data = event.data;
            let (id, role) = read_token(data.u64());
            match role {
                Role::Port if id == NEWS => {}
                Role::Port => self.serve(id),
                Role::Client => self.proceed(id),
                Role::Pet => self.proceed_pet(id),
                Role::Session => self.answer(id),
            }
        }
        if limit.is_some() {
            self.look_at_the_clock();
        }
        Ok(())
    }

    /// Nothing but a pause, a slow pet or an idle session has to do with time.
    fn time_limit(&self) -> Option<Timespec> {
        let paused = self.ports.values().any(|port| port.paused.is_some());
        let limit = match () {
            () if paused => PAUSE,
            () if !self.connecting.is_empty() => PATIENCE / 4,
            () if !self.sessions.is_empty() => IDLE / 4,
            () => return None,
        };
        Timespec::try_from(limit).ok()
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        for (id, port) in &mut self.ports {
            if let Socket::Datagrams(_, sessions) = &mut port.socket {
                sessions.tidy(&port.balance, now);
                self.sessions
                    .retain(|session, of| of != id || sessions.has(*session));
            }
            if port.paused.take_if(|until| *until <= now).is_some()
                && let Socket::Connections(listener) = &port.socket
            {
                let data = EventData::new_u64(token(*id, Role::Port));
                let _ = epoll::modify(&self.epoll, listener, data, EventFlags::IN);
            }
        }
        let until = |id: &u64| self.links.get(id).and_then(|link| link.connecting);
        let late = self.connecting.iter().copied();
        let late: Vec<u64> = late
            .filter(|id| until(id).is_some_and(|until| until <= now))
            .collect();
        late.into_iter().for_each(|id| self.try_another(id));
    }

    /// Takes what clients of a port want.
    fn serve(&mut self, id: u64) {
        for _ in 0..TURN {
            let Some(port) = self.ports.get_mut(&id) else {
                return;
            };
            let listener = match &mut port.socket {
                Socket::Connections(listener) => listener,
                Socket::Datagrams(..) => return self.pass_in(id),
            };
            let client = match socket::accept(listener) {
                Ok(client) => client,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    let data = EventData::new_u64(token(id, Role::Port));
                    let _ = epoll::modify(&self.epoll, listener, data, EventFlags::empty());
                    port.paused = Some(Instant::now() + PAUSE);
                    return;
                }
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(_) => return,
            };
            let Ok(from) = client.peer_addr() else {
                continue;
            };
            let tried = Vec::new();
            let number = self.number();
            self.connect(number, (id, from), Side::new(client), tried);
        }
    }

    /// Connects a client to the next pet that can be had; a client that gets none is refused.
    fn connect(
        &mut self,
        id: u64,
        (port, from): (u64, SocketAddr),
        client: Side,
        mut tried: Vec<SocketAddr>,
    ) {
        let now = Instant::now();
        while let Some(behind) = self.ports.get_mut(&port) {
            let Some(pet) = behind.balance.pick(from.ip(), &tried, now) else {
                break;
            };
            tried.push(pet);
            let Ok(stream) = socket::begin(pet, from.ip()) else {
                continue;
            };
            let link = Link {
                port,
                from,
                client,
                pet: Side::new(stream),
                tried,
                connecting: Some(now + PATIENCE),
            };
            self.links.insert(id, link);
            self.connecting.insert(id);
            return self.attend(id);
        }
        socket::reset(&client.stream);
    }

    fn try_another(&mut self, id: u64) {
        self.connecting.remove(&id);
        if let Some(link) = self.links.remove(&id) {
            self.connect(id, (link.port, link.from), link.client, link.tried);
        }
    }

    /// Goes on with a link after something happened to its pet: maybe it has just accepted.
    fn proceed_pet(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.connecting.is_some() {
            if !matches!(socket_error(&link.pet.stream), Ok(Ok(()))) {
                return self.try_another(id);
            }
            link.connecting = None;
            self.connecting.remove(&id);
            link.tried = Vec::new();
        }
        self.proceed(id);
    }

    fn proceed(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match link.proceed(&mut self.buffer) {
            Ok(Fate::Stays) => self.attend(id),
            Ok(Fate::Ends) => drop(self.links.remove(&id)),
            Err(_) => self.break_off(id),
        }
    }

    fn break_off(&mut self, id: u64) {
        self.connecting.remove(&id);
        if let Some(link) = self.links.remove(&id) {
            link.reset();
        }
    }

    /// Waits for what a link wants now.
    fn attend(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let (client, pet) = link.wants();
        let awaited = await_on(
            &self.epoll,
            &mut link.client,
            client,
            token(id, Role::Client),
        )
        .and_then(|()| await_on(&self.epoll, &mut link.pet, pet, token(id, Role::Pet)));
        if awaited.is_err() {
            self.break_off(id);
        }
    }

    fn pass_in(&mut self, id: u64) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        let Socket::Datagrams(socket, sessions) = &mut port.socket else {
            return;
        };
        let (epoll, last, of) = (&self.epoll, &mut self.last, &mut self.sessions);
        let open = |session: &UdpSocket| {
            *last += 1;
            let data = EventData::new_u64(token(*last, Role::Session));
            epoll::add(epoll, session, data, EventFlags::IN).ok()?;
            of.insert(*last, id);
            Some(*last)
        };
        sessions.pass_in(socket, &mut port.balance, &mut self.buffer, open);
    }

    fn answer(&mut self, session: u64) {
        let port = self.sessions.get(&session);
        let Some(port) = port.and_then(|port| self.ports.get_mut(port)) else {
            return;
        };
        if let Socket::Datagrams(socket, sessions) = &mut port.socket {
            sessions.pass_out(session, socket, &mut self.buffer);
        }
    }
}

const fn token(id: u64, role: Role) -> u64 {
    id * ROLES.len() as u64 + role as u64
}

fn read_token(token: u64) -> (u64, Role) {
    let roles = ROLES.len() as u64;
    let role = usize::try_from(token % roles).unwrap_or_default();
    (token / roles, ROLES[role])
}

/// Opens the port at `place`, or nearby where it cannot be had.
fn open(place: &Place, taken: &BTreeSet<SocketAddr>) -> (Option<Socket>, Option<Detour>) {
    let detour = |at, why: String| Detour {
        port: place.address.port(),
        protocol: match place.protocol {
            Protocol::Tcp => "TCP".to_owned(),
            Protocol::Udp => "UDP".to_owned(),
            Protocol::Other => "SCTP".to_owned(),
        },
        at,
        why,
    };
    if place.protocol == Protocol::Other {
        let why = "only TCP and UDP are passed on".to_owned();
        return (None, Some(detour(None, why)));
    }
    let why = match open_at(place.protocol, place.address) {
        Ok((socket, _)) => return (Some(socket), None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            "this user may not listen there".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let nearby = detours(place.address.port())
        .map(|port| SocketAddr::new(place.address.ip(), port))
        .filter(|nearby| !taken.contains(nearby));
    for nearby in nearby {
        if let Ok((socket, at)) = open_at(place.protocol, nearby) {
            return (Some(socket), Some(detour(Some(at), why)));
        }
    }
    (None, Some(detour(None, why)))
}

fn open_at(protocol: Protocol, at: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    if protocol == Protocol::Udp {
        let socket = socket::datagrams(at)?;
        let at = socket.local_addr()?;
        return Ok((Socket::Datagrams(socket, Sessions::default()), at));
    }
    let listener = socket::listener(at)?;
    let at = listener.local_addr()?;
    Ok((Socket::Connections(listener), at))
}
