//! The client's side of the wire format: a question as bytes, and the reply to it as a value.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question as WireQuestion, RCODE,
    ResourceRecord, TYPE,
};

use super::answer::{DnsRecord, Question, RecordData, RecordType};
use super::lookup::Lookup;
use crate::problem::{Problem, Result};

/// The reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerReply {
    Answer(Lookup),
    /// The reply is longer than UDP can carry.
    Truncated,
    /// The server fails or refuses; the word is the name of the response code.
    Failed(&'static str),
}

/// Writes a query. Recursion is not asked for.
pub(crate) fn query(id: u16, question: &Question) -> Result<Vec<u8>> {
    let fault = || Problem::invalid(format!("{:?} is not a DNS name", question.name));
    let name = Name::new(&question.name).map_err(|_| fault())?;
    let mut packet = Packet::new_query(id);
    let asked = WireQuestion::new(
        name,
        type_of(question.kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    );
    packet.questions.push(asked);
    Ok(packet.build_bytes_vec().map_err(|_| fault())?)
}

fn type_of(kind: RecordType) -> QTYPE {
    QTYPE::TYPE(match kind {
        RecordType::A => TYPE::A,
        RecordType::Aaaa => TYPE::AAAA,
        RecordType::Srv => TYPE::SRV,
        RecordType::Ptr => TYPE::PTR,
        RecordType::Cname => TYPE::CNAME,
        RecordType::Txt => TYPE::TXT,
        RecordType::Ns => TYPE::NS,
        RecordType::Soa => TYPE::SOA,
        RecordType::Any => return QTYPE::ANY,
        RecordType::Other(code) => TYPE::Unknown(code),
    })
}

/// Reads a reply; `None` where it is not one to the query with this id.
pub(crate) fn read_reply(bytes: &[u8], id: u16) -> Option<ServerReply> {
    let packet = Packet::parse(bytes).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(ServerReply::Truncated);
    }
    let failed = match packet.rcode() {
        RCODE::NoError => None,
        RCODE::NameError => return Some(ServerReply::Answer(Lookup::NxDomain)),
        RCODE::ServerFailure => Some("SERVFAIL"),
        RCODE::Refused => Some("REFUSED"),
        RCODE::FormatError => Some("FORMERR"),
        RCODE::NotImplemented => Some("NOTIMP"),
        RCODE::YXDOMAIN
        | RCODE::YXRRSET
        | RCODE::NXRRSET
        | RCODE::NOTAUTH
        | RCODE::NOTZONE
        | RCODE::BADVERS
        | RCODE::Reserved => Some("an error"),
    };
    if let Some(word) = failed {
        return Some(ServerReply::Failed(word));
    }
    let records: Vec<DnsRecord> = packet.answers.iter().filter_map(record).collect();
    let found = if records.is_empty() {
        Lookup::NoData
    } else {
        Lookup::Found(records)
    };
    Some(ServerReply::Answer(found))
}

/// Reads a record; `None` for types that petset does not know.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "there are dozens of kinds, and petset serves eight"
)]
fn record(record: &ResourceRecord<'_>) -> Option<DnsRecord> {
    let value = match &record.rdata {
        RData::A(a) => RecordData::A(Ipv4Addr::from(a.address)),
        RData::AAAA(aaaa) => RecordData::Aaaa(Ipv6Addr::from(aaaa.address)),
        RData::SRV(srv) => RecordData::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_string(),
        },
        RData::PTR(ptr) => RecordData::Ptr(ptr.0.to_string()),
        RData::CNAME(cname) => RecordData::Cname(cname.0.to_string()),
        RData::NS(ns) => RecordData::Ns(ns.0.to_string()),
        RData::TXT(txt) => RecordData::Txt(String::try_from(txt.clone()).ok()?),
        RData::SOA(soa) => RecordData::Soa {
            server: soa.mname.to_string(),
            mailbox: soa.rname.to_string(),
            serial: soa.serial,
        },
        _ => return None,
    };
    Some(DnsRecord {
        name: record.name.to_string(),
        ttl: record.ttl,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::super::index::Zone;
    use super::super::message::{Transport, answer};
    use super::*;

    fn asked(name: &str, kind: RecordType) -> ServerReply {
        let zone = Zone::new("cluster.local", []);
        let question = query(7, &Question::new(name, kind)).unwrap();
        let bytes = answer(&zone, &question, Transport::Udp).unwrap();
        assert_eq!(read_reply(&bytes, 8), None);
        read_reply(&bytes, 7).unwrap()
    }

    #[test]
    fn what_our_own_server_says_is_understood() {
        let ServerReply::Answer(Lookup::Found(found)) =
            asked("dns-version.cluster.local", RecordType::Txt)
        else {
            panic!("no answer");
        };
        assert_eq!(found[0].value.to_string(), "\"1.1.0\"");
        let nothing = ServerReply::Answer(Lookup::NoData);
        assert_eq!(asked("dns-version.cluster.local", RecordType::A), nothing);
        let unknown = ServerReply::Answer(Lookup::NxDomain);
        assert_eq!(asked("nope.cluster.local", RecordType::Any), unknown);
        assert_eq!(
            asked("example.com", RecordType::A),
            ServerReply::Failed("REFUSED")
        );
    }
}
