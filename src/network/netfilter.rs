//! As much of nf_tables as the way out of a private network needs: a chain of four rules.

use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::NETFILTER;

use super::netlink::{Request, open, tell};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// The subsystem's number, in the high byte of the kind of a message.
const TABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = TABLES;
const DELETE_TABLE: u16 = TABLES + 2;
const NEW_CHAIN: u16 = TABLES + 3;
const NEW_RULE: u16 = TABLES + 6;
/// REQUEST alone, and with an answer.
const REQUEST: u16 = 1;
const ANSWERED: u16 = 5;
/// CREATE | APPEND.
const APPEND: u16 = 0xc00;
const CREATE: u16 = 0x400;
const IPV4: u8 = 2;
/// Where packets that come in are seen first, before conntrack's own place there matters.
const PREROUTING: u32 = 0;
const PRIORITY: i32 = -150;

const TABLE: &str = "petset";
const CHAIN: &str = "egress";

const ACCEPT: i32 = 1;
const DROP: i32 = 0;
/// Equal, and not equal.
const IS: u32 = 0;
const IS_NOT: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const META_MARK: u32 = 3;
const META_IN: u32 = 4;
const META_PROTOCOL: u32 = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;

/// What is done with packets of pets that want to leave their network.
#[derive(Debug)]
pub(super) struct Diversion {
    /// The bridge that pets are attached to.
    pub(super) bridge: u32,
    /// The network of 16 bits that stays out of it, but for one address.
    pub(super) network: Ipv4Addr,
    pub(super) host: Ipv4Addr,
    /// The ports of 127.0.0.1 where connections and datagrams come out.
    pub(super) tcp: u16,
    pub(super) udp: u16,
    /// What is marked so is routed to here.
    pub(super) mark: u32,
}

/// Makes a diversion the only one in this thread's network.
///
/// What begins a connection is dropped where it comes from a pet: who watches the bridge has seen
/// it, and lets it in by the loopback device when the other end has been reached.
pub(super) fn divert(how: &Diversion) -> io::Result<()> {
    let rules = [
        Rule::default()
            .network_field(16, 4)
            .compare(IS_NOT, &how.host.octets())
            .network_field(16, 4)
            .mask([255, 255, 0, 0])
            .compare(IS, &how.network.octets())
            .verdict(ACCEPT),
        Rule::default()
            .meta(META_IN)
            .compare(IS, &how.bridge.to_ne_bytes())
            .meta(META_PROTOCOL)
            .compare(IS, &[TCP])
            .field(TRANSPORT_HEADER, 13, 1)
            .mask([SYN_ACK])
            .compare(IS, &[SYN])
            .verdict(DROP),
        Rule::taking_in(TCP, how.tcp, how.mark),
        Rule::taking_in(UDP, how.udp, how.mark),
    ];
    // Deleting what is not there would be an error, so it is made first.
    let mut messages = vec![batch(BATCH_BEGIN), table(NEW_TABLE), table(DELETE_TABLE)];
    messages.extend([table(NEW_TABLE), chain()]);
    let last = rules.len() - 1;
    let rules = rules.into_iter().enumerate();
    messages.extend(rules.map(|(place, rule)| rule.message(place == last)));
    messages.push(batch(BATCH_END));
    tell(&open(Some(NETFILTER))?, &messages.concat())
}

fn message(kind: u16, flags: u16, family: u8, about: u16) -> Request {
    let mut request = Request::new(kind, 0);
    request.0[6..8].copy_from_slice(&flags.to_ne_bytes());
    request.0.extend([family, 0]);
    request.0.extend(about.to_be_bytes());
    request
}

fn batch(kind: u16) -> Vec<u8> {
    message(kind, REQUEST, 0, TABLES >> 8).finish()
}

fn table(kind: u16) -> Vec<u8> {
    let flags = if kind == NEW_TABLE { CREATE } else { 0 };
    let mut request = message(kind, REQUEST | flags, IPV4, 0);
    request.text(1, TABLE);
    request.finish()
}

fn chain() -> Vec<u8> {
    let mut request = message(NEW_CHAIN, REQUEST | CREATE, IPV4, 0);
    request.text(1, TABLE);
    request.text(3, CHAIN);
    request.nest(4, |hook| {
        hook.put(1, &PREROUTING.to_be_bytes());
        hook.put(2, &PRIORITY.to_be_bytes());
    });
    request.text(7, "filter");
    request.finish()
}

/// A rule that is being put together: what is looked at is in the first register.
#[derive(Default)]
struct Rule {
    expressions: Vec<(&'static str, Request)>,
}

const FIRST: [u8; 4] = 1_u32.to_be_bytes();
const SECOND: [u8; 4] = 2_u32.to_be_bytes();
const VERDICT: [u8; 4] = 0_u32.to_be_bytes();

impl Rule {
    fn and(mut self, name: &'static str, fill: impl FnOnce(&mut Request)) -> Self {
        let mut expression = Request(Vec::new());
        fill(&mut expression);
        self.expressions.push((name, expression));
        self
    }

    fn field(self, header: u32, offset: u32, length: u32) -> Self {
        self.and("payload", |it| {
            it.put(1, &FIRST);
            it.put(2, &header.to_be_bytes());
            it.put(3, &offset.to_be_bytes());
            it.put(4, &length.to_be_bytes());
        })
    }

    fn network_field(self, offset: u32, length: u32) -> Self {
        self.field(NETWORK_HEADER, offset, length)
    }

    fn meta(self, key: u32) -> Self {
        self.and("meta", |it| {
            it.put(2, &key.to_be_bytes());
            it.put(1, &FIRST);
        })
    }

    fn mask<const N: usize>(self, mask: [u8; N]) -> Self {
        self.and("bitwise", |it| {
            it.put(1, &FIRST);
            it.put(2, &FIRST);
            it.put(3, &u32::try_from(N).unwrap_or(0).to_be_bytes());
            it.nest(4, |value| value.put(1, &mask));
            it.nest(5, |value| value.put(1, &[0; N]));
        })
    }

    fn compare(self, how: u32, with: &[u8]) -> Self {
        self.and("cmp", |it| {
            it.put(1, &FIRST);
            it.put(2, &how.to_be_bytes());
            it.nest(3, |value| value.put(1, with));
        })
    }

    fn load(self, register: [u8; 4], value: &[u8]) -> Self {
        self.and("immediate", |it| {
            it.put(1, &register);
            it.nest(2, |wrapped| wrapped.put(1, value));
        })
    }

    fn verdict(self, verdict: i32) -> Self {
        self.and("immediate", |it| {
            it.put(1, &VERDICT);
            it.nest(2, |wrapped| {
                wrapped.nest(2, |value| value.put(1, &verdict.to_be_bytes()));
            });
        })
    }

    /// Gives what is of one protocol to who listens for it at 127.0.0.1, whatever its address.
    fn taking_in(protocol: u8, port: u16, mark: u32) -> Self {
        Self::default()
            .meta(META_PROTOCOL)
            .compare(IS, &[protocol])
            .load(FIRST, &Ipv4Addr::LOCALHOST.octets())
            .load(SECOND, &port.to_be_bytes())
            .and("tproxy", |it| {
                it.put(1, &u32::from(IPV4).to_be_bytes());
                it.put(2, &FIRST);
                it.put(3, &SECOND);
            })
            .load(FIRST, &mark.to_ne_bytes())
            .and("meta", |it| {
                it.put(2, &META_MARK.to_be_bytes());
                it.put(3, &FIRST);
            })
            .verdict(ACCEPT)
    }

    fn message(self, answered: bool) -> Vec<u8> {
        let flags = if answered { ANSWERED } else { REQUEST };
        let mut request = message(NEW_RULE, flags | APPEND, IPV4, 0);
        request.text(1, TABLE);
        request.text(2, CHAIN);
        request.nest(4, |list| {
            for (name, expression) in self.expressions {
                list.nest(1, |element| {
                    element.text(1, name);
                    element.nest(2, |content| content.0.extend(expression.0));
                });
            }
        });
        request.finish()
    }
}
