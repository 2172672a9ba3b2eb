//! The nursery, which forks the runners: nobody can tell them from those that were executed, and
//! nothing depends on it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use rustix::process::Signal;
use support::{Sandbox, processes};

fn nursery(sandbox: &Sandbox) -> Option<i32> {
    sandbox.beside("nursery")
}

fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

fn with_one() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 600");
    sandbox
}

/// The runner and the main process of the first pet.
fn first_pet(sandbox: &Sandbox) -> [Option<i32>; 2] {
    [sandbox.runner("web-0"), sandbox.main("web-0")]
}

/// A second pet is started, and the first one was not touched.
fn second_runs_beside(sandbox: &Sandbox, first: [Option<i32>; 2]) {
    sandbox.ok("scale web --replicas 2");
    assert_eq!(first_pet(sandbox), first);
    assert!(sandbox.main("web-1").is_some());
    sandbox.ok("events").lacks("RunnerDied");
}

#[test]
fn a_runner_from_the_nursery_looks_like_one_that_was_executed() {
    let sandbox = with_one();
    let runner = sandbox.runner("web-0").unwrap();
    assert_eq!(Some(parent(runner)), sandbox.supervisor());
    let line = fs::read(format!("/proc/{runner}/cmdline")).unwrap();
    let words = format!(
        "petset\0runner\0{}\0default\0web-0",
        sandbox.state().display()
    );
    assert_eq!(String::from_utf8_lossy(&line).trim_end_matches('\0'), words);
    let directory = fs::read_link(format!("/proc/{runner}/cwd")).unwrap();
    assert_eq!(directory.to_str(), Some("/"));
    for stream in 0..3 {
        let opened = fs::read_link(format!("/proc/{runner}/fd/{stream}")).unwrap();
        assert_eq!(opened.to_str(), Some("/dev/null"));
    }
    let nursery = nursery(&sandbox).unwrap();
    let threads = fs::read_dir(format!("/proc/{nursery}/task")).unwrap();
    assert_eq!(threads.count(), 1);
    assert_eq!(
        fs::read_dir(format!("/proc/{nursery}/fd")).unwrap().count(),
        4
    );
}

#[test]
fn runners_outlive_the_nursery_and_another_one_is_started() {
    let sandbox = with_one();
    let (pet, nurse) = (first_pet(&sandbox), nursery(&sandbox));
    sandbox.kill(nurse);
    second_runs_beside(&sandbox, pet);
    assert_ne!(nursery(&sandbox), nurse);
    // The death of a runner is not that of the nursery.
    let second = nursery(&sandbox);
    let main = sandbox.main("web-1");
    sandbox.kill(sandbox.runner("web-1"));
    let again = || sandbox.main("web-1").is_some_and(|it| Some(it) != main);
    sandbox.until("web-1 runs again", again);
    assert_eq!(nursery(&sandbox), second);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_nursery_that_does_not_answer_is_replaced() {
    let sandbox = with_one();
    let (pet, nurse) = (first_pet(&sandbox), nursery(&sandbox).unwrap());
    processes::signal(nurse, Signal::STOP);
    second_runs_beside(&sandbox, pet);
    assert_ne!(nursery(&sandbox), Some(nurse));
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn the_nursery_ends_with_its_supervisor_and_the_pets_run_on() {
    let sandbox = with_one();
    let (pet, nurse) = (first_pet(&sandbox), nursery(&sandbox).unwrap());
    sandbox.kill(sandbox.supervisor());
    sandbox.until("the nursery has ended", || !processes::is_alive(nurse));
    second_runs_beside(&sandbox, pet);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}
