//! Nothing lost, nothing stuck: dead runners, damaged files, a full disk.

use rustix::process::geteuid;

use crate::Case;
use crate::support::{is_full, is_installed, skipped};

/// The text of a case with the level of isolation under test, and without the shell's `time`.
fn with_level(case: &Case) -> String {
    let level = if is_full() { "full" } else { "none" };
    let text = case.text.replace("${1:-full}", level);
    text.replace("time petset", "petset")
}

pub(super) fn killed_runner(case: &Case) {
    let ran = case.script(&with_level(case));
    ran.says("statefulset.apps/u scaled").lacks("do not end");
}

pub(super) fn damaged_record(case: &Case) {
    let ran = case.script(&case.text);
    ran.says("scale rc 0")
        .says("other namespace rc 0")
        .says("delete rc 0")
        .lacks("then kill");
}

pub(super) fn full_disk(case: &Case) {
    if !geteuid().is_root() || !is_installed("unshare", &["unshare"]) {
        return skipped("a small disk of its own takes root");
    }
    let text = with_level(case).replace("sleep 15", "sleep 3");
    let text = text.replace(
        "stop --timeout 3s",
        "stop --timeout 30s; echo \"stop rc $?\"",
    );
    let text = shlex::try_quote(&text).unwrap().into_owned();
    let ran = case.script(&format!("exec unshare -m sh -c {text}"));
    ran.says("stop rc 0");
    let after = ran.out.split("-- room again").nth(1).unwrap_or_default();
    assert!(!after.contains("Running"), "{}", ran.transcript());
}
