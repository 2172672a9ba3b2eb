//! Several users of one machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::{Case, support};

const USER: &str = "daemon";

/// Root is told whose the state directory is; its owner goes on as if nothing had happened.
pub(super) fn locked_out(case: &Case) {
    let program = env!("CARGO_BIN_EXE_petset");
    let mut tried = Command::new("setpriv");
    tried.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    let tried = tried.args([program, "--version"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return support::skipped("no other user can be had who may execute petset");
    }
    // The other user has to get at the scratch directory.
    let scratch = case.sandbox.scratch();
    for folder in [scratch.parent().unwrap(), &scratch] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o711)).unwrap();
    }
    let (text, _) = case.text.split_once("echo \"-- first by root").unwrap();
    let outcome = case.script(&format!("set -- {USER}\n{text}"));
    outcome.says("belongs to daemon, and you are root");
    outcome.says("statefulset.apps/t scaled");
    outcome.lacks("statefulset/t.yaml");
}
