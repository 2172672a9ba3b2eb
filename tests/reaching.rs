//! What pets of a private network reach beyond it: the host's own loopback, and the world.
//!
//! The tests are the same for root and for an ordinary user, and run as the user who starts them.
//! The world is a network namespace that a test makes, in which all of it runs once more.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use support::{Outcome, PATIENCE, Sandbox, processes, wait_until};

/// Pets that wait to be entered.
const SLEEP: &str = "--isolation full -- sleep 1000";
/// Tells a test that it is in the world that was made for it.
const IN_WORLD: &str = "PETSET_TEST_IN_WORLD";
const WORLD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn run(sandbox: &Sandbox, pet: &str, program: &[&str]) -> Outcome {
    let words = [&["exec", pet, "--"], program].concat();
    let mut command = sandbox.command_of(&words);
    sandbox.finish(&words.join(" "), sandbox.start_command(&mut command))
}

/// Sends a line by the network of a pet, and returns what comes back, up to the end.
fn ask(sandbox: &Sandbox, pet: &str, protocol: &str, to: &str) -> Outcome {
    let script =
        format!("exec 3<>/dev/{protocol}/{to} && echo asked >&3 && timeout 20 head -c 9 <&3");
    run(sandbox, pet, &["bash", "-c", &script])
}

#[track_caller]
fn answered(outcome: &Outcome, answer: &str) {
    let said = format!("{}{}", outcome.out, outcome.err);
    assert!(outcome.out.contains(answer), "{said}");
}

#[track_caller]
fn failed(outcome: &Outcome, why: &str) {
    let said = format!("{}{}", outcome.out, outcome.err);
    assert!(outcome.err.contains(why), "{said}");
}

/// Runs a program of Perl in a pet, with a connected socket `$s`.
fn perl(sandbox: &Sandbox, to: &str, port: u16, script: &str) -> Outcome {
    let script = format!(
        "$| = 1; my $s = IO::Socket::INET->new(PeerAddr => '{to}', PeerPort => {port}, Timeout => 20) \
         or die \"no connection: $@\"; {script}"
    );
    run(
        sandbox,
        "web-0",
        &["perl", "-MIO::Socket::INET", "-e", &script],
    )
}

/// Serves each connection with `serve`; for as long as the test lives.
fn server(at: Ipv4Addr, serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((at, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

/// Answers each line with `word`.
fn says(word: &'static str) -> impl Fn(TcpStream) {
    move |mut stream| {
        let mut line = [0; 6];
        let _ = stream.read_exact(&mut line);
        let _ = stream.write_all(word.as_bytes());
        let _ = stream.read(&mut line);
    }
}

/// Answers datagrams with their sender, in nine bytes, and `word`.
fn datagrams(at: Ipv4Addr, word: &'static [u8; 9]) -> u16 {
    let socket = UdpSocket::bind((at, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(word, from);
        }
    });
    port
}

/// A port at which no process listens.
fn closed() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_pet_reaches_what_listens_on_the_hosts_loopback_and_learns_what_does_not() {
    let sandbox = Sandbox::new();
    let tcp = server(Ipv4Addr::LOCALHOST, says("from host"));
    let udp = datagrams(Ipv4Addr::LOCALHOST, b"heard you");
    let elsewhere = server(Ipv4Addr::new(127, 9, 9, 9), says("not for pets"));
    sandbox.ok(&format!("create web {SLEEP}"));
    let tell = |protocol: &str, to: &str| ask(&sandbox, "web-0", protocol, to);
    answered(
        &tell("tcp", &format!("host.petset.internal/{tcp}")),
        "from host",
    );
    answered(
        &tell("udp", &format!("host.petset.internal/{udp}")),
        "heard you",
    );
    failed(
        &tell("tcp", &format!("host.petset.internal/{}", closed())),
        "Connection refused",
    );
    failed(
        &tell("udp", &format!("host.petset.internal/{}", closed())),
        "Connection refused",
    );
    failed(
        &tell("tcp", &format!("127.9.9.9/{elsewhere}")),
        "Connection refused",
    );
    failed(&tell("tcp", "2001:db8::1/80"), "Network is unreachable");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_reaches_the_hosts_loopback_by_a_service_whose_endpoints_are_written_by_hand() {
    let sandbox = Sandbox::new();
    let port = server(Ipv4Addr::LOCALHOST, says("from host"));
    let service = |name: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}ports: \
             [{{name: db, port: {port}}}]}}\n---\napiVersion: v1\nkind: Endpoints\nmetadata: \
             {{name: {name}}}\nsubsets: [{{addresses: [{{ip: 127.0.0.1}}], ports: [{{name: db, \
             port: {port}}}]}}]\n---\n"
        )
    };
    let both = service("named", "clusterIP: None, ") + &service("offered", "");
    let file = sandbox.manifest("both.yaml", &both);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok(&format!("create web {SLEEP}"));
    for name in ["named", "offered"] {
        sandbox.until("the name leads to the host", || {
            let asked = ask(&sandbox, "web-0", "tcp", &format!("{name}/{port}"));
            asked.out.contains("from host")
        });
    }
    sandbox.ok("delete web svc/web svc/named svc/offered endpoints/named endpoints/offered");
    sandbox.until("nothing runs", || sandbox.supervisor().is_none());
    sandbox.assert_nothing_left();
}

#[test]
fn a_peer_sees_the_true_address_of_who_connects_also_where_it_binds_ipv6() {
    let sandbox = Sandbox::new();
    let serve = "use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalHost => '::', LocalPort => 8080, \
                 Listen => 5, V6Only => 0) or die $@; \
                 while (my $c = $s->accept) { print $c $c->peerhost, qq(\\n); }";
    let words = [
        "create",
        "web",
        "--replicas",
        "3",
        "--parallel",
        "--port",
        "http=8080",
        "--ready",
    ];
    let program = [
        "tcp",
        "--isolation",
        "full",
        "--",
        "perl",
        "-e",
        &serve.replace("\\n", "\n"),
    ];
    let words = [&words[..], &program].concat();
    let mut command = sandbox.command_of(&words);
    let created = sandbox.finish("create web", sandbox.start_command(&mut command));
    assert_eq!(created.code, 0, "{}", created.err);
    for (from, to) in [("web-0", "web-1"), ("web-2", "web-1"), ("web-0", "web-0")] {
        let own = run(&sandbox, from, &["printenv", "POD_IP"]).out;
        let script = format!("cat </dev/tcp/{to}.web/8080");
        let seen = run(&sandbox, from, &["bash", "-c", &script]).out;
        assert_eq!(seen.trim().trim_start_matches("::ffff:"), own.trim());
    }
    if support::is_installed("ping", &["ping"]) {
        let answer = run(
            &sandbox,
            "web-0",
            &["ping", "-c", "1", "-W", "20", "web-2.web"],
        );
        answered(&answer, "1 received");
    }
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_half_closed_connection_goes_on_and_a_reset_arrives_as_one() {
    let sandbox = Sandbox::new();
    let counts = server(Ipv4Addr::LOCALHOST, |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        write!(stream, "{} bytes", all.len()).unwrap();
    });
    let resets = server(Ipv4Addr::LOCALHOST, |mut stream| {
        stream.read_exact(&mut [0; 6]).unwrap();
        let now = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&stream, now).unwrap();
    });
    sandbox.ok(&format!("create web {SLEEP}"));
    let half = "print $s 'x' x 3000000; $s->flush; shutdown($s, 1); print <$s>;";
    answered(
        &perl(&sandbox, "host.petset.internal", counts, half),
        "3000000 bytes",
    );
    let reset = "syswrite($s, \"asked\\n\"); my $n = sysread($s, my $b, 9); print defined $n ? \"end\" : \"fault: $!\";";
    answered(
        &perl(&sandbox, "host.petset.internal", resets, reset),
        "fault: Connection reset",
    );
    sandbox.ok("delete web");
}

#[test]
fn the_host_finds_a_pet_by_datagrams_and_at_low_ports_that_are_told() {
    let sandbox = Sandbox::new();
    let serve = "use IO::Socket::INET; my $u = IO::Socket::INET->new(LocalPort => 99, Proto => 'udp') or die; \
                 while (1) { $u->recv(my $b, 99); $u->send(\"pet: $b\"); }";
    let manifest = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {{"name": "web"}},
        "spec": {{"serviceName": "web", "selector": {{"matchLabels": {{"a": "b"}}}},
        "template": {{"metadata": {{"labels": {{"a": "b"}}}}, "spec": {{"containers": [{{
          "name": "c", "image": "c", "command": ["perl", "-e", {serve:?}],
          "ports": [{{"containerPort": 99, "protocol": "UDP"}}]}}]}}}}}}}}"#
    );
    let path = sandbox.manifest("web.json", &manifest);
    sandbox.ok(&format!("create -f {path} --isolation full"));
    let wide = sandbox.ok("get pods -o wide").out;
    let own = rustix::process::getuid().is_root();
    assert_eq!(wide.contains(" 99/udp=10099"), !own, "{wide}");
    let block = std::fs::read_to_string(sandbox.file("seen/block")).unwrap();
    let ip: Ipv4Addr = format!("127.{}.1.1", block.trim()).parse().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .unwrap();
    socket.connect((ip, if own { 99 } else { 10_099 })).unwrap();
    let answered = || {
        let mut buffer = [0; 99];
        let _ = socket.send(b"asked");
        socket
            .recv(&mut buffer)
            .is_ok_and(|length| &buffer[..length] == b"pet: asked")
    };
    assert!(wait_until(answered, PATIENCE), "the pet does not answer");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_port_that_was_in_use_on_the_host_is_found_when_it_is_free() {
    let sandbox = Sandbox::new();
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    sandbox.ok(&format!(
        "create one --image petset/hello --port http={port} --isolation full --timeout 60s"
    ));
    sandbox.events_say(&[&format!(
        "the host does not find port {port}: Address already in use"
    )]);
    let block = std::fs::read_to_string(sandbox.file("seen/block")).unwrap();
    let ip: Ipv4Addr = format!("127.{}.1.1", block.trim()).parse().unwrap();
    drop(other);
    sandbox.until("the host finds the port", || {
        TcpStream::connect((ip, port)).is_ok()
    });
}

#[test]
fn a_pet_without_egress_reaches_its_peers_alone_and_is_told_so_at_once() {
    let sandbox = Sandbox::new();
    let tcp = server(Ipv4Addr::LOCALHOST, says("from host"));
    sandbox.fails(2, &format!("create web --egress off {SLEEP}"));
    sandbox.ok(
        "create web --replicas 2 --port http=8080 --egress none --image petset/hello \
         --ready http:/healthz --isolation full",
    );
    let tell = |to: &str| ask(&sandbox, "web-0", "tcp", to);
    failed(
        &tell(&format!("host.petset.internal/{tcp}")),
        "o route to host",
    );
    failed(&tell("192.0.2.1/80"), "Network is unreachable");
    let peer = run(
        &sandbox,
        "web-0",
        &["bash", "-c", "exec 3<>/dev/tcp/web-1.web/8080"],
    );
    assert_eq!(peer.code, 0, "{}", peer.err);
    let foreign = run(
        &sandbox,
        "web-0",
        &["getent", "hosts", "petset-test.example."],
    );
    assert_eq!(foreign.code, 2);
    sandbox.ok("delete web");
}

#[test]
fn egress_of_a_state_directory_is_none_where_its_settings_say_so() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.state()).unwrap();
    std::fs::write(sandbox.file("petset.toml"), "egress = 'none'\n").unwrap();
    let tcp = server(Ipv4Addr::LOCALHOST, says("from host"));
    sandbox.ok(&format!("create web {SLEEP}"));
    sandbox.ok(&format!("create db --egress auto {SLEEP}"));
    let to = format!("host.petset.internal/{tcp}");
    failed(&ask(&sandbox, "web-0", "tcp", &to), "o route to host");
    answered(&ask(&sandbox, "db-0", "tcp", &to), "from host");
    sandbox.ok("delete web db");
}

#[test]
fn a_pod_of_no_set_has_no_egress_either_after_its_runner_was_killed() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.state()).unwrap();
    std::fs::write(sandbox.file("petset.toml"), "egress = 'none'\n").unwrap();
    let tcp = server(Ipv4Addr::LOCALHOST, says("from host"));
    let pod = "\
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: busybox, command: [sleep, '1000']}]
";
    let pod = sandbox.manifest("alone.yaml", pod);
    sandbox.ok(&format!("create -f {pod} --isolation full"));
    let to = format!("host.petset.internal/{tcp}");
    for round in 0..2 {
        failed(&ask(&sandbox, "alone", "tcp", &to), "o route to host");
        // The pod is made anew in its files, too.
        sandbox.ok(&format!("label pod alone round={round} --overwrite"));
        sandbox
            .ok("get pod alone -o yaml")
            .says("petset.dev/egress: none");
        let before = sandbox.main("alone");
        sandbox.kill(sandbox.runner("alone"));
        sandbox.until("it runs again", || {
            let main = sandbox.main("alone");
            main.is_some() && main != before
        });
        sandbox.ok("wait pod/alone");
    }
    sandbox.ok("delete pod alone");
}

#[test]
fn a_pet_reaches_the_host_after_who_holds_the_network_was_killed() {
    let sandbox = Sandbox::new();
    let tcp = server(Ipv4Addr::LOCALHOST, says("from host"));
    sandbox.ok(&format!("create web {SLEEP}"));
    let state = sandbox.state();
    let holders = || {
        let wanted = format!("network {}", state.display());
        let all = processes::of(&state).into_iter();
        let of_role = all.filter(|it| it.command.contains(&wanted));
        of_role.map(|it| it.pid).collect::<Vec<i32>>()
    };
    for pid in holders() {
        processes::kill(pid);
    }
    let again = || {
        let outcome = ask(
            &sandbox,
            "web-0",
            "tcp",
            &format!("host.petset.internal/{tcp}"),
        );
        outcome.out.contains("from host")
    };
    assert!(wait_until(again, PATIENCE), "the host is not reached again");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

/// Runs a test of this file in a network of its own, in which the world is one address. Returns
/// true there.
fn in_world(name: &str) -> bool {
    if std::env::var_os(IN_WORLD).is_some() {
        return true;
    }
    let mut resolvers = tempfile::NamedTempFile::new().unwrap();
    writeln!(resolvers, "nameserver 127.0.0.53").unwrap();
    let own = std::env::current_exe().unwrap();
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    // An ordinary user is root only for as long as the world is made.
    let (kinds, back) = match user.is_root() {
        true => ("-nm", String::new()),
        false => {
            let (user, group) = (user.as_raw(), group.as_raw());
            let back = format!("unshare --user --map-user={user} --map-group={group}");
            ("-rnm", back)
        }
    };
    let steps = format!(
        "ip link set lo up && ip addr add {WORLD}/32 dev lo \
         && mount --bind {resolvers} /etc/resolv.conf \
         && echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start || exit 77; \
         exec {back} {own} --exact {name} --nocapture",
        resolvers = resolvers.path().display(),
        own = own.display(),
    );
    let mut command = Command::new("unshare");
    let command = command.args([kinds, "sh", "-c", &steps]).env(IN_WORLD, "1");
    let Ok(tried) = command.output() else {
        support::skipped("a world of its own needs the program unshare");
        return false;
    };
    let said = String::from_utf8_lossy(&tried.stdout);
    let faults = String::from_utf8_lossy(&tried.stderr);
    if tried.status.code() == Some(77) {
        support::skipped(&format!("a world of its own cannot be made: {faults}"));
        return false;
    }
    assert!(tried.status.success(), "{said}{faults}");
    false
}

/// Knows `world.example` and `large.example`, the latter only by TCP.
fn resolver() {
    let udp = UdpSocket::bind("127.0.0.53:53").unwrap();
    let tcp = TcpListener::bind("127.0.0.53:53").unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&resolve(&buffer[..length], false), from);
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let reply = resolve(&query, true);
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&length, reply.as_slice()].concat())
                .unwrap();
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
}

fn resolve(query: &[u8], by_tcp: bool) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let (name, kind) = (&query[12..end - 4], query[end - 3]);
    let mut reply = query[..end].to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    let large = name.starts_with(b"\x05large\x07example");
    if !large && !name.starts_with(b"\x05world\x07example") {
        reply[3] |= 3;
    } else if large && !by_tcp {
        reply[2] |= 2;
    } else if kind == 1 {
        reply[7] = 1;
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        reply.extend(WORLD.octets());
    }
    reply
}

#[test]
fn the_world_is_reached_by_address_and_by_name() {
    if !in_world("the_world_is_reached_by_address_and_by_name") {
        return;
    }
    resolver();
    let tcp = server(WORLD, says("the world"));
    let udp = datagrams(WORLD, b"heard you");
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create web {SLEEP}"));
    let tell = |protocol: &str, to: &str| ask(&sandbox, "web-0", protocol, to);
    answered(&tell("tcp", &format!("192.0.2.1/{tcp}")), "the world");
    answered(&tell("udp", &format!("192.0.2.1/{udp}")), "heard you");
    answered(&tell("tcp", &format!("world.example/{tcp}")), "the world");
    answered(&tell("tcp", &format!("large.example/{tcp}")), "the world");
    failed(&tell("tcp", "192.0.2.1/1"), "Connection refused");
    failed(&tell("tcp", "198.51.100.1/1"), "unreachable");
    let missing = run(&sandbox, "web-0", &["getent", "hosts", "missing.example"]);
    assert_eq!(missing.code, 2, "{}{}", missing.out, missing.err);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}
