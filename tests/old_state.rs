//! A state directory that an earlier petset has written: this one carries on from there.
//!
//! `testdata/old-state` is what a machine kept that lost power while a set of three pets, the
//! highest of them a canary, and a pod of its own ran. `@STATE@` and the like stand for what is
//! different on each machine.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Sandbox, free_block, testdata};

/// The revision of the first template, and that of the canary.
const FIRST: &str = "web-585475bb4";
const CANARY: &str = "web-58c48875c6";

#[test]
fn what_ran_when_the_power_went_runs_again_with_its_data_address_and_revision() {
    let old = OldState::after_a_loss_of_power();
    old.sandbox.ok("start");
    old.has_three_pets();
    old.sandbox.until_pet_is("alone", "Running");
    for pet in ["alone", "web-0", "web-1", "web-2"] {
        assert_eq!(old.sandbox.pod(pet)["status"]["podIP"], old.ip(pet));
    }
    let history = old.sandbox.ok("rollout history web");
    history.says("\n1 ").says("\n2 ").lacks("\n3 ");
    // What happened before is still told, and is told apart from what happens now.
    old.sandbox
        .events_say(&["Create Claim data-web-0 Pod web-0"]);
}

#[test]
fn what_was_stopped_starts_again() {
    let old = OldState::stopped();
    old.sandbox.ok("start");
    old.has_three_pets();
}

#[test]
fn names_resolve_to_the_addresses_from_before() {
    let old = OldState::after_a_loss_of_power();
    let front = format!("127.{}.240.1", old.block);
    // No supervisor runs yet: the answer comes from the files.
    old.sandbox.ok("dns query front").says(&front);
    old.sandbox.ok("start");
    old.sandbox.ok("dns query front").says(&front);
    let domain = "web.default.svc.shop.example";
    let pet = old.sandbox.ok(&format!("dns query web-1.{domain}"));
    pet.says(&old.ip("web-1"));
    let peers = old.sandbox.ok("discover web");
    for pet in ["web-0", "web-1", "web-2"] {
        peers.says(&format!("{pet}.{domain}"));
    }
}

#[test]
fn an_old_set_grows_shrinks_and_grows_into_its_volumes() {
    let old = OldState::stopped();
    old.sandbox.ok("start");
    old.sandbox.ok("scale web --replicas 4");
    assert_eq!(old.colours("data-web-3"), "blue\n");
    old.sandbox.ok("scale web --replicas 1");
    assert_eq!(old.sandbox.pets(), ["alone", "web-0"]);
    old.sandbox.ok("scale web --replicas 2");
    assert_eq!(old.sandbox.pod("web-1")["status"]["podIP"], old.ip("web-1"));
    assert_eq!(old.colours("data-web-1"), "blue\n".repeat(4));
}

#[test]
fn the_canary_of_an_old_set_is_promoted_and_taken_back() {
    let old = OldState::stopped();
    old.sandbox.ok("start");
    old.sandbox.ok("rollout promote web");
    assert_eq!(old.revisions(), [CANARY; 3]);
    old.sandbox.ok("rollout undo web --to-revision 1");
    assert_eq!(old.revisions(), [FIRST; 3]);
    old.sandbox.ok("upgrade web --env SIZE=small");
    let read = old
        .sandbox
        .ok("exec web-0 -- sh -c 'echo $COLOUR $WORD $SIZE'");
    read.prints("blue sesame small\n");
}

#[test]
fn what_is_old_can_be_deleted() {
    let old = OldState::after_a_loss_of_power();
    old.sandbox.ok("delete -f manifests/shop.yaml");
    old.sandbox
        .ok("get sts,pods,svc,cm,secrets")
        .says("No resources found");
    assert_eq!(old.colours("data-web-2"), "blue\n".repeat(3));
    old.sandbox.ok("volume rm --set web --yes");
    assert!(!old.sandbox.file("volumes/default/data-web-2").exists());
    old.sandbox.assert_nothing_left();
}

/// A sandbox whose state directory was written by an earlier petset.
struct OldState {
    sandbox: Sandbox,
    /// The number of its block of addresses.
    block: String,
}

impl OldState {
    fn after_a_loss_of_power() -> Self {
        let sandbox = Sandbox::empty();
        let block = free_block(20..220).to_string();
        let words = BTreeMap::from([
            ("@STATE@", sandbox.state().display().to_string()),
            ("@SCRATCH@", sandbox.scratch().display().to_string()),
            ("@PROGRAM@", env!("CARGO_BIN_EXE_petset").to_owned()),
            (
                "@PROGRAMS@",
                testdata().join("programs").display().to_string(),
            ),
            ("@BLOCK@", block.clone()),
        ]);
        copy(&testdata().join("old-state"), &sandbox.state(), &words);
        Self { sandbox, block }
    }

    /// The same, had `petset stop` ended it in peace.
    fn stopped() -> Self {
        let old = Self::after_a_loss_of_power();
        for pet in ["alone", "web-0", "web-1", "web-2"] {
            fs::remove_dir_all(old.sandbox.file(&format!("pets/default/{pet}"))).unwrap();
        }
        fs::write(old.sandbox.file("wanted/stopped"), "").unwrap();
        old
    }

    /// Requires that the set runs as it did, and that each pet had its volume from before.
    #[track_caller]
    fn has_three_pets(&self) {
        assert_eq!(self.revisions(), [FIRST, FIRST, CANARY]);
        for (claim, starts) in [("data-web-0", 3), ("data-web-1", 3), ("data-web-2", 4)] {
            assert_eq!(self.colours(claim), "blue\n".repeat(starts), "{claim}");
        }
    }

    fn ip(&self, pet: &str) -> String {
        let last = ["alone", "web-0", "web-1", "web-2"]
            .iter()
            .position(|it| *it == pet);
        format!("127.{}.1.{}", self.block, last.unwrap() + 1)
    }

    /// What the pets of this claim wrote into it, one line a start.
    fn colours(&self, claim: &str) -> String {
        let path = format!("volumes/default/{claim}/colours");
        fs::read_to_string(self.sandbox.file(&path)).unwrap()
    }

    /// The revision of each pet of the set.
    fn revisions(&self) -> Vec<String> {
        let pets = self.sandbox.pets().into_iter().filter(|pet| pet != "alone");
        let revision = |pet: String| {
            let pod = self.sandbox.pod(&pet);
            let label = &pod["metadata"]["labels"]["controller-revision-hash"];
            label.as_str().map(str::to_owned).unwrap_or_default()
        };
        pets.map(revision).collect()
    }
}

/// Copies a directory of texts, with these words replaced, readable by its owner alone.
fn copy(from: &Path, to: &Path, words: &BTreeMap<&str, String>) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to, words);
            continue;
        }
        let mut text = fs::read_to_string(entry.path()).unwrap();
        for (word, meaning) in words {
            text = text.replace(word, meaning);
        }
        fs::write(&to, text).unwrap();
        fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
    }
}
