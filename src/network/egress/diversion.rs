//! The rules by which the packets that leave a private network come to the relay.

use std::io;
use std::net::Ipv4Addr;

use super::packet::{ACK, SYN, TCP, TCP_FLAGS_AT, UDP};
use crate::network::netfilter::{Batch, Hook, Rule};

const CHAIN: &str = "egress";
/// Where the destination is in an IP header, in bytes.
const IP_DESTINATION: u32 = 16;

/// Which packets leave the private network, and the sockets that they are delivered to.
#[derive(Debug)]
pub(super) struct Diversion {
    /// The bridge that pets are attached to.
    pub(super) bridge: u32,
    /// The network of 16 bits whose packets stay inside, but for those to `host`.
    pub(super) network: Ipv4Addr,
    pub(super) host: Ipv4Addr,
    /// The ports of the listener and of the UDP socket at 127.0.0.1.
    pub(super) tcp: u16,
    pub(super) udp: u16,
    /// The firewall mark by which packets are delivered here.
    pub(super) mark: u32,
}

/// Makes a diversion the only one in this thread's network.
///
/// The SYN of a pet is dropped when it comes by the bridge: the egress relay has seen it there, and
/// lets it in by the loopback device when the other end has accepted.
pub(super) fn divert(how: &Diversion) -> io::Result<()> {
    let destination =
        |rule: Rule| rule.payload(libc::NFT_PAYLOAD_NETWORK_HEADER, IP_DESTINATION, 4);
    let rules = [
        destination(destination(Rule::default()).compare(libc::NFT_CMP_NEQ, &how.host.octets()))
            .mask([255, 255, 0, 0])
            .compare(libc::NFT_CMP_EQ, &how.network.octets())
            .verdict(libc::NF_ACCEPT),
        Rule::default()
            .meta(libc::NFT_META_IIF)
            .compare(libc::NFT_CMP_EQ, &how.bridge.to_ne_bytes())
            .meta(libc::NFT_META_L4PROTO)
            .compare(libc::NFT_CMP_EQ, &[TCP])
            .payload(libc::NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_AT, 1)
            .mask([SYN | ACK])
            .compare(libc::NFT_CMP_EQ, &[SYN])
            .verdict(libc::NF_DROP),
        Rule::tproxy(TCP, how.tcp, how.mark),
        Rule::tproxy(UDP, how.udp, how.mark),
    ];
    // The chain sees packets that come in, before their destination decides where they go.
    let before_routing = Hook {
        number: libc::NF_INET_PRE_ROUTING,
        priority: libc::NF_IP_PRI_MANGLE,
        policy: libc::NF_ACCEPT,
    };
    Batch::new(libc::NFPROTO_IPV4)
        .cleared()
        .chain(CHAIN, &before_routing)
        .rules(CHAIN, rules)
        .commit()
}
