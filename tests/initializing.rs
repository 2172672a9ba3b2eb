//! Init steps: in order, each to its end, before the main process; and what they may ask.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::time::Instant;

use support::{PATIENCE, Sandbox};

/// The steps of `init-three-steps.yaml`, in order.
const STEPS: [&str; 3] = ["first", "second", "third"];

fn open_all(sandbox: &Sandbox) {
    for step in STEPS {
        sandbox.open(&format!("go-{step}"));
    }
}

#[test]
fn init_steps_run_one_after_the_other_before_the_main_process() {
    let sandbox = Sandbox::new();
    let mut create = sandbox.start("create -f manifests/init-three-steps.yaml");
    for (done, step) in STEPS.iter().enumerate() {
        sandbox.journal_says(&[&format!("step {step} of web-0")]);
        sandbox.until_pet_is("web-0", &format!("Init:{done}/3"));
        assert!(create.runs());
        assert_eq!(sandbox.journal().len(), done + 1);
        sandbox.open(&format!("go-{step}"));
    }
    assert_eq!(sandbox.finish("create", create).code, 0);
    sandbox.journal_says(&["step third of web-0", "started web-0"]);
    let steps = fs::read_to_string(sandbox.file("pets/default/web-0/volumes/shared/steps"));
    assert_eq!(steps.unwrap(), "first\nsecond\nthird\n");
    sandbox
        .ok("logs web-0 -c second")
        .prints("second is done\n");
}

#[test]
fn a_step_that_fails_is_tried_again_with_a_back_off_and_the_later_ones_wait() {
    let sandbox = Sandbox::new();
    sandbox.open("fail-second");
    open_all(&sandbox);
    let create = sandbox.start("create -f manifests/init-three-steps.yaml");
    sandbox.until("an error is seen", || {
        let status = sandbox.status_of("web-0").unwrap_or_default();
        ["Init:Error", "Init:CrashLoopBackOff"].contains(&status.as_str())
    });
    sandbox.until_pet_is("web-0", "Init:CrashLoopBackOff");
    sandbox.journal_lacks("step third of web-0");
    sandbox.ok("logs web-0 -c second").says("second fails");
    sandbox.ok("describe pod web-0").says("second");
    sandbox.shut("fail-second");
    assert_eq!(sandbox.finish("create", create).code, 0);
    assert_eq!(sandbox.count("step first of web-0"), 1);
    assert!(sandbox.count("step second of web-0") >= 2);
    assert_eq!(sandbox.count("step third of web-0"), 1);
}

#[test]
fn a_waiting_create_says_which_step_it_waits_for() {
    let sandbox = Sandbox::new();
    let created = sandbox.fails(
        124,
        "create -f manifests/init-three-steps.yaml --timeout 2s",
    );
    created.says("web-0").says("first");
}

#[test]
fn an_init_step_gets_answers_at_once_while_create_waits() {
    let sandbox = Sandbox::new();
    let mut create = sandbox.start("create -f manifests/init-asks.yaml");
    sandbox.journal_says(&["asked"]);
    assert!(create.runs());
    let read = |name: &str| fs::read_to_string(sandbox.scratch().join(name)).unwrap();
    assert!(read("pods").contains("Init:0/1"), "{}", read("pods"));
    let before = Instant::now();
    sandbox
        .ok("discover web --all")
        .says("web-0.web.default.svc.cluster.local");
    sandbox.ok("get sts").says("0/1");
    assert!(before.elapsed() < PATIENCE);
    sandbox.open("go");
    assert_eq!(sandbox.finish("create", create).code, 0);
}

#[test]
fn init_steps_are_not_run_again_when_the_main_process_restarts() {
    let sandbox = Sandbox::new();
    open_all(&sandbox);
    sandbox.ok("create -f manifests/init-three-steps.yaml");
    sandbox.kill(sandbox.main("web-0"));
    sandbox.until("it was restarted", || sandbox.count("started web-0") == 2);
    assert_eq!(sandbox.count("step first of web-0"), 1);
}

#[test]
fn init_steps_are_run_again_when_the_pet_is_replaced() {
    let sandbox = Sandbox::new();
    open_all(&sandbox);
    sandbox.ok("create -f manifests/init-three-steps.yaml");
    sandbox.ok("restart pod/web-0");
    assert_eq!(sandbox.count("step first of web-0"), 2);
    assert_eq!(sandbox.count("started web-0"), 2);
}

#[test]
fn init_containers_in_the_annotation_of_kubernetes_1_3_are_run() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/init-alpha-annotation.yaml");
    sandbox.journal_says(&[
        "step first of web-0",
        "step second of web-0",
        "started web-0",
    ]);
}

#[test]
fn init_containers_in_the_annotation_of_kubernetes_1_4_are_run() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/init-beta-annotation.yaml");
    sandbox.journal_says(&[
        "step first of web-0",
        "step second of web-0",
        "started web-0",
    ]);
}

#[test]
fn a_pet_is_deleted_while_its_init_step_runs() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/init-three-steps.yaml --no-wait");
    sandbox.journal_says(&["step first of web-0"]);
    sandbox.ok("delete web --timeout 20s");
    sandbox.journal_lacks("started web-0");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_is_deleted_while_its_init_step_is_in_back_off() {
    let sandbox = Sandbox::new();
    sandbox.open("fail-first");
    open_all(&sandbox);
    sandbox.ok("create -f manifests/init-three-steps.yaml --no-wait");
    sandbox.until_pet_is("web-0", "Init:CrashLoopBackOff");
    sandbox.ok("delete web --timeout 20s");
    sandbox.assert_nothing_left();
}

#[test]
fn a_step_that_starts_the_supervisor_again_does_not_take_it_along_when_it_ends() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let text = fs::read_to_string(support::testdata().join("manifests/one.yaml")).unwrap();
    // With isolation, pets may not change what is wanted.
    let other = text.replace("web", "other").replace(
        "[serve]",
        "[sh, -c, \"wait-for go; petset scale web --replicas 3 --no-wait; journal scaled; exec serve\"]",
    );
    let manifest = sandbox.manifest("other.yaml", &other);
    sandbox.ok(&format!("create -f {manifest} --no-wait --isolation none"));
    sandbox.until_pet_is("other-0", "Running");
    sandbox.kill(sandbox.supervisor());
    sandbox.open("go");
    sandbox.journal_says(&["scaled", "started web-2"]);
    sandbox.ok("delete other");
    assert_eq!(sandbox.pets().len(), 3);
    assert_eq!(sandbox.count("started web-2"), 1);
    sandbox.journal_lacks("stopped web-1");
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn exec_in_an_init_container_that_has_ended_says_so() {
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: two}\nspec:\n  initContainers:\n  \
                - {name: first, image: busybox, command: ['true']}\n  containers:\n  \
                - {name: main, image: busybox, command: [sleep, '1000']}\n";
    sandbox.ok(&format!(
        "create -f {}",
        sandbox.manifest("init.yaml", text)
    ));
    let exec = sandbox.fails(1, "exec two -c first -- true");
    exec.says("container first of two has ended with exit code 0");
    exec.says("main, first (init)").lacks("Running");
}
