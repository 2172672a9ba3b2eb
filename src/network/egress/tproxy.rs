//! The egress relay's sockets in the private network: they take in what pets send to other
//! addresses, and answer in the name of those.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, listen, recv, socket_with,
};

use super::diversion::{Diversion, divert};
use super::packet::{self, Syn, UDP, Unreachable};
use crate::model::address::Block;
use crate::network::bridge::BRIDGE;
use crate::network::connect::Pair;
use crate::network::netlink::{Netlink, device};
use crate::sys::packets::{self, Instruction, Switch, bpf};

/// How many pets' connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// The firewall mark of packets that are delivered here, and the routing table for that mark.
const MARK: u32 = 0x7065;
const TABLE: u8 = 112;
/// A SYN has no content; its headers are no longer than this.
const LONGEST_SYN: u32 = 128;

/// Lets a SYN pass, if it is sent to this machine and is no fragment.
const SYNS: [Instruction; 11] = [
    (bpf::LOAD_BYTE, 0, 0, bpf::PACKET_TYPE),
    (bpf::IF_EQUAL, 0, 8, libc::PACKET_HOST as u32),
    (bpf::LOAD_BYTE, 0, 0, packet::PROTOCOL_AT),
    (bpf::IF_EQUAL, 0, 6, packet::TCP as u32),
    (bpf::LOAD_HALF, 0, 0, packet::FRAGMENT_AT),
    (bpf::IF_ANY_BIT, 4, 0, packet::FRAGMENT_OFFSET),
    (bpf::LOAD_HEADER_LENGTH, 0, 0, 0),
    (bpf::LOAD_BYTE_BEHIND, 0, 0, packet::TCP_FLAGS_AT),
    (bpf::AND, 0, 0, (packet::SYN | packet::ACK) as u32),
    (bpf::IF_EQUAL, 1, 0, packet::SYN as u32),
    (bpf::RETURN, 0, 0, 0),
];
const PASS: Instruction = (bpf::RETURN, 0, 0, LONGEST_SYN);
const NOTHING: [Instruction; 1] = [(bpf::RETURN, 0, 0, 0)];

/// The sockets in the private network, which its thread opens and any thread may use.
#[derive(Debug)]
pub(in crate::network) struct TproxySockets {
    /// Receives the SYNs that pets send by the bridge.
    pub(super) syns: OwnedFd,
    pub(super) listener: TcpListener,
    pub(super) datagrams: UdpSocket,
    /// Sends packets with headers of our own.
    raw_ip: OwnedFd,
    /// Sends datagrams in the name of other addresses.
    raw_udp: OwnedFd,
    loopback: u32,
    router: Ipv4Addr,
}

impl TproxySockets {
    /// Opens the sockets in this thread's network, which has its bridge already.
    pub(in crate::network) fn open(block: Block) -> io::Result<Self> {
        let (loopback, bridge) = (device("lo")?, device(BRIDGE)?);
        for name in ["all", "lo", BRIDGE] {
            // A strict filter drops what comes by the loopback device in place of the bridge.
            turn_off(&format!("ipv4/conf/{name}/rp_filter"))?;
        }
        // Packets between ports of the bridge are not to be diverted: they are for other pets.
        turn_off("bridge/bridge-nf-call-iptables")?;
        let listener = open_listener()?;
        let datagrams = open_datagrams()?;
        Netlink::open()?.deliver_marked(MARK, TABLE, loopback)?;
        let filter = [&SYNS[..], &[PASS]].concat();
        let syns = packets::watch_device(bridge, &filter)?;
        let raw_udp = packets::raw(UDP)?;
        packets::filter(&raw_udp, &NOTHING)?;
        packets::turn_on(&raw_udp, Switch::Transparent)?;
        divert(&Diversion {
            bridge,
            network: block.inside(block.reserved(0)),
            host: block.host(),
            tcp: listener.local_addr()?.port(),
            udp: datagrams.local_addr()?.port(),
            mark: MARK,
        })
        .map_err(|error| io::Error::other(format!("nf_tables with tproxy: {error}")))?;
        Ok(Self {
            syns,
            listener,
            datagrams,
            raw_ip: packets::raw(packet::RAW)?,
            raw_udp,
            loopback,
            router: block.gateway(),
        })
    }

    /// Receives the next SYN; `Some(None)` for another packet, `None` when none waits.
    pub(super) fn next_syn(&self) -> Option<Option<Syn>> {
        let mut buffer = [0; LONGEST_SYN as usize];
        match recv(&self.syns, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => Some(Syn::read(&buffer[..length])),
            Err(Errno::INTR) => Some(None),
            Err(_) => None,
        }
    }

    /// Lets a pet's SYN in, so that the listener accepts the connection.
    pub(super) fn let_in(&self, syn: &Syn) {
        let _ = packets::let_in(&self.syns, self.loopback, syn.packet());
    }

    /// Tells a pet that nothing listens there.
    pub(super) fn send_reset(&self, syn: &Syn) {
        let _ = packets::send_whole(&self.raw_ip, *syn.from.ip(), &syn.reset());
    }

    /// Tells a pet why it cannot connect there.
    pub(super) fn send_unreachable(&self, syn: &Syn, why: Unreachable) {
        let packet = syn.unreachable(why, self.router);
        let _ = packets::send_whole(&self.raw_ip, *syn.from.ip(), &packet);
    }

    /// Tells a pet why its datagram did not arrive.
    pub(super) fn send_undelivered(&self, (from, to): &Pair, why: Unreachable) {
        let packet = packet::undelivered(why, self.router, *from, *to);
        let _ = packets::send_whole(&self.raw_ip, *from.ip(), &packet);
    }

    /// Sends a pet a datagram in the name of an address of the world.
    pub(super) fn send_datagram(&self, from: SocketAddrV4, to: SocketAddrV4, content: &[u8]) {
        let header = packet::udp_header(from, to, content);
        let _ = packets::send_as(&self.raw_udp, *from.ip(), *to.ip(), [&header, content]);
    }
}

/// Sets a sysctl of this thread's network to 0, if there is one.
fn turn_off(name: &str) -> io::Result<()> {
    let path = format!("/proc/sys/net/{name}");
    match fs::read_to_string(&path) {
        Ok(value) if value.trim() != "0" => fs::write(&path, "0")
            .map_err(|error| io::Error::other(format!("{path} cannot be set to 0: {error}"))),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn transparent(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, kind, flags, None)?;
    packets::turn_on(&socket, Switch::Transparent)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket)
}

fn open_listener() -> io::Result<TcpListener> {
    let socket = transparent(SocketType::STREAM)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn open_datagrams() -> io::Result<UdpSocket> {
    let socket = transparent(SocketType::DGRAM)?;
    packets::turn_on(&socket, Switch::ReportsDestination)?;
    Ok(socket.into())
}
