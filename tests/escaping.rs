//! Attacks: what a pet, another user or a manifest may not do, each performed as an attacker would.
//! `docs/security.md` says what they are about.
//!
//! The tests are the same for root and for an ordinary user, and run as the user who starts them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "escaping/entering.rs"]
mod entering;
#[path = "escaping/groups.rs"]
mod groups;
#[path = "escaping/network.rs"]
mod network;
#[path = "escaping/paths.rs"]
mod paths;
#[path = "escaping/powers.rs"]
mod powers;
#[path = "escaping/states.rs"]
mod states;
#[path = "escaping/strangers.rs"]
mod strangers;

use serde_json::{Value, json};
use support::Sandbox;

/// Creates an isolated pod `p` with one container `c`, and these fields of its spec and of the
/// container.
fn create(sandbox: &Sandbox, spec: Value, container: Value) {
    let manifest = manifest(sandbox, "p", spec, container);
    sandbox.ok(&format!("create -f {manifest} --isolation full"));
}

fn manifest(sandbox: &Sandbox, name: &str, mut spec: Value, container: Value) -> String {
    let mut only = json!({"name": "c", "image": "c", "command": ["sleep", "1000"]});
    let only_fields = only.as_object_mut().unwrap();
    only_fields.extend(container.as_object().unwrap().clone());
    spec["containers"] = json!([only]);
    spec["terminationGracePeriodSeconds"] = json!(0);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    sandbox.manifest(&format!("{name}.json"), &pod.to_string())
}

/// Runs a script in the pod `p` that has to succeed; returns what it says.
#[track_caller]
fn says(sandbox: &Sandbox, script: &str) -> String {
    let words = ["exec", "p", "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    outcome.out.trim_end().to_owned()
}
