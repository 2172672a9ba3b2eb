//! `petset with`: a cluster for the length of a command.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{PATIENCE, Sandbox, processes, wait_until};

const WEB: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: web }
spec:
  serviceName: web
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - name: hello
        image: petset/hello
        ports: [{ name: http, containerPort: 8080 }]
        readinessProbe: { httpGet: { path: /healthz, port: http } }
        volumeMounts: [{ name: data, mountPath: /data }]
  volumeClaimTemplates:
  - metadata: { name: data }
    spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Mi } } }
"#;

/// A command `with`, whose state directory is made in the sandbox's directory for temporary files.
fn with(sandbox: &Sandbox, options: &str, script: &str) -> Command {
    let manifest = sandbox.manifest("web.yaml", WEB);
    let mut command = sandbox.command(&format!("with -f {manifest} {options}"));
    command.args(["--", "sh", "-c", script]);
    command
}

/// The state directories that are there.
fn stays(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.scratch()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_stay = |path: &PathBuf| path.to_string_lossy().contains("petset-with-");
    paths.filter(is_stay).collect()
}

fn assert_nothing_is_left(sandbox: &Sandbox) {
    let left = || processes_of(sandbox);
    let gone = || stays(sandbox).is_empty() && left().is_empty();
    assert!(
        wait_until(gone, PATIENCE),
        "{:?} {:?}",
        stays(sandbox),
        left()
    );
}

/// The processes that have something to do with the sandbox's temporary files.
fn processes_of(sandbox: &Sandbox) -> Vec<String> {
    let all = processes::of(&sandbox.scratch()).into_iter();
    all.map(|process| process.to_string()).collect()
}

#[test]
fn a_command_finds_its_cluster_ready_and_nothing_is_left_at_its_end() {
    let sandbox = Sandbox::new();
    let script = "printf '%s|' \"$WEB_PEERS\" \"$WEB_0_ADDRESS\" \"$WEB_1_ADDRESS\"; \
                  $PETSET get pods -o jsonpath='{.items[*].metadata.name}'; exit 7";
    let output = with(&sandbox, "", script).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    let words: Vec<&str> = said.split('|').collect();
    let [peers, first, second, pods] = words[..] else {
        panic!("{said}")
    };
    assert_eq!(peers, format!("{first}:8080,{second}:8080"));
    assert!(first.starts_with("127."), "{said}");
    assert_eq!(pods, "web-0 web-1");
    assert_nothing_is_left(&sandbox);
}

#[test]
fn sets_are_scaled_before_they_start_and_logs_are_kept() {
    let sandbox = Sandbox::new();
    let logs = sandbox.scratch().join("logs");
    let options = format!("--scale web=3 --logs {}", logs.display());
    let script = "echo $WEB_PEERS | tr , '\\n' | wc -l";
    let output = with(&sandbox, &options, script).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "3");
    let log = fs::read_to_string(logs.join("default/web-2/hello.log")).unwrap();
    assert!(log.contains("listens on"), "{log}");
    assert_nothing_is_left(&sandbox);
}

#[test]
fn what_never_becomes_ready_is_told_and_the_command_is_not_run() {
    let sandbox = Sandbox::new();
    let output = with(&sandbox, "--scale other=1", "echo run")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the command was not run"), "{told}");
    assert_nothing_is_left(&sandbox);
}

#[test]
fn with_keep_a_failure_leaves_everything_running() {
    let sandbox = Sandbox::new();
    let output = with(&sandbox, "--keep", "exit 1").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("Everything is kept"), "{told}");
    let stays = stays(&sandbox);
    let [kept] = &stays[..] else { panic!("{told}") };
    let mut get = sandbox.command("get pods -o name");
    let pods = get.env("PETSET_STATE_DIR", kept).output().unwrap();
    assert_eq!(
        String::from_utf8(pods.stdout).unwrap(),
        "pod/web-0\npod/web-1\n"
    );
    // The supervisor has seen its owner end, and stays.
    let mut stop = sandbox.command("stop");
    let stopped = stop.env("PETSET_STATE_DIR", kept).output().unwrap();
    assert!(stopped.status.success());
    support::remove(kept);
    assert_nothing_is_left(&sandbox);
}

fn started(sandbox: &Sandbox, script: &str) -> Child {
    let mut command = with(sandbox, "", script);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let sandbox = Sandbox::new();
    for milliseconds in [0, 2, 5, 10, 20, 50, 100, 200, 400, 800] {
        let mut child = started(&sandbox, "exec sleep 1000");
        std::thread::sleep(Duration::from_millis(milliseconds));
        signal(&child, rustix::process::Signal::KILL);
        child.wait().unwrap();
        // What was made before there was a supervisor is removed by the next one.
        let gone = || processes_of(&sandbox).is_empty();
        assert!(wait_until(gone, PATIENCE), "{:?}", processes_of(&sandbox));
    }
    let output = with(&sandbox, "", "true").output().unwrap();
    assert!(output.status.success());
    assert_nothing_is_left(&sandbox);
}

#[test]
fn a_signal_ends_the_command_and_all_else() {
    let sandbox = Sandbox::new();
    let begun = sandbox.scratch().join("begun");
    let script = format!("touch {}; exec sleep 1000", begun.display());
    let mut child = started(&sandbox, &script);
    sandbox.until("the command runs", || begun.exists());
    signal(&child, rustix::process::Signal::TERM);
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(128 + 15), None));
    assert_nothing_is_left(&sandbox);
}
