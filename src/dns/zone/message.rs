//! The server's side of the wire format: a query is read, put to the zone, and answered.
//!
//! simple-dns reads and writes the packets. It refuses record types and classes that it has no
//! name for, which a server must answer nevertheless, so those four bytes are read here.

use simple_dns::rdata::{A, AAAA, CNAME, NS, OPT, PTR, RData, SOA, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord, TYPE};

use super::answer::{Answer, DnsRecord, Question, RecordData, RecordType, ResponseCode, SOA_TIMES};
use super::forwarded::Forwarded;
use super::index::Zone;
use super::wire::{HEADER, RESPONSE, end_of_name, write_within};

/// How a query came, which decides how long its reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dns) enum Transport {
    Udp,
    Tcp,
}

/// The size of a reply that every client can take by UDP.
const PLAIN_UDP: u16 = 512;
/// The size of a reply that passes any network in one piece.
const LARGEST_UDP: u16 = 1232;
/// The least that a record takes: a pointer to its name, the fixed part, and an address.
const LEAST_RECORD: usize = 16;
/// More records than a question has any use for.
const MOST_RECORDS_ASKED: u16 = 16;

const FORMAT_ERROR: u8 = 1;
const NOT_IMPLEMENTED: u8 = 4;
const OPCODE_AND_RD: u8 = 0b0111_1001;
const RECURSION_DESIRED: u8 = 1;
const RESERVED: u8 = 0b0100_0000;
const CLASS_IN: u16 = 1;
/// Type A, class IN: what simple-dns reads in the place of what was asked.
const KNOWN: [u8; 4] = [0, 1, 0, 1];
/// Not for questions: transfers of the zone, whole or in part.
const TRANSFERS: [u16; 2] = [251, 252];

/// What is to be done about a query.
pub(in crate::dns) enum QueryOutcome {
    Ready(Vec<u8>),
    /// Another server has to be asked first.
    Forward(Forwarded),
}

/// Answers a query without forwarding it; `None` where it is a fragment or a reply.
#[cfg(test)]
pub(super) fn answer(zone: &Zone, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    match consider(zone, query, transport, false)? {
        QueryOutcome::Ready(reply) => Some(reply),
        QueryOutcome::Forward(forwarded) => Some(forwarded.own_reply()),
    }
}

/// Answers a query, or says how to forward it, which is done only if it `may` be. `None` where it
/// is a fragment or a reply.
pub(in crate::dns) fn consider(
    zone: &Zone,
    query: &[u8],
    transport: Transport,
    may: bool,
) -> Option<QueryOutcome> {
    let is_query = query.len() >= HEADER && query[2] & RESPONSE == 0;
    if !is_query {
        return None;
    }
    if query[2] & OPCODE_AND_RD & !1 != 0 {
        return Some(QueryOutcome::Ready(refusal(query, NOT_IMPLEMENTED)));
    }
    let may = may && query[2] & RECURSION_DESIRED != 0;
    let reply =
        ParsedQuery::read(query).and_then(|asked| asked.answer(zone, query, transport, may));
    Some(reply.unwrap_or_else(|| QueryOutcome::Ready(refusal(query, FORMAT_ERROR))))
}

/// Returns the reply to a query that is not understood, which has nothing but its id.
fn refusal(query: &[u8], code: u8) -> Vec<u8> {
    let mut reply = vec![0; HEADER];
    reply[..2].copy_from_slice(&query[..2]);
    reply[2] = RESPONSE | (query[2] & OPCODE_AND_RD);
    reply[3] = code;
    reply
}

/// A query, with one question.
struct ParsedQuery {
    /// The message, with a type and a class that simple-dns knows.
    message: Vec<u8>,
    /// Where the type and the class are, in the reply too.
    at: usize,
    /// The type and the class as they were asked.
    asked: [u8; 4],
}

impl ParsedQuery {
    fn read(query: &[u8]) -> Option<Self> {
        let count = |at: usize| u16::from_be_bytes([query[at], query[at + 1]]);
        let others = [6, 8, 10]
            .map(count)
            .into_iter()
            .try_fold(0u16, u16::checked_add)?;
        if count(4) != 1 || others > MOST_RECORDS_ASKED {
            return None;
        }
        let at = end_of_name(query)?;
        let asked = query.get(at..at + 4)?.try_into().ok()?;
        let mut message = query.to_vec();
        message[3] &= !RESERVED;
        message[at..at + 4].copy_from_slice(&KNOWN);
        Some(Self { message, at, asked })
    }

    fn kind(&self) -> u16 {
        u16::from_be_bytes([self.asked[0], self.asked[1]])
    }

    fn class(&self) -> u16 {
        u16::from_be_bytes([self.asked[2], self.asked[3]])
    }

    fn answer(
        &self,
        zone: &Zone,
        message: &[u8],
        transport: Transport,
        may: bool,
    ) -> Option<QueryOutcome> {
        let query = Packet::parse(&self.message).ok()?;
        let mut more = query.additional_records.iter();
        if more.any(|record| matches!(record.rdata, RData::OPT(_))) {
            return None;
        }
        let room = room_for(transport, query.opt());
        let answer = self.ask(zone, &query, room / LEAST_RECORD + 1)?;
        let is_ours = self.class() != CLASS_IN || TRANSFERS.contains(&self.kind());
        if may && !is_ours && answer.status == ResponseCode::Refused {
            return Some(QueryOutcome::Forward(Forwarded::whole(message)));
        }
        let mut reply = reply_to(&query);
        if query.opt().is_some_and(|opt| opt.version != 0) {
            *reply.rcode_mut() = RCODE::BADVERS;
        } else {
            fill(&mut reply, &answer);
        }
        let mut bytes = write_within(reply, room)?;
        bytes[self.at..self.at + 4].copy_from_slice(&self.asked);
        let alias = open_alias(&answer).filter(|_| may);
        let kind = TYPE::from(self.kind());
        Some(
            match alias.filter(|_| !matches!(kind, TYPE::CNAME | TYPE::Unknown(_))) {
                None => QueryOutcome::Ready(bytes),
                Some(target) => match Forwarded::behind(bytes.clone(), target, kind, room) {
                    Some(forwarded) => QueryOutcome::Forward(forwarded),
                    None => QueryOutcome::Ready(bytes),
                },
            },
        )
    }

    fn ask(&self, zone: &Zone, query: &Packet<'_>, most: usize) -> Option<Answer> {
        if self.class() != CLASS_IN || TRANSFERS.contains(&self.kind()) {
            return Some(Answer::bare(ResponseCode::Refused));
        }
        let name = query.questions.first()?.qname.to_string();
        let question = Question::new(name, RecordType::from_code(self.kind()));
        Some(zone.answer(&question, most))
    }
}

/// Returns the alias that an answer ends with, if its own records are not there.
fn open_alias(answer: &Answer) -> Option<&str> {
    match &answer.answers.last()?.value {
        RecordData::Cname(target) => Some(target),
        RecordData::A(_)
        | RecordData::Aaaa(_)
        | RecordData::Srv { .. }
        | RecordData::Ptr(_)
        | RecordData::Txt(_)
        | RecordData::Ns(_)
        | RecordData::Soa { .. } => None,
    }
}

fn room_for(transport: Transport, opt: Option<&OPT>) -> usize {
    let size = match (transport, opt) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_UDP,
        (Transport::Udp, Some(opt)) => opt.udp_packet_size.clamp(PLAIN_UDP, LARGEST_UDP),
    };
    usize::from(size)
}

/// Begins the reply: the question, and EDNS where it was used.
fn reply_to<'a>(query: &Packet<'a>) -> Packet<'a> {
    let mut reply = Packet::new_reply(query.id());
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    reply.questions.clone_from(&query.questions);
    *reply.opt_mut() = query.opt().map(|_| OPT {
        opt_codes: Vec::new(),
        udp_packet_size: LARGEST_UDP,
        version: 0,
    });
    reply
}

fn fill<'a>(reply: &mut Packet<'a>, answer: &'a Answer) {
    *reply.rcode_mut() = match answer.status {
        ResponseCode::NoError => RCODE::NoError,
        ResponseCode::NxDomain => RCODE::NameError,
        ResponseCode::ServFail => RCODE::ServerFailure,
        ResponseCode::Refused => RCODE::Refused,
    };
    if matches!(
        answer.status,
        ResponseCode::NoError | ResponseCode::NxDomain
    ) {
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    }
    reply.answers = records(&answer.answers);
    reply.name_servers = records(&answer.authority);
    reply.additional_records = records(&answer.additional);
}

/// Writes records, leaving out those whose names are too long for DNS.
fn records(records: &[DnsRecord]) -> Vec<ResourceRecord<'_>> {
    let written = records.iter().filter_map(|record| {
        let name = Name::new(&record.name).ok()?;
        let value = rdata(&record.value)?;
        Some(ResourceRecord::new(name, CLASS::IN, record.ttl, value))
    });
    written.collect()
}

fn rdata(value: &RecordData) -> Option<RData<'_>> {
    let name = |text| Name::new(text).ok();
    Some(match value {
        RecordData::A(ip) => RData::A(A::from(*ip)),
        RecordData::Aaaa(ip) => RData::AAAA(AAAA::from(*ip)),
        RecordData::Ptr(target) => RData::PTR(PTR(name(target)?)),
        RecordData::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        RecordData::Ns(target) => RData::NS(NS(name(target)?)),
        RecordData::Txt(text) => RData::TXT(TXT::new().with_string(text).ok()?),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => RData::SRV(SRV {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: name(target)?,
        }),
        RecordData::Soa {
            server,
            mailbox,
            serial,
        } => {
            let (refresh, retry, expire, minimum) = SOA_TIMES;
            let (mname, rname, serial) = (name(server)?, name(mailbox)?, *serial);
            RData::SOA(SOA {
                mname,
                rname,
                serial,
                refresh,
                retry,
                expire,
                minimum,
            })
        }
    })
}
