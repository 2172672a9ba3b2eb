//! `stop` and `start`, and the end of the machine in between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Stdio;

use support::{Sandbox, is_installed, processes};

#[test]
fn stopping_ends_everything_in_reverse_order_and_starting_brings_it_back() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let address = sandbox.pod("web-1")["status"]["podIP"].clone();
    sandbox.ok("stop").says("stopped 1 set\n");
    sandbox.journal_says(&["stopped web-2", "stopped web-1", "stopped web-0"]);
    sandbox.assert_nothing_left();
    sandbox.ok("get sts").says("web");
    sandbox.ok("start");
    assert_eq!(sandbox.pets(), ["web-0", "web-1", "web-2"]);
    assert_eq!(sandbox.pod("web-1")["status"]["podIP"], address);
    assert_eq!(sandbox.count("started web-2"), 2);
}

#[test]
fn what_is_asked_for_while_stopped_happens_at_the_start() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("stop");
    sandbox.ok("scale web --replicas 1").says("petset start");
    assert_eq!(sandbox.pets(), ["web-0"]);
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Stopped"));
    sandbox.ok("start");
    assert_eq!(sandbox.pets(), ["web-0"]);
}

#[test]
fn stopped_pets_are_shown_and_their_logs_can_be_read() {
    let sandbox = Sandbox::new();
    let text = "'for i in 1 2 3; do echo line $i; done; exec sleep 1000'";
    sandbox.ok(&format!("create web --replicas 2 -- sh -c {text}"));
    sandbox.until_says("logs web-0", "line 3");
    sandbox.ok("stop");
    let pets = sandbox.ok("get pods");
    pets.says("web-0")
        .says("web-1")
        .says("Stopped")
        .says("petset start");
    sandbox
        .ok("get pods web -o wide")
        .says("petset start runs it again");
    sandbox.ok("logs web-0").prints("line 1\nline 2\nline 3\n");
    sandbox.ok("logs -f web-0 --tail 1").prints("line 3\n");
    sandbox
        .ok("logs web --tail 1")
        .says("[pod/web-1/web] line 3");
    sandbox
        .ok("describe web-0")
        .says("Stopped")
        .says("petset start");
    sandbox.ok("describe web").says("Stopped");
    let exec = sandbox.fails(1, "exec web-0 -- true");
    exec.says("is not running (Stopped)").says("petset start");
    sandbox.fails(3, "delete pod/web-0").says("petset start");
    sandbox.ok("scale web --replicas 1");
    assert_eq!(sandbox.pets(), ["web-0"]);
    sandbox.ok("start");
    sandbox.until_pet_is("web-0", "Running");
    sandbox.ok("get pods").lacks("Stopped");
}

#[test]
fn a_set_is_deleted_while_stopped() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("stop");
    sandbox.ok("delete web");
    sandbox.ok("get sts").says("No resources found");
    sandbox.assert_nothing_left();
}

/// Ends everything at once, and makes it look as if the machine had been started anew.
fn reboot(sandbox: &Sandbox) {
    let all = || sandbox.processes();
    sandbox.supervisor().into_iter().for_each(processes::kill);
    sandbox.until("everything is dead", || {
        all().iter().for_each(processes::Process::kill);
        all().is_empty()
    });
    for pet in sandbox.pets() {
        let path = sandbox.file(&format!("pets/default/{pet}/runner.json"));
        let text = fs::read(&path).unwrap();
        let mut record: serde_json::Value = serde_json::from_slice(&text).unwrap();
        record["bootId"] = "00000000-0000-0000-0000-000000000000".into();
        fs::write(&path, record.to_string()).unwrap();
    }
}

#[test]
fn after_a_reboot_start_brings_everything_back_in_order() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let address = sandbox.pod("web-1")["status"]["podIP"].clone();
    fs::write(sandbox.file("volumes/default/data-web-1/note"), "mine").unwrap();
    reboot(&sandbox);
    sandbox.ok("start");
    assert_eq!(sandbox.count("started web-0"), 2);
    sandbox.journal_says(&[
        "started web-2",
        "started web-0",
        "started web-1",
        "started web-2",
    ]);
    sandbox.ok("exec web-1 -- cat data/note").prints("mine");
    assert_eq!(sandbox.pod("web-1")["status"]["podIP"], address);
}

#[test]
fn after_a_reboot_any_command_that_changes_something_brings_everything_back() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    reboot(&sandbox);
    sandbox.ok("scale web --replicas 2");
    assert_eq!(sandbox.pets(), ["web-0", "web-1"]);
    assert_eq!(sandbox.count("started web-1"), 2);
}

#[test]
fn a_process_that_has_the_number_of_one_before_the_reboot_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let mut bystander = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    reboot(&sandbox);
    let path = sandbox.file("pets/default/web-0/runner.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["pid"] = bystander.id().into();
    record["containers"][0]["pid"] = bystander.id().into();
    fs::write(&path, record.to_string()).unwrap();
    sandbox.ok("start");
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_supervisor_in_the_foreground_ends_when_asked_and_leaves_its_pets() {
    let sandbox = Sandbox::new();
    let supervise = sandbox.start("supervise");
    sandbox.until("it runs", || sandbox.supervisor().is_some());
    assert_eq!(sandbox.supervisor(), Some(supervise.pid()));
    sandbox.ok("create -f manifests/one.yaml");
    let main = sandbox.main("web-0");
    sandbox
        .fails(4, "supervise")
        .says("has a supervisor already");
    processes::signal(supervise.pid(), rustix::process::Signal::TERM);
    assert_eq!(sandbox.finish("supervise", supervise).code, 0);
    assert!(main.is_some());
    assert_eq!(sandbox.main("web-0"), main);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_supervisor_in_the_foreground_takes_over_from_one_that_a_command_has_started() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let (main, before) = (sandbox.main("web-0"), sandbox.supervisor());
    let supervise = sandbox.start("supervise");
    sandbox.until("it has taken over", || {
        sandbox.supervisor() == Some(supervise.pid())
    });
    assert!(before.is_some() && main.is_some());
    sandbox.until("the other one is gone", || {
        before.is_none_or(|pid| !processes::is_alive(pid))
    });
    assert_eq!(sandbox.main("web-0"), main);
    let second = sandbox.fails(4, "supervise");
    let pid = supervise.pid();
    second.says(&format!("process {pid}, started by `petset supervise` at "));
    second.lacks("Supervising");
    sandbox.ok("scale web --replicas 2");
    sandbox.ok("delete web");
    processes::signal(pid, rustix::process::Signal::TERM);
    assert_eq!(sandbox.finish("supervise", supervise).code, 0);
    sandbox.assert_nothing_left();
}

/// Plays a supervisor that was killed: its first thread has ended, and another one, which waits for
/// a processor until the file is there, keeps the lock and the socket.
const ENDING: &str = "
import ctypes, fcntl, os, socket, sys, threading, time
os.chdir(sys.argv[1])
lock = open('lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX)
open('pid', 'w').write(str(os.getpid()))
os.unlink('socket')
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind('socket')
def wait():
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    os._exit(0)
threading.Thread(target=wait).start()
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0) # exit
";

#[test]
fn a_supervisor_that_was_killed_but_has_not_ended_is_not_taken_for_one_that_acts() {
    if !is_installed("python3", &["python3"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 1000");
    sandbox.kill(sandbox.supervisor());
    let may_end = sandbox.scratch().join("may-end");
    let mut command = std::process::Command::new("python3");
    sandbox.place(&mut command);
    command.args(["-c", ENDING]);
    command.args([&sandbox.file("supervisor"), &may_end]);
    let ending = sandbox.start_command(&mut command);
    let has_ended = || processes::state(ending.pid()) == "Z";
    sandbox.until("its first thread has ended", has_ended);
    assert!(processes::is_alive(ending.pid()));
    let scale = sandbox.start("scale web --replicas 2 --no-wait");
    sandbox.until("another supervisor is started", || {
        let own = format!("petset supervisor {}", sandbox.state().display());
        sandbox.processes().iter().any(|it| it.command == own)
    });
    sandbox.open("may-end");
    assert_eq!(sandbox.finish("scale", scale).code, 0);
    sandbox.until_pet_is("web-1", "Running");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn supervisors_that_begin_at_the_same_time_do_not_end_each_other_for_being_slow() {
    if !is_installed("strace", &["strace"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let begin = |name: &str| {
        let mut command = std::process::Command::new("strace");
        sandbox.place(&mut command);
        // The tracer lives as long as the supervisor, so it may not hold the command's output.
        command.args(["-Dfqq", "-e", "trace=bind,kill", "-o"]);
        command.arg(sandbox.scratch().join(name));
        command.args(["-e", "inject=bind:delay_enter=400000:when=1"]);
        command.arg(env!("CARGO_BIN_EXE_petset"));
        command.args(["create", name, "--no-wait", "--isolation", "none"]);
        command.args(["--", "sleep", "1000"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let all = ["one", "two", "three"].map(begin);
    for mut command in all {
        let status = command.wait().unwrap();
        if !status.success() {
            sandbox.fail(&format!(
                "a command that started a supervisor failed: {status}"
            ));
        }
    }
    for name in ["one", "two", "three"] {
        sandbox.until_pet_is(&format!("{name}-0"), "Running");
        let calls = fs::read_to_string(sandbox.scratch().join(name)).unwrap();
        assert!(!calls.contains(", SIGTERM)"), "{calls}");
    }
}

#[test]
fn a_parallel_stop_asks_all_pets_at_once_and_says_how_long_they_may_take() {
    let sandbox = Sandbox::new();
    let waits = "trap 'journal \"asked $POD_NAME\"; \
                 until grep -q \"asked web-0\" \"$HOME/journal\"; do sleep 0.1; done; \
                 journal \"met $POD_NAME\"; sleep 2; exit 0' TERM; \
                 journal \"started $POD_NAME\"; while :; do sleep 1000 & wait $!; done";
    let text = format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: web}}\nspec:\n  replicas: 3\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    \
         metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 20\n      containers:\n      \
         - {{name: main, image: busybox, command: [sh, -c, {waits:?}]}}\n"
    );
    let file = sandbox.manifest("waits.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.until("all run", || sandbox.count("started web-2") == 1);
    let stopped = sandbox.ok("stop --parallel");
    stopped.says("web-2 is stopping, up to 20s");
    for pet in ["web-0", "web-1", "web-2"] {
        assert_eq!(sandbox.count(&format!("met {pet}")), 1, "{pet}");
    }
    sandbox.assert_nothing_left();
    sandbox.ok("start --no-wait");
    sandbox.until("all run again", || sandbox.count("started web-2") == 2);
}

#[test]
fn a_start_of_what_runs_does_not_claim_to_have_started_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 1000");
    sandbox.ok("start").prints("1 set already running\n");
    sandbox.ok("stop").prints("stopped 1 set\n");
    sandbox.ok("stop").prints("1 set already stopped\n");
    sandbox.ok("start").prints("started 1 set\n");
}

#[test]
fn kill_sends_a_signal_to_a_main_process_and_the_pet_comes_back() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo heard' HUP; while :; do sleep 0.05; done";
    sandbox.ok(&format!("create web -- sh -c \"{script}\""));
    let main = sandbox.main("web-0");
    sandbox
        .ok("kill web-0 --signal HUP")
        .prints("pod/web-0 container web: SIGHUP sent\n");
    sandbox.until_says("logs web-0", "heard");
    assert_eq!(sandbox.main("web-0"), main, "it handles the signal");
    sandbox.ok("kill pod web-0").says("SIGKILL sent");
    sandbox.until("another main process runs", || {
        let now = sandbox.main("web-0");
        now.is_some() && now != main
    });
    sandbox.until_pet_is("web-0", "Running");
    sandbox.events_say(&["petset kill has sent SIGHUP to container web", "SIGKILL"]);
    sandbox
        .fails(2, "kill web-0 --signal NOPE")
        .says("no signal \"NOPE\"");
    sandbox.fails(3, "kill web-7").says("web-7");
    sandbox.fails(2, "kill sts/web").says("web-0");
    sandbox.fails(3, "kill web-0 -c other").says("other");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}
