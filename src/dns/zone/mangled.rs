//! However a message is mangled, it is answered, refused or passed over.

use simple_dns::TYPE;

use super::forwarded::Forwarded;
use super::message::{self, Transport, consider};
use super::{Question, RecordType, Zone, query, quick, read_reply};
use crate::dns::fixture::{coredns, pets};
use crate::mangling::read_mangled;

fn asked(name: &str, kind: RecordType) -> Vec<u8> {
    let name = name.to_owned();
    query(0x1234, &Question { name, kind }).unwrap()
}

#[test]
fn any_query_is_answered_or_passed_over() {
    let mut zone = coredns();
    zone.push(pets(3));
    let zone = Zone::new("cluster.local", zone);
    let examples = [
        asked("svc1.testns.svc.cluster.local", RecordType::A),
        asked("web-1.nginx.testns.svc.cluster.local", RecordType::Srv),
        asked("1.0.0.10.in-addr.arpa", RecordType::Ptr),
        asked("example.org", RecordType::Aaaa),
    ];
    let examples: Vec<&[u8]> = examples.iter().map(Vec::as_slice).collect();
    let mut room = [0; quick::ROOM];
    read_mangled("DNS queries", 5_000, &examples, &mut |bytes| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let _ = consider(&zone, bytes, transport, true);
        }
        let _ = quick::answer(&zone, bytes, &mut room);
    });
}

#[test]
fn any_reply_of_another_server_is_read_or_passed_over() {
    let zone = Zone::new("cluster.local", coredns());
    let query = asked("svc1.testns.svc.cluster.local", RecordType::A);
    let replied = message::answer(&zone, &query, Transport::Udp).unwrap();
    let missing = asked("svc0.testns.svc.cluster.local", RecordType::A);
    let missing = message::answer(&zone, &missing, Transport::Udp).unwrap();
    let whole = Forwarded::whole(&query);
    let own = replied.clone();
    let behind = Forwarded::behind(own, "svc1.testns.svc.cluster.local", TYPE::A, 512).unwrap();
    let id = u16::from_be_bytes([replied[0], replied[1]]);
    read_mangled("DNS replies", 5_000, &[&replied, &missing], &mut |bytes| {
        for forwarded in [&whole, &behind] {
            if forwarded.is_answered_by(bytes) {
                let _ = forwarded.reply(bytes);
            }
        }
        let _ = read_reply(bytes, id);
    });
}
