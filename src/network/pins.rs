//! Which addresses a pet may send from: its own, by its own port of the bridge.
//!
//! Root of a pet can write packets with any source. The bridge takes none but those whose hardware
//! address and IPv4 address belong to the port that they come in by, so that whoever receives one
//! knows from its source which pet has sent it: the egress relay, the name server, other pets. All
//! ports are one set of the kernel's, which a pet is added to before it is attached. Its place in
//! the network is always the same, so it is never removed from there. A kernel without nf_tables
//! for bridges gets a program at each port, which says the same.

use std::io;
use std::net::Ipv4Addr;

use super::netfilter::{Batch, Hook, Rule};
use super::netlink::{Netlink, device};
use crate::sys::packets::{Instruction, bpf};

const SET: &str = "ports";
/// The longest name of a device, with the zero at its end.
const NAME: usize = 16;
/// What a member consists of, each part a multiple of 4 bytes: the port's name, the hardware
/// address and the IPv4 address.
const MEMBER: usize = NAME + 8 + 4;
/// The registers behind the first one, which are at those parts.
const HARDWARE: i32 = libc::NFT_REG32_04;
const ADDRESS: i32 = libc::NFT_REG32_06;

/// Places in headers: the header, the offset and the length.
const SENDER: (i32, u32, u32) = (libc::NFT_PAYLOAD_LL_HEADER, 6, 6);
const IP_SOURCE: (i32, u32, u32) = (libc::NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
const ARP_HARDWARE: (i32, u32, u32) = (libc::NFT_PAYLOAD_NETWORK_HEADER, 8, 6);
const ARP_ADDRESS: (i32, u32, u32) = (libc::NFT_PAYLOAD_NETWORK_HEADER, 14, 4);
/// The beginning of the addresses of frames that the bridge does not pass on, but learns from.
const LINK_LOCAL: [u8; 5] = [0x01, 0x80, 0xc2, 0, 0];

/// What a program returns: it lets a frame pass, or drops it.
const PASS: u32 = 0;
const DROP: u32 = 2;

/// The way in which addresses are pinned to ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pins {
    /// By a filter of nf_tables for all ports.
    Set,
    /// By a program at each port.
    Programs,
}

/// A port of the bridge, and the addresses of the pet that is there.
#[derive(Debug)]
pub(super) struct BridgePort {
    pub(super) name: String,
    pub(super) hardware: [u8; 6],
    pub(super) ip: Ipv4Addr,
}

impl Pins {
    /// Has the bridge of this thread's network take nothing from ports that are not known, or finds
    /// out that each port can have a program.
    pub(super) fn make(bridge: u32) -> io::Result<Self> {
        let Err(no_set) = make_set() else {
            return Ok(Self::Set);
        };
        let netlink = Netlink::open()?;
        let tried = netlink.filter_incoming(bridge, &[(bpf::RETURN, 0, 0, PASS)]);
        let tried = tried.and_then(|()| netlink.remove_filters(bridge));
        tried.map_err(|no_program| {
            let why = format!("nf_tables of bridges: {no_set}; traffic control: {no_program}");
            io::Error::other(why)
        })?;
        Ok(Self::Programs)
    }

    /// Makes a port of this thread's network known that is about to be made.
    pub(super) fn prepare(self, port: &BridgePort) -> io::Result<()> {
        match self {
            Self::Set => Batch::new(libc::NFPROTO_BRIDGE)
                .member(SET, &member(port))
                .commit(),
            Self::Programs => Ok(()),
        }
    }

    /// Pins the addresses to a port that has been made, before anything is sent by it.
    pub(super) fn finish(self, port: &BridgePort) -> io::Result<()> {
        match self {
            Self::Set => Ok(()),
            Self::Programs => {
                let device = device(&port.name)?;
                Netlink::open()?.filter_incoming(device, &program(port))
            }
        }
    }
}

/// Makes the set, whose members stay if a process before this one has added some, and the rules.
fn make_set() -> io::Result<()> {
    let own = |protocol: i32| {
        Rule::default()
            .meta(libc::NFT_META_PROTOCOL)
            .compare(libc::NFT_CMP_EQ, &(protocol as u16).to_be_bytes())
            .meta(libc::NFT_META_IIFNAME)
            .payload_to(HARDWARE, SENDER)
    };
    let arp = own(libc::ETH_P_ARP)
        .payload_to(ADDRESS, ARP_ADDRESS)
        .in_set(SET)
        .payload_to(HARDWARE, ARP_HARDWARE)
        .in_set(SET)
        .verdict(libc::NF_ACCEPT);
    let ip = own(libc::ETH_P_IP)
        .payload_to(ADDRESS, IP_SOURCE)
        .in_set(SET)
        .verdict(libc::NF_ACCEPT);
    let link_local = Rule::default()
        .payload(libc::NFT_PAYLOAD_LL_HEADER, 0, 5)
        .compare(libc::NFT_CMP_EQ, &LINK_LOCAL)
        .verdict(libc::NF_DROP);
    let hook = |number, policy| Hook {
        number,
        priority: libc::NF_BR_PRI_FILTER_BRIDGED,
        policy,
    };
    Batch::new(libc::NFPROTO_BRIDGE)
        .set(SET, u32::try_from(MEMBER).unwrap_or(0))
        .chain("ports", &hook(libc::NF_BR_PRE_ROUTING, libc::NF_DROP))
        .chain("own", &hook(libc::NF_BR_LOCAL_IN, libc::NF_ACCEPT))
        .rules("ports", [ip, arp])
        .rules("own", [link_local])
        .commit()
}

fn member(port: &BridgePort) -> Vec<u8> {
    let mut member = port.name.as_bytes().to_vec();
    member.resize(NAME, 0);
    member.extend(port.hardware);
    member.extend([0, 0]);
    member.extend(port.ip.octets());
    member
}

/// Returns the program that lets pass what comes from these addresses, as IPv4 or ARP.
fn program(port: &BridgePort) -> [Instruction; 17] {
    let [a, b, c, d, e, f] = port.hardware;
    let first = u32::from_be_bytes([a, b, c, d]);
    let last = u32::from(u16::from_be_bytes([e, f]));
    let ip = u32::from(port.ip);
    [
        (bpf::LOAD_WORD, 0, 0, 6),
        (bpf::IF_EQUAL, 0, 14, first),
        (bpf::LOAD_HALF, 0, 0, 10),
        (bpf::IF_EQUAL, 0, 12, last),
        (bpf::LOAD_HALF, 0, 0, 12),
        (bpf::IF_EQUAL, 0, 2, libc::ETH_P_IP as u32),
        (bpf::LOAD_WORD, 0, 0, 14 + 12),
        (bpf::IF_EQUAL, 7, 8, ip),
        (bpf::IF_EQUAL, 0, 7, libc::ETH_P_ARP as u32),
        (bpf::LOAD_WORD, 0, 0, 14 + 8),
        (bpf::IF_EQUAL, 0, 5, first),
        (bpf::LOAD_HALF, 0, 0, 14 + 12),
        (bpf::IF_EQUAL, 0, 3, last),
        (bpf::LOAD_WORD, 0, 0, 14 + 14),
        (bpf::IF_EQUAL, 0, 1, ip),
        (bpf::RETURN, 0, 0, PASS),
        (bpf::RETURN, 0, 0, DROP),
    ]
}
