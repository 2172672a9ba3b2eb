//! The namespaces of a private network: made anew, or taken over.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::bridge::{self, BRIDGE};
use super::egress::TproxySockets;
use super::names::PORT;
use super::netlink::device;
use super::pins::Pins;
use crate::dns::Sockets;
use crate::model::address::Block;
use crate::sys::{self, NamespaceFlags};

/// The namespaces of a network whose process has died.
pub(super) struct TakenOver {
    user: Option<OwnedFd>,
    pub(super) network: OwnedFd,
}

impl TakenOver {
    /// Opens the namespaces that a runner has kept open and names in the environment.
    pub(super) fn open() -> Option<Self> {
        let named = std::env::var("PETSET_NETWORK").ok()?;
        let (user, network) = named.split_once(' ')?;
        let user = File::open(user).ok().map(OwnedFd::from);
        let network = File::open(network).ok()?.into();
        Some(Self { user, network })
    }
}

/// Enters the user namespace that owns the network; an ordinary user owns networks only there.
pub(super) fn enter_user(taken: Option<&TakenOver>) -> io::Result<()> {
    if let Some(user) = taken.and_then(|taken| taken.user.as_ref()) {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        return Ok(());
    }
    if !sys::is_ordinary() || taken.is_some() {
        return Ok(());
    }
    sys::users::enter(&sys::users::make()?)
}

/// Moves this thread into the network that exists, or into a new one.
pub(super) fn enter_network(network: Option<OwnedFd>) -> io::Result<()> {
    match network {
        Some(network) => {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).map_err(Into::into)
        }
        None => sys::unshare(NamespaceFlags::NEWNET).map_err(Into::into),
    }
}

/// What the thread that lives in the private network opens for the others.
pub(super) struct PrivateNetwork {
    pub(super) tid: i32,
    pub(super) dns: Sockets,
    /// How the addresses of pets are pinned to their ports of the bridge.
    pub(super) pins: Option<Pins>,
    /// An error where this machine cannot offer egress.
    pub(super) tproxy: io::Result<TproxySockets>,
}

impl PrivateNetwork {
    /// Makes the bridge in this thread's network, as far as it is missing, and opens the sockets.
    pub(super) fn make(block: Block) -> io::Result<Self> {
        bridge::make(block)?;
        let pinned = device(BRIDGE).and_then(Pins::make);
        Ok(Self {
            pins: pinned.as_ref().ok().copied(),
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
            dns: Sockets::open(&[SocketAddr::from((block.name_server(), PORT))])?,
            // A packet has to say whose it is.
            tproxy: pinned.and_then(|_| TproxySockets::open(block)),
        })
    }
}
