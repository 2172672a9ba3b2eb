//! Process 1 of an isolated container, which is its main process, and all that ends with it: what
//! it left behind, and what `petset exec` started.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::{Value, json};
use support::{Background, Sandbox, processes};

/// Longer than any test waits: what takes its whole grace fails.
const GRACE: i64 = 600;

/// A pod `p` with these containers, started at a level of isolation.
fn create(sandbox: &Sandbox, level: &str, more: &Value, containers: &Value) {
    let manifest = manifest(sandbox, more, containers);
    sandbox.ok(&format!("create -f {manifest} --isolation {level}"));
}

fn manifest(sandbox: &Sandbox, more: &Value, containers: &Value) -> String {
    let mut containers = containers.clone();
    for container in containers.as_array_mut().unwrap() {
        container["image"] = json!("c");
    }
    let mut spec = json!({"containers": containers, "terminationGracePeriodSeconds": GRACE});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    sandbox.manifest("pod.json", &pod.to_string())
}

fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "command": ["sh", "-c", script]})
}

/// A container that does nothing.
fn sleeper() -> Value {
    json!([shell("c", "exec sleep 1000")])
}

fn inside(sandbox: &Sandbox, container: &str, script: &str) -> String {
    let words = ["exec", "p", "-c", container, "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.out, outcome.err);
    outcome.out.trim_end().to_owned()
}

fn exec(sandbox: &Sandbox, script: &str) -> Background {
    let words = ["exec", "p", "--", "sh", "-c", script];
    sandbox.start_command(&mut sandbox.command_of(&words))
}

/// Waits until a process of the sandbox has this in its command line.
fn until_runs(sandbox: &Sandbox, text: &str) {
    sandbox.until(&format!("{text} runs"), || runs(sandbox, text));
}

fn runs(sandbox: &Sandbox, text: &str) -> bool {
    let mut all = sandbox.processes().into_iter();
    all.any(|it| it.command == text)
}

fn last_state(sandbox: &Sandbox) -> Value {
    sandbox.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"].clone()
}

#[test]
fn a_hook_that_signals_process_1_reaches_the_main_process() {
    let sandbox = Sandbox::new();
    let mut main = shell(
        "c",
        "trap 'echo got INT; exit 0' INT; trap 'echo got TERM' TERM; trap 'echo got HUP' HUP; \
         echo up; while :; do sleep 0.1; done",
    );
    let signal = json!(["sh", "-c", "kill -s INT 1"]);
    main["lifecycle"] = json!({"preStop": {"exec": {"command": signal}}});
    create(&sandbox, "full", &json!({}), &json!([main]));
    sandbox.until_says("logs p", "up");
    inside(&sandbox, "c", "kill -HUP 1");
    sandbox.until_says("logs p", "got HUP");
    let mut logs = sandbox.start("logs p --follow");
    assert!(logs.runs());
    sandbox.ok("delete pod/p");
    let said = sandbox.finish("logs", logs);
    assert!(!said.out.contains("got TERM"), "{}", said.out);
    sandbox.assert_nothing_left();
}

#[test]
fn what_a_hook_writes_to_the_output_of_process_1_is_in_the_log() {
    let sandbox = Sandbox::new();
    let mut main = shell("c", "echo up; sleep 1000");
    let words = "echo from hook >> /proc/1/fd/1; echo a fault >> /proc/1/fd/2; cat < /proc/1/fd/0";
    main["lifecycle"] = json!({"postStart": {"exec": {"command": ["sh", "-c", words]}}});
    main["env"] = json!([{"name": "OWN", "value": "its own"}]);
    create(&sandbox, "full", &json!({}), &json!([main]));
    sandbox.ok("logs p").says("from hook\na fault\n");
    let environment = inside(&sandbox, "c", "tr '\\0' '\\n' < /proc/1/environ");
    assert!(environment.contains("OWN=its own"), "{environment}");
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn every_container_has_a_process_space_of_its_own_and_is_process_1_there() {
    let sandbox = Sandbox::new();
    let first = shell("i", "[ $$$$ = 1 ]");
    let mut sidecar = shell("s", "[ $$$$ = 1 ] && sleep 1111");
    sidecar["restartPolicy"] = json!("Always");
    let mut inits = json!([first, sidecar]);
    for init in inits.as_array_mut().unwrap() {
        init["image"] = json!("c");
    }
    let reloader = "echo start >> /dev/stderr; kill -9 -1 2>&1; echo killed; sleep 2222";
    let more = json!({"initContainers": inits});
    let mains = json!([shell("web", "exec sleep 3333"), shell("reloader", reloader)]);
    create(&sandbox, "full", &more, &mains);
    sandbox.until_says("logs p -c reloader", "killed");
    let seen = inside(&sandbox, "web", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(seen.starts_with("sleep 3333 "), "{seen}");
    assert!(!seen.contains("1111") && !seen.contains("2222"), "{seen}");
    let names = inside(&sandbox, "web", "cat /proc/[0-9]*/comm");
    assert!(!names.contains("petset"), "{names}");
    let status = sandbox.pod("p")["status"].clone();
    for list in ["initContainerStatuses", "containerStatuses"] {
        let mut all = status[list].as_array().unwrap().iter();
        assert!(all.all(|it| it["restartCount"] == 0), "{status}");
    }
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn containers_that_share_their_processes_see_each_other_and_end_apart() {
    let sandbox = Sandbox::new();
    let orphans = "(setsid sleep 4444 &); trap exit TERM; while :; do sleep 0.1; done";
    let mains = json!([shell("one", orphans), shell("two", "exec sleep 5555")]);
    let shared = json!({"shareProcessNamespace": true});
    create(&sandbox, "full", &shared, &mains);
    let seen = inside(&sandbox, "two", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(seen.contains("4444") && seen.contains("5555"), "{seen}");
    assert!(!seen.starts_with("sleep"), "{seen}");
    let script = "for it in /proc/[0-9]*; do \
                  grep -q 'trap exi[t]' $it/cmdline && kill ${it#/proc/}; done; true";
    inside(&sandbox, "two", &format!("{script} 2>/dev/null"));
    sandbox.until("only the other one was restarted", || {
        let statuses = sandbox.pod("p")["status"]["containerStatuses"].clone();
        statuses[0]["restartCount"] == 1 && statuses[1]["restartCount"] == 0
    });
    sandbox.until("one orphan is left, that of the next run", || {
        let all = sandbox.processes().into_iter();
        all.filter(|it| it.command == "sleep 4444").count() == 1
    });
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn a_stop_signal_that_process_1_would_never_get_kills_it_at_once() {
    for (more, code) in [
        (json!({}), 137),
        (json!({"shareProcessNamespace": true}), 143),
    ] {
        let sandbox = Sandbox::new();
        let mut main = shell("c", "exec sleep 1000");
        let failing = json!({"exec": {"command": ["false"]}, "periodSeconds": 1});
        main["livenessProbe"] = failing;
        main["livenessProbe"]["failureThreshold"] = json!(1);
        let manifest = manifest(&sandbox, &more, &json!([main]));
        sandbox.ok(&format!("create -f {manifest} --isolation full --no-wait"));
        sandbox.until("it was killed long before its grace was over", || {
            last_state(&sandbox)["exitCode"] == code
        });
        sandbox.ok("delete pod/p");
        sandbox.assert_nothing_left();
    }
}

/// What process 1 does about its stop signal, by a script; its stop signal; how it ends; and
/// whether it has its grace.
const STOPPED: [(&str, &str, i64, bool); 12] = [
    ("exec sleep 1000", "", 137, false),
    ("trap 'exit 3' TERM; sleep 1000 & wait", "", 3, false),
    (
        "trap 'exit 3' TERM; while :; do sleep 0.1; done",
        "",
        3,
        false,
    ),
    ("trap 'exit 3' TERM; exec sleep 1000", "", 137, false),
    ("trap 'exit 3' INT; exec sleep 1000", "", 137, false),
    (
        "trap 'echo heard' TERM; while :; do sleep 0.1; done",
        "",
        137,
        true,
    ),
    ("trap '' TERM; while :; do sleep 0.1; done", "", 137, true),
    ("trap '' TERM; exec sleep 1000", "", 137, true),
    ("exec env --block-signal=TERM sleep 1000", "", 137, true),
    (
        "trap 'exit 4' USR1; while :; do sleep 0.1; done",
        "SIGUSR1",
        4,
        false,
    ),
    (
        "trap 'exit 4' TERM; while :; do sleep 0.1; done",
        "SIGUSR1",
        137,
        false,
    ),
    ("exec sleep 1000", "SIGRTMIN+3", 137, false),
];

#[test]
fn process_1_is_stopped_by_what_it_does_about_its_signal() {
    let sandbox = Sandbox::new();
    let container = |(number, (script, signal, ..)): (usize, &(&str, &str, i64, bool))| {
        let mut container = shell(&format!("c{number:02}"), script);
        if !signal.is_empty() {
            container["lifecycle"] = json!({"stopSignal": signal});
        }
        container
    };
    let containers: Vec<Value> = STOPPED.iter().enumerate().map(container).collect();
    let more = json!({"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 4,
        "restartPolicy": "Never", "os": {"name": "linux"}});
    let manifest = manifest(&sandbox, &more, &json!(containers));
    sandbox.ok(&format!("create -f {manifest} --isolation full --no-wait"));
    let ends = || {
        let statuses = sandbox.pod("p")["status"]["containerStatuses"].clone();
        let statuses = statuses.as_array().cloned().unwrap_or_default();
        let ends = statuses.iter().map(|it| it["state"]["terminated"].clone());
        ends.filter(|end| !end.is_null()).collect::<Vec<_>>()
    };
    sandbox.until("the others have ended, and some have their grace", || {
        ends().len() >= STOPPED.iter().filter(|it| !it.3).count()
    });
    let prompt: Vec<Value> = sandbox.pod("p")["status"]["containerStatuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"]["terminated"].is_object().into())
        .collect();
    let expected: Vec<Value> = STOPPED.iter().map(|it| (!it.3).into()).collect();
    assert_eq!(prompt, expected);
    sandbox.until("all have ended", || ends().len() == STOPPED.len());
    for ((script, signal, code, _), end) in STOPPED.iter().zip(ends()) {
        assert_eq!(end["exitCode"], *code, "{script} {signal}: {end}");
    }
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn a_stop_does_not_wait_for_what_process_1_left_behind() {
    let sandbox = Sandbox::new();
    let script = "for i in 1 2 3; do (setsid sh -c \"trap '' TERM; sleep 4444\" &); done; \
                  trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";
    create(&sandbox, "full", &json!({}), &json!([shell("c", script)]));
    sandbox.until_says("logs p", "up");
    until_runs(&sandbox, "sleep 4444");
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn what_exec_started_ends_with_its_container() {
    let shared = json!({"shareProcessNamespace": true});
    for (level, more) in [("full", json!({})), ("full", shared), ("none", json!({}))] {
        let sandbox = Sandbox::new();
        let main = "trap exit TERM; while :; do sleep 0.1; done";
        create(&sandbox, level, &more, &json!([shell("c", main)]));
        let script = "trap '' TERM; (setsid sleep 6666 &); while :; do sleep 0.1; done";
        let program = exec(&sandbox, script);
        until_runs(&sandbox, "sleep 6666");
        sandbox.kill(sandbox.main("p"));
        let outcome = sandbox.finish("exec", program);
        // Without isolation the program has replaced petset, and was killed itself.
        let code = if level == "full" { 137 } else { -1 };
        assert_eq!(outcome.code, code, "{level}: {}", outcome.err);
        sandbox.until("its orphan has ended too", || !runs(&sandbox, "sleep 6666"));
        sandbox.until("the container runs again", || {
            sandbox.pod("p")["status"]["containerStatuses"][0]["restartCount"] == 1
        });
        sandbox.ok("delete pod/p");
        sandbox.assert_nothing_left();
    }
}

#[test]
fn what_exec_started_ends_with_its_pod_and_not_before() {
    for level in ["full", "none"] {
        let sandbox = Sandbox::new();
        let main = "trap exit TERM; while :; do sleep 0.1; done";
        create(&sandbox, level, &json!({}), &json!([shell("c", main)]));
        inside(&sandbox, "c", "(setsid sleep 7777 > /dev/null 2>&1 &)");
        until_runs(&sandbox, "sleep 7777");
        inside(&sandbox, "c", "true");
        let mut program = exec(&sandbox, "exec sleep 8888");
        until_runs(&sandbox, "sleep 8888");
        assert!(program.runs() && runs(&sandbox, "sleep 7777"));
        sandbox.ok("delete pod/p");
        let outcome = sandbox.finish("exec", program);
        let code = if level == "full" { 137 } else { -1 };
        assert_eq!(outcome.code, code, "{level}: {}", outcome.err);
        sandbox.assert_nothing_left();
    }
}

#[test]
fn an_exec_that_is_stopped_does_not_hold_the_end_of_its_container() {
    let sandbox = Sandbox::new();
    create(&sandbox, "full", &json!({}), &sleeper());
    let program = exec(&sandbox, "exec sleep 6666");
    until_runs(&sandbox, "sleep 6666");
    processes::signal(program.pid(), Signal::STOP);
    sandbox.ok("delete pod/p --timeout 60s");
    processes::signal(program.pid(), Signal::CONT);
    assert_eq!(sandbox.finish("exec", program).code, 137);
    sandbox.assert_nothing_left();
}

/// Two ends of a terminal.
fn terminal() -> (OwnedFd, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    (outer, inner.into())
}

fn on(terminal: &File, command: &mut Command) -> std::process::Child {
    let end = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end());
    command.spawn().unwrap()
}

fn is_raw(terminal: &File) -> bool {
    let modes = tcgetattr(terminal.as_fd()).unwrap().local_modes;
    !modes.contains(LocalModes::ICANON) && !modes.contains(LocalModes::ECHO)
}

#[test]
fn exec_gives_the_terminal_back_whatever_ends_or_stops_it() {
    let sandbox = Sandbox::new();
    create(&sandbox, "full", &json!({}), &sleeper());
    for end in [Signal::TERM, Signal::HUP, Signal::USR1, Signal::ALARM] {
        let (_outer, inner) = terminal();
        let mut command = sandbox.command("exec -it p -- sleep 6666");
        let mut child = on(&inner, &mut command);
        let pid = i32::try_from(child.id()).unwrap();
        sandbox.until("the terminal is raw", || is_raw(&inner));
        until_runs(&sandbox, "sleep 6666");
        processes::signal(pid, Signal::TSTP);
        sandbox.until("it is stopped, and the terminal is as it was", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.contains(") T ") && !is_raw(&inner)
        });
        processes::signal(pid, Signal::CONT);
        sandbox.until("the terminal is raw again", || is_raw(&inner));
        processes::signal(pid, end);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(end.as_raw()), "{status}");
        assert!(!is_raw(&inner), "after {end:?}");
        sandbox.until("its program has ended", || !runs(&sandbox, "sleep 6666"));
    }
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}

#[test]
fn a_main_process_that_became_another_user_ends_with_its_runner() {
    if !rustix::process::getuid().is_root() {
        return support::skipped("only root can become another user");
    }
    for host_network in [false, true] {
        end_with_runner(&json!({"hostNetwork": host_network}));
    }
}

/// Kills the runner of a pod with these fields, and then the supervisor and the runner.
fn end_with_runner(more: &Value) {
    let sandbox = Sandbox::new();
    // The kernel forgets then that it was to die with its parent.
    let script = "exec setpriv --reuid 1 --regid 1 --clear-groups sleep 6666";
    create(&sandbox, "full", more, &json!([shell("c", script)]));
    until_runs(&sandbox, "sleep 6666");
    let first = sandbox.main("p");
    sandbox.kill(sandbox.runner("p"));
    sandbox.until("another one runs", || {
        sandbox.main("p").is_some_and(|pid| Some(pid) != first)
    });
    assert!(!first.is_some_and(processes::is_alive));
    let runner = sandbox.runner("p");
    sandbox.kill(sandbox.supervisor());
    sandbox.kill(runner);
    sandbox.until(
        "it ends although nobody is left to start another one",
        || !runs(&sandbox, "sleep 6666"),
    );
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left();
}
