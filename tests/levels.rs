//! Levels of isolation: which one a set gets, what says so, and what falls back.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Command;

use support::Sandbox;

fn inside(sandbox: &Sandbox, pet: &str, script: &str) -> String {
    let words = ["exec", pet, "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.out, outcome.err);
    outcome.out.trim_end().to_owned()
}

/// Runs a script in a user namespace in which no network namespace can be made. `None` where user
/// namespaces are forbidden.
fn where_networks_are_forbidden(sandbox: &Sandbox, script: &str) -> Option<support::Outcome> {
    let limit = "echo 0 >/proc/sys/user/max_net_namespaces";
    let mut command = Command::new("unshare");
    let may = command.args(["-r", "sh", "-c", limit]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        support::skipped("this user may not make a user namespace");
        return None;
    }
    let petset = env!("CARGO_BIN_EXE_petset");
    let script = format!("{limit}\npetset() {{ {petset} \"$@\"; }}\n{script}");
    let mut command = Command::new("unshare");
    sandbox.place(&mut command);
    command.args(["-r", "sh", "-c", &script]);
    Some(sandbox.finish("(without networks)", sandbox.start_command(&mut command)))
}

#[test]
fn auto_falls_back_to_none_where_it_must_and_says_so_once() {
    let sandbox = Sandbox::empty();
    let script = "petset create one --isolation auto -- sleep 1000 || exit 9
        petset create two --isolation auto -- sleep 1000
        petset get sts one -o yaml; petset delete one two";
    let Some(outcome) = where_networks_are_forbidden(&sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    outcome.says("petset.dev/isolation: none");
    let notes = outcome
        .err
        .matches("note: pets run without isolation")
        .count();
    assert_eq!(notes, 1, "{}", outcome.transcript());
    outcome.says("sysctl user.max_net_namespaces=15000");
}

#[test]
fn full_is_refused_with_the_cause_where_the_machine_cannot() {
    let sandbox = Sandbox::empty();
    let script = "petset create one --isolation full -- sleep 1000";
    let Some(outcome) = where_networks_are_forbidden(&sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 1, "{}", outcome.transcript());
    outcome.says("one asks for isolation full, and this machine cannot");
    outcome.says("sysctl user.max_net_namespaces=15000");
    assert!(!sandbox.state().exists());
}

#[test]
fn a_command_that_names_its_mount_path_is_refused_where_auto_means_none() {
    let sandbox = Sandbox::empty();
    let script = "petset create db --volume data:/petset-test -- sh -c 'rm /petset-test/x'";
    let Some(outcome) = where_networks_are_forbidden(&sandbox, script) else {
        return;
    };
    assert_eq!(outcome.code, 2, "{}", outcome.transcript());
    outcome.says("container db names its mount path /petset-test");
    outcome
        .says("this machine cannot isolate pets")
        .says("--host-paths");
    assert!(!sandbox.state().exists());
}

#[test]
fn the_doctor_tells_what_isolation_lacks() {
    let sandbox = Sandbox::empty();
    let Some(outcome) = where_networks_are_forbidden(&sandbox, "petset doctor -o json") else {
        return;
    };
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    let findings: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    let all = findings.as_array().unwrap();
    let of = |check: &str| all.iter().find(|it| it["check"] == check).unwrap();
    assert_eq!(of("network")["verdict"], "note");
    let advice = of("network")["advice"].as_str().unwrap();
    assert!(advice.contains("user.max_net_namespaces"), "{advice}");
    assert_eq!(of("isolation")["verdict"], "note");
    assert_eq!(of("host name")["verdict"], "ok");
}

#[test]
fn a_set_keeps_its_level_whatever_is_applied_later() {
    let sandbox = Sandbox::new();
    let path = support::testdata().join("manifests/one.yaml");
    let text = fs::read_to_string(path).unwrap();
    let asking = |level: &str| {
        let meta = "metadata:\n  name: web\n";
        assert!(text.contains(meta));
        let note = format!("{meta}  annotations: {{petset.dev/isolation: {level}}}\n");
        sandbox.manifest(&format!("{level}.yaml"), &text.replace(meta, &note))
    };
    sandbox.ok(&format!("apply -f {}", asking("none")));
    sandbox.settings("isolation = \"full\"\n");
    let changed = sandbox.ok(&format!("apply -f {}", asking("full")));
    changed.says("web keeps its isolation none");
    sandbox.ok("apply -f manifests/one.yaml").lacks("keeps");
    sandbox.ok("scale web --replicas 2");
    let set = sandbox.ok("get sts web -o yaml");
    set.says("petset.dev/isolation: none");
    for pet in ["web-0", "web-1"] {
        sandbox
            .ok(&format!("exec {pet} -- printenv POD_IP"))
            .says("127.");
    }
    sandbox.ok("delete web");
}

#[test]
fn a_program_of_this_directory_and_a_shared_path_are_there_at_every_level() {
    for level in ["full", "none"] {
        let sandbox = Sandbox::new();
        let words = format!("create web --isolation {level} -- programs/serve");
        sandbox.ok(&words);
        sandbox.journal_says(&["started web-0"]);
        sandbox.ok("delete web");
        sandbox.journal_says(&["stopped web-0"]);
    }
}

#[test]
fn a_pet_cannot_change_what_is_wanted() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --isolation full -- sleep 1000");
    let refused = sandbox.fails(1, "exec web-0 -- petset scale web --replicas 2");
    refused.says("an isolated pet cannot change the state directory");
    sandbox.ok("delete web");
}

#[test]
fn a_pet_may_write_below_its_users_home_and_the_host_sees_nothing_of_it() {
    let target = support::testdata().parent().unwrap().join("target");
    // A pet has a /tmp and a /var/tmp of its own.
    let hidden = ["/tmp", "/var/tmp"]
        .iter()
        .any(|own| target.starts_with(own));
    let home = (!hidden).then(|| tempfile::tempdir_in(target));
    let Some(Ok(home)) = home else {
        support::skipped("this user may not write where pets see the host's files");
        return;
    };
    fs::create_dir(home.path().join("project")).unwrap();
    let mut sandbox = Sandbox::new();
    sandbox.set_variable("HOME", home.path().to_str().unwrap());
    sandbox.ok("create db --isolation full -- sleep 1000");
    inside(&sandbox, "db-0", "echo new > $HOME/project/file");
    assert_eq!(inside(&sandbox, "db-0", "cat $HOME/project/file"), "new");
    assert!(!home.path().join("project/file").exists());
    sandbox.ok("delete db");
}
