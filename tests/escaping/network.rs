//! What root of a pet can do to the private network: write packets as it likes.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::manifest;
use crate::support::{Outcome, Sandbox, is_installed};

/// Packets and frames by raw sockets: what a pet at 10.b.1.`own` sends to the host's loopback.
const RAW: &str = r##"
import socket, struct, sys, time
b, own, port, attack = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
gate, host = bytes([2, 0x50, 0x45, 0x54, b, 1]), bytes([10, b, 0, 2])
mac = lambda y: bytes([10, 0x50, 0x45, b, 1, y])
ip = lambda y: bytes([10, b, 1, y])

def udp(source, words):
    body = struct.pack("!HHHH", 4000, port, 8 + len(words), 0) + words
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, source, host)
    sum_ = sum(struct.unpack("!10H", head))
    while sum_ > 0xffff: sum_ = (sum_ & 0xffff) + (sum_ >> 16)
    return head[:10] + struct.pack("!H", ~sum_ & 0xffff) + head[12:] + body

try:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    whole = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
except PermissionError:
    print("no rights")
    sys.exit()
raw.bind(("eth0", 0))
send = lambda sender, kind, content, to=gate: raw.send(to + sender + struct.pack("!H", kind) + content)

if attack == "none":
    send(mac(own), 0x800, udp(ip(own), b"own"))
if attack == "sources":
    for other in range(1, own):
        for sender in mac(own), mac(other), bytes([2, 0, 0, 0, 0, 9]):
            send(sender, 0x800, udp(ip(other), b"by frame"))
            send(sender, 0x8100, struct.pack("!HH", 0, 0x800) + udp(ip(other), b"tagged"))
        whole.sendto(udp(ip(other), b"by packet"), (socket.inet_ntoa(host), 0))
    send(mac(1), 0x800, udp(ip(own), b"by the hardware address of another"))
if attack == "learning":
    seen, end = 0, time.monotonic() + 3
    raw.settimeout(0.002)
    while time.monotonic() < end:
        for to in *(bytes([1, 0x80, 0xc2, 0, 0, last]) for last in range(16)), b"\xff" * 6, gate:
            send(mac(1), 0x88b5, b"x" * 46, to)
        question = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(own), ip(1), b"\0" * 6, bytes([10, b, 0, 1]))
        send(mac(own), 0x806, question)
        try:
            seen += raw.recv(2000)[:6] == mac(1)
        except TimeoutError:
            pass
    print("seen", seen)
print("sent")
"##;

/// A pet whose container has these capabilities beside the usual, as root of the pet.
fn create(sandbox: &Sandbox, name: &str, egress: &str, capabilities: &[&str], command: Value) {
    let spec = json!({"securityContext": {"runAsUser": 0}});
    let context = json!({"capabilities": {"add": capabilities}});
    let ports = json!([{"containerPort": 8080}]);
    let container = json!({"securityContext": context, "command": command, "ports": ports});
    let manifest = manifest(sandbox, name, spec, container);
    sandbox.ok(&format!(
        "create -f {manifest} --isolation full --egress {egress} --timeout 60s"
    ));
}

fn sleeper() -> Value {
    json!(["sleep", "1000"])
}

fn run(sandbox: &Sandbox, pet: &str, program: &[&str]) -> Outcome {
    let words = [&["exec", pet, "--"], program].concat();
    let mut command = sandbox.command_of(&words);
    sandbox.finish(&words.join(" "), sandbox.start_command(&mut command))
}

fn attack(sandbox: &Sandbox, (pet, own): (&str, u8), port: u16, name: &str) -> String {
    let (block, own, port) = (
        block(sandbox).to_string(),
        own.to_string(),
        port.to_string(),
    );
    let words = ["python3", "-c", RAW, &block, &own, &port, name];
    let outcome = run(sandbox, pet, &words);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    outcome.out.trim_end().to_owned()
}

fn raw_words(sandbox: &Sandbox, (pet, own): (&str, u8), port: u16, name: &str) -> Vec<String> {
    let (block, own, port) = (
        block(sandbox).to_string(),
        own.to_string(),
        port.to_string(),
    );
    let words = [
        "exec", pet, "--", "python3", "-c", RAW, &block, &own, &port, name,
    ];
    words.map(str::to_owned).to_vec()
}

fn block(sandbox: &Sandbox) -> u8 {
    let block = fs::read_to_string(sandbox.file("seen/block")).unwrap();
    block.trim().parse().unwrap()
}

/// Returns the next datagram that comes to the host's loopback within a second.
fn next(host: &UdpSocket) -> Option<String> {
    host.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 99];
    match host.recv(&mut buffer) {
        Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_pet_without_egress_forges_no_packet_that_leaves_the_network() {
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = host.local_addr().unwrap().port();
    create(&sandbox, "open", "auto", &["NET_RAW"], sleeper());
    create(
        &sandbox,
        "shut",
        "none",
        &["NET_RAW", "NET_ADMIN"],
        sleeper(),
    );
    if attack(&sandbox, ("open", 1), port, "none") == "no rights" {
        // An ordinary user without subordinate ids has no root in a pet.
        return;
    }
    assert_eq!(next(&host).as_deref(), Some("own"), "who may sends so too");
    assert_eq!(attack(&sandbox, ("shut", 2), port, "none"), "sent");
    assert_eq!(attack(&sandbox, ("shut", 2), port, "sources"), "sent");
    let come = next(&host);
    assert_eq!(come, None, "{come:?} came from a pet that may not leave");
}

#[test]
fn a_pet_draws_nothing_that_is_sent_to_another_to_itself() {
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let serve = json!(["python3", "-m", "http.server", "8080"]);
    create(&sandbox, "server", "none", &["NET_RAW"], serve);
    create(&sandbox, "thief", "none", &["NET_RAW"], sleeper());
    let at = (Ipv4Addr::new(127, block(&sandbox), 1, 1), 8080);
    sandbox.until("the server answers", || ask(at).contains("200 OK"));
    let words = raw_words(&sandbox, ("thief", 2), 0, "learning");
    let attack = sandbox.start_command(&mut sandbox.command_of(&words));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let got = ask(at);
        assert!(got.contains("200 OK"), "{got}");
    }
    let outcome = sandbox.finish("exec thief", attack);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    let words = outcome.out.trim_end();
    assert!(["seen 0\nsent", "no rights"].contains(&words), "{words}");
}

/// Asks the server of a pet by the host.
fn ask(at: (Ipv4Addr, u16)) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(at) {
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

#[test]
fn a_pet_without_egress_has_no_right_to_raw_sockets() {
    let sandbox = Sandbox::new();
    let spec = json!({"securityContext": {"runAsUser": 0}});
    let manifest = manifest(&sandbox, "p", spec, json!({}));
    sandbox.ok(&format!(
        "create -f {manifest} --isolation full --egress none"
    ));
    let outcome = run(&sandbox, "p", &["grep", "CapBnd", "/proc/self/status"]);
    let words = outcome.out.split_whitespace().nth(1).unwrap();
    let bounds = u64::from_str_radix(words, 16).unwrap();
    assert_eq!(bounds & 1 << 13, 0, "CAP_NET_RAW of {words}");
    assert_ne!(bounds & 1, 0, "CAP_CHOWN of {words}");
}

/// Opens that many connections and holds them: says how many it got.
const GREEDY: &str = r#"
import socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    try:
        held.append(socket.create_connection(("host.petset.internal", int(sys.argv[1])), 20))
    except OSError as fault:
        print(len(held), fault.strerror, flush=True)
        break
sys.stdin.read()
"#;

#[test]
fn a_pet_with_many_connections_leaves_enough_to_the_others() {
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = host.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        let greet = |mut stream: TcpStream| stream.write_all(b"hello").map(|()| stream);
        let held: Vec<_> = host.incoming().flatten().map(greet).collect();
        drop(held);
    });
    // The network process may have 400 descriptors.
    let script =
        "ulimit -n 400; exec \"$0\" create web --replicas 2 --isolation full -- sleep 1000";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset")]);
    sandbox.place(&mut command);
    let created = sandbox.finish("create", sandbox.start_command(&mut command));
    assert_eq!(created.code, 0, "{}", created.transcript());
    let words = [
        "exec", "-i", "web-0", "--", "python3", "-c", GREEDY, &port, "300",
    ];
    let mut greedy = sandbox.command_of(&words);
    let mut greedy = greedy
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(greedy.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    let held: u32 = said.split(' ').next().unwrap().parse().unwrap();
    assert!((50..100).contains(&held), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    let to = format!("exec 3<>/dev/tcp/host.petset.internal/{port} && head -c 5 <&3");
    for _ in 0..20 {
        let other = run(&sandbox, "web-1", &["bash", "-c", &to]);
        assert_eq!(other.out, "hello", "{}", other.transcript());
    }
    sandbox.events_say(&["it has more open connections than its share"]);
    drop(greedy.stdin.take());
    greedy.wait().unwrap();
    let again = || run(&sandbox, "web-0", &["bash", "-c", &to]).out == "hello";
    sandbox.until("what it held is free again", again);
}
