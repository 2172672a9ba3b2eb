//! The server, asked over loopback by other people's clients, good ones and bad ones.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};

use crate::dns::fixture::{LIMIT, Serving, frame, pets, read_frame};
use crate::dns::{Server, Zone};

impl Serving {
    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(LIMIT).unwrap();
        socket.connect(self.address()).unwrap();
        socket
    }

    /// Asks by UDP how many addresses a name has; like any client, again if nothing comes back.
    fn count(&self, name: &str) -> usize {
        let socket = self.udp();
        socket
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut buffer = [0; 4096];
        for _ in 0..20 {
            socket.send(&query(name, TYPE::A)).unwrap();
            if let Ok(length) = socket.recv(&mut buffer) {
                return Packet::parse(&buffer[..length]).unwrap().answers.len();
            }
        }
        panic!("no answer for {name}");
    }
}

fn query(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    let name = Name::new(name).unwrap();
    packet.questions.push(Question::new(
        name,
        QTYPE::TYPE(kind),
        CLASS::IN.into(),
        false,
    ));
    packet.build_bytes_vec().unwrap()
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(length) => length == 0,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
    }
}

const SVC1: &str = "svc1.testns.svc.cluster.local";
const NGINX: &str = "nginx.testns.svc.cluster.local";

#[test]
fn a_change_of_the_zone_is_in_the_next_answer() {
    let serving = Serving::start();
    assert_eq!(serving.count(NGINX), 0);
    serving.zone.write().unwrap().replace(pets(3));
    assert_eq!(serving.count(NGINX), 3);
    serving.zone.write().unwrap().remove("testns", "nginx");
    assert_eq!(serving.count(NGINX), 0);
}

#[test]
fn nothing_is_denied_over_the_wire_before_everything_is_known() {
    let serving = Serving::start();
    *serving.zone.write().unwrap() = Zone::unloaded("cluster.local");
    let (socket, mut client) = (serving.udp(), serving.tcp());
    for name in [
        SVC1,
        "web-0.nginx.testns.svc.cluster.local",
        "cluster.local",
    ] {
        let mut buffer = [0; 512];
        socket.send(&query(name, TYPE::A)).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        let by_udp = Packet::parse(&buffer[..length]).unwrap().rcode();
        client.write_all(&frame(&query(name, TYPE::A))).unwrap();
        let reply = read_frame(&mut client);
        let by_tcp = Packet::parse(&reply).unwrap().rcode();
        let failure = (RCODE::ServerFailure, RCODE::ServerFailure);
        assert_eq!((by_udp, by_tcp), failure, "{name}"); // N37
    }
}

#[test]
fn one_tcp_client_may_ask_many_questions_at_once_and_in_pieces() {
    let serving = Serving::start();
    serving.zone.write().unwrap().replace(pets(1000));
    let mut client = serving.tcp();
    let questions = [frame(&query(SVC1, TYPE::A)), frame(&query(NGINX, TYPE::A))].concat();
    for byte in &questions {
        client.write_all(&[*byte]).unwrap();
    }
    client.write_all(&questions.repeat(20)).unwrap();
    for _ in 0..21 {
        let (one, other) = (read_frame(&mut client), read_frame(&mut client));
        assert_eq!(Packet::parse(&one).unwrap().answers.len(), 1);
        let other = Packet::parse(&other).unwrap();
        assert_eq!(other.answers.len(), 1000);
        assert!(!other.has_flags(PacketFlag::TRUNCATION));
    }
}

#[test]
fn bad_tcp_frames_end_the_connection_and_nothing_else() {
    let serving = Serving::start();
    let bad: [&[u8]; 4] = [
        &[0, 0],
        &[0xff, 0xff],
        &[0, 3, 1, 2, 3],
        &frame(&[0x80; 12]),
    ];
    for bytes in bad {
        let mut client = serving.tcp();
        client.write_all(bytes).unwrap();
        assert!(is_closed(&mut client), "{bytes:?}");
    }
    assert_eq!(serving.count(SVC1), 1);
}

#[test]
fn clients_that_stall_block_nobody_and_give_way_to_new_ones() {
    let serving = Serving::start();
    serving.zone.write().unwrap().replace(pets(500));
    let mut stalled: Vec<TcpStream> = (0..100).map(|_| serving.tcp()).collect();
    let deaf = frame(&query(NGINX, TYPE::A)).repeat(20);
    for (number, client) in stalled.iter_mut().enumerate() {
        let half_a_question = &frame(&query(SVC1, TYPE::A))[..9];
        let bytes = if number % 2 == 0 {
            half_a_question
        } else {
            &deaf
        };
        let _ = client.write_all(bytes);
    }
    let mut good = serving.tcp();
    good.write_all(&frame(&query(SVC1, TYPE::A))).unwrap();
    let reply = read_frame(&mut good);
    assert_eq!(Packet::parse(&reply).unwrap().answers.len(), 1);
    assert_eq!(serving.count(SVC1), 1);
    assert!(
        is_closed(&mut stalled[0]),
        "the oldest should have made room"
    );
}

#[test]
fn noise_is_ignored_and_the_next_question_answered() {
    let serving = Serving::start();
    let socket = serving.udp();
    let good = query(SVC1, TYPE::A);
    let mut noise = 1u32;
    for _ in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..4 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [at, byte, ..] = noise.to_be_bytes();
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let _ = socket.send(&bytes);
    }
    let _ = socket.send(&[]);
    assert_eq!(serving.count(SVC1), 1);
}

#[test]
fn a_dropped_server_frees_its_port_and_leaves_no_thread() {
    let serving = Serving::start();
    let address = serving.address();
    let client = serving.tcp();
    let Serving { zone, server } = serving;
    drop(server);
    assert_eq!(Arc::strong_count(&zone), 1);
    drop(client);
    let again = Server::start(&[address], zone, &[]).unwrap();
    assert_eq!(again.addresses(), [address]);
}

#[test]
fn addresses_off_loopback_are_refused() {
    let zone = Arc::new(RwLock::new(Zone::new("cluster.local", [])));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let refused = Server::start(&[address], Arc::clone(&zone), &[]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{address}");
    }
}

/// Asks with dig, where there is one, and returns what it prints.
fn dig(serving: &Serving, question: &str) -> Option<String> {
    let address = serving.address();
    let mut dig = Command::new("dig");
    dig.arg(format!("@{}", address.ip()))
        .args(["-p", &address.port().to_string()]);
    dig.args(["+norec", "+time=5", "+tries=1"])
        .args(question.split_whitespace());
    match dig.output() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
        Err(error) => {
            let required = std::env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
            assert!(
                !required.contains("dig"),
                "PETSET_TEST_REQUIRE demands dig: {error}"
            );
            println!("skipped: dig: {error}");
            None
        }
    }
}

#[test]
fn dig_finds_every_kind_of_record() {
    let serving = Serving::start();
    serving.zone.write().unwrap().replace(pets(300));
    let cases = [
        ("+short web-0.nginx.testns.svc.cluster.local A", "127.5.1.1"),
        ("+short svc6.testns.svc.cluster.local AAAA", "1234:abcd::1"),
        (
            "+short svc1.testns.svc.cluster.local SRV",
            "0 100 80 svc1.testns.svc.cluster.local.",
        ),
        (
            "+short -x 127.5.1.2",
            "web-1.nginx.testns.svc.cluster.local.",
        ),
        (
            "+short external.testns.svc.cluster.local",
            "ext.interwebs.test.",
        ),
        ("+short dns-version.cluster.local TXT", "\"1.1.0\""),
        ("+short cluster.local NS", "ns.dns.cluster.local."),
        ("+short +tcp svc1.testns.svc.cluster.local", "10.0.0.1"),
    ];
    for (question, expected) in cases {
        let Some(said) = dig(&serving, question) else {
            return;
        };
        assert_eq!(said, expected, "{question}");
    }
    let all = dig(&serving, "+short +nocookie nginx.testns.svc.cluster.local").unwrap_or_default();
    let addresses = all.lines().filter(|line| !line.starts_with(';')).count();
    assert_eq!(addresses, 300, "{all}");
    let missing = dig(&serving, "svc0.testns.svc.cluster.local").unwrap_or_default();
    assert!(
        missing.contains("status: NXDOMAIN") && missing.contains("flags: qr aa;"),
        "{missing}"
    );
    let unknown = dig(&serving, "svc1.testns.svc.cluster.local TYPE65280").unwrap_or_default();
    assert!(
        unknown.contains("status: NOERROR") && !unknown.contains("mismatch"),
        "{unknown}"
    );
    let chaos = dig(&serving, "version.bind CH TXT").unwrap_or_default();
    assert!(
        chaos.contains("status: REFUSED") && !chaos.contains("mismatch"),
        "{chaos}"
    );
}

#[test]
fn an_unknown_zone_is_refused_over_the_wire() {
    let serving = Serving::start();
    let socket = serving.udp();
    socket.send(&query("example.org", TYPE::A)).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(
        Packet::parse(&buffer[..length]).unwrap().rcode(),
        RCODE::Refused
    );
}
