//! Claims, config maps, secrets and messages of a pod.

use std::fs;

use crate::Case;
use crate::support::{is_full, is_installed, skipped};

pub(super) fn claim_label(case: &Case) {
    case.script(&case.text).says("exit 0\n");
}

/// Whether pets see their volumes, and a file for their message, where the manifest has them.
fn has_own_paths() -> bool {
    if !is_full() {
        skipped("without isolation the paths of a manifest are the host's");
    }
    is_full()
}

/// Its container runs until the test lets it go, not for a time.
pub(super) fn changed_map(case: &Case) {
    if !has_own_paths() {
        return;
    }
    let sandbox = &case.sandbox;
    let go = sandbox.scratch().join("go");
    let ends = format!("until [ -e {0} ]; do sleep 0.1; done; rm {0}", go.display());
    let map = |text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cfg}}\ndata: {{a.conf: {text}}}\n"
        )
    };
    let set = case.here_document("X").replace("sleep 12", &ends);
    let created = case.create_changed(&format!("{}{set}", map("one")), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    let changed = sandbox.manifest("map.yaml", &map("two"));
    sandbox.ok(&format!("apply -f {changed}"));
    sandbox.until_says("exec t-0 -- cat /c/a.conf", "two");
    sandbox.ok("exec t-0 -- cat /f/a.conf").says("one");
    let before = sandbox.main("t-0");
    fs::write(&go, "").unwrap();
    sandbox.until("the container is restarted", || {
        sandbox.main("t-0").is_some_and(|pid| Some(pid) != before)
    });
    sandbox.until_says("exec t-0 -- cat /f/a.conf", "two");
}

/// Two pods: one runs as another user, which takes root, and one lets such a user read.
pub(super) fn secret_mode(case: &Case) {
    let root = rustix::process::geteuid().is_root();
    if !is_full() || !root || !is_installed("setpriv", &["setpriv"]) {
        return skipped("files of other users take root and isolation");
    }
    let created = case.create("--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    for pod in ["a", "b"] {
        case.sandbox.until_says(&format!("logs {pod}"), "sesame");
    }
}

pub(super) fn termination_message(case: &Case) {
    if !has_own_paths() {
        return;
    }
    let sandbox = &case.sandbox;
    assert_eq!(
        case.create_changed(&case.here_document("E"), "--no-wait")
            .code,
        0
    );
    sandbox.until_says("describe pod/t-0", "no licence file");
    sandbox.until_says("get pod t-0 -o yaml", "message: |\n");
}

pub(super) fn shared_claim(case: &Case) {
    if !has_own_paths() {
        return;
    }
    let ran = case.script(&case.text);
    assert!(ran.err.contains("db"), "{}", ran.transcript());
    ran.says("one\n").lacks("can't open").lacks("No such file");
}
