//! As much of nf_tables as a private network needs: a table with chains, rules and a set.

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
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const SET_TABLE: u16 = 1;
    pub(super) const SET_NAME: u16 = 2;
    pub(super) const SET_KEY_LEN: u16 = 5;
    pub(super) const SET_ID: u16 = 10;
    pub(super) const SET_ELEM_LIST_TABLE: u16 = 1;
    pub(super) const SET_ELEM_LIST_SET: u16 = 2;
    pub(super) const SET_ELEM_LIST_ELEMENTS: u16 = 3;
    pub(super) const SET_ELEM_KEY: u16 = 1;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const PAYLOAD_DREG: u16 = 1;
    pub(super) const PAYLOAD_BASE: u16 = 2;
    pub(super) const PAYLOAD_OFFSET: u16 = 3;
    pub(super) const PAYLOAD_LEN: u16 = 4;
    pub(super) const META_DREG: u16 = 1;
    pub(super) const META_KEY: u16 = 2;
    pub(super) const META_SREG: u16 = 3;
    pub(super) const LOOKUP_SET: u16 = 1;
    pub(super) const LOOKUP_SREG: u16 = 2;
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

/// The name of the table of each family.
const TABLE: &str = "petset";

/// Where in the kernel a chain looks at packets, and what becomes of those that no rule decides.
pub(super) struct Hook {
    pub(super) number: i32,
    pub(super) priority: i32,
    pub(super) policy: i32,
}

/// Changes of the table of one family in this thread's network: all are made, or none.
pub(super) struct Batch {
    family: i32,
    messages: Vec<u8>,
}

impl Batch {
    /// Begins with making the table, unless there is one.
    pub(super) fn new(family: i32) -> Self {
        let messages = message(
            libc::NFNL_MSG_BATCH_BEGIN as u16,
            REQUEST,
            libc::AF_UNSPEC,
            NFTABLES,
        );
        let batch = Self {
            family,
            messages: messages.finish(),
        };
        batch.and(libc::NFT_MSG_NEWTABLE, CREATE, |table| {
            table.text(attribute::TABLE_NAME, TABLE);
        })
    }

    /// Makes the table anew, and empty.
    pub(super) fn cleared(self) -> Self {
        let named = |table: &mut NetlinkRequest| table.text(attribute::TABLE_NAME, TABLE);
        self.and(libc::NFT_MSG_DELTABLE, 0, named)
            .and(libc::NFT_MSG_NEWTABLE, CREATE, named)
    }

    /// Makes a chain of filters, unless there is one.
    pub(super) fn chain(self, name: &str, hook: &Hook) -> Self {
        self.and(libc::NFT_MSG_NEWCHAIN, CREATE, |chain| {
            chain.text(attribute::CHAIN_TABLE, TABLE);
            chain.text(attribute::CHAIN_NAME, name);
            chain.nest(attribute::CHAIN_HOOK, |place| {
                place.put(attribute::HOOK_HOOKNUM, &hook.number.to_be_bytes());
                place.put(attribute::HOOK_PRIORITY, &hook.priority.to_be_bytes());
            });
            chain.put(attribute::CHAIN_POLICY, &hook.policy.to_be_bytes());
            chain.text(attribute::CHAIN_TYPE, "filter");
        })
    }

    /// Gives a chain these rules in place of those that it has.
    pub(super) fn rules(self, chain: &str, rules: impl IntoIterator<Item = Rule>) -> Self {
        let of_chain = |rule: &mut NetlinkRequest| {
            rule.text(attribute::RULE_TABLE, TABLE);
            rule.text(attribute::RULE_CHAIN, chain);
        };
        let emptied = self.and(libc::NFT_MSG_DELRULE, 0, of_chain);
        rules.into_iter().fold(emptied, |batch, rule| {
            batch.and(libc::NFT_MSG_NEWRULE, APPEND, |request| {
                of_chain(request);
                rule.write(request);
            })
        })
    }

    /// Makes a set whose members have this length, unless there is one.
    pub(super) fn set(self, name: &str, length: u32) -> Self {
        self.and(libc::NFT_MSG_NEWSET, CREATE, |set| {
            set.text(attribute::SET_TABLE, TABLE);
            set.text(attribute::SET_NAME, name);
            set.put(attribute::SET_KEY_LEN, &length.to_be_bytes());
            set.put(attribute::SET_ID, &1_u32.to_be_bytes());
        })
    }

    /// Adds a member to a set, unless it is there.
    pub(super) fn member(self, set: &str, member: &[u8]) -> Self {
        self.and(libc::NFT_MSG_NEWSETELEM, CREATE, |request| {
            request.text(attribute::SET_ELEM_LIST_TABLE, TABLE);
            request.text(attribute::SET_ELEM_LIST_SET, set);
            request.nest(attribute::SET_ELEM_LIST_ELEMENTS, |list| {
                list.nest(attribute::LIST_ELEM, |element| {
                    element.nest(attribute::SET_ELEM_KEY, |key| {
                        key.put(attribute::DATA_VALUE, member);
                    });
                });
            });
        })
    }

    fn and(mut self, kind: i32, flags: u16, fill: impl FnOnce(&mut NetlinkRequest)) -> Self {
        let kind = NFTABLES << 8 | kind as u16;
        let mut request = message(kind, REQUEST | flags, self.family, 0);
        fill(&mut request);
        self.messages.extend(request.finish());
        self
    }

    /// Has the kernel make the changes.
    pub(super) fn commit(self) -> io::Result<()> {
        // The last message asks for the outcome of all.
        let mut batch = self.and(libc::NFT_MSG_NEWTABLE, CREATE | ACK, |table| {
            table.text(attribute::TABLE_NAME, TABLE);
        });
        let kind = libc::NFNL_MSG_BATCH_END as u16;
        let end = message(kind, REQUEST, libc::AF_UNSPEC, NFTABLES);
        batch.messages.extend(end.finish());
        exchange(&open(Some(NETFILTER))?, &batch.messages)
    }
}

/// Begins a message with the header that netfilter's messages have beside that of netlink.
fn message(kind: u16, flags: u16, family: i32, resource: u16) -> NetlinkRequest {
    let mut request = NetlinkRequest::new(kind, 0);
    request.0[6..8].copy_from_slice(&flags.to_ne_bytes());
    request.0.extend([family as u8, libc::NFNETLINK_V0 as u8]);
    request.0.extend(resource.to_be_bytes());
    request
}

/// A rule that is being put together: what is compared is in the first register.
#[derive(Default)]
pub(super) struct Rule {
    expressions: Vec<(&'static str, NetlinkRequest)>,
}

/// Registers of 16 bytes, and the verdict.
const FIRST: i32 = libc::NFT_REG_1;
const SECOND: i32 = libc::NFT_REG_2;
const VERDICT: [u8; 4] = libc::NFT_REG_VERDICT.to_be_bytes();

impl Rule {
    fn and(mut self, name: &'static str, fill: impl FnOnce(&mut NetlinkRequest)) -> Self {
        let mut expression = NetlinkRequest(Vec::new());
        fill(&mut expression);
        self.expressions.push((name, expression));
        self
    }

    /// Takes bytes of a header.
    pub(super) fn payload(self, header: i32, offset: u32, length: u32) -> Self {
        self.payload_to(FIRST, (header, offset, length))
    }

    /// Takes bytes of a header, at its place and of this length, to a register.
    pub(super) fn payload_to(
        self,
        register: i32,
        (header, offset, length): (i32, u32, u32),
    ) -> Self {
        self.and("payload", |it| {
            it.put(attribute::PAYLOAD_DREG, &register.to_be_bytes());
            it.put(attribute::PAYLOAD_BASE, &header.to_be_bytes());
            it.put(attribute::PAYLOAD_OFFSET, &offset.to_be_bytes());
            it.put(attribute::PAYLOAD_LEN, &length.to_be_bytes());
        })
    }

    /// Takes what the kernel knows of a packet.
    pub(super) fn meta(self, key: i32) -> Self {
        self.and("meta", |it| {
            it.put(attribute::META_KEY, &key.to_be_bytes());
            it.put(attribute::META_DREG, &FIRST.to_be_bytes());
        })
    }

    /// Clears the bits that are not in a mask.
    pub(super) fn mask<const N: usize>(self, mask: [u8; N]) -> Self {
        self.and("bitwise", |it| {
            it.put(attribute::BITWISE_SREG, &FIRST.to_be_bytes());
            it.put(attribute::BITWISE_DREG, &FIRST.to_be_bytes());
            let length = u32::try_from(N).unwrap_or(0);
            it.put(attribute::BITWISE_LEN, &length.to_be_bytes());
            it.data(attribute::BITWISE_MASK, &mask);
            it.data(attribute::BITWISE_XOR, &[0; N]);
        })
    }

    /// Goes on only if what was taken compares so.
    pub(super) fn compare(self, how: i32, with: &[u8]) -> Self {
        self.and("cmp", |it| {
            it.put(attribute::CMP_SREG, &FIRST.to_be_bytes());
            it.put(attribute::CMP_OP, &how.to_be_bytes());
            it.data(attribute::CMP_DATA, with);
        })
    }

    /// Goes on only if what begins in the first register is in a set.
    pub(super) fn in_set(self, set: &str) -> Self {
        self.and("lookup", |it| {
            it.text(attribute::LOOKUP_SET, set);
            it.put(attribute::LOOKUP_SREG, &FIRST.to_be_bytes());
        })
    }

    fn load(self, register: i32, value: &[u8]) -> Self {
        self.and("immediate", |it| {
            it.put(attribute::IMMEDIATE_DREG, &register.to_be_bytes());
            it.data(attribute::IMMEDIATE_DATA, value);
        })
    }

    /// Decides what becomes of the packet.
    pub(super) fn verdict(self, verdict: i32) -> Self {
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
    pub(super) fn tproxy(protocol: u8, port: u16, mark: u32) -> Self {
        Self::default()
            .meta(libc::NFT_META_L4PROTO)
            .compare(libc::NFT_CMP_EQ, &[protocol])
            .load(FIRST, &Ipv4Addr::LOCALHOST.octets())
            .load(SECOND, &port.to_be_bytes())
            .and("tproxy", |it| {
                it.put(attribute::TPROXY_FAMILY, &libc::NFPROTO_IPV4.to_be_bytes());
                it.put(attribute::TPROXY_REG_ADDR, &FIRST.to_be_bytes());
                it.put(attribute::TPROXY_REG_PORT, &SECOND.to_be_bytes());
            })
            .load(FIRST, &mark.to_ne_bytes())
            .and("meta", |it| {
                it.put(attribute::META_KEY, &libc::NFT_META_MARK.to_be_bytes());
                it.put(attribute::META_SREG, &FIRST.to_be_bytes());
            })
            .verdict(libc::NF_ACCEPT)
    }

    /// Adds its expressions to the message that makes it.
    fn write(self, request: &mut NetlinkRequest) {
        request.nest(attribute::RULE_EXPRESSIONS, |list| {
            for (name, expression) in self.expressions {
                list.nest(attribute::LIST_ELEM, |element| {
                    element.text(attribute::EXPR_NAME, name);
                    element.nest(attribute::EXPR_DATA, |data| data.0.extend(expression.0));
                });
            }
        });
    }
}

impl NetlinkRequest {
    /// Adds an attribute that is a value.
    fn data(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |data| data.put(attribute::DATA_VALUE, value));
    }
}
