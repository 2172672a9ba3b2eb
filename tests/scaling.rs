//! `scale`: which pets come and go, in which order, and what stays of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::Sandbox;

#[test]
fn scaling_up_adds_pets_in_order() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let scaled = sandbox.ok("scale web --replicas 3");
    scaled.says("Scaling web from 1 to 3.");
    sandbox.journal_says(&["started web-0", "started web-1", "started web-2"]);
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn scaling_down_removes_the_highest_ordinal_first() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let scaled = sandbox.ok("scale web --replicas 1");
    scaled.says("Scaling web from 3 to 1.");
    sandbox.journal_says(&["stopped web-2", "stopped web-1"]);
    assert_eq!(sandbox.pets(), ["web-0"]);
    sandbox.ok("get pods").matches("one-pet-left.txt");
}

#[test]
fn a_pet_found_again_by_scale_up_finds_its_data() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let note = sandbox.file("volumes/default/data-web-2/note");
    fs::write(&note, "mine").unwrap();
    sandbox.ok("scale web --replicas 0");
    assert!(sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
    sandbox.ok("scale web --replicas 3");
    let read = sandbox.ok("exec web-2 -- cat data/note");
    read.prints("mine");
}

#[test]
fn scaling_while_create_waits_is_obeyed_at_once() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.ok("scale web --replicas 1 --no-wait");
    sandbox.open("ready-web-0");
    let outcome = sandbox.finish("create", create);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    sandbox.journal_lacks("started web-1");
}

#[test]
fn scaling_to_what_is_says_so() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox
        .ok("scale web --replicas 1")
        .says("1 replicas already");
    sandbox.ok("scale sts/web --replicas 1");
}

#[test]
fn a_set_that_does_not_exist_cannot_be_scaled() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    sandbox
        .fails(3, "scale nobody --replicas 2")
        .says("\"nobody\" not found");
}

#[test]
fn scaling_down_goes_on_when_a_pet_to_be_removed_never_became_ready() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.open("ready-web-0");
    sandbox.journal_says(&["started web-1"]);
    sandbox.ok("scale web --replicas 1");
    assert_eq!(sandbox.pets(), ["web-0"]);
    assert_eq!(sandbox.finish("create", create).code, 0);
}

#[test]
fn addresses_stay_with_their_identities() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let before = sandbox.pod("web-2")["status"]["podIP"].clone();
    assert!(before.is_string());
    sandbox.ok("scale web --replicas 0");
    sandbox.ok("scale web --replicas 3");
    assert_eq!(sandbox.pod("web-2")["status"]["podIP"], before);
}

#[test]
fn a_set_edited_while_its_supervisor_is_about_to_end_is_not_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --image petset/hello");
    for delay in 0..16 {
        sandbox.ok("scale web --replicas 0 --timeout 20s");
        std::thread::sleep(std::time::Duration::from_millis(delay));
        sandbox.ok("scale web --replicas 1 --timeout 20s");
    }
}

#[test]
fn a_set_scaled_up_and_down_before_anything_is_ready_comes_to_rest() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --image petset/hello --replicas 5 --parallel --no-wait");
    for replicas in [0, 4, 1, 3, 0, 2] {
        sandbox.ok(&format!("scale web --replicas {replicas} --no-wait"));
    }
    sandbox.ok("wait web --for settled --timeout 20s");
    assert_eq!(sandbox.pets(), ["web-0", "web-1"]);
}

#[test]
fn a_scale_that_changes_nothing_does_not_claim_to_have_scaled() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 1000");
    let same = sandbox.ok("scale web --replicas 1");
    same.says("statefulset.apps/web unchanged").lacks("scaled");
    sandbox.ok("scale web --replicas 2").says("web scaled");
}
