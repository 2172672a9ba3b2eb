//! As much of nf_tables as the way out of a private network needs: a chain of four rules.

use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::NETFILTER;

use super::netlink::{NetlinkRequest, exchange, open};

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACK: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
const NFTABLES: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;

/// The attributes of linux/netfilter/nf_tables.h that are used here, and which libc lacks.
mod attribute {
    pub(super) const LIST_ELEM: u16 = 1;
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const PAYLOAD_DREG: u16 = 1;
    pub(super) const PAYLOAD_BASE: u16 = 2;
    pub(super) const PAYLOAD_OFFSET: u16 = 3;
    pub(super) const PAYLOAD_LEN: u16 = 4;
    pub(super) const META_DREG: u16 = 1;
    pub(super) const META_KEY: u16 = 2;
    pub(super) const META_SREG: u16 = 3;
    pub(super) const BITWISE_SREG: u16 = 1;
    pub(super) const BITWISE_DREG: u16 = 2;
    pub(super) const BITWISE_LEN: u16 = 3;
    pub(super) const BITWISE_MASK: u16 = 4;
    pub(super) const BITWISE_XOR: u16 = 5;
    pub(super) const CMP_SREG: u16 = 1;
    pub(super) const CMP_OP: u16 = 2;
    pub(super) const CMP_DATA: u16 = 3;
    pub(super) const IMMEDIATE_DREG: u16 = 1;
    pub(super) const IMMEDIATE_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const TPROXY_FAMILY: u16 = 1;
    pub(super) const TPROXY_REG_ADDR: u16 = 2;
    pub(super) const TPROXY_REG_PORT: u16 = 3;
}

const TABLE: &str = "petset";
const CHAIN: &str = "egress";

/// Where a field is in the header that it is in, in bytes.
const IP_DESTINATION: u32 = 16;
const TCP_FLAGS: u32 = 13;
const TCP: u8 = libc::IPPROTO_TCP as u8;
const UDP: u8 = libc::IPPROTO_UDP as u8;
/// The TCP flag SYN, and SYN together with ACK.
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

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
    let rules = [
        Rule::default()
            .ip_destination()
            .compare(libc::NFT_CMP_NEQ, &how.host.octets())
            .ip_destination()
            .mask([255, 255, 0, 0])
            .compare(libc::NFT_CMP_EQ, &how.network.octets())
            .verdict(libc::NF_ACCEPT),
        Rule::default()
            .meta(libc::NFT_META_IIF)
            .compare(libc::NFT_CMP_EQ, &how.bridge.to_ne_bytes())
            .meta(libc::NFT_META_L4PROTO)
            .compare(libc::NFT_CMP_EQ, &[TCP])
            .payload(libc::NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, 1)
            .mask([SYN_ACK])
            .compare(libc::NFT_CMP_EQ, &[SYN])
            .verdict(libc::NF_DROP),
        Rule::tproxy(TCP, how.tcp, how.mark),
        Rule::tproxy(UDP, how.udp, how.mark),
    ];
    // Deleting a table that does not exist would be an error, so it is made first.
    let mut messages = vec![
        batch(libc::NFNL_MSG_BATCH_BEGIN),
        new_table(),
        delete_table(),
    ];
    messages.extend([new_table(), new_chain()]);
    let last = rules.len() - 1;
    let rules = rules.into_iter().enumerate();
    messages.extend(rules.map(|(place, rule)| rule.message(place == last)));
    messages.push(batch(libc::NFNL_MSG_BATCH_END));
    exchange(&open(Some(NETFILTER))?, &messages.concat())
}

/// Begins a message with the header that netfilter's messages have beside that of netlink.
fn message(kind: u16, flags: u16, family: i32, resource: u16) -> NetlinkRequest {
    let mut request = NetlinkRequest::new(kind, 0);
    request.0[6..8].copy_from_slice(&flags.to_ne_bytes());
    request.0.extend([family as u8, libc::NFNETLINK_V0 as u8]);
    request.0.extend(resource.to_be_bytes());
    request
}

/// Begins a message about nf_tables.
fn nft_message(kind: i32, flags: u16) -> NetlinkRequest {
    let kind = NFTABLES << 8 | kind as u16;
    message(kind, flags, libc::NFPROTO_IPV4, 0)
}

fn batch(kind: i32) -> Vec<u8> {
    message(kind as u16, REQUEST, libc::AF_UNSPEC, NFTABLES).finish()
}

fn new_table() -> Vec<u8> {
    let mut request = nft_message(libc::NFT_MSG_NEWTABLE, REQUEST | CREATE);
    request.text(attribute::TABLE_NAME, TABLE);
    request.finish()
}

fn delete_table() -> Vec<u8> {
    let mut request = nft_message(libc::NFT_MSG_DELTABLE, REQUEST);
    request.text(attribute::TABLE_NAME, TABLE);
    request.finish()
}

/// The chain sees packets that come in, before their destination decides where they go.
fn new_chain() -> Vec<u8> {
    let mut request = nft_message(libc::NFT_MSG_NEWCHAIN, REQUEST | CREATE);
    request.text(attribute::CHAIN_TABLE, TABLE);
    request.text(attribute::CHAIN_NAME, CHAIN);
    request.nest(attribute::CHAIN_HOOK, |hook| {
        let (number, priority) = (libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_MANGLE);
        hook.put(attribute::HOOK_HOOKNUM, &number.to_be_bytes());
        hook.put(attribute::HOOK_PRIORITY, &priority.to_be_bytes());
    });
    request.text(attribute::CHAIN_TYPE, "filter");
    request.finish()
}

/// A rule that is being put together: what is looked at is in the first register.
#[derive(Default)]
struct Rule {
    expressions: Vec<(&'static str, NetlinkRequest)>,
}

const FIRST: [u8; 4] = libc::NFT_REG_1.to_be_bytes();
const SECOND: [u8; 4] = libc::NFT_REG_2.to_be_bytes();
const VERDICT: [u8; 4] = libc::NFT_REG_VERDICT.to_be_bytes();

impl Rule {
    fn and(mut self, name: &'static str, fill: impl FnOnce(&mut NetlinkRequest)) -> Self {
        let mut expression = NetlinkRequest(Vec::new());
        fill(&mut expression);
        self.expressions.push((name, expression));
        self
    }

    fn payload(self, header: i32, offset: u32, length: u32) -> Self {
        self.and("payload", |it| {
            it.put(attribute::PAYLOAD_DREG, &FIRST);
            it.put(attribute::PAYLOAD_BASE, &header.to_be_bytes());
            it.put(attribute::PAYLOAD_OFFSET, &offset.to_be_bytes());
            it.put(attribute::PAYLOAD_LEN, &length.to_be_bytes());
        })
    }

    fn ip_destination(self) -> Self {
        self.payload(libc::NFT_PAYLOAD_NETWORK_HEADER, IP_DESTINATION, 4)
    }

    fn meta(self, key: i32) -> Self {
        self.and("meta", |it| {
            it.put(attribute::META_KEY, &key.to_be_bytes());
            it.put(attribute::META_DREG, &FIRST);
        })
    }

    fn mask<const N: usize>(self, mask: [u8; N]) -> Self {
        self.and("bitwise", |it| {
            it.put(attribute::BITWISE_SREG, &FIRST);
            it.put(attribute::BITWISE_DREG, &FIRST);
            let length = u32::try_from(N).unwrap_or(0);
            it.put(attribute::BITWISE_LEN, &length.to_be_bytes());
            it.data(attribute::BITWISE_MASK, &mask);
            it.data(attribute::BITWISE_XOR, &[0; N]);
        })
    }

    fn compare(self, how: i32, with: &[u8]) -> Self {
        self.and("cmp", |it| {
            it.put(attribute::CMP_SREG, &FIRST);
            it.put(attribute::CMP_OP, &how.to_be_bytes());
            it.data(attribute::CMP_DATA, with);
        })
    }

    fn load(self, register: [u8; 4], value: &[u8]) -> Self {
        self.and("immediate", |it| {
            it.put(attribute::IMMEDIATE_DREG, &register);
            it.data(attribute::IMMEDIATE_DATA, value);
        })
    }

    fn verdict(self, verdict: i32) -> Self {
        self.and("immediate", |it| {
            it.put(attribute::IMMEDIATE_DREG, &VERDICT);
            it.nest(attribute::IMMEDIATE_DATA, |data| {
                data.nest(attribute::DATA_VERDICT, |code| {
                    code.put(attribute::VERDICT_CODE, &verdict.to_be_bytes());
                });
            });
        })
    }

    /// Delivers the packets of a protocol to a port of 127.0.0.1, whatever their destination.
    fn tproxy(protocol: u8, port: u16, mark: u32) -> Self {
        Self::default()
            .meta(libc::NFT_META_L4PROTO)
            .compare(libc::NFT_CMP_EQ, &[protocol])
            .load(FIRST, &Ipv4Addr::LOCALHOST.octets())
            .load(SECOND, &port.to_be_bytes())
            .and("tproxy", |it| {
                it.put(attribute::TPROXY_FAMILY, &libc::NFPROTO_IPV4.to_be_bytes());
                it.put(attribute::TPROXY_REG_ADDR, &FIRST);
                it.put(attribute::TPROXY_REG_PORT, &SECOND);
            })
            .load(FIRST, &mark.to_ne_bytes())
            .and("meta", |it| {
                it.put(attribute::META_KEY, &libc::NFT_META_MARK.to_be_bytes());
                it.put(attribute::META_SREG, &FIRST);
            })
            .verdict(libc::NF_ACCEPT)
    }

    /// Returns the message that appends the rule; the last one asks for the outcome of all.
    fn message(self, is_last: bool) -> Vec<u8> {
        let flags = if is_last { REQUEST | ACK } else { REQUEST };
        let mut request = nft_message(libc::NFT_MSG_NEWRULE, flags | APPEND);
        request.text(attribute::RULE_TABLE, TABLE);
        request.text(attribute::RULE_CHAIN, CHAIN);
        request.nest(attribute::RULE_EXPRESSIONS, |list| {
            for (name, expression) in self.expressions {
                list.nest(attribute::LIST_ELEM, |element| {
                    element.text(attribute::EXPR_NAME, name);
                    element.nest(attribute::EXPR_DATA, |data| data.0.extend(expression.0));
                });
            }
        });
        request.finish()
    }
}

impl NetlinkRequest {
    /// Adds an attribute that is a value.
    fn data(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |data| data.put(attribute::DATA_VALUE, value));
    }
}
