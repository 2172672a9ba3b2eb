//! What a user waits for: whole commands, from their start to their end, as a plain table.
//!
//! Run it by hand: `cargo bench`, or `cargo bench -- 15` for 15 runs of each instead of 7, with
//! `ordered`, `levels`, `crowd` or `answers` for that part alone. Beside
//! each figure about pets stands the same command under bare fork+exec, measured in the same run,
//! for only their ratio means anything on a machine that does other things too.
//!
//! It is not built on criterion or divan: those time a function many thousand times in one
//! process, whereas here each sample is made of processes, has to be prepared and cleared away,
//! takes milliseconds to seconds, and tells about memory too. The middle of several runs is
//! printed, never the best.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PETSET: &str = env!("CARGO_BIN_EXE_petset");
const SLEEP: [&str; 2] = ["/bin/sleep", "1000"];
const CROWD: usize = 100;
const MANY_SETS: usize = 1000;

fn main() {
    // `cargo test --benches` starts this too, without the word that `cargo bench` adds.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        return;
    }
    let runs = words.iter().find_map(|word| word.parse().ok()).unwrap_or(7);
    let mut table = Table::default();
    let parts = ["ordered", "levels", "crowd", "answers"];
    let named: Vec<&str> = parts
        .into_iter()
        .filter(|part| words.iter().any(|word| word == part))
        .collect();
    let wanted = |part| named.is_empty() || named.contains(&part);
    if wanted("ordered") {
        ordered(&mut table, runs);
    }
    if wanted("levels") {
        levels(&mut table, runs);
    }
    if wanted("crowd") {
        crowd(&mut table, runs.min(5));
    }
    if wanted("answers") {
        answers(&mut table, runs.max(11));
    }
    println!("\n{runs} runs, medians\n\n{}", table.text);
}

/// Three hello pets, each ready before the next one starts.
fn ordered(table: &mut Table, runs: usize) {
    let wish =
        "create web --replicas 3 --image petset/hello --port http=8080 --ready http:/healthz";
    let (mut create, mut delete, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let state = State::new();
        create.push(state.timed(wish));
        delete.push(state.timed("delete web"));
        bare.push(time(bare_hello));
    }
    let bare = median(bare);
    table.against(
        "create 3 ordered hello pets, until ready",
        median(create),
        "150 ms",
        bare,
    );
    table.plain("delete 3 ordered hello pets", median(delete), "");
}

/// What isolation costs: the same three pets without and with it, beside bare fork+exec.
fn levels(table: &mut Table, runs: usize) {
    let bare = median((0..runs).map(|_| time(bare_hello)).collect());
    for level in ["none", "full"] {
        let wish = format!(
            "create web --replicas 3 --image petset/hello --port http=8080 \
             --ready http:/healthz --isolation {level}"
        );
        let (mut create, mut pet) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let state = State::new();
            create.push(state.timed(&wish));
            pet.push(kept_by(runner_of(
                &state.dir.path().join("state/pets/default/web-0"),
            )));
        }
        let title = format!("create 3 ordered hello pets, isolation {level}");
        let limit = if level == "full" { "none + 100 ms" } else { "" };
        table.against(&title, median(create), limit, bare);
        let title = format!("memory (PSS) a pet beside its program, isolation {level}");
        table.memory(&title, median(pet), "");
    }
}

/// Returns what a runner takes, together with the first process of its pet's namespaces.
fn kept_by(runner: u64) -> u64 {
    let children = format!("/proc/{runner}/task/{runner}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let is_init = |pid: &u64| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "petset-init")
    };
    let init = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(is_init);
    pss(runner) + init.map_or(0, pss)
}

/// Starts three hello servers, each when the one before it answers, and ends them.
fn bare_hello() -> Duration {
    let begun = Instant::now();
    let mut servers = Vec::new();
    for _ in 0..3 {
        let mut command = Command::new(PETSET);
        command.args(["hello", "0"]).env("POD_IP", "127.0.0.1");
        let mut server = forked(command.stdout(Stdio::piped()));
        let mut said = [0; 256];
        let length = server.stdout.as_mut().unwrap().read(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..length]);
        let port = said
            .trim()
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap();
        assert!(answers_at(port.parse().unwrap()));
        servers.push(server);
    }
    let took = begun.elapsed();
    end(servers);
    took
}

fn answers_at(port: u16) -> bool {
    let mut stream = TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.contains("200 OK")
}

/// A hundred pets at once: until they run, what they take, until they are gone.
fn crowd(table: &mut Table, runs: usize) {
    let wish = format!(
        "create crowd --parallel --replicas {CROWD} -- {}",
        SLEEP.join(" ")
    );
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    let (mut bare, mut bare_end) = (Vec::new(), Vec::new());
    let (mut runner, mut supervisor) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let begun = Instant::now();
        let sleepers: Vec<Child> = (0..CROWD)
            .map(|_| forked(Command::new(SLEEP[0]).arg(SLEEP[1])))
            .collect();
        bare.push(begun.elapsed());
        bare_end.push(time(|| end(sleepers)));
        let state = State::new();
        create.push(state.timed(&wish));
        let memory = state.memory();
        runner.push(memory.runner);
        supervisor.push(memory.supervisor);
        delete.push(state.timed("delete crowd"));
    }
    let (bare, bare_end) = (median(bare), median(bare_end));
    table.against(
        "create 100 parallel pets, until running",
        median(create),
        "3 x",
        bare,
    );
    table.against("delete 100 parallel pets", median(delete), "", bare_end);
    let (runner, supervisor) = (median(runner), median(supervisor));
    table.memory("memory (PSS) of a runner, among 100", runner, "1.5 MiB");
    table.memory("memory (PSS) of the supervisor of 100", supervisor, "");
    let shared = supervisor / u64::try_from(CROWD).unwrap();
    table.memory(
        "memory (PSS) a pet, both together",
        runner + shared,
        "1.5 MiB",
    );
}

/// Commands that only look, with one set and with a thousand in the state directory.
fn answers(table: &mut Table, runs: usize) {
    let state = State::new();
    let wish =
        "create web --replicas 3 --image petset/hello --port http=8080 --ready http:/healthz";
    state.timed(wish);
    let looks = [
        "discover web",
        "dns query web-0.web",
        "get pods web",
        "get sets",
    ];
    let alone: Vec<Duration> = looks.map(|look| state.often(look, runs)).into();
    state.add_sets(MANY_SETS - 1);
    state.wait_for_rest();
    let among: Vec<Duration> = looks.map(|look| state.often(look, runs)).into();
    let bare = median(
        (0..runs)
            .map(|_| time(|| run(Command::new("/bin/true"))))
            .collect(),
    );
    table.plain("bare fork+exec of /bin/true", bare, "");
    for ((look, alone), among) in looks.iter().zip(alone).zip(among) {
        let target = if look.starts_with("get") { "" } else { "5 ms" };
        table.plain(&format!("{look}, 1 set"), alone, target);
        table.plain(&format!("{look}, {MANY_SETS} sets"), among, target);
    }
    state.timed("delete web");
}

/// A state directory of its own, which leaves nothing behind.
struct State {
    dir: tempfile::TempDir,
}

struct Memory {
    runner: u64,
    supervisor: u64,
}

impl State {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn petset(&self, words: &str) -> Command {
        let mut command = Command::new(PETSET);
        command.args(words.split(' '));
        command.env("PETSET_STATE_DIR", self.dir.path().join("state"));
        command.env("PETSET_BLOCKS_DIR", self.dir.path().join("blocks"));
        command
    }

    fn timed(&self, words: &str) -> Duration {
        time(|| run(self.petset(words)))
    }

    fn often(&self, words: &str, runs: usize) -> Duration {
        self.timed(words);
        median((0..runs).map(|_| self.timed(words)).collect())
    }

    /// Adds sets that want no pets.
    fn add_sets(&self, count: usize) {
        let mut text = String::new();
        for number in 0..count {
            let name = format!("other-{number}");
            write!(
                text,
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
                 spec: {{clusterIP: None, selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n\
                 ---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\n\
                 spec: {{serviceName: {name}, replicas: 0, selector: {{matchLabels: {{app: {name}}}}}, \
                 template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: \
                 [{{name: main, image: sleep, command: [sleep, '1000']}}]}}}}}}\n"
            )
            .unwrap();
        }
        let path = self.dir.path().join("sets.yaml");
        fs::write(&path, text).unwrap();
        let mut create = self.petset("create -f");
        create.arg(&path);
        run(create);
    }

    /// Waits until the supervisor has nothing to do, so that it disturbs nothing.
    fn wait_for_rest(&self) {
        let pid = fs::read_to_string(self.dir.path().join("state/supervisor/pid")).unwrap();
        let spent = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
            let words: Vec<String> = stat.split(' ').map(str::to_owned).collect();
            (words[13].clone(), words[14].clone())
        };
        let mut before = spent();
        loop {
            thread::sleep(Duration::from_millis(300));
            let now = spent();
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn memory(&self) -> Memory {
        let state = self.dir.path().join("state");
        let pets = fs::read_dir(state.join("pets/default")).unwrap().flatten();
        let mut runners: Vec<u64> = pets.map(|pet| pss(runner_of(&pet.path()))).collect();
        runners.sort_unstable();
        let supervisor = fs::read_to_string(state.join("supervisor/pid")).unwrap();
        Memory {
            runner: runners[runners.len() / 2],
            supervisor: pss(supervisor.trim().parse().unwrap()),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let mut stop = self.petset("stop");
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn runner_of(pet: &Path) -> u64 {
    let text = fs::read_to_string(pet.join("runner.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["pid"].as_u64().unwrap()
}

/// Returns the proportional set size of a process in KiB: what is shared counts in parts.
fn pss(pid: u64) -> u64 {
    let path: PathBuf = format!("/proc/{pid}/smaps_rollup").into();
    let text = fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Starts a command by fork and exec. std would use vfork for a plain one, which petset cannot:
/// it puts each pet into a session of its own.
fn forked(command: &mut Command) -> Child {
    let own = rustix::process::getuid().as_raw();
    command.uid(own).stdin(Stdio::null()).spawn().unwrap()
}

fn end(children: Vec<Child>) {
    let mut children = children;
    children.iter_mut().for_each(|child| child.kill().unwrap());
    children
        .iter_mut()
        .for_each(|child| assert!(child.wait().is_ok()));
}

fn run(mut command: Command) {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let done = quiet.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
}

fn time<T>(act: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

fn median<T: Ord + Copy>(mut samples: Vec<T>) -> T {
    samples.sort_unstable();
    // Let what ended just now settle before the next thing is measured.
    thread::yield_now();
    samples[samples.len() / 2]
}

#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, what: &str, figure: &str, target: &str, beside: &str) {
        let line = format!("{what:<42} {figure:>12} {target:>10}   {beside}");
        writeln!(self.text, "{}", line.trim_end()).unwrap();
    }

    fn against(&mut self, what: &str, took: Duration, target: &str, bare: Duration) {
        let ratio = took.as_secs_f64() / bare.as_secs_f64();
        let beside = format!("bare fork+exec {}, {ratio:.1} x", millis(bare));
        self.row(what, &millis(took), target, &beside);
    }

    fn plain(&mut self, what: &str, took: Duration, target: &str) {
        self.row(what, &millis(took), target, "");
    }

    fn memory(&mut self, what: &str, kibibytes: u64, target: &str) {
        self.row(what, &format!("{kibibytes} KiB"), target, "");
    }
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
