//! What the design promises about every process of petset, looked at from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Sandbox, processes};

fn link(pid: i32, name: &str) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/{name}")).unwrap()
}

/// The files that a process has open, by descriptor.
fn open_files(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect()
}

fn session(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(3).unwrap().parse().unwrap()
}

#[test]
fn no_descriptor_of_the_caller_stays_open() {
    let sandbox = Sandbox::new();
    let witness = sandbox.scratch().join("witness");
    let mut command = Command::new("sh");
    sandbox.place(&mut command);
    let script = format!(
        "exec 7>{0} 8<{0} 9>>{0}; exec {1} create -f manifests/three-ordered.yaml",
        witness.display(),
        env!("CARGO_BIN_EXE_petset")
    );
    command.args(["-c", &script]);
    let create = sandbox.start_command(&mut command);
    let outcome = sandbox.finish("create", create);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    let mut seen = 0;
    for process in sandbox.processes() {
        let open = open_files(process.pid);
        assert!(!open.contains(&witness), "{process} holds {open:?}");
        seen += 1;
    }
    assert!(seen >= 7, "a supervisor, three runners, three programs");
}

#[test]
fn supervisor_and_runners_leave_the_session_and_the_directory_of_the_caller() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let supervisor = sandbox.supervisor().unwrap();
    let runner = sandbox.runner("web-0").unwrap();
    let main = sandbox.main("web-0").unwrap();
    let own = session(i32::try_from(std::process::id()).unwrap());
    let sessions: BTreeSet<i32> = [supervisor, runner, main].map(session).into();
    assert_eq!(sessions, BTreeSet::from([supervisor, runner, main]));
    assert!(!sessions.contains(&own));
    assert_eq!(link(supervisor, "cwd"), PathBuf::from("/"));
    assert_eq!(link(runner, "cwd"), PathBuf::from("/"));
    let place = link(main, "cwd");
    let own = if support::is_full() {
        place == Path::new("/")
    } else {
        place.starts_with(sandbox.state())
    };
    assert!(own, "{}", place.display());
}

/// The addresses at which a process accepts packets, as the kernel writes them: those of sockets
/// that are not connected.
fn listens_at(pid: i32) -> Vec<String> {
    let sockets: Vec<String> = open_files(pid)
        .iter()
        .filter_map(|file| {
            file.to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect();
    let mut all = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let unconnected = words.get(2).is_some_and(|peer| peer.ends_with(":0000"));
            let own = sockets
                .iter()
                .any(|inode| words.get(9) == Some(&inode.as_str()));
            if unconnected && own {
                all.push(format!("{table} {}", words[1]));
            }
        }
    }
    all
}

#[test]
fn nothing_listens_off_loopback() {
    let sandbox = Sandbox::new();
    sandbox
        .ok("create web --replicas 2 --image petset/hello --port http=8080 --ready http:/healthz");
    let mut count = 0;
    // A listener in a network of its own cannot be reached from outside.
    let network = link(i32::try_from(std::process::id()).unwrap(), "ns/net");
    let on_host = |it: &processes::Process| link(it.pid, "ns/net") == network;
    for process in sandbox.processes().into_iter().filter(on_host) {
        for address in listens_at(process.pid) {
            // 127.b.x.y, in the byte order of this machine: the 7F is at one of the ends.
            let number = address
                .split(' ')
                .nth(1)
                .unwrap()
                .split(':')
                .next()
                .unwrap();
            let bytes = u32::from_str_radix(number, 16).unwrap().to_ne_bytes();
            assert_eq!(bytes[0], 127, "{process} listens at {address}");
            count += 1;
        }
    }
    assert!(count >= 2, "two pets listen");
}

#[test]
fn whatever_is_waited_for_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/gated.yaml --no-wait");
    sandbox.journal_says(&["started web-0"]);
    sandbox.until_says("describe web", "web-0 is not ready");
    sandbox.ok("describe pod web-0").says("Waits For:");
    sandbox.fails(124, "wait web --timeout 1s").says("web-0");
}

#[test]
fn the_supervisor_ends_by_itself_when_nothing_is_left_to_run() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    assert!(sandbox.supervisor().is_some());
    sandbox.ok("scale web --replicas 0");
    sandbox.assert_nothing_left();
    assert!(!sandbox.file("supervisor/pid").exists());
    sandbox.ok("scale web --replicas 1");
    assert_eq!(sandbox.pets(), ["web-0"]);
}

#[test]
fn reading_starts_no_process() {
    let sandbox = Sandbox::empty();
    for words in ["get all", "events", "volume ls", "dns"] {
        sandbox.ok(words);
    }
    assert!(!sandbox.state().exists());
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_has_its_peers_in_its_environment() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let script = "echo $POD_NAME $POD_NAMESPACE $PETSET_SET $PETSET_ORDINAL $PETSET_REPLICAS $PETSET_SERVICE $PETSET_FQDN";
    let told = sandbox.ok(&format!("exec web-1 -- sh -c '{script}'"));
    told.prints("web-1 default web 1 3 web web-1.web.default.svc.cluster.local\n");
    let found = sandbox.ok("exec web-1 -- sh -c '\"$PETSET\" discover --exclude-self -o name'");
    found.prints("web-0\nweb-2\n");
}
