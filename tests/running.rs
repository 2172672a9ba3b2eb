//! The runner for real: one pod in a state directory made by hand, driven through its files and
//! its control socket.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let mark = format!("PETSET_POD_UID={}", self.uid);
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|it| it == mark.as_bytes())
        };
        pids.filter(marked).collect()
    }

    fn until_nobody_is_left(&self) {
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
        for pid in self.processes() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
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
    pod.until_nobody_is_left();
}

#[test]
fn a_failing_init_container_is_retried_and_each_run_keeps_its_log() {
    let pod = running(json!({
        "initContainers": [shell("init", "echo run >> $F/runs; echo run $(wc -l < $F/runs); \
            test $(wc -l < $F/runs) -ge 3")],
        "containers": [shell("main", "exec sleep 1000")],
    }));
    let status = pod.until("backing off", |status| {
        status["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
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
    let status = pod.until("backing off", |status| {
        main_state(status)["waiting"]["reason"] == "CrashLoopBackOff"
    });
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(
        (&last["exitCode"], &last["reason"]),
        (&json!(7), &json!("Error"))
    );
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
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
    assert_eq!(
        (&ended["exitCode"], &ended["signal"]),
        (&json!(137), &json!(9))
    );
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
fn what_ignores_sigterm_is_killed_when_the_grace_is_over() {
    let mut pod = running(json!({
        "containers": [shell("main", "trap '' TERM; echo up > $F/up; while :; do sleep 0.1; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(1);
    assert_eq!(pod.ended(), 0);
    assert_eq!(main_state(&pod.status())["terminated"]["exitCode"], 137);
    pod.until_nobody_is_left();
}

#[test]
fn a_repeated_stop_shortens_the_grace() {
    let mut pod = running(json!({
        "containers": [shell("main", "trap '' TERM; echo up > $F/up; while :; do sleep 0.1; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(10_000);
    pod.until("not ready", |status| condition(status, "Ready") == "False");
    pod.stop(0);
    assert_eq!(pod.ended(), 0);
    pod.until_nobody_is_left();
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_stopped_with_its_pod() {
    let mut pod = running(json!({
        "containers": [shell("main", "setsid -f sh -c 'setsid -f sleep 1001'; \
            env -i setsid -f sleep 1002; echo up > $F/up; exec sleep 1000")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    let runner = pod.runner_pid();
    let all = wait_for(|| Some(descendants(runner)).filter(|all| all.len() == 3));
    let all = all.expect("three processes");
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    assert!(all.iter().all(|&pid| !is_alive(pid)), "{all:?}");
}

#[test]
fn a_crash_takes_the_rest_of_the_tree_with_it_before_the_restart() {
    let pod = running(json!({
        "containers": [shell("main", "echo run >> $F/runs; \
            test $(wc -l < $F/runs) = 1 || exec sleep 1000; \
            (trap '' TERM; sleep 1001) & setsid -f sleep 1001; exit 3")],
    }));
    pod.until_text("runs", |text| text.lines().count() == 2);
    let one = |pod: &Sandbox| descendants(pod.runner_pid()).len() == 1;
    assert!(wait_for(|| one(&pod).then_some(())).is_some());
}

#[test]
fn a_small_fork_bomb_is_stopped() {
    let bomb = "echo up > $F/up; f() { sleep 0.02; (f) & (f) & wait; }; trap '' TERM; f";
    let mut pod = running(json!({"containers": [shell("main", bomb)]}));
    pod.until_text("up", |text| !text.is_empty());
    let runner = pod.runner_pid();
    assert!(wait_for(|| (descendants(runner).len() > 20).then_some(())).is_some());
    pod.stop(0);
    assert_eq!(pod.ended(), 0);
    pod.until_nobody_is_left();
}

#[test]
fn a_killed_runner_takes_the_main_process_along_and_its_successor_the_rest() {
    let mut pod = running(json!({
        "initContainers": [shell("init", "echo init >> $F/inits")],
        "containers": [shell("main", "setsid -f sleep 1001; env -i sleep 1002 & echo run >> $F/runs; \
            exec sleep 1000")],
    }));
    pod.until_text("runs", |text| text == "run\n");
    pod.until_ready();
    let all = wait_for(|| Some(descendants(pod.runner_pid())).filter(|all| all.len() == 3));
    let all = all.expect("three processes");
    pod.kill_runner();
    pod.start();
    pod.until_text("runs", |text| text == "run\nrun\n");
    let status = pod.until("ready again", |status| {
        condition(status, "Ready") == "True" && status["containerStatuses"][0]["restartCount"] == 1
    });
    assert!(all.iter().all(|&pid| !is_alive(pid)), "{all:?}");
    assert_eq!(pod.text("inits"), "init\ninit\n");
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    pod.until_nobody_is_left();
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
fn a_signal_stops_the_pod_with_its_own_grace() {
    let mut pod = running(json!({
        "terminationGracePeriodSeconds": 10,
        "containers": [shell("main", "trap 'echo bye; exit 0' TERM; echo up > $F/up; \
            while :; do sleep 0.05; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    let pid = pod.runner_pid().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Succeeded");
    assert_eq!(pod.log("main.log"), "bye\n");
}

#[test]
fn a_stop_during_an_init_container_starts_nothing_more() {
    let mut pod = running(json!({
        "initContainers": [shell("init", "echo up > $F/up; exec sleep 1000")],
        "containers": [shell("main", "echo run >> $F/runs")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Failed");
    assert_eq!(pod.text("runs"), "");
}

#[test]
fn a_pod_that_is_deleted_before_it_begins_starts_nothing() {
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = json!({"containers": [shell("main", "echo run >> $F/runs")]});
    let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    pod.write_pod(deleted, with_files(&pod, spec));
    assert_eq!(pod.start().ended(), 0);
    assert_eq!(pod.text("runs"), "");
}

#[test]
fn a_reload_that_finds_the_pod_deleted_stops_it() {
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = with_files(
        &pod,
        json!({"containers": [shell("main", "exec sleep 1000")]}),
    );
    pod.write_pod(json!({}), spec.clone());
    pod.start();
    pod.until_ready();
    let deleted = json!({
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5,
    });
    pod.write_pod(deleted, spec);
    pod.tell(r#"{"reload":{}}"#);
    assert_eq!(pod.ended(), 0);
}

#[test]
fn hooks_run_around_the_main_process() {
    let hooks = json!({
        "postStart": {"exec": {"command": ["/bin/sh", "-c", "echo started >> $F/order"]}},
        "preStop": {"exec": {"command": ["/bin/sh", "-c", "echo stopping >> $F/order"]}},
    });
    let mut main = shell(
        "main",
        "trap 'echo ended >> $F/order; exit 0' TERM; \
        while :; do sleep 0.05; done",
    );
    main["lifecycle"] = hooks;
    let next = shell("next", "echo next >> $F/order; exec sleep 1000");
    let mut pod = running(json!({"containers": [main, next]}));
    pod.until_ready();
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("order"), "started\nnext\nstopping\nended\n");
}

#[test]
fn a_pre_stop_may_end_the_main_process_itself_and_still_finish() {
    let pre_stop = "kill -TERM $(cat $F/pid); while kill -0 $(cat $F/pid) 2> /dev/null; \
        do sleep 0.01; done; echo finished > $F/finished";
    let mut main = shell(
        "main",
        "echo $$$$ > $F/pid.new; mv $F/pid.new $F/pid; exec sleep 1000",
    );
    main["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", pre_stop]}}});
    let mut pod = running(json!({"containers": [main]}));
    pod.until_text("pid", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("finished"), "finished\n");
    assert_eq!(pod.status()["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_sleeping_hook_is_cut_short_by_the_grace() {
    let mut main = shell("main", "exec sleep 1000");
    main["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 1000}}});
    let mut pod = running(json!({"containers": [main]}));
    pod.until_ready();
    pod.stop(1);
    assert_eq!(pod.ended(), 0);
    assert_eq!(main_state(&pod.status())["terminated"]["exitCode"], 143);
    assert!(
        pod.journal().contains("FailedPreStopHook"),
        "{}",
        pod.journal()
    );
}

#[test]
fn readiness_follows_its_probe() {
    let mut main = shell("main", "exec sleep 1000");
    main["readinessProbe"] = json!({
        "exec": {"command": ["/bin/sh", "-c", "test -e $F/ready"]},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let pod = running(json!({"containers": [main]}));
    pod.until("running", |status| {
        main_state(status)["running"].is_object()
    });
    assert_eq!(condition(&pod.status(), "Ready"), "False");
    fs::write(pod.file("ready"), "").unwrap();
    pod.until_ready();
    fs::remove_file(pod.file("ready")).unwrap();
    let status = pod.until("not ready", |status| condition(status, "Ready") == "False");
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_server_is_ready_soon_after_it_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut main = shell("main", "exec sleep 1000");
    main["readinessProbe"] = json!({"httpGet": {"port": port, "path": "/healthz"}});
    let pod = running(json!({"containers": [main]}));
    let (mut stream, _) = listener.accept().unwrap();
    let mut asked = [0; 1024];
    let length = std::io::Read::read(&mut stream, &mut asked).unwrap();
    let asked = String::from_utf8_lossy(&asked[..length]);
    assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    drop(stream);
    pod.until_ready();
}

#[test]
fn liveness_restarts_what_hangs_and_slow_probes_count_as_failures() {
    let mut main = shell("main", "echo run >> $F/runs; exec sleep 1000");
    let probe = "test $(wc -l < $F/runs) -ge 2 || exec sleep 1000";
    main["livenessProbe"] = json!({
        "exec": {"command": ["/bin/sh", "-c", probe]},
        "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1,
    });
    let pod = running(json!({"containers": [main]}));
    pod.until_text("runs", |text| text.lines().count() == 2);
    assert!(
        pod.journal().contains("command timed out"),
        "{}",
        pod.journal()
    );
}

#[test]
fn a_start_that_fails_names_the_stage() {
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "x", "command": ["no-such-program"]},
    ]});
    let mut pod = running(spec);
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    let ended = &main_state(&status)["terminated"];
    assert_eq!(
        (&ended["exitCode"], &ended["reason"]),
        (&json!(128), &json!("StartError"))
    );
    let message = ended["message"].as_str().unwrap();
    let wanted =
        "starting web-0: executing \"no-such-program\": executable file not found in $PATH";
    assert_eq!(message, wanted);

    let mut main = shell("main", "true");
    main["workingDir"] = json!("/no/such/directory");
    let mut pod = running(json!({"restartPolicy": "Never", "containers": [main]}));
    assert_eq!(pod.ended(), 0);
    let status = pod.status();
    let message = main_state(&status)["terminated"]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.starts_with("starting web-0: changing directory: /no/such/directory: No such file"),
        "{message}"
    );
}

#[test]
fn an_unknown_image_waits_until_it_is_known() {
    let pod = running(json!({"containers": [{"name": "main", "image": "nobody/knows:v1"}]}));
    pod.until("a missing image", |status| {
        let waiting = &main_state(status)["waiting"];
        ["ErrImagePull", "ImagePullBackOff"].contains(&waiting["reason"].as_str().unwrap_or(""))
    });
    let entry = "[\"nobody/knows\"]\nentrypoint = [\"sleep\", \"1000\"]\n";
    fs::write(pod.file("images.toml"), entry).unwrap();
    pod.tell(r#"{"reload":{}}"#);
    let status = pod.until_ready();
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_missing_config_map_is_a_configuration_error() {
    let mut main = shell("main", "exec sleep 1000");
    main["envFrom"] = json!([{"configMapRef": {"name": "nope"}}]);
    let pod = Sandbox::new(json!({"containers": [main]}));
    let mut pod = pod;
    pod.start();
    let status = pod.until("a configuration error", |status| {
        main_state(status)["waiting"]["reason"] == "CreateContainerConfigError"
    });
    assert_eq!(status["phase"], "Pending");
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
}

#[test]
fn a_sidecar_runs_beside_and_stops_last() {
    let mut side = shell(
        "side",
        "trap 'echo side >> $F/order; exit 0' TERM; \
        echo up >> $F/order; while :; do sleep 0.05; done",
    );
    side["restartPolicy"] = json!("Always");
    side["startupProbe"] = json!({"exec": {"command": ["/bin/sh", "-c", "test -s $F/order"]}});
    let main = shell(
        "main",
        "echo main >> $F/order; trap 'echo end >> $F/order; exit 0' TERM; \
        while :; do sleep 0.05; done",
    );
    let mut pod = running(json!({"initContainers": [side], "containers": [main]}));
    pod.until_ready();
    pod.until_text("order", |text| text == "up\nmain\n");
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("order"), "up\nmain\nend\nside\n");
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

/// Lists what is below a process now.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while next < all.len() {
        let path = format!("/proc/{}/task/{}/children", all[next], all[next]);
        let text = fs::read_to_string(path).unwrap_or_default();
        all.extend(text.split_whitespace().flat_map(str::parse::<u32>));
        next += 1;
    }
    all.split_off(1)
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

#[test]
fn a_runner_may_be_killed_at_any_moment() {
    let main = shell(
        "main",
        "flock -n $F/lock sleep 1000 || echo twice >> $F/twice",
    );
    let init = shell(
        "init",
        "flock -n $F/init sleep 0.01 || echo twice >> $F/twice",
    );
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = json!({"initContainers": [init], "containers": [main]});
    pod.write_pod(json!({}), with_files(&pod, spec));
    for moment in 0..30 {
        pod.start();
        // Not a wait for something: the moment at which it is killed.
        std::thread::sleep(Duration::from_millis(moment));
        pod.kill_runner();
    }
    pod.start();
    let status = pod.until("ready", |status| {
        condition(status, "Ready") == "True" && main_state(status)["running"].is_object()
    });
    assert!(status["containerStatuses"][0]["restartCount"].as_i64() < Some(31));
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    pod.until_nobody_is_left();
    assert_eq!(pod.text("twice"), "");
}

#[test]
fn a_killed_main_process_is_started_again() {
    let mut pod = running(json!({
        "containers": [shell("main", "echo run >> $F/runs; exec sleep 1000")],
    }));
    pod.until_ready();
    let main = descendants(pod.runner_pid())[0];
    let killed = Command::new("kill")
        .args(["-9", &main.to_string()])
        .status();
    assert!(killed.unwrap().success());
    pod.until_text("runs", |text| text.lines().count() == 2);
    let status = pod.until("restarted", |status| {
        status["containerStatuses"][0]["restartCount"] == 1 && condition(status, "Ready") == "True"
    });
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
}
