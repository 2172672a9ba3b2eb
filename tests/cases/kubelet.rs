//! A kubelet's work.

use std::os::unix::fs::chown;
use std::path::Path;

use crate::Case;
use crate::support::{is_full, is_installed, skipped};

/// A user whom no machine has, and whose processes are therefore only those of a test.
const STRANGER: u32 = 61_234;

fn is_isolated() -> bool {
    if !is_full() {
        skipped("without isolation there is no root file system and no network of a pet");
    }
    is_full()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a file system of FUSE can be mounted here, in a private mount namespace.
fn has_fuse() -> bool {
    let there = is_root() && Path::new("/dev/fuse").exists();
    if !there {
        skipped("a file system that hangs takes root and /dev/fuse");
    }
    there && is_installed("python3", &["python3"]) && is_installed("unshare", &["unshare"])
}

/// Lets the file system of a case hang for as long as it takes, at a place of its own.
fn at_own_place(text: &str, name: &str) -> String {
    let place = format!("/srv/petset-hung-{name}-{}", std::process::id());
    let text = text.replace("/srv/hung", &place);
    text.replace("sleep(30)", "sleep(600)")
        .replace("sleep(40)", "sleep(600)")
}

/// The grace of a stop that is longer than a test waits.
pub(super) fn with_long_grace(text: &str) -> String {
    let mut text = text.to_owned();
    for seconds in ["9", "15", "20"] {
        let grace = "terminationGracePeriodSeconds: ";
        text = text.replace(&format!("{grace}{seconds}\n"), &format!("{grace}600\n"));
    }
    text
}

pub(super) fn orphans(case: &Case) {
    let created = case.create_changed(&with_long_grace(&case.text), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    case.sandbox.ok("delete t --timeout 80s");
    case.sandbox.assert_nothing_left();
}

/// A few of the rounds: each of them failed every other time.
pub(super) fn no_dns(case: &Case) {
    let ran = case.script(&case.text.replace("-lt 50", "-lt 6"));
    ran.says("round 6\n").says("answers on ").lacks("no DNS");
}

pub(super) fn hung_create(case: &Case) {
    if !is_isolated() || !has_fuse() {
        return;
    }
    let text = at_own_place(&case.text, "a").replace("KILL 10", "KILL 60");
    let ran = case.script(&text.replace("--timeout 5s", "--timeout 50s"));
    ran.says("petset-hung-a-").says("does not answer");
    ran.says("create rc 0\n").lacks("rc 137");
}

pub(super) fn hung_end(case: &Case) {
    if !is_isolated() || !has_fuse() || !is_installed("curl", &["curl"]) {
        return;
    }
    let text = at_own_place(&case.text, "b").replace("KILL 9", "KILL 60");
    let restarted = "until petset get pods | grep -q \"^t-0 .* 1/1 .* 1 \"; do sleep 0.2; done";
    let text = text.replace("sleep 8;", &format!("{restarted};"));
    let ran = case.script(&text.replace("--timeout 6s", "--timeout 50s"));
    ran.says("restart rc 0\n");
}

pub(super) fn missing_tmpdir(case: &Case) {
    if is_isolated() {
        let ran = case.script(&case.text);
        ran.says("petset.dev/isolation: full").lacks("/nonexistent");
        ran.lacks("this machine").says("statefulset.apps/u created");
    }
}

/// As root no limit of processes holds, so that the script runs as another user.
pub(super) fn thread_limit(case: &Case) {
    if !is_isolated() || !is_installed("prlimit", &["prlimit", "setpriv", "ps"]) {
        return;
    }
    let gone = "n=0; while ps -eo args | grep -q \"[p]etset network $PETSET_STATE_DIR\" && \
                [ $n -lt 150 ]; do sleep 0.2; n=$((n + 1)); done";
    let mut text = case.text.replace("sleep 3", gone);
    if is_root() {
        for folder in [
            case.sandbox.scratch().parent().unwrap(),
            &case.sandbox.scratch(),
        ] {
            chown(folder, Some(STRANGER), Some(STRANGER)).unwrap();
        }
        let quoted = shlex::try_quote(&text).unwrap().into_owned();
        text = format!(
            "exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups sh -c {quoted}"
        );
    }
    let ran = case.script(&text);
    ran.says("no process left");
}

pub(super) fn no_watch(case: &Case) {
    if !has_strace(case) {
        return;
    }
    let limit = "$(case $verb in scale*|wait*) echo 30 ;; *) echo 3 ;; esac)";
    let patient = case.text.replace("KILL 4", &format!("KILL {limit}"));
    let ran = case.script(&patient.replace("--timeout 9s", "--timeout 30s"));
    ran.says("statefulset.apps/t created")
        .says("fs.inotify.max_user_watches");
    ran.says("fs.inotify.max_user_instances").lacks("os error");
    assert!(ran.out.contains("t-1 "), "{}", ran.transcript());
}

pub(super) fn removed_program(case: &Case) {
    let program = env!("CARGO_BIN_EXE_petset");
    let text = case.text.replace("$(command -v petset)", program);
    let text = text.replace("--timeout 5s", "--timeout 50s");
    let level = if is_full() { "full" } else { "none" };
    let ran = case.script(&text.replace("${1:-full}", level));
    ran.lacks("error")
        .lacks("not found")
        .says("t-0")
        .says("t-1");
}

pub(super) fn empty_folders(case: &Case) {
    let ran = case.script(&case.text.replace("--timeout 6s", "--timeout 50s"));
    for what in ["pod", "restart", "other namespace"] {
        ran.says(&format!("{what} rc 0\n"));
    }
    ran.lacks("error");
}

pub(super) fn removed_seen(case: &Case) {
    if is_isolated() && is_installed("getent", &["getent"]) {
        let ran = case.script(&case.text);
        ran.says("getent rc 0\n").lacks("getent rc 2");
        ran.lacks("not found").lacks("error");
    }
}

/// Whether a system call can be made to fail here.
fn has_strace(case: &Case) -> bool {
    if !is_installed("strace", &["strace"]) {
        return false;
    }
    let traced = case.script("strace -qq -o /dev/null true").code == 0;
    if !traced {
        skipped("strace may not trace here");
    }
    traced
}
