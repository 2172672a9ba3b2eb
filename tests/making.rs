//! petset in a Makefile, run by `make -j2` with its output in a pipe.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use support::{Outcome, Sandbox};

/// Runs make with these words where `petset` is on the PATH.
#[track_caller]
fn make(sandbox: &Sandbox, words: &str) -> Outcome {
    let bin = sandbox.scratch().join("bin");
    let _ = fs::create_dir(&bin);
    let _ = symlink(env!("CARGO_BIN_EXE_petset"), bin.join("petset"));
    let mut command = Command::new("make");
    sandbox.place(&mut command);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let programs = support::testdata().join("programs");
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.args(words.split(' '));
    let make = sandbox.start_command(&mut command);
    let outcome = sandbox.finish(&format!("(make) {words}"), make);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    outcome
}

#[test]
fn a_makefile_brings_a_cluster_up_and_down_and_nothing_hangs_or_stays() {
    let sandbox = Sandbox::new();
    let checked = make(&sandbox, "-j2 check");
    checked.says("web-2.web.default.svc.cluster.local");
    checked.says("api-1.api.default.svc.cluster.local");
    // Everything runs on, and make has ended: no process holds its output or its job slots.
    assert_eq!(sandbox.pets().len(), 5);
    let first = sandbox.ok("get pods web-0 -o yaml").out;
    make(&sandbox, "-j2 check");
    assert_eq!(sandbox.ok("get pods web-0 -o yaml").out, first);
    make(&sandbox, "-j2 clean");
    assert!(!sandbox.file("volumes/default/data-web-0").exists());
    sandbox.assert_nothing_left();
}

#[test]
fn up_and_down_in_one_run_of_make_leaves_nothing() {
    let sandbox = Sandbox::new();
    make(&sandbox, "-j2 web api");
    make(&sandbox, "-j2 clean");
    make(&sandbox, "clean");
    sandbox.assert_nothing_left();
}

#[test]
fn the_readme_shows_this_makefile() {
    let makefile = fs::read_to_string(support::testdata().join("Makefile")).unwrap();
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    assert!(fs::read_to_string(readme).unwrap().contains(&makefile));
}
