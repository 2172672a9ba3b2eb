//! The bridge of a private network, and the pets' connections to it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink::{Netlink, device, ignore_existing};
use super::pins::{BridgePort, Pins};
use crate::model::address::Block;
use crate::store::network::AttachRequest;

/// The name of the bridge.
pub(super) const BRIDGE: &str = "petset";
/// The name of a pet's own end of its veth pair.
const DEVICE: &str = "eth0";

/// Makes the bridge and the addresses of this thread's network, as far as they are missing.
pub(super) fn make(block: Block) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let hardware = [0x02, 0x50, 0x45, 0x54, block.number(), 0x01];
    netlink.set_up(device("lo")?)?;
    ignore_existing(netlink.add_bridge(BRIDGE, hardware))?;
    let bridge = device(BRIDGE)?;
    netlink.pass_on_lldp(bridge)?;
    for address in [block.gateway(), block.host(), block.name_server()] {
        ignore_existing(netlink.add_address(bridge, address))?;
    }
    ignore_existing(netlink.add_local_network(block.service_network()))
}

/// Makes a bridge with one veth pair in this thread's network, which is thrown away.
pub(super) fn attempt() -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.add_bridge(BRIDGE, [0x02, 0x50, 0x45, 0x54, 0, 1])?;
    let own: OwnedFd = File::open("/proc/self/ns/net")?.into();
    netlink.add_pair("p0.0", device(BRIDGE)?, (DEVICE, [0x0a; 6]), own.as_fd())
}

/// The bridge of a private network, as those that attach pets know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bridge {
    pub(super) block: Block,
    /// A thread in its network.
    pub(super) tid: u32,
    /// How addresses are pinned to ports; nothing where this machine cannot do that.
    pub(super) pins: Option<Pins>,
}

impl Bridge {
    /// Attaches a pet. This thread ends up in the pet's network.
    pub(super) fn attach(&self, request: &AttachRequest) -> io::Result<()> {
        let own: OwnedFd = File::open(format!("/proc/self/task/{}/ns/net", self.tid))?.into();
        let theirs: OwnedFd = File::open(format!("/proc/{}/ns/net", request.init))?.into();
        let [_, _, x, y] = request.spec.ip.octets();
        let ip = self.block.inside(request.spec.ip);
        let port = BridgePort {
            name: format!("p{x}.{y}"),
            // Always the same for an address: peers keep it in their ARP tables when a pet is
            // restarted.
            hardware: [0x0a, 0x50, 0x45, self.block.number(), x, y],
            ip,
        };
        let kind = Some(LinkNameSpaceType::Network);
        if let Some(pins) = self.pins {
            move_into_link_name_space(own.as_fd(), kind)?;
            pins.prepare(&port)?;
        }
        move_into_link_name_space(theirs.as_fd(), kind)?;
        // A process that has taken over a network finds its pets attached.
        let is_new = device(DEVICE).is_err();
        if is_new || self.pins == Some(Pins::Programs) {
            move_into_link_name_space(own.as_fd(), kind)?;
            if is_new {
                connect(&port, theirs.as_fd())?;
            }
            self.pins.map_or(Ok(()), |pins| pins.finish(&port))?;
            move_into_link_name_space(theirs.as_fd(), kind)?;
        }
        let inner = Netlink::open()?;
        inner.set_up(device("lo")?)?;
        let eth = device(DEVICE)?;
        ignore_existing(inner.add_address(eth, ip))?;
        inner.set_up(eth)?;
        allow_ping();
        match request.spec.egress {
            true => ignore_existing(inner.add_default_route(self.block.gateway())),
            false => Ok(()),
        }
    }
}

/// Connects the bridge with another network by a veth pair. A port of that name led to the pet
/// that had the address before: the kernel takes its time to remove the networks of the dead.
fn connect(port: &BridgePort, theirs: BorrowedFd<'_>) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let bridge = device(BRIDGE)?;
    if let Ok(before) = device(&port.name) {
        let _ = netlink.remove(before);
    }
    netlink.add_pair(&port.name, bridge, (DEVICE, port.hardware), theirs)
}

/// Lets programs ping in this thread's network without being root.
fn allow_ping() {
    let own = rustix::process::getegid().as_raw();
    // A user namespace may map no group but our own.
    for groups in ["0 2147483647".to_owned(), format!("{own} {own}")] {
        if fs::write("/proc/sys/net/ipv4/ping_group_range", groups).is_ok() {
            return;
        }
    }
}
