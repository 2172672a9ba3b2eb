//! `petset pause` and `petset resume`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::{Sandbox, processes};

/// A program that forks without end, with a child that sleeps and one in another session.
const FORKS: &str = "sleep 6000 & setsid sleep 6001 & \
    n=0; while :; do n=$((n+1)); echo $n; (sleep 0.02); done";

/// The states of the processes of a pet, as the kernel writes them.
fn states(sandbox: &Sandbox, pet: &str) -> Vec<(String, String)> {
    let own = format!("POD_NAME={pet}");
    let is_own = |pid: i32| {
        let words = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        words
            .split(|it| *it == 0)
            .any(|word| word == own.as_bytes())
    };
    let all = sandbox.processes();
    let own = all.into_iter().filter(|it| is_own(it.pid));
    own.map(|it| (processes::state(it.pid), it.command))
        .collect()
}

fn all_stopped(sandbox: &Sandbox, pet: &str) -> bool {
    let all = states(sandbox, pet);
    !all.is_empty()
        && all
            .iter()
            .all(|(state, _)| matches!(state.as_str(), "T" | "t"))
}

#[test]
fn every_process_of_a_paused_pet_stops_and_goes_on() {
    let sandbox = Sandbox::new();
    let server = ["create", "web", "--replicas", "2", "--", "sh", "-c", FORKS];
    let made = sandbox.command_of(&server).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    sandbox.until("it forks", || states(&sandbox, "web-0").len() > 2);
    sandbox.ok("pause web-0").says("pod/web-0 paused");
    let at = states(&sandbox, "web-0");
    assert!(at.len() >= 3, "{at:?}");
    assert!(all_stopped(&sandbox, "web-0"), "{at:?}");
    assert!(!all_stopped(&sandbox, "web-1"), "the other one runs on");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Paused"));
    sandbox.ok("describe pod web-0").says("Paused");
    sandbox.events_say(&["petset resume web-0 lets them go on"]);
    sandbox
        .fails(4, "exec web-0 -- true")
        .says("petset resume web-0");
    sandbox.ok("pause web-0").says("so already");

    // The supervisor dies, and the runner, with all that it has started.
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("start");
    assert!(all_stopped(&sandbox, "web-0"));
    let main = sandbox.main("web-0");
    sandbox.kill(sandbox.runner("web-0"));
    sandbox.until("another process is paused", || {
        let now = sandbox.main("web-0");
        now.is_some() && now != main && all_stopped(&sandbox, "web-0")
    });

    sandbox.ok("resume web-0").says("pod/web-0 resumed");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Running"));
    let count = || sandbox.ok("logs web-0 --tail 1").out;
    let before = count();
    sandbox.until("it counts on", || count() != before);
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_paused_pet_ends_as_any_other_and_its_successor_is_not_paused() {
    let sandbox = Sandbox::new();
    let bye = sandbox.scratch().join("bye");
    let forks = format!("trap 'echo > {}; exit 0' TERM; {FORKS}", bye.display());
    let server = ["create", "web", "--", "sh", "-c", &forks];
    let made = sandbox.command_of(&server).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    sandbox.until("it runs", || states(&sandbox, "web-0").len() > 2);
    sandbox.ok("pause web-0");
    sandbox.ok("restart web-0");
    assert!(bye.exists(), "it got SIGTERM, and did something about it");
    assert!(!all_stopped(&sandbox, "web-0"));
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Running"));

    sandbox.ok("pause web-0");
    sandbox
        .ok("kill web-0 --signal USR1")
        .says("paused, and gets it");
    let main = sandbox.main("web-0");
    sandbox.ok("kill web-0");
    sandbox.until("another process is paused", || {
        let now = sandbox.main("web-0");
        now.is_some() && now != main && all_stopped(&sandbox, "web-0")
    });
    sandbox.ok("stop");
    sandbox.until("nothing runs", || states(&sandbox, "web-0").is_empty());
    sandbox.ok("start");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Running"));
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
    let wanted = sandbox.file("wanted/default/overlay");
    assert_eq!(fs::read_dir(wanted).unwrap().count(), 0, "nothing is kept");
}

#[test]
fn probes_of_a_paused_pod_fail_by_their_timeouts() {
    let sandbox = Sandbox::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  \
        terminationGracePeriodSeconds: 0\n  containers:\n  - name: c\n    image: busybox\n    \
        command: [sleep, '600']\n    readinessProbe: {exec: {command: ['true']}, \
        periodSeconds: 1, failureThreshold: 1}\n";
    let file = sandbox.manifest("one.yaml", pod);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox.ok("pause one");
    sandbox.ok("wait pod/one --for condition=Ready=false --timeout 60s");
    sandbox.ok("describe pod one").says("timed out after 1s");
    // What its user declares of a pod without an owner says nothing of its pause.
    sandbox.ok("label pod one a=b");
    assert!(all_stopped(&sandbox, "one"));
    assert_eq!(sandbox.status_of("one").as_deref(), Some("Paused"));
    sandbox.ok("resume one");
    sandbox.ok("wait pod/one --for condition=Ready --timeout 60s");
    sandbox.ok("delete pod one");
    sandbox.fails(3, "pause one");
    sandbox.assert_nothing_left();
}
