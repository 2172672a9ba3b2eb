//! The inner side of the way out: sockets in the private network that take in what pets send to
//! the world, and answer in its name.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, accept_with, bind, listen, recv, socket_with,
};

use super::wire::{self, Obstacle, Syn, UDP};
use crate::model::address::Block;
use crate::network::netfilter::{self, Diversion};
use crate::network::netlink::{Netlink, device};
use crate::network::{BRIDGE, gateway, host};
use crate::sys::packets::{self, Instruction, Switch};

/// How many pets' connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Marks what is to be taken in here, and the table of routes that says so.
const MARK: u32 = 0x7065;
const TABLE: u8 = 112;
/// Sends packets with headers of one's own.
const WHOLE: u8 = 255;
/// What begins a connection has no content; headers are no longer than this.
const LONGEST: u32 = 128;

/// Lets what begins a TCP connection pass, addressed to this machine and in one piece.
const BEGINNINGS: [Instruction; 11] = [
    (0x30, 0, 0, 0xffff_f004), // the kind of packet: to us?
    (0x15, 0, 8, 0),
    (0x30, 0, 0, 9), // the protocol: TCP?
    (0x15, 0, 6, 6),
    (0x28, 0, 0, 6), // a fragment?
    (0x45, 4, 0, 0x1fff),
    (0xb1, 0, 0, 0),  // the length of the header
    (0x50, 0, 0, 13), // the flags behind it: SYN?
    (0x54, 0, 0, 0x12),
    (0x15, 1, 0, 2),
    (0x06, 0, 0, 0),
];
const PASS: Instruction = (0x06, 0, 0, LONGEST);
const NOTHING: [Instruction; 1] = [(0x06, 0, 0, 0)];

/// The sockets of the private network, whose thread opens them and any may use them.
#[derive(Debug)]
pub(in crate::network) struct Gate {
    pub(super) beginnings: OwnedFd,
    pub(super) listener: TcpListener,
    pub(super) datagrams: UdpSocket,
    whole: OwnedFd,
    spoken: OwnedFd,
    loopback: u32,
    router: Ipv4Addr,
}

impl Gate {
    /// Opens the way out of this thread's network, which has its bridge already.
    pub(in crate::network) fn open(block: Block) -> io::Result<Self> {
        let (loopback, bridge) = (device("lo")?, device(BRIDGE)?);
        for name in ["all", "lo", BRIDGE] {
            // What is let in by the loopback device would come by the bridge, if it were strict.
            turn_off(&format!("ipv4/conf/{name}/rp_filter"))?;
        }
        // What is not yet on the bridge is not to be diverted: it may be for another pet.
        turn_off("bridge/bridge-nf-call-iptables")?;
        let listener = open_listener()?;
        let datagrams = open_datagrams()?;
        Netlink::open()?.take_in_marked(MARK, TABLE, loopback)?;
        let filter = [&BEGINNINGS[..], &[PASS]].concat();
        let beginnings = packets::watch_device(bridge, &filter)?;
        let spoken = packets::raw(UDP)?;
        packets::filter(&spoken, &NOTHING)?;
        packets::turn_on(&spoken, Switch::Transparent)?;
        netfilter::divert(&Diversion {
            bridge,
            network: block.internal(block.reserved(0)),
            host: host(block),
            tcp: listener.local_addr()?.port(),
            udp: datagrams.local_addr()?.port(),
            mark: MARK,
        })
        .map_err(|error| io::Error::other(format!("nf_tables with tproxy: {error}")))?;
        Ok(Self {
            beginnings,
            listener,
            datagrams,
            whole: packets::raw(WHOLE)?,
            spoken,
            loopback,
            router: gateway(block),
        })
    }

    /// Takes the next packet that begins a connection; nothing at the end.
    pub(super) fn next(&self) -> Option<Option<Syn>> {
        let mut buffer = [0; LONGEST as usize];
        match recv(&self.beginnings, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => Some(Syn::read(&buffer[..length])),
            Err(Errno::INTR) => Some(None),
            Err(_) => None,
        }
    }

    /// Lets a pet's connection begin.
    pub(super) fn let_in(&self, syn: &Syn) {
        let _ = packets::let_in(&self.beginnings, self.loopback, syn.packet());
    }

    /// Tells a pet that nobody listens there.
    pub(super) fn refuse(&self, syn: &Syn) {
        let _ = packets::send_whole(&self.whole, *syn.from.ip(), &syn.refusal());
    }

    /// Tells a pet why it reaches nobody there.
    pub(super) fn turn_away(&self, syn: &Syn, why: Obstacle) {
        let packet = syn.unreachable(why, self.router);
        let _ = packets::send_whole(&self.whole, *syn.from.ip(), &packet);
    }

    /// Tells a pet why its datagram did not arrive.
    pub(super) fn return_unread(&self, from: SocketAddrV4, to: SocketAddrV4, why: Obstacle) {
        let packet = wire::undelivered(why, self.router, from, to);
        let _ = packets::send_whole(&self.whole, *from.ip(), &packet);
    }

    /// Hands a pet a datagram from the world.
    pub(super) fn hand_in(&self, from: SocketAddrV4, to: SocketAddrV4, content: &[u8]) {
        let header = wire::udp_header(from, to, content);
        let _ = packets::send_as(&self.spoken, *from.ip(), *to.ip(), [&header, content]);
    }

    /// Accepts the next connection.
    pub(super) fn accept(&self) -> Result<TcpStream, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        accept_with(&self.listener, flags).map(Into::into)
    }
}

/// Turns a switch of this thread's network off, if there is one.
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
    packets::turn_on(&socket, Switch::TellsTarget)?;
    Ok(socket.into())
}
