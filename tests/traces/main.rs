//! Replays recordings of a real control plane and compares what the controller does.
//!
//! `PETSET_TRACES=DIR cargo test --test traces` takes the recordings of any folder; a folder whose
//! name contains `gate` is replayed with the feature gate `MaxUnavailableStatefulSet` on, and so is
//! a recording that says so itself. Without recordings the test compares nothing, says so, and
//! passes.

#![expect(
    clippy::unwrap_used,
    reason = "a recording that makes no sense stops the test"
)]

mod cases;
mod compare;
mod patch;
mod recording;
mod world;

use std::path::{Path, PathBuf};

use recording::{Recording, Step};
use serde_json::Value;
use world::{Race, World};

/// Where petset means to differ from the real controller: a recording, one of its steps (or any),
/// how far that step is compared all the same, and why it differs.
const DELIBERATE: &[Difference] = &[
    Difference {
        scenario: "19c-stale-claim",
        step: Some("scale to 2; when web-2 is terminating scale back to 3; wait 70 s"),
        compared: Compared::Nothing,
        why: "R23: the real controller forgets the pet whose claim it has just deleted, until \
              something unrelated happens; petset makes it at once",
    },
    Difference {
        scenario: "19c-stale-claim",
        step: Some(
            "touch an unrelated pod (web-0 unready, then ready): does that trigger the re-creation?",
        ),
        compared: Compared::Objects,
        why: "R23: the pet is there already",
    },
    Difference {
        scenario: "any in which a set is deleted",
        step: None,
        compared: Compared::OrderOfEachPet, // see compare::Order::SetDeleted
        why: "C36, U16: the garbage collector deletes in any order; petset stops the pets from the \
              highest ordinal down and removes the set last",
    },
];

/// A deliberate difference.
struct Difference {
    scenario: &'static str,
    step: Option<&'static str>,
    compared: Compared,
    why: &'static str,
}

/// How far a step that differs is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Nothing,
    /// What is left at the end, not how it came about.
    Objects,
    /// What is left, and what happens to each pet, but not how that interleaves.
    OrderOfEachPet,
}

#[test]
fn the_controller_does_what_the_real_one_does() {
    // CF-apps-53, CF-apps-54, CF-apps-55, CF-apps-56
    let folders = folders();
    let mut faults = Vec::new();
    let mut replayed = 0;
    for path in folders.iter().flat_map(|folder| recordings(folder)) {
        let recording = Recording::read(&path);
        replayed += 1;
        let mut found = recording.unknown();
        if found.is_empty() {
            found = replay(&recording, false);
        }
        let place = |fault| format!("{}: {fault}", path.display());
        faults.extend(found.into_iter().map(place));
    }
    if replayed == 0 {
        println!("no recordings in {folders:?}: set PETSET_TRACES to a folder that has some");
    }
    println!("{replayed} recordings replayed; petset means to differ in:");
    for Difference { scenario, why, .. } in DELIBERATE {
        println!("  {scenario}: {why}");
    }
    assert!(
        faults.is_empty(),
        "{} differences:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Recordings in which a pet is not ready at an outdated revision, which petset's own rules replace
/// (U01) and the real controller waits for (C16).
const IMPROVED: &[&str] = &[
    "10-broken-update",
    "10b-broken-update-crash",
    "10c-broken-update-parallel", // with the gate on only
    "10d-broken-rollback",
    "10e-broken-create",
    "10f-broken-create-parallel", // with the gate on only
    "18-maxunavailable",
    "23-unready-mid-update",
];

#[test]
fn the_improvements_show_only_where_a_pet_is_broken() {
    if std::env::var_os("PETSET_TRACES").is_some() {
        return; // the expected outcomes are those of our own recordings
    }
    let folders = folders();
    let paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| recordings(folder))
        .collect();
    println!("{} recordings replayed with the improvements", paths.len());
    for path in paths {
        let recording = Recording::read(&path);
        let differs = !replay(&recording, true).is_empty();
        let may = IMPROVED.contains(&recording.scenario.as_str());
        assert!(
            may || !differs,
            "{} differs with the improvements",
            path.display()
        );
    }
}

fn replay(recording: &Recording, improved: bool) -> Vec<String> {
    let mut world = World::of(recording, improved);
    for step in &recording.steps {
        // Whether the controller looked between two requests made in a row is a race: what was
        // recorded has to come out one way or the other.
        let attempts = [Race::Requests, Race::Controller].map(|winner| {
            let mut after = world.clone();
            let happened = after.play(step, winner);
            (differences(recording, step, &happened, &after), after)
        });
        let [(faults, requests), (other, controller)] = attempts;
        if !faults.is_empty() && !other.is_empty() {
            // What follows would differ because of this.
            let place = |fault: String| format!("step {:?}: {fault}", step.title);
            return faults.into_iter().map(place).collect();
        }
        world = if faults.is_empty() {
            requests
        } else {
            controller
        };
    }
    untold(recording, &world)
}

/// Lists the events that were recorded in a scenario and not told here (C21).
///
/// A recorder that is too busy combines events, and drops some; so what is told here on top of the
/// recorded ones proves nothing.
fn untold(recording: &Recording, world: &World) -> Vec<String> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let told = recording.steps.iter().flat_map(|step| &step.told);
    let told = told.map(|event| (text(event, "reason"), text(event, "message")));
    let told = told.map(|(reason, message)| {
        let combined = "(combined from similar events): ";
        let plain = message.strip_prefix(combined).unwrap_or(&message);
        (reason, plain.to_owned())
    });
    let ours = |reason: &str| matches!(reason, "SuccessfulCreate" | "SuccessfulDelete");
    let missing = told.filter(|event| ours(&event.0) && !world.told.contains(event));
    let shown = missing.map(|(reason, message)| format!("{reason} {message:?} was not told"));
    shown.collect()
}

fn differences(
    recording: &Recording,
    step: &Step,
    happened: &[Value],
    world: &World,
) -> Vec<String> {
    let here = |difference: &&Difference| {
        difference.scenario == recording.scenario && difference.step == Some(&step.title)
    };
    match DELIBERATE
        .iter()
        .find(here)
        .map(|difference| difference.compared)
    {
        Some(Compared::Nothing) => Vec::new(),
        Some(Compared::Objects) => compare::objects(step, world),
        Some(Compared::OrderOfEachPet) | None => {
            let mut found = compare::objects(step, world);
            found.extend(compare::events(step, happened, world.order(step)));
            found
        }
    }
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("PETSET_TRACES") {
        return vec![folder.into()];
    }
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    vec![
        shared.join("traces"),
        shared.join("traces-gate-maxunavailable"),
    ]
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let only = std::env::var("PETSET_TRACE").unwrap_or_default();
    let is_recording = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
            && path.to_string_lossy().contains(&only)
    };
    let mut paths: Vec<_> = paths.filter(is_recording).collect();
    paths.sort();
    paths
}
