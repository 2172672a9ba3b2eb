//! The DNS server: one thread for UDP, one for TCP, however many addresses and clients there are.
//!
//! A thread waits on all of its sockets at once and never on one client: what a slow client does
//! not send, or does not take, stays in a small buffer of its own until its time is up.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};

use rustix::pipe::{PipeFlags, pipe_with};

use super::forward::{Forwarder, Permission, Upstreams};
use super::sockets::Sockets;
use super::{tcp, udp};
use crate::dns::zone::Zone;

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
        match addresses.iter().find(|address| !address.ip().is_loopback()) {
            Some(address) => {
                let refused = format!("{address} is not a loopback address");
                Err(io::Error::new(io::ErrorKind::InvalidInput, refused))
            }
            None => Self::listen(addresses, zone, upstreams),
        }
    }

    /// Serves at sockets of a private network. For names of other zones it asks `upstreams`, in the
    /// network of this thread, if the client has the `permission`.
    pub(crate) fn start_private(
        sockets: Sockets,
        zone: Arc<RwLock<Zone>>,
        upstreams: &[SocketAddr],
        permission: Permission,
    ) -> io::Result<Self> {
        let upstreams = Upstreams {
            addresses: upstreams.into(),
            permission: Some(permission),
        };
        Self::run(sockets, zone, upstreams)
    }

    fn listen(
        addresses: &[SocketAddr],
        zone: Arc<RwLock<Zone>>,
        upstreams: &[SocketAddr],
    ) -> io::Result<Self> {
        let upstreams = Upstreams {
            addresses: upstreams.into(),
            permission: None,
        };
        Self::run(Sockets::open(addresses)?, zone, upstreams)
    }

    fn run(sockets: Sockets, zone: Arc<RwLock<Zone>>, upstreams: Upstreams) -> io::Result<Self> {
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
        let mut forward = Forwarder::new(&upstreams.addresses);
        let by_udp = upstreams.clone();
        server.spawn("dns-udp", move || {
            udp::serve(&udp, &udp_zone, &udp_quit, &mut forward, &by_udp);
        })?;
        server.spawn("dns-tcp", move || {
            tcp::serve(&tcp, &zone, &quit, &upstreams);
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

    /// Returns the addresses that it listens at, in the order of those asked for.
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
