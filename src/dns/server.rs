//! The DNS server: one thread for UDP, one for TCP, however many addresses and askers there are.
//!
//! A thread waits on all of its sockets at once and never on one asker: what a slow client does
//! not send, or does not take, waits in its own small buffer until its time is up.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::pipe::{PipeFlags, pipe_with};

use super::forward::{Delivery, Forward, Outside, Permission};
use super::message::{Reply, Transport, consider};
use super::quick;
use super::tcp;
use super::zone::Zone;

/// How often a pair of free ports is looked for when any port will do.
const ATTEMPTS: u32 = 16;
/// How many questions of one socket are answered before the others have their turn.
const TURN: usize = 64;
const LARGEST_QUERY: usize = 4096;
/// How much may wait unread on a UDP socket, so that a burst is not lost; the kernel may allow
/// less.
const BACKLOG: usize = 512 * 1024;
const STACK: usize = 256 * 1024;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    /// Closing it ends the threads.
    stop: Option<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves `zone` by UDP and TCP at each of `addresses`, where port 0 means any that is free,
    /// and asks `upstreams` for names of other zones.
    ///
    /// Only loopback addresses are accepted: petset opens no port to the network.
    pub(crate) fn start(
        addresses: &[SocketAddr],
        zone: Arc<RwLock<Zone>>,
        upstreams: &[SocketAddr],
    ) -> io::Result<Self> {
        match addresses.iter().find(|address| !is_loopback(address.ip())) {
            Some(address) => {
                let refused = format!("{address} is not a loopback address");
                Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
            }
            None => Self::listen(addresses, zone, upstreams),
        }
    }

    /// Serves at sockets of a network that nobody else is in, and asks `upstreams`, as this thread
    /// reaches them, for names of other zones.
    pub(crate) fn start_private(
        sockets: Sockets,
        zone: Arc<RwLock<Zone>>,
        upstreams: &[SocketAddr],
        permission: Permission,
    ) -> io::Result<Self> {
        let outside = Outside {
            upstreams: upstreams.into(),
            permission: Some(permission),
        };
        Self::run(sockets, zone, outside)
    }

    fn listen(
        addresses: &[SocketAddr],
        zone: Arc<RwLock<Zone>>,
        upstreams: &[SocketAddr],
    ) -> io::Result<Self> {
        let outside = Outside {
            upstreams: upstreams.into(),
            permission: None,
        };
        Self::run(Sockets::open(addresses)?, zone, outside)
    }

    fn run(sockets: Sockets, zone: Arc<RwLock<Zone>>, outside: Outside) -> io::Result<Self> {
        let Sockets(pairs) = sockets;
        let addresses = pairs
            .iter()
            .map(|(udp, _)| udp.local_addr())
            .collect::<io::Result<_>>()?;
        let (udp, tcp): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (quit, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let quit = Arc::new(quit);
        let mut server = Self {
            addresses,
            stop: Some(stop),
            threads: Vec::new(),
        };
        let (udp_quit, udp_zone) = (Arc::clone(&quit), Arc::clone(&zone));
        let mut forward = Forward::new(&outside.upstreams);
        let by_udp = outside.clone();
        server.spawn("dns-udp", move || {
            serve_udp(&udp, &udp_zone, &udp_quit, &mut forward, &by_udp);
        })?;
        server.spawn("dns-tcp", move || {
            tcp::serve(&tcp, &zone, &quit, &outside);
        })?;
        Ok(server)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK);
        self.threads.push(thread.spawn(run)?);
        Ok(())
    }

    /// Returns where it listens, in the order in which that was asked for.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The sockets of a server that does not run yet: of the network of the thread that opens them.
#[derive(Debug)]
pub(crate) struct Sockets(Vec<(UdpSocket, TcpListener)>);

impl Sockets {
    /// Takes each of `addresses`, for UDP and TCP.
    pub(crate) fn open(addresses: &[SocketAddr]) -> io::Result<Self> {
        let pairs = addresses.iter().map(|address| bind(*address));
        pairs.collect::<io::Result<_>>().map(Self)
    }
}

/// Takes the same port for UDP and TCP.
fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = 0;
    loop {
        let udp = UdpSocket::bind(address)?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                let _ = set_socket_recv_buffer_size(&udp, BACKLOG);
                tcp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(error) if address.port() != 0 || attempts >= ATTEMPTS => return Err(error),
            Err(_) => attempts += 1,
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

fn serve_udp(
    sockets: &[UdpSocket],
    zone: &RwLock<Zone>,
    quit: &OwnedFd,
    forward: &mut Forward,
    outside: &Outside,
) {
    let mut buffer = vec![0; LARGEST_QUERY];
    loop {
        let all = sockets.iter().chain(forward.sockets());
        let mut polled: Vec<PollFd> = all
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        polled.push(PollFd::new(quit, PollFlags::IN));
        if wait(&mut polled, time_left(forward).as_ref()).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        if ready.last() == Some(&true) {
            return;
        }
        for (index, ready) in ready[..sockets.len()].iter().enumerate() {
            if *ready {
                take_turn(sockets, index, zone, &mut buffer, (forward, outside));
            }
        }
        if forward.is_on() {
            deliver(sockets, forward.receive());
            deliver(sockets, forward.hurry(Instant::now()));
        }
    }
}

/// Returns how long a resolver has that was asked.
fn time_left(forward: &Forward) -> Option<Timespec> {
    let left = forward
        .deadline()?
        .saturating_duration_since(Instant::now());
    Timespec::try_from(left + Duration::from_millis(1)).ok()
}

fn deliver(sockets: &[UdpSocket], deliveries: impl IntoIterator<Item = Delivery>) {
    for (index, asker, reply) in deliveries {
        let _ = sockets[index].send_to(&reply, asker);
    }
}

/// Answers what has come in on one socket; what cannot be sent at once is lost, as UDP allows.
fn take_turn(
    sockets: &[UdpSocket],
    index: usize,
    zone: &RwLock<Zone>,
    buffer: &mut [u8],
    (forward, outside): (&mut Forward, &Outside),
) {
    let socket = &sockets[index];
    let mut quick_reply = [0; quick::ROOM];
    for _ in 0..TURN {
        let Ok((length, asker)) = socket.recv_from(buffer) else {
            return;
        };
        let known = zone.read().unwrap_or_else(PoisonError::into_inner);
        let quick = quick::answer(&known, &buffer[..length], &mut quick_reply);
        drop(known);
        if let Some(length) = quick {
            let _ = socket.send_to(&quick_reply[..length], asker);
            continue;
        }
        let may = forward.is_on() && outside.is_open_to(asker.ip());
        match reply_to(zone, &buffer[..length], Transport::Udp, may) {
            Some(Reply::Here(reply)) => drop(socket.send_to(&reply, asker)),
            Some(Reply::Elsewhere(elsewhere)) => {
                deliver(sockets, forward.ask(elsewhere, (index, asker)));
            }
            None => {}
        }
    }
}

/// Answers a message; one that brings the answering code down is as if it had not come.
pub(super) fn reply_to(
    zone: &RwLock<Zone>,
    query: &[u8],
    transport: Transport,
    may: bool,
) -> Option<Reply> {
    let zone = zone.read().unwrap_or_else(PoisonError::into_inner);
    catch_unwind(AssertUnwindSafe(|| consider(&zone, query, transport, may)))
        .ok()
        .flatten()
}

/// Waits until something happens to one of `polled`, or until it has taken long enough.
pub(super) fn wait(polled: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    match poll(polled, limit) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
