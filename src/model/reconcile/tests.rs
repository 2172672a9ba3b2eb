//! Rules of the controller in their own words, one per ordinal: `old:ready starting -`.
//!
//! A world is written as its pets from the first ordinal up; `-` is a pet that is not there. A pet
//! is at the update revision unless it says `old:` (the current one) or `bad:` (neither).

mod catalogue;
mod claims;
mod leaving;
mod mishap;
mod revisions;
mod rolling;
mod scaling;

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::*;
use crate::model::revision::wanted_revision;
use crate::model::set::{Bound, Retention, Roll, Selector, Strategy};
use crate::model::{Claims, Namespace, Phase, SetOptions};

pub(in crate::model) const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

pub(in crate::model) fn ordered(replicas: u32) -> Set {
    let selector = LabelSelector {
        match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
        match_expressions: None,
    };
    Set {
        name: "web".parse().unwrap(),
        namespace: Namespace::default(),
        uid: "set".to_owned(),
        generation: 1,
        replicas,
        start: 0,
        policy: Policy::OrderedReady,
        strategy: Strategy::RollingUpdate(Some(Roll::default())),
        min_ready: Duration::ZERO,
        history_limit: Some(10),
        retention: Retention {
            when_deleted: Keep::Retain,
            when_scaled: Keep::Retain,
        },
        selector: Selector::of(&selector).unwrap(),
        claim_templates: Vec::new(),
        patch: json!("new"),
        template_labels: [("app".to_owned(), "web".to_owned())].into(),
        annotations: [].into(),
        deletion: None,
        stopped: false,
        stops_together: false,
        is_petset: false,
        options: SetOptions::default(),
    }
}

pub(super) fn parallel(replicas: u32) -> Set {
    Set {
        policy: Policy::Parallel,
        ..ordered(replicas)
    }
}

pub(in crate::model) fn with_roll(partition: u32, max_unavailable: u32, set: Set) -> Set {
    let max_unavailable = Some(Bound::Count(max_unavailable));
    let roll = Roll {
        partition,
        max_unavailable,
    };
    Set {
        strategy: Strategy::RollingUpdate(Some(roll)),
        ..set
    }
}

fn with_claims(when_scaled: Keep, when_deleted: Keep, set: Set) -> Set {
    let retention = Retention {
        when_deleted,
        when_scaled,
    };
    Set {
        claim_templates: vec!["data".to_owned()],
        retention,
        ..set
    }
}

fn revision(name: &str, number: i64) -> ControllerRevision {
    let mut revision = wanted_revision(
        &Set {
            patch: json!(name),
            ..ordered(1)
        },
        number,
        0,
    );
    revision.metadata.name = Some(name.to_owned());
    revision
}

/// Reads a world from its pets; the update revision is called `new`.
pub(in crate::model) fn world(want: &Set, pets: &str) -> Seen {
    let mut seen = Seen::default();
    for (index, word) in pets.split_whitespace().enumerate() {
        let ordinal = Ordinal(want.start + u32::try_from(index).unwrap());
        let (revision, state) = word.split_once(':').unwrap_or(("new", word));
        if state != "-" {
            seen.pets
                .insert(ordinal, pet(want, ordinal, revision, state));
        }
    }
    let current = if pets.contains("old:") { "old" } else { "new" };
    let at = |name: &str| {
        let pets = seen.pets.values();
        Some(
            i32::try_from(
                pets.filter(|pet| pet.revision == name && !pet.terminating)
                    .count(),
            )
            .unwrap(),
        )
    };
    seen.status = StatefulSetStatus {
        current_revision: Some(current.to_owned()),
        update_revision: Some("new".to_owned()),
        current_replicas: at(current),
        ..StatefulSetStatus::default()
    };
    seen.revisions = vec![revision("old", 1), revision("bad", 2), revision("new", 3)];
    seen
}

fn pet(want: &Set, ordinal: Ordinal, revision: &str, state: &str) -> PetSeen {
    let ready = matches!(state, "ready" | "fresh" | "stopping");
    let phase = match state {
        "starting" => Phase::Pending,
        "failed" => Phase::Failed,
        "ended" => Phase::Succeeded,
        "ready" | "fresh" | "stopping" | "unready" | "stuck" => Phase::Running,
        other => panic!("no state {other}"),
    };
    let age = if state == "fresh" { 1 } else { 1000 };
    PetSeen {
        name: want.pet_name(ordinal),
        uid: format!("uid-{ordinal}"),
        revision: revision.to_owned(),
        created: None,
        labels: want.template_labels.clone(),
        owner: Some(want.uid.clone()),
        phase,
        ready,
        ready_since: ready.then(|| Timestamp::constant(1_000_000 - age, 0)),
        in_hook: false,
        unready_since: (!ready).then(|| Timestamp::constant(1_000_000 - 20, 0)),
        terminating: state == "stopping",
        grace: None,
        waiting: "its readiness probe failed".to_owned(),
        stuck: state == "stuck",
        hook: None,
    }
}

pub(super) fn steps(want: &Set, pets: &str) -> String {
    steps_in(want, &world(want, pets), Rules::default())
}

fn strict_steps(want: &Set, pets: &str) -> String {
    steps_in(want, &world(want, pets), Rules::strict())
}

pub(super) fn steps_in(want: &Set, seen: &Seen, rules: Rules) -> String {
    let outcome = reconcile(want, seen, rules, NOW);
    let words: Vec<_> = outcome.steps.iter().map(words).collect();
    words.join(", ")
}

fn words(step: &Step) -> String {
    match step {
        Step::CreateRevision(revision) => format!("record {}", revision.revision),
        Step::RenumberRevision { name, number } => format!("renumber {name} {number}"),
        Step::AdoptRevision { name } => format!("adopt {name}"),
        Step::ReleaseRevision { name } => format!("release {name}"),
        Step::DeleteRevision { name } => format!("forget {name}"),
        Step::CreateClaim { claim, .. } => format!("claim {claim}"),
        Step::OwnClaim { claim, owners } => {
            let owner = owners.first().map_or("nobody", |owner| owner.name.as_str());
            format!("give {claim} to {owner}")
        }
        Step::DeleteClaim { claim } => format!("delete {claim}"),
        Step::CreatePet { ordinal, revision } if revision == "new" => format!("start {ordinal}"),
        Step::CreatePet { ordinal, revision } => format!("start {ordinal} {revision}"),
        Step::DeletePet { ordinal, .. } => format!("stop {ordinal}"),
        Step::AdoptPet { ordinal } => format!("adopt {ordinal}"),
        Step::ReleasePet { ordinal } => format!("release {ordinal}"),
        Step::Await { ordinal, .. } => format!("await {ordinal}"),
        Step::RunHook { ordinal, .. } => format!("hook {ordinal}"),
        Step::RollBack { to, ordinal, .. } => format!("roll back to {to} for {ordinal}"),
        Step::Fulfil { annotation } => format!("fulfil {annotation}"),
        Step::Finish => "finish".to_owned(),
    }
}

pub(super) fn claims(of: &[(&str, Option<(&str, &str)>)]) -> Claims {
    let claims = of.iter().map(|(name, owner)| {
        let owners = owner.map(|(kind, uid)| {
            let named = if kind == "Pod" { "web-1" } else { "web" };
            crate::model::set::controller_reference("v1", kind, named, uid)
        });
        let claim = ClaimSeen {
            name: (*name).to_owned(),
            owners: owners.into_iter().collect(),
            ..ClaimSeen::default()
        };
        ((*name).to_owned(), claim)
    });
    claims.collect()
}
