//! Many commands at once: no edit is lost, no file is torn, no command waits for ever.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Command;
use std::time::Instant;

use support::{PATIENCE, Sandbox, testdata};

#[test]
fn fifty_commands_at_once_lose_nothing_and_do_not_block_each_other() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let mut commands = Vec::new();
    for number in 0..50 {
        let words = match number % 5 {
            0 => format!("create set{number} --image petset/hello --no-wait"),
            1 => format!("upgrade web --env E{number}=x --no-wait"),
            2 => "get all -o json".to_owned(),
            3 => "discover web --all".to_owned(),
            _ => format!("scale web --replicas {} --no-wait", 1 + number % 3),
        };
        commands.push((words.clone(), sandbox.start(&words)));
    }
    for (words, command) in commands {
        let outcome = sandbox.finish(&words, command);
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
        if words.contains("json") {
            serde_json::from_str::<serde_json::Value>(&outcome.out).unwrap();
        }
    }
    let set = sandbox.ok("get sts web -o yaml");
    for number in (1..50).step_by(5) {
        set.says(&format!("name: E{number}"));
    }
    for number in (0..50).step_by(5) {
        sandbox.ok(&format!("wait set{number}"));
    }
    sandbox.ok("scale web --replicas 1");
}

#[test]
fn scaling_from_everywhere_at_once_comes_to_rest_at_the_last_word() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/eight-parallel.yaml --no-wait");
    let scales: Vec<_> = (0..10)
        .map(|n| sandbox.start(&format!("scale web --replicas {} --no-wait", n % 4)))
        .collect();
    for scale in scales {
        let outcome = sandbox.finish("scale", scale);
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    }
    sandbox.ok("scale web --replicas 2");
    assert_eq!(sandbox.pets(), ["web-0", "web-1"]);
}

#[test]
fn commands_that_all_find_no_supervisor_start_only_one() {
    let sandbox = Sandbox::new();
    let creates: Vec<_> = (0..8)
        .map(|n| sandbox.start(&format!("create set{n} --image petset/hello")))
        .collect();
    for create in creates {
        let outcome = sandbox.finish("create", create);
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    }
    let supervisors = sandbox.processes().into_iter();
    let supervisors = supervisors.filter(|it| it.command.contains("petset supervisor "));
    assert_eq!(supervisors.count(), 1);
}

/// Holds the lock of the state directory, as a petset of that name would.
fn hold_lock(sandbox: &Sandbox) -> support::Background {
    let lock = sandbox.file("lock");
    fs::write(&lock, "petset upgrade web (pid 4121)").unwrap();
    let mut command = Command::new("flock");
    sandbox.place(&mut command);
    command
        .arg(&lock)
        .args(["sh", "-c", "journal held; exec sleep 1000"]);
    sandbox.start_command(&mut command)
}

#[test]
fn a_command_that_waits_for_the_lock_names_who_holds_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let _holder = hold_lock(&sandbox);
    sandbox.journal_says(&["held"]);
    let scaled = sandbox.fails(75, "scale web --replicas 2 --lock-timeout 200ms");
    scaled.says("is locked by").says("--lock-timeout");
    assert_eq!(sandbox.pets(), ["web-0"]);
}

#[test]
fn readers_take_no_lock() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let _holder = hold_lock(&sandbox);
    sandbox.journal_says(&["held"]);
    let before = Instant::now();
    for words in [
        "get all",
        "describe web",
        "discover web",
        "dns web",
        "events",
        "logs web-0",
        "volume ls",
    ] {
        sandbox.ok(words);
    }
    assert!(before.elapsed() < PATIENCE);
}

#[test]
fn a_reader_sees_whole_files_while_they_change() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let mut upgrades = Vec::new();
    for number in 0..10 {
        upgrades.push(sandbox.start(&format!(
            "upgrade web --env N={number} --partition 5 --no-wait"
        )));
        let read = sandbox.ok("get sts,pods,pvc -o json");
        serde_json::from_str::<serde_json::Value>(&read.out).unwrap();
    }
    for upgrade in upgrades {
        assert_eq!(sandbox.finish("upgrade", upgrade).code, 0);
    }
    assert!(testdata().is_dir());
}
