//! Replays recordings of a real control plane and compares what the controllers of workloads do.
//!
//! `PETSET_WORKLOAD_TRACES=DIR cargo test --test workloads` takes the recordings of any folder, and
//! `PETSET_WORKLOAD_TRACE=NAME` only those whose file name contains it. Without recordings the test
//! compares nothing, says so, and passes, unless `PETSET_TEST_REQUIRE` names `workloads`.

#![expect(
    clippy::unwrap_used,
    reason = "a recording that makes no sense stops the test"
)]

mod compare;
#[path = "../traces/patch.rs"]
mod patch;
mod recording;
mod world;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use compare::Level;
use recording::Recording;
use world::World;

/// Recordings that cannot come out the same yet: the beginning of their names, and why.
const AWAITED: &[(&str, &str)] = &[("B0", "no controller of StatefulSets runs here")];

/// How long the controllers take to look at a change, and the garbage collector, in milliseconds:
/// each is tried until the step comes out as it was recorded, since changes that are close together
/// may be seen together, and nobody waits for another.
const LAGS: [(i64, i64); 9] = [
    (4, 4),
    (1, 1),
    (0, 0),
    (4, 1),
    (6, 6),
    (9, 9),
    (13, 13),
    (19, 19),
    (30, 30),
];

#[test]
fn the_controllers_do_what_the_real_ones_do() {
    // CF-apps-01, CF-apps-42
    let (mut faults, mut merged, mut replayed) = (Vec::new(), Vec::new(), 0);
    for path in recordings(&folder()) {
        let recording = Rc::new(Recording::read(&path));
        replayed += 1;
        let mut found = recording.unknown();
        if found.is_empty() {
            found = replay(&recording, &mut merged);
        }
        let mut awaited = AWAITED.iter();
        match awaited.find(|(beginning, _)| recording.scenario.starts_with(beginning)) {
            Some((_, why)) if !found.is_empty() => {
                println!("awaited {}: {why}", recording.scenario);
            }
            Some(_) => faults.push(format!("{} is awaited and passes", recording.scenario)),
            None => faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", recording.scenario)),
            ),
        }
    }
    if replayed == 0 {
        let required = std::env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|name| name == "workloads");
        assert!(!is_required, "there are no recordings in {:?}", folder());
        println!(
            "skipped: no recordings in {:?}: PETSET_WORKLOAD_TRACES names a folder",
            folder()
        );
    }
    println!("{replayed} recordings replayed; scaled in other steps, with the same end, in");
    merged.iter().for_each(|step| println!("  {step}"));
    assert!(
        faults.is_empty(),
        "{} differences:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Plays all steps; lists how the first that differs does.
fn replay(recording: &Rc<Recording>, merged: &mut Vec<String>) -> Vec<String> {
    let mut world = World::of(recording);
    for (number, step) in recording.steps.iter().enumerate() {
        let mut attempts = Vec::new();
        for lag in LAGS {
            let mut after = world.clone();
            after.play(number, lag);
            let found = compare::differences(step, &after, Level::Exact);
            let fits = found.is_empty();
            attempts.push((found, after));
            if fits {
                break;
            }
        }
        let fits = |level, after: &World| compare::differences(step, after, level).is_empty();
        let exact = attempts.iter().find(|(found, _)| found.is_empty());
        let close = || {
            attempts
                .iter()
                .find(|(_, after)| fits(Level::Merged, after))
        };
        world = match exact.or_else(close) {
            Some((found, after)) => {
                if !found.is_empty() {
                    merged.push(format!("{}: {}", recording.scenario, step.title));
                }
                after.clone()
            }
            None => {
                let found = attempts.into_iter().map(|(found, _)| found);
                let least = found.min_by_key(Vec::len).unwrap_or_default();
                let place = |fault: String| format!("step {:?}: {fault}", step.title);
                return least.into_iter().map(place).collect();
            }
        };
    }
    Vec::new()
}

fn folder() -> PathBuf {
    match std::env::var_os("PETSET_WORKLOAD_TRACES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/workloads"),
    }
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let only = std::env::var("PETSET_WORKLOAD_TRACE").unwrap_or_default();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let is_recording = |path: &PathBuf| name(path).ends_with(".json") && name(path).contains(&only);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(is_recording).collect();
    paths.sort();
    paths
}
