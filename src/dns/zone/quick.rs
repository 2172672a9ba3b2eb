//! A shortcut for the most frequent query, the address of one pet: it is answered without parsing
//! the whole message. All other queries are left to [`message`](super::message), and both give the
//! same answers.
//!
//! It takes 0.4 µs in the place of 1.9 µs with 10 pets, and 1.5 µs in the place of 3.6 µs with
//! 10,000, beside some 5 µs that the kernel needs to receive and send: a quarter of all CPU time
//! (`benches/dns.rs`, with EDNS and without).

use std::net::IpAddr;

use super::answer::TTL;
use super::arpa;
use super::index::Zone;
use super::wire::HEADER;
use crate::model::endpoints::ServiceKind;

/// The size of a reply that every client can take by UDP.
pub(in crate::dns) const ROOM: usize = 512;
const RECURSION_DESIRED: u8 = 1;
const RESPONSE_WITH_AUTHORITY: u8 = 0b1000_0100;
/// One question and nothing else.
const ONE_QUESTION: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
/// Type A, class IN.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];
/// The name that was asked for, by a pointer to it, type A, class IN.
const OWNER: [u8; 6] = [0xc0, 12, 0, 1, 0, 1];
const LONGEST_NAME: usize = 255;

/// Writes the reply into `reply` and returns its length; `None` where the query is not of this
/// kind, or there is no such pet.
pub(in crate::dns) fn answer(zone: &Zone, query: &[u8], reply: &mut [u8; ROOM]) -> Option<usize> {
    let plain = query.get(2)? & !RECURSION_DESIRED == 0 && query.get(4..HEADER)? == ONE_QUESTION;
    let mut buffer = [0; LONGEST_NAME];
    let (name, end) = read_name(query, &mut buffer).filter(|_| plain)?;
    if query.get(end..)? != ADDRESS {
        return None;
    }
    let below = arpa::below(name, zone.domain())?.strip_suffix(".svc")?;
    let (host, service) = below.split_once('.')?;
    let node = zone.services.get(service).filter(|_| zone.is_loaded())?;
    if matches!(node.record.kind, ServiceKind::ExternalName { .. }) || host.starts_with('_') {
        return None;
    }
    let mut length = end + ADDRESS.len();
    reply.get_mut(..length)?.copy_from_slice(query);
    let mut count = 0_u16;
    for ip in node.addresses_of(host)? {
        let IpAddr::V4(ip) = ip else { continue };
        let parts = [&OWNER[..], &TTL.to_be_bytes(), &[0, 4], &ip.octets()];
        for part in parts {
            reply
                .get_mut(length..length + part.len())?
                .copy_from_slice(part);
            length += part.len();
        }
        count += 1;
    }
    reply[2] |= RESPONSE_WITH_AUTHORITY;
    reply[3] = 0;
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    (count > 0).then_some(length)
}

/// Reads the name asked for, in lower case, and where it ends.
fn read_name<'b>(query: &[u8], buffer: &'b mut [u8; LONGEST_NAME]) -> Option<(&'b str, usize)> {
    let (mut at, mut length) = (HEADER, 0);
    loop {
        let label = usize::from(*query.get(at)?);
        at += 1;
        if label == 0 {
            break;
        }
        let bytes = query.get(at..at + label).filter(|_| label < 64)?;
        if !bytes.is_ascii() || bytes.contains(&b'.') {
            return None;
        }
        if length > 0 {
            *buffer.get_mut(length)? = b'.';
            length += 1;
        }
        buffer
            .get_mut(length..length + label)?
            .copy_from_slice(bytes);
        length += label;
        at += label;
    }
    buffer[..length].make_ascii_lowercase();
    Some((std::str::from_utf8(&buffer[..length]).ok()?, at))
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::RData;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, TYPE};

    use super::super::message::{self, Transport};
    use super::*;
    use crate::dns::fixture::{coredns, pets};

    fn query(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(0x1234);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).unwrap();
        let question = Question::new(name, QTYPE::TYPE(kind), CLASS::IN.into(), false);
        packet.questions.push(question);
        packet.build_bytes_vec().unwrap()
    }

    /// What a reply says, however it is written.
    fn said(reply: &[u8]) -> (u16, u16, Vec<(String, u32, String)>) {
        let packet = Packet::parse(reply).unwrap();
        let answers = packet.answers.iter().map(|record| {
            let RData::A(a) = &record.rdata else {
                panic!("{record:?}");
            };
            (record.name.to_string(), record.ttl, a.address.to_string())
        });
        let flags = u16::from_be_bytes([reply[2], reply[3]]);
        (packet.id(), flags, answers.collect())
    }

    #[test]
    fn the_quick_answer_is_the_whole_answer() {
        let mut records = coredns();
        records.push(pets(300));
        let zone = Zone::new("cluster.local", records);
        let mut quick = 0;
        for name in [
            "web-7.nginx.testns.svc.cluster.local",
            "WEB-299.Nginx.testns.svc.Cluster.local",
            "dup-name.hdls1.testns.svc.cluster.local",
            "172-0-0-2.hdls1.testns.svc.cluster.local",
            "ep1a.svc1.testns.svc.cluster.local",
            "5678-abcd--1.hdls1.testns.svc.cluster.local",
            "nope.nginx.testns.svc.cluster.local",
            "nginx.testns.svc.cluster.local",
            "_http._tcp.nginx.testns.svc.cluster.local",
            "endpoint.external.testns.svc.cluster.local",
            "external.testns.svc.cluster.local",
            "svc.cluster.local",
            "example.org",
        ] {
            for kind in [TYPE::A, TYPE::AAAA, TYPE::SRV] {
                let query = query(name, kind);
                let mut reply = [0; ROOM];
                let Some(length) = answer(&zone, &query, &mut reply) else {
                    continue;
                };
                quick += 1;
                let whole = message::answer(&zone, &query, Transport::Udp).unwrap();
                assert_eq!(said(&reply[..length]), said(&whole), "{name}");
            }
        }
        assert_eq!(quick, 5);
        let before = Zone::unloaded("cluster.local");
        let asked = query("web-7.nginx.testns.svc.cluster.local", TYPE::A);
        assert_eq!(answer(&before, &asked, &mut [0; ROOM]), None);
    }

    proptest::proptest! {
        #[test]
        fn a_mangled_question_is_never_answered_otherwise_than_by_the_whole(
            changes in proptest::collection::vec((0..60_usize, proptest::num::u8::ANY), 0..4),
            length in 0..60_usize,
        ) {
            let zone = Zone::new("cluster.local", [pets(3)]);
            let mut query = query("web-1.nginx.testns.svc.cluster.local", TYPE::A);
            for (at, byte) in changes {
                let at = at % query.len();
                query[at] = byte;
            }
            if length > 50 {
                query.truncate(length - 10);
            }
            let mut reply = [0; ROOM];
            if let Some(length) = answer(&zone, &query, &mut reply) {
                let whole = message::answer(&zone, &query, Transport::Udp).unwrap();
                proptest::prop_assert_eq!(said(&reply[..length]), said(&whole));
            }
        }
    }
}
