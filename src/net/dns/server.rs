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

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::pipe::{PipeFlags, pipe_with};

use super::message::{Transport, answer};
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
    /// Serves `zone` by UDP and TCP at each of `addresses`; port 0 means any that is free.
    ///
    /// Only loopback addresses are accepted: petset opens no port to the network.
    pub(crate) fn start(addresses: &[SocketAddr], zone: Arc<RwLock<Zone>>) -> io::Result<Self> {
        match addresses.iter().find(|address| !is_loopback(address.ip())) {
            Some(address) => {
                let refused = format!("{address} is not a loopback address");
                Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
            }
            None => Self::start_private(addresses, zone),
        }
    }

    /// Serves at addresses of a network that nobody else is in: the calling thread's.
    pub(crate) fn start_private(
        addresses: &[SocketAddr],
        zone: Arc<RwLock<Zone>>,
    ) -> io::Result<Self> {
        let pairs: Vec<(UdpSocket, TcpListener)> = addresses
            .iter()
            .map(|address| bind(*address))
            .collect::<io::Result<_>>()?;
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
        server.spawn("dns-udp", move || serve_udp(&udp, &udp_zone, &udp_quit))?;
        server.spawn("dns-tcp", move || tcp::serve(&tcp, &zone, &quit))?;
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

fn serve_udp(sockets: &[UdpSocket], zone: &RwLock<Zone>, quit: &OwnedFd) {
    let mut buffer = vec![0; LARGEST_QUERY];
    loop {
        let mut polled: Vec<PollFd> = sockets
            .iter()
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        polled.push(PollFd::new(quit, PollFlags::IN));
        if wait(&mut polled, None).is_err() {
            return;
        }
        if polled.last().is_some_and(|quit| !quit.revents().is_empty()) {
            return;
        }
        for (socket, polled) in sockets.iter().zip(&polled) {
            if !polled.revents().is_empty() {
                take_turn(socket, zone, &mut buffer);
            }
        }
    }
}

/// Answers what has come in on one socket; what cannot be sent at once is lost, as UDP allows.
fn take_turn(socket: &UdpSocket, zone: &RwLock<Zone>, buffer: &mut [u8]) {
    for _ in 0..TURN {
        let Ok((length, asker)) = socket.recv_from(buffer) else {
            return;
        };
        if let Some(reply) = reply_to(zone, &buffer[..length], Transport::Udp) {
            let _ = socket.send_to(&reply, asker);
        }
    }
}

/// Answers a message; one that brings the answering code down is as if it had not come.
pub(super) fn reply_to(zone: &RwLock<Zone>, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let zone = zone.read().unwrap_or_else(PoisonError::into_inner);
    catch_unwind(AssertUnwindSafe(|| answer(&zone, query, transport)))
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
