//! One pass of the controller over a set of 10,000 pets, in the states in which it has most to do.
//!
//! `cargo bench --bench reconcile` prints the middle of several passes; the bound is 10 ms.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use petset::model::{Ordinal, PetSeen, Phase, Rules, Seen, Set, Step, reconcile};
use serde_json::json;

const PETS: u32 = 10_000;
const RUNS: usize = 31;
const BOUND: Duration = Duration::from_millis(10);

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        return; // `cargo test --benches` starts this too
    }
    for policy in ["OrderedReady", "Parallel"] {
        let want = set(policy, "v1");
        let calm = world(&want, PETS);
        report(policy, "all ready", &want, &calm);
        report(policy, "an upgrade", &set(policy, "v2"), &calm);
        report(policy, "half of it missing", &want, &world(&want, PETS / 2));
    }
}

fn set(policy: &str, image: &str) -> Set {
    let set = json!({"metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"replicas": PETS, "podManagementPolicy": policy, "serviceName": "web",
            "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}});
    let set: StatefulSet = serde_json::from_value(set).unwrap();
    Set::of(&set).unwrap()
}

/// A set that rests at what is wanted, but for pets that are missing.
fn world(want: &Set, pets: u32) -> Seen {
    let mut seen = Seen::default();
    let first = reconcile(want, &seen, Rules::default(), Timestamp::UNIX_EPOCH);
    for step in first.steps {
        if let Step::CreateRevision(revision) = step {
            seen.revisions.push(*revision);
        }
    }
    let revision = first.status.update_revision.clone().unwrap();
    for ordinal in (0..pets).map(Ordinal) {
        let name = want.pet_name(ordinal);
        let claim = format!("data-{name}");
        let made = petset::model::ClaimSeen {
            name: claim.clone(),
            ..petset::model::ClaimSeen::default()
        };
        seen.claims.insert(claim, made);
        let pet = PetSeen {
            uid: format!("uid-{ordinal}"),
            name,
            revision: revision.clone(),
            labels: want.template_labels.clone(),
            owner: Some(want.uid.clone()),
            phase: Phase::Running,
            ready: true,
            ready_since: Some(Timestamp::UNIX_EPOCH),
            ..PetSeen::default()
        };
        seen.pets.insert(ordinal, pet);
    }
    seen.status = first.status;
    seen
}

fn report(policy: &str, what: &str, want: &Set, seen: &Seen) {
    let now = Timestamp::now();
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let outcome = reconcile(want, seen, Rules::default(), now);
            let time = start.elapsed();
            drop(outcome);
            time
        })
        .collect();
    times.sort();
    let (best, middle, worst) = (times[0], times[RUNS / 2], times[RUNS - 1]);
    let verdict = if middle <= BOUND { "" } else { "  TOO SLOW" };
    println!(
        "{policy:<12} {what:<20} {middle:>10.2?} (best {best:.2?}, worst {worst:.2?}){verdict}"
    );
}
