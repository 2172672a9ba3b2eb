//! Queries a second, beside dnsmasq and unbound serving the same names on the same machine, and
//! how soon a pet that is ready resolves and is heard of.
//!
//! By hand: `cargo bench --bench dns -- [SECONDS]`. It needs dnsperf, and leaves out whichever of
//! the others is missing. Everything listens on loopback ports of its own and is ended after. How
//! long `discover` takes as a whole process: `cargo bench --bench whole_process -- answers`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may do both"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIZES: [u32; 2] = [10, 10_000];
/// Names that are asked for in turn.
const ASKED: u32 = 10_000;

const PETSET: &str = env!("CARGO_BIN_EXE_petset");
/// How often a pet becomes ready.
const ROUNDS: usize = 100;

fn main() {
    // `cargo test --benches` starts this too, without the word that `cargo bench` adds.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        return;
    }
    let seconds = words.iter().find_map(|word| word.parse::<u32>().ok());
    serve(seconds.unwrap_or(5));
    follow();
}

/// Lets every server answer for zones of each size.
fn serve(seconds: u32) {
    println!(
        "{:<10}{:>8}{:>12}{:>14}{:>16}{:>12}",
        "SERVER", "PETS", "QUERIES/S", "LATENCY", "CPU A QUERY", "RSS KIB"
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
    let mut command = Command::new(PETSET);
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
    let limit = Instant::now() + Duration::from_secs(60);
    while Instant::now() < limit {
        if count(&socket, 1) == Some(1) {
            return Some(running);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Asks for the address of the first pet, and returns how many there are; nothing where no answer
/// comes in time.
fn count(socket: &UdpSocket, id: u16) -> Option<u8> {
    let mut question = id.to_be_bytes().to_vec();
    question.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name(0).split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let _ = socket.send(&question);
    let mut reply = [0; 512];
    while socket.recv(&mut reply).is_ok() {
        if reply[..2] == id.to_be_bytes() {
            return Some(reply[7]);
        }
    }
    None
}

/// How much of the processor a process has had.
fn spent(pid: u32) -> Duration {
    // In hundredths of a second, which of several seconds is little.
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn measure(server: &str, running: &Running, dir: &Path, pets: u32, seconds: u32) {
    let port = running.port.to_string();
    let time = seconds.to_string();
    let questions = dir.join("questions");
    let before = spent(running.child.id());
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
    let answered: f64 = value("Queries completed").map_or(1.0, |count| count.parse().unwrap());
    let cpu = (spent(running.child.id()) - before).as_secs_f64() / answered;
    let cpu = format!("{:.2} µs", cpu * 1e6);
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let rss = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let rss = rss.split_whitespace().nth(1).unwrap();
    let latency = format!("{:.0} µs", latency * 1e6);
    println!("{server:<10}{pets:>8}{rate:>12.0}{latency:>14}{cpu:>16}{rss:>12}   {lost} lost");
}

/// Two real pets, of which one is ready and not in turn: how soon the server knows, and a hook.
fn follow() {
    let dir = tempfile::tempdir().unwrap();
    let live = Live(dir.path().to_owned());
    let create =
        "create web --replicas 2 --image petset/hello --port http=8080 --ready http:/healthz";
    assert!(live.petset(create).output().unwrap().status.success());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    socket.connect(live.server()).unwrap();
    let path = live.0.join("state/pets/default/web-0/status.json");
    let ready = fs::read_to_string(&path).unwrap();
    let mut unready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let conditions = unready["conditions"].as_array_mut().unwrap();
    let condition = conditions.iter_mut().find(|it| it["type"] == "Ready");
    condition.unwrap()["status"] = "False".into();
    let unready = unready.to_string();
    let mut id = 0;
    let mut until = |text: &str, wanted: u8| {
        replace(&path, text);
        let start = Instant::now();
        loop {
            id += 1;
            if count(&socket, id) == Some(wanted) {
                return start.elapsed();
            }
        }
    };
    let resolved = (0..ROUNDS).map(|_| {
        until(&unready, 0);
        until(&ready, 1)
    });
    say("ready to resolvable", resolved.collect());
    let mut discover = live.petset("discover --on-change");
    discover.arg("wc -l").stdout(Stdio::piped());
    discover.envs([("POD_NAME", "web-1"), ("PETSET_SET", "web")]);
    let mut child = discover.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _running = Running { child, port: 0 };
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    let mut heard = |text: &str| {
        let start = Instant::now();
        replace(&path, text);
        lines.next().unwrap().unwrap();
        start.elapsed()
    };
    let heard = (0..ROUNDS).map(|_| {
        heard(&unready);
        heard(&ready)
    });
    say("change to the end of a hook", heard.collect());
}

fn say(what: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let (median, worst) = (samples[samples.len() / 2], samples[samples.len() - 1]);
    println!(
        "{what}: median {median:?}, worst {worst:?} of {}",
        samples.len()
    );
}

/// Replaces a file in one piece, as a runner does.
fn replace(path: &Path, text: &str) {
    let new = path.with_file_name(".status.json.bench.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A state directory with a supervisor, which ends with it.
struct Live(PathBuf);

impl Live {
    fn petset(&self, words: &str) -> Command {
        let mut command = Command::new(PETSET);
        command.args(words.split(' '));
        command.env("PETSET_STATE_DIR", self.0.join("state"));
        command.env("PETSET_BLOCKS_DIR", self.0.join("blocks"));
        command.stderr(Stdio::null());
        command
    }

    fn server(&self) -> SocketAddr {
        let block = fs::read_to_string(self.0.join("state/seen/block")).unwrap();
        SocketAddr::from(([127, block.trim().parse().unwrap(), 0, 53], 5353))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.petset("delete web").output();
    }
}
