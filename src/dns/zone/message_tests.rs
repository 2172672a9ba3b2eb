//! What the wire asks and is answered, read with the same package on the other side.

use proptest::prelude::*;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE,
};

use super::Zone;
use super::message::{Transport, answer};
use crate::dns::fixture::{coredns, pets, service};

fn zone() -> Zone {
    Zone::new("cluster.local", coredns())
}

/// Writes a question by its name and type.
fn query(name: &str, kind: TYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let class = QCLASS::CLASS(CLASS::IN);
    let question =
        simple_dns::Question::new(Name::new(name).unwrap(), QTYPE::TYPE(kind), class, false);
    packet.questions.push(question);
    packet
}

fn edns(size: u16, version: u8) -> Option<OPT<'static>> {
    Some(OPT {
        opt_codes: Vec::new(),
        udp_packet_size: size,
        version,
    })
}

fn udp(zone: &Zone, query: &Packet) -> Vec<u8> {
    let query = query.build_bytes_vec_compressed().unwrap();
    answer(zone, &query, Transport::Udp).unwrap()
}

const SVC1: &str = "svc1.testns.svc.cluster.local";
/// Where the type of a question for [`SVC1`] is.
const TYPE_OF_SVC1: usize = 12 + SVC1.len() + 2;

fn code_of(zone: &Zone, query: &[u8]) -> RCODE {
    let reply = answer(zone, query, Transport::Udp).unwrap();
    assert_eq!(reply[..2], query[..2]);
    simple_dns::header_buffer::rcode(&reply).unwrap()
}

#[test]
fn a_question_is_answered_with_authority_and_without_recursion() {
    let bytes = udp(&zone(), &query("SVC1.testns.svc.cluster.local", TYPE::A));
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!((reply.id(), reply.rcode()), (0x1234, RCODE::NoError));
    let expected =
        PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_DESIRED;
    assert!(reply.has_flags(expected));
    assert!(!reply.has_flags(PacketFlag::RECURSION_AVAILABLE));
    assert!(!reply.has_flags(PacketFlag::TRUNCATION));
    assert!(reply.opt().is_none());
    let [record] = &reply.answers[..] else {
        panic!("{reply:?}")
    };
    assert_eq!(record.name.to_string(), "SVC1.testns.svc.cluster.local");
    assert_eq!(record.ttl, 5);
    assert!(matches!(&record.rdata, RData::A(a) if a.address == 0x0a00_0001));
}

#[test]
fn a_missing_name_brings_the_soa_and_another_zone_is_refused() {
    let bytes = udp(&zone(), &query("svc0.testns.svc.cluster.local", TYPE::A));
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!(
        (reply.rcode(), reply.name_servers.len()),
        (RCODE::NameError, 1)
    );
    assert!(matches!(&reply.name_servers[0].rdata, RData::SOA(soa) if soa.minimum == 0));
    let bytes = udp(&zone(), &query("example.org", TYPE::A));
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!(reply.rcode(), RCODE::Refused);
    assert!(!reply.has_flags(PacketFlag::AUTHORITATIVE_ANSWER));
    let bytes = udp(&Zone::unloaded("cluster.local"), &query(SVC1, TYPE::A));
    assert_eq!(Packet::parse(&bytes).unwrap().rcode(), RCODE::ServerFailure);
}

#[test]
fn a_type_without_a_name_is_answered_and_given_back_as_it_was_asked() {
    let mut bytes = query(SVC1, TYPE::A).build_bytes_vec().unwrap();
    bytes[TYPE_OF_SVC1..TYPE_OF_SVC1 + 2].copy_from_slice(&65_280u16.to_be_bytes());
    let reply = answer(&zone(), &bytes, Transport::Udp).unwrap();
    assert_eq!(reply[3] & 15, 0);
    assert_eq!(reply[12..TYPE_OF_SVC1 + 4], bytes[12..TYPE_OF_SVC1 + 4]);
    assert_eq!(reply[6..10], [0, 0, 0, 1]);
}

#[test]
fn what_is_not_a_plain_question_is_turned_away() {
    let zone = zone();
    let plain = query(SVC1, TYPE::A).build_bytes_vec().unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = plain.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(code_of(&zone, &plain), RCODE::NoError);
    assert_eq!(
        code_of(&zone, &with(3, 0x70)),
        RCODE::NoError,
        "reserved bits"
    );
    assert_eq!(
        code_of(&zone, &with(5, 0)),
        RCODE::FormatError,
        "no question"
    );
    assert_eq!(
        code_of(&zone, &with(5, 2)),
        RCODE::FormatError,
        "two questions"
    );
    assert_eq!(
        code_of(&zone, &with(6, 255)),
        RCODE::FormatError,
        "too many records"
    );
    assert_eq!(
        code_of(&zone, &with(12, 0xc0)),
        RCODE::FormatError,
        "a pointer"
    );
    assert_eq!(
        code_of(&zone, &with(TYPE_OF_SVC1 + 3, 3)),
        RCODE::Refused,
        "class CH"
    );
    assert_eq!(
        code_of(&zone, &with(TYPE_OF_SVC1 + 3, 77)),
        RCODE::Refused,
        "class 77"
    );
    assert_eq!(
        code_of(&zone, &with(TYPE_OF_SVC1 + 1, 252)),
        RCODE::Refused,
        "a transfer"
    );
    let opcodes = [
        OPCODE::InverseQuery,
        OPCODE::ServerStatusRequest,
        OPCODE::Notify,
        OPCODE::Update,
    ];
    for opcode in opcodes {
        let bytes = with(2, (opcode as u8) << 3);
        assert_eq!(code_of(&zone, &bytes), RCODE::NotImplemented, "{opcode:?}");
    }
    assert_eq!(
        answer(&zone, &with(2, 0x80), Transport::Udp),
        None,
        "a response"
    );
    assert_eq!(
        answer(&zone, &plain[..11], Transport::Udp),
        None,
        "a fragment"
    );
    assert_eq!(
        code_of(&zone, &plain[..20]),
        RCODE::FormatError,
        "cut short"
    );
}

#[test]
fn edns_is_answered_with_edns_and_only_its_first_version_is_spoken() {
    let mut asked = query(SVC1, TYPE::A);
    *asked.opt_mut() = edns(4096, 0);
    let bytes = udp(&zone(), &asked);
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!(reply.opt().map(|opt| opt.udp_packet_size), Some(1232));
    *asked.opt_mut() = edns(4096, 1);
    let bytes = udp(&zone(), &asked);
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!((reply.rcode(), reply.answers.len()), (RCODE::BADVERS, 0));
    let opt = RData::OPT(edns(512, 0).unwrap());
    let second = ResourceRecord::new(Name::new("").unwrap(), CLASS::IN, 0, opt);
    asked.additional_records.push(second);
    let bytes = udp(&zone(), &asked);
    assert_eq!(Packet::parse(&bytes).unwrap().rcode(), RCODE::FormatError);
}

#[test]
fn what_does_not_fit_is_cut_and_comes_whole_by_tcp() {
    let zone = Zone::new("cluster.local", [pets(200)]);
    let mut asked = query("nginx.testns.svc.cluster.local", TYPE::A);
    for (size, room) in [
        (None, 512),
        (Some(100), 512),
        (Some(800), 800),
        (Some(65_535), 1232),
    ] {
        *asked.opt_mut() = size.and_then(|size| edns(size, 0));
        let bytes = udp(&zone, &asked);
        let reply = Packet::parse(&bytes).unwrap();
        assert!(bytes.len() <= room, "{} > {room}", bytes.len());
        assert!(reply.has_flags(PacketFlag::TRUNCATION) && !reply.answers.is_empty());
    }
    let bytes = asked.build_bytes_vec().unwrap();
    let whole = answer(&zone, &bytes, Transport::Tcp).unwrap();
    let reply = Packet::parse(&whole).unwrap();
    assert_eq!(reply.answers.len(), 200);
    assert!(!reply.has_flags(PacketFlag::TRUNCATION));
}

#[test]
fn additional_records_give_way_before_answers_do() {
    let zone = Zone::new("cluster.local", [pets(8)]);
    let bytes = udp(&zone, &query("nginx.testns.svc.cluster.local", TYPE::SRV));
    let reply = Packet::parse(&bytes).unwrap();
    assert_eq!(
        (reply.answers.len(), reply.additional_records.len()),
        (8, 0)
    );
    assert!(!reply.has_flags(PacketFlag::TRUNCATION));
}

#[test]
fn more_than_a_message_can_hold_is_cut_by_tcp_too() {
    let zone = Zone::new("cluster.local", [pets(10_000)]);
    let bytes = query("nginx.testns.svc.cluster.local", TYPE::SRV)
        .build_bytes_vec()
        .unwrap();
    let reply = answer(&zone, &bytes, Transport::Tcp).unwrap();
    assert!(
        reply.len() <= 65_535
            && Packet::parse(&reply)
                .unwrap()
                .has_flags(PacketFlag::TRUNCATION)
    );
}

#[test]
fn names_that_are_too_long_for_dns_are_left_out() {
    let long = "a".repeat(63);
    let mut deep = service(&long, "headless", &format!("{long}=127.5.1.1 b=127.5.1.2"));
    deep.namespace.clone_from(&long);
    let domain = format!("{long}.local");
    let zone = Zone::new(&domain, [deep]);
    let name = format!("{long}.{long}.svc.{domain}");
    let bytes = udp(&zone, &query(&name, TYPE::SRV));
    assert_eq!(Packet::parse(&bytes).unwrap().answers.len(), 1);
}

/// A good question that was changed here and there.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let mut asked = query("_http._tcp.hdls1.testns.svc.cluster.local", TYPE::SRV);
    *asked.opt_mut() = edns(1232, 0);
    let good = asked.build_bytes_vec_compressed().unwrap();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..8);
    (changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(changes, end, cut)| {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_brings_the_server_down(bytes in mutated()) {
        let zone = zone();
        for transport in [Transport::Udp, Transport::Tcp] {
            let reply = answer(&zone, &bytes, transport);
            if let Some(reply) = reply {
                prop_assert_eq!(&reply[..2], &bytes[..2]);
                prop_assert!(reply[2] & 0x80 != 0);
                prop_assert!(transport == Transport::Tcp || reply.len() <= 1232);
            }
        }
    }

    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer(&zone(), &bytes, Transport::Udp);
    }
}
