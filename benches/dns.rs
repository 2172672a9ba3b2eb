//! Queries a second, beside dnsmasq and unbound serving the same names on the same machine.
//!
//! By hand: `cargo bench --bench dns [SECONDS]`. It needs dnsperf, and leaves out whichever of
//! the others is missing. Everything listens on loopback ports of its own and is ended after.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may do both"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIZES: [u32; 2] = [10, 10_000];
/// Names that are asked for in turn.
const ASKED: u32 = 10_000;

fn main() {
    let seconds = std::env::args().find_map(|word| word.parse::<u32>().ok());
    let seconds = seconds.unwrap_or(5);
    println!(
        "{:<10}{:>8}{:>12}{:>14}{:>12}",
        "SERVER", "PETS", "QUERIES/S", "LATENCY", "RSS KIB"
    );
    for pets in SIZES {
        let dir = tempfile::tempdir().unwrap();
        write_questions(dir.path(), pets);
        for (name, server) in [
            ("petset", petset(dir.path(), pets)),
            ("dnsmasq", dnsmasq(dir.path(), pets)),
            ("unbound", unbound(dir.path(), pets)),
        ] {
            match server {
                Some(server) => measure(name, &server, dir.path(), pets, seconds),
                None => println!("{name:<10}{pets:>8}{:>12}", "missing"),
            }
        }
    }
}

/// A server that runs until it is dropped.
struct Running {
    child: Child,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(pet: u32) -> String {
    format!("web-{pet}.web.default.svc.cluster.local")
}

fn address(pet: u32) -> String {
    format!("127.84.{}.{}", pet / 254 + 1, pet % 254 + 1)
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn write_questions(dir: &Path, pets: u32) {
    let lines: String = (0..ASKED).fold(String::new(), |mut text, number| {
        // A stride, so that neighbours in the list are no neighbours in the zone.
        writeln!(text, "{} A", name(number * 7919 % pets)).unwrap();
        text
    });
    fs::write(dir.join("questions"), lines).unwrap();
}

/// Writes a state directory of pets that are all ready, and serves it.
fn petset(dir: &Path, pets: u32) -> Option<Running> {
    let state = dir.join("state");
    let write = |path: &str, text: &str| {
        let path = state.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("format", "1\n");
    write("seen/block", "84\n");
    let mut endpoints = Vec::new();
    for pet in 0..pets {
        let (pod, ip) = (format!("web-{pet}"), address(pet));
        let object = format!(
            r#"{{"metadata":{{"name":"{pod}","namespace":"default"}},"status":{{"podIP":"{ip}"}}}}"#
        );
        write(&format!("pets/default/{pod}/pod.json"), &object);
        let status = r#"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}"#;
        write(&format!("pets/default/{pod}/status.json"), status);
        endpoints.push(format!(
            r#"{{"pod":"{pod}","hostname":"{pod}","ip":"{ip}","ready":true,"serving":true,
                "ports":[{{"name":"http","protocol":"TCP","port":8080}}]}}"#
        ));
    }
    let record = format!(
        r#"{{"namespace":"default","name":"web","kind":"headless","ports":[],"endpoints":[{}]}}"#,
        endpoints.join(",")
    );
    write("seen/default/endpoints/web.json", &record);
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_petset"));
    command.args(["dns", "serve", "--listen", &format!("127.0.0.1:{port}")]);
    command.env("PETSET_STATE_DIR", &state);
    command.env("PETSET_BLOCKS_DIR", dir.join("blocks"));
    start(command, port)
}

fn dnsmasq(dir: &Path, pets: u32) -> Option<Running> {
    let hosts: String = (0..pets).fold(String::new(), |mut text, pet| {
        writeln!(text, "{} {}", address(pet), name(pet)).unwrap();
        text
    });
    let file = dir.join("hosts");
    fs::write(&file, hosts).unwrap();
    let port = free_port();
    let mut command = Command::new("dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
        ])
        .args([
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--pid-file",
            "--user=root",
        ])
        .arg(format!("--port={port}"))
        .arg(format!("--addn-hosts={}", file.display()));
    start(command, port)
}

fn unbound(dir: &Path, pets: u32) -> Option<Running> {
    let port = free_port();
    let mut text = format!(
        "server:\n username: \"\"\n chroot: \"\"\n directory: \"{0}\"\n pidfile: \"\"\n \
         interface: 127.0.0.1\n port: {port}\n do-daemonize: no\n use-syslog: no\n logfile: \
         \"{0}/unbound.log\"\n num-threads: 1\n local-zone: \"cluster.local.\" static\n",
        dir.display()
    );
    for pet in 0..pets {
        writeln!(
            text,
            " local-data: \"{}. 5 IN A {}\"",
            name(pet),
            address(pet)
        )
        .unwrap();
    }
    text.push_str("remote-control:\n control-enable: no\n");
    let file = dir.join("unbound.conf");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("unbound");
    command.arg("-d").arg("-c").arg(&file);
    start(command, port)
}

/// Starts a server and waits until it answers.
fn start(mut command: Command, port: u16) -> Option<Running> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().ok()?;
    let running = Running { child, port };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let mut question = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name(0).split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let limit = Instant::now() + Duration::from_secs(60);
    while Instant::now() < limit {
        let _ = socket.send(&question);
        let mut reply = [0; 512];
        if socket.recv(&mut reply).is_ok() && reply[7] == 1 {
            return Some(running);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn measure(server: &str, running: &Running, dir: &Path, pets: u32, seconds: u32) {
    let port = running.port.to_string();
    let time = seconds.to_string();
    let questions = dir.join("questions");
    let output = Command::new("dnsperf")
        .args([
            "-s",
            "127.0.0.1",
            "-p",
            &port,
            "-l",
            &time,
            "-c",
            "4",
            "-q",
            "64",
            "-d",
        ])
        .arg(questions)
        .output()
        .expect("dnsperf is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |title: &str| {
        let line = text.lines().find(|line| line.trim().starts_with(title))?;
        line.split(':')
            .nth(1)?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    };
    let rate: f64 = value("Queries per second").map_or(0.0, |rate| rate.parse().unwrap());
    let latency: f64 = value("Average Latency (s)").map_or(0.0, |time| time.parse().unwrap());
    let lost = value("Queries lost").unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let rss = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let rss = rss.split_whitespace().nth(1).unwrap();
    let latency = format!("{:.0} µs", latency * 1e6);
    println!("{server:<10}{pets:>8}{rate:>12.0}{latency:>14}{rss:>12}   {lost} lost");
}
