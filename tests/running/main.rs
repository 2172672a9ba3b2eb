//! The runner for real: one pod in a state directory made by hand, driven through its files and
//! its control socket.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hooks;
mod killing;
mod starting;
mod stopping;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

/// How long a test waits for something that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One pod and its runner; dropping it leaves nothing behind.
struct Sandbox {
    dir: tempfile::TempDir,
    uid: String,
    runner: Option<Child>,
}

impl Sandbox {
    /// Prepares a pod from its spec.
    fn new(spec: Value) -> Self {
        Self::with(json!({}), spec)
    }

    fn with(metadata: Value, spec: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Without it the directory counts as removed.
        fs::write(dir.path().join("format"), "1\n").unwrap();
        let name = dir.path().file_name().unwrap().to_string_lossy();
        let uid = format!("uid-{}-{name}", std::process::id());
        let sandbox = Self {
            dir,
            uid,
            runner: None,
        };
        sandbox.write_pod(metadata, spec);
        sandbox
    }

    fn write_pod(&self, metadata: Value, spec: Value) {
        let mut pod = json!({
            "metadata": {"name": "web-0", "namespace": "default", "uid": self.uid},
            "spec": spec,
            "status": {"podIP": "127.0.0.1"},
        });
        for (key, value) in metadata.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        fs::create_dir_all(self.pet()).unwrap();
        fs::write(self.pet().join("pod.json"), pod.to_string()).unwrap();
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn pet(&self) -> PathBuf {
        self.root().join("pets/default/web-0")
    }

    /// A file that the pod's scripts may write as `$F/name`.
    fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.pet().join("logs").join(name)).unwrap_or_default()
    }

    /// The pod's events.
    fn journal(&self) -> String {
        self.text("seen/default/events/web-0.jsonl")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_petset"));
        command
            .arg("runner")
            .arg(self.root())
            .args(["default", "web-0"])
            .stdin(Stdio::null())
            .env("TZ", "UTC");
        command
    }

    fn start(&mut self) -> &mut Self {
        self.runner = Some(self.command().process_group(0).spawn().unwrap());
        self
    }

    fn status(&self) -> Value {
        let text = fs::read_to_string(self.pet().join("status.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Waits until the status fulfils a condition and returns it.
    fn until(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait_for(|| {
            let status = self.status();
            condition(&status).then_some(status)
        })
        .unwrap_or_else(|| panic!("{what} never came true: {:#}", self.status()))
    }

    fn until_ready(&self) -> Value {
        self.until("ready", |status| condition(status, "Ready") == "True")
    }

    fn tell(&self, message: &str) {
        let dir = File::open(self.pet()).unwrap();
        let path = format!("/proc/self/fd/{}/control", dir.as_raw_fd());
        let socket = UnixDatagram::unbound().unwrap();
        let sent = || socket.send_to(message.as_bytes(), &path).ok();
        wait_for(sent).expect("the control socket never came");
    }

    fn stop(&self, grace: u64) {
        self.tell(&json!({"stop": {"graceSeconds": grace}}).to_string());
    }

    /// Waits until the runner has ended and returns its exit code.
    fn ended(&mut self) -> i32 {
        let runner = self.runner.as_mut().unwrap();
        let status = wait_for(|| runner.try_wait().unwrap());
        self.runner = None;
        status.expect("the runner never ended").code().unwrap_or(-1)
    }

    fn kill_runner(&mut self) {
        let mut runner = self.runner.take().unwrap();
        runner.kill().unwrap();
        runner.wait().unwrap();
    }

    fn runner_pid(&self) -> u32 {
        self.runner.as_ref().unwrap().id()
    }

    /// Lists the processes that carry this pod's mark.
    fn processes(&self) -> Vec<u32> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.has_marked(*pid)).collect()
    }

    fn has_marked(&self, pid: u32) -> bool {
        let mark = format!("PETSET_POD_UID={}", self.uid);
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|&byte| byte == 0);
        variables.any(|it| it == mark.as_bytes())
    }

    /// Kills a process that carries this pod's mark; one that is gone already is as good.
    fn kill(&self, pid: u32) {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Ok(handle) = pidfd_open(number.unwrap(), PidfdFlags::empty()) else {
            return;
        };
        // Looked at after opening: from here on the number cannot mean another process.
        if self.has_marked(pid) {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }

    fn until_no_process_is_left(&self) {
        let gone = wait_for(|| self.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "left over: {:?}", self.processes());
    }

    fn until_text(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        let text = wait_for(|| Some(self.text(name)).filter(|text| wanted(text)));
        text.unwrap_or_else(|| panic!("{name} says {:?}: {:#}", self.text(name), self.status()))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut runner) = self.runner.take() {
            let _ = runner.kill();
            let _ = runner.wait();
        }
        self.processes().into_iter().for_each(|pid| self.kill(pid));
    }
}

/// Waits for a condition, not for a time.
fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a str {
    let conditions = status["conditions"].as_array().map(Vec::as_slice);
    let mut conditions = conditions.unwrap_or_default().iter();
    let found = conditions.find(|it| it["type"] == kind);
    found.and_then(|it| it["status"].as_str()).unwrap_or("?")
}

/// A container that runs a shell script, in which `$F` is the sandbox. `$$$$` is the shell's own
/// number, for Kubernetes takes `$$` for an escaped `$`.
fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "x", "command": ["/bin/sh", "-c", script]})
}

/// Adds `$F` to the environment of every container.
fn with_files(sandbox: &Sandbox, mut spec: Value) -> Value {
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["env"] = json!([{"name": "F", "value": sandbox.root()}]);
        }
    }
    spec
}

/// Starts a pod whose scripts may write files.
fn running(spec: Value) -> Sandbox {
    let mut sandbox = Sandbox::new(json!({"containers": []}));
    sandbox.write_pod(json!({}), with_files(&sandbox, spec));
    sandbox.start();
    sandbox
}

fn main_state(status: &Value) -> &Value {
    &status["containerStatuses"][0]["state"]
}

#[test]
fn init_containers_run_in_order_and_then_the_main_ones() {
    let mut pod = running(json!({
        "initContainers": [
            shell("one", "echo one >> $F/order; echo said by one"),
            shell("two", "echo two >> $F/order"),
        ],
        "containers": [
            shell("main", "echo main >> $F/order; exec sleep 1000"),
            shell("other", "echo other >> $F/order; exec sleep 1000"),
        ],
    }));
    let status = pod.until_ready();
    assert_eq!(status["phase"], "Running");
    // Each was started when the one before had been: which of them speaks first is their affair.
    let in_order = ["one\ntwo\nmain\nother\n", "one\ntwo\nother\nmain\n"];
    pod.until_text("order", |text| in_order.contains(&text));
    let init = &status["initContainerStatuses"][0];
    assert_eq!(init["state"]["terminated"]["reason"], "Completed");
    assert_eq!(init["ready"], true);
    assert_eq!(pod.log("one.log"), "said by one\n");
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    assert_eq!(status["phase"], "Failed");
    assert_eq!(main_state(&status)["terminated"]["exitCode"], 143);
    pod.until_no_process_is_left();
}

#[test]
fn a_failing_init_container_is_retried_and_each_run_keeps_its_log() {
    let pod = running(json!({
        "initContainers": [shell("init", "echo run >> $F/runs; echo run $(wc -l < $F/runs); \
            test $(wc -l < $F/runs) -ge 3")],
        "containers": [shell("main", "exec sleep 1000")],
    }));
    let status = pod.until("ended again", |status| {
        let init = &status["initContainerStatuses"][0];
        init["state"]["terminated"]["exitCode"] == 1 && init["restartCount"] == 1
    });
    assert_eq!(status["phase"], "Pending");
    let status = pod.until_ready();
    assert_eq!(status["initContainerStatuses"][0]["restartCount"], 2);
    assert_eq!(pod.log("init.log"), "run 3\n");
    assert_eq!(pod.log("init.previous.log"), "run 2\n");
}

#[test]
fn a_main_process_that_ends_is_restarted_at_once_and_then_later() {
    let pod = running(json!({
        "initContainers": [shell("init", "echo init >> $F/inits")],
        "containers": [shell("main", "echo run >> $F/runs; exit 7")],
    }));
    let status = pod.until("ended again", |status| {
        let ended = main_state(status)["terminated"]["exitCode"] == 7;
        ended && status["containerStatuses"][0]["restartCount"] == 1
    });
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&json!(7), &json!("Error"))
    );
    assert_eq!(pod.text("runs"), "run\nrun\n");
    assert_eq!(pod.text("inits"), "init\n");
    let started = Instant::now();
    pod.stop(1000);
    let mut pod = pod;
    assert_eq!(pod.ended(), 0, "a stop during back-off");
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(main_state(&pod.status())["terminated"]["exitCode"], 7);
}

#[test]
fn a_restart_on_request_has_no_back_off() {
    let pod =
        running(json!({"containers": [shell("main", "echo run >> $F/runs; exec sleep 1000")]}));
    for wanted in 1..4 {
        pod.until_text("runs", |text| text.lines().count() == wanted);
        pod.until_ready();
        pod.tell(r#"{"restart":{"container":"main"}}"#);
    }
    pod.until_text("runs", |text| text.lines().count() == 4);
    let status = pod.until_ready();
    assert_eq!(status["containerStatuses"][0]["restartCount"], 3);
}

#[test]
fn the_exit_code_of_a_killed_process_is_128_and_the_signal() {
    let mut pod = running(json!({
        "restartPolicy": "Never",
        "containers": [shell("main", "kill -9 $$$$")],
    }));
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    let ended = &main_state(&status)["terminated"];
    assert_eq!(ended["exitCode"], 137);
    assert_eq!(status["phase"], "Failed");
}

#[test]
fn a_pod_that_has_done_its_work_succeeds() {
    let mut pod = running(json!({
        "restartPolicy": "OnFailure",
        "containers": [shell("main", "echo done")],
    }));
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Succeeded");
    let record = fs::read_to_string(pod.pet().join("runner.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["clean"], true);
    assert_eq!(
        pod.start().ended(),
        0,
        "a runner of a pod that has ended starts nothing"
    );
    assert_eq!(pod.log("main.log"), "done\n");
}

#[test]
fn one_identity_has_one_runner() {
    let pod =
        running(json!({"containers": [shell("main", "echo run >> $F/runs; exec sleep 1000")]}));
    pod.until_ready();
    let second = pod.command().status().unwrap();
    assert_eq!(second.code(), Some(75));
    assert_eq!(pod.text("runs"), "run\n");
}

#[test]
fn a_talkative_process_is_never_held_up_by_its_log() {
    let mut pod = running(json!({
        "restartPolicy": "Never",
        "containers": [shell("main", "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end")],
    }));
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Succeeded");
    assert!(pod.log("main.log").ends_with("end\n"));
    let logs = fs::read_dir(pod.pet().join("logs")).unwrap().flatten();
    let logs = logs.filter(|it| it.file_name() != "main.log.index");
    let size: u64 = logs.map(|it| it.metadata().unwrap().len()).sum();
    assert_eq!(size, 30_000_005);
    assert!(pod.pet().join("logs/main.log.2").exists());
}

#[test]
fn an_idle_runner_uses_no_processor_time() {
    let pod = running(json!({"containers": [shell("main", "exec sleep 1000")]}));
    pod.until_ready();
    let pid = pod.runner_pid();
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|it| it.starts_with("voluntary_ctxt_switches"));
        line.unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let asleep = || {
        let before = switches();
        std::thread::sleep(Duration::from_millis(300));
        (switches() == before).then_some(())
    };
    assert!(wait_for(asleep).is_some());
}

#[test]
fn the_runner_is_no_child_of_its_callers_session_and_holds_nothing_open() {
    let pod =
        running(json!({"containers": [shell("main", "ls -l /proc/self/fd; exec sleep 1000")]}));
    pod.until_ready();
    let pid = pod.runner_pid();
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        Path::new("/")
    );
    let log = wait_for(|| Some(pod.log("main.log")).filter(|log| log.lines().count() >= 4));
    let log = log.unwrap();
    let open = log.lines().filter(|line| line.contains(" -> ")).count();
    assert_eq!(open, 4, "stdin, stdout, stderr, and what ls opens: {log}");
    assert!(log.contains("0 -> /dev/null"), "{log}");
}
