//! Names of other zones, asked of a resolver that the test plays.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use crate::dns::fixture::{LIMIT, Serving, frame, read_frame};

/// A resolver that knows one address for everything, says by UDP that its answers are cut, and
/// denies what begins with `nope`.
fn resolver() -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&resolve(&buffer[..length], true), asker);
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let reply = resolve(&read_frame(&mut stream), false);
            stream.write_all(&frame(&reply)).unwrap();
        }
    });
    address
}

fn resolve(query: &[u8], truncated: bool) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let mut reply = Packet::new_reply(query.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    reply.questions.clone_from(&query.questions);
    let name = query.questions[0].qname.clone();
    if name.to_string().starts_with("nope") {
        *reply.rcode_mut() = RCODE::NameError;
        return reply.build_bytes_vec().unwrap();
    }
    if truncated {
        reply.set_flags(PacketFlag::TRUNCATION);
    }
    let address = RData::A(A {
        address: 0xc000_0207,
    });
    reply
        .answers
        .push(ResourceRecord::new(name, CLASS::IN, 60, address));
    reply.build_bytes_vec().unwrap()
}

fn query(name: &str, wants_recursion: bool) -> Vec<u8> {
    let mut packet = Packet::new_query(0x4321);
    if wants_recursion {
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let name = Name::new(name).unwrap();
    let question = Question::new(name, QTYPE::TYPE(TYPE::A), CLASS::IN.into(), false);
    packet.questions.push(question);
    packet.build_bytes_vec().unwrap()
}

/// Asks by UDP; tells the code, the answers, and whether they are cut.
fn ask(serving: &Serving, query: &[u8]) -> (RCODE, Vec<String>, bool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(LIMIT).unwrap();
    socket.send_to(query, serving.address()).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    read(&buffer[..length])
}

fn read(reply: &[u8]) -> (RCODE, Vec<String>, bool) {
    let reply = Packet::parse(reply).unwrap();
    assert_eq!(reply.id(), 0x4321);
    let answers = reply.answers.iter().map(|record| {
        if let RData::A(a) = &record.rdata {
            return std::net::Ipv4Addr::from(a.address).to_string();
        }
        let RData::CNAME(name) = &record.rdata else {
            panic!("{record:?}");
        };
        name.0.to_string()
    });
    let truncated = reply.has_flags(PacketFlag::TRUNCATION);
    (reply.rcode(), answers.collect(), truncated)
}

const EXTERNAL: &str = "external.testns.svc.cluster.local";

#[test]
fn names_of_other_zones_are_asked_of_the_resolver() {
    let server = Serving::start_forwarding(&[resolver()]);
    let found = (RCODE::NoError, vec!["192.0.2.7".to_owned()], true);
    assert_eq!(ask(&server, &query("example.org", true)), found);
    let denied = ask(&server, &query("nope.example.org", true));
    assert_eq!((denied.0, denied.1.len()), (RCODE::NameError, 0));
    let own = ask(&server, &query("svc1.testns.svc.cluster.local", true));
    assert_eq!(own, (RCODE::NoError, vec!["10.0.0.1".to_owned()], false));
    let missing = ask(&server, &query("svc0.testns.svc.cluster.local", true));
    assert_eq!(
        missing.0,
        RCODE::NameError,
        "what is ours is never asked of others"
    );
    let unwished = ask(&server, &query("example.org", false));
    assert_eq!(unwished.0, RCODE::Refused);
}

#[test]
fn an_external_name_is_followed_by_what_it_is_and_the_cut_is_passed_on() {
    let server = Serving::start_forwarding(&[resolver()]);
    let expected = vec!["ext.interwebs.test".to_owned(), "192.0.2.7".to_owned()];
    assert_eq!(
        ask(&server, &query(EXTERNAL, true)),
        (RCODE::NoError, expected, true)
    );
    let bare = ask(&server, &query(EXTERNAL, false));
    assert_eq!(bare.1, ["ext.interwebs.test"]);
}

#[test]
fn a_resolver_that_is_not_there_gives_way_to_the_next_and_none_is_a_failure() {
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let with_next = Serving::start_forwarding(&[nobody, resolver()]);
    assert_eq!(
        ask(&with_next, &query("example.org", true)).1,
        ["192.0.2.7"]
    );
    let alone = Serving::start_forwarding(&[nobody]);
    assert_eq!(
        ask(&alone, &query("example.org", true)).0,
        RCODE::ServerFailure
    );
    let alias = ask(&alone, &query(EXTERNAL, true));
    assert_eq!(
        (alias.0, alias.1),
        (RCODE::NoError, vec!["ext.interwebs.test".to_owned()])
    );
}

#[test]
fn by_tcp_the_whole_answer_comes() {
    let server = Serving::start_forwarding(&[resolver()]);
    for (name, answers) in [("example.org", 1), (EXTERNAL, 2)] {
        let mut stream = server.tcp();
        stream.write_all(&frame(&query(name, true))).unwrap();
        let (code, found, truncated) = read(&read_frame(&mut stream));
        assert_eq!(
            (code, found.len(), truncated),
            (RCODE::NoError, answers, false)
        );
    }
}

#[test]
fn without_a_resolver_other_zones_are_refused() {
    let server = Serving::start_forwarding(&[]);
    assert_eq!(ask(&server, &query("example.org", true)).0, RCODE::Refused);
}

#[test]
fn a_client_that_asks_a_lot_leaves_as_many_queries_to_the_others() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = Serving::start_forwarding(&[silent.local_addr().unwrap()]);
    let query = query("example.org", true);
    let mut buffer = [0; 4096];
    let mut answer = |client: &UdpSocket| {
        let wait = Duration::from_millis(300);
        client.set_read_timeout(Some(wait)).unwrap();
        let length = client.recv(&mut buffer).ok()?;
        Some(read(&buffer[..length]).0)
    };
    let greedy = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..300 {
        greedy.send_to(&query, server.address()).unwrap();
        // The socket of the server does not hold all at once.
        thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(answer(&greedy), Some(RCODE::ServerFailure));
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.send_to(&query, server.address()).unwrap();
    assert_eq!(answer(&other), None, "it is asked of the resolver");
}
