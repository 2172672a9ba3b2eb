//! Rules of the controller in their own words, one per ordinal: `old:ready starting -`.
//!
//! A world is written as its pets from the first ordinal up; `-` is a pet that is not there. A pet
//! is at the update revision unless it says `old:` (the current one) or `bad:` (neither).

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::*;
use crate::model::revision::wanted_revision;
use crate::model::set::{Bound, Retention, Roll, Selector, Strategy};
use crate::model::{Claims, Namespace, Wishes};

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
        wishes: Wishes::default(),
    }
}

fn parallel(replicas: u32) -> Set {
    Set {
        policy: Policy::Parallel,
        ..ordered(replicas)
    }
}

pub(super) fn with_roll(partition: u32, max_unavailable: u32, set: Set) -> Set {
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
        labels: want.template_labels.clone(),
        owner: Some(want.uid.clone()),
        phase,
        ready,
        ready_since: ready.then(|| Timestamp::constant(1_000_000 - age, 0)),
        unready_since: (!ready).then(|| Timestamp::constant(1_000_000 - 20, 0)),
        terminating: state == "stopping",
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
            terminating: false,
            owners: owners.into_iter().collect(),
        };
        ((*name).to_owned(), claim)
    });
    claims.collect()
}

#[test]
fn an_ordered_set_starts_each_pet_when_those_below_are_ready() {
    // R01, C09
    let want = ordered(3);
    assert_eq!(steps(&want, "- - -"), "start 0");
    assert_eq!(steps(&want, "starting - -"), "await 0");
    assert_eq!(steps(&want, "unready - -"), "await 0");
    assert_eq!(steps(&want, "ready - -"), "start 1");
    assert_eq!(steps(&want, "ready ready ready"), "");
}

#[test]
fn a_parallel_set_starts_all_pets_at_once() {
    // R01, C12
    assert_eq!(
        steps(&parallel(3), "- starting -"),
        "start 0, await 1, start 2"
    );
}

#[test]
fn a_lower_pet_that_is_lost_comes_back_before_anything_else() {
    // R03, C11: even when the set grows or shrinks meanwhile
    assert_eq!(steps(&ordered(4), "ready - ready"), "start 1");
    assert_eq!(steps(&ordered(2), "- ready ready"), "start 0");
    assert_eq!(steps(&ordered(4), "ready unready ready"), "await 1");
}

#[test]
fn a_pet_that_ended_is_removed_and_made_again() {
    // R12, C09, C52
    assert_eq!(steps(&ordered(2), "failed ready"), "stop 0");
    assert_eq!(steps(&ordered(2), "ended ready"), "stop 0");
    assert_eq!(steps(&parallel(3), "ended ready failed"), "stop 0, stop 2");
}

#[test]
fn an_ordered_set_shrinks_from_the_top_one_at_a_time() {
    // R02, C10
    let want = ordered(1);
    assert_eq!(steps(&want, "ready ready ready"), "stop 2");
    assert_eq!(steps(&want, "ready ready stopping"), "await 2");
    assert_eq!(steps(&want, "ready ready"), "stop 1");
    assert_eq!(steps(&parallel(1), "ready ready ready"), "stop 2, stop 1");
}

#[test]
fn a_set_does_not_shrink_while_a_pet_that_stays_is_not_ready() {
    // R04, U17
    assert_eq!(steps(&ordered(2), "ready unready ready"), "await 1");
}

#[test]
fn of_the_pets_that_go_only_the_lowest_unready_one_goes_unready() {
    // R04, C10
    assert_eq!(steps(&ordered(1), "ready ready unready"), "stop 2");
    assert_eq!(steps(&ordered(1), "ready unready ready"), "stop 2");
    assert_eq!(steps(&ordered(1), "ready unready unready"), "await 1");
    assert_eq!(steps(&ordered(0), "unready ready ready"), "stop 2");
    assert_eq!(
        strict_steps(&ordered(1), "ready bad:unready bad:unready"),
        "await 1"
    );
    assert_eq!(
        steps(&ordered(1), "ready bad:unready bad:unready"),
        "stop 2"
    );
}

#[test]
fn a_roll_goes_down_from_the_top_and_stops_at_the_partition() {
    // R05, R06, C13
    let want = with_roll(1, 1, ordered(3));
    assert_eq!(steps(&want, "old:ready old:ready old:ready"), "stop 2");
    assert_eq!(steps(&want, "old:ready old:ready stopping"), "await 2");
    assert_eq!(steps(&want, "old:ready old:ready -"), "start 2");
    assert_eq!(steps(&want, "old:ready old:ready starting"), "await 2");
    assert_eq!(steps(&want, "old:ready old:ready ready"), "stop 1");
    assert_eq!(steps(&want, "old:ready ready ready"), "");
}

#[test]
fn a_pet_below_the_partition_comes_back_at_the_old_revision() {
    // R06, C14, C15: the partition is an index, not an ordinal
    let want = with_roll(
        1,
        1,
        Set {
            start: 5,
            ..ordered(3)
        },
    );
    assert_eq!(steps(&want, "- old:ready old:ready"), "start 5 old");
    assert_eq!(steps(&want, "old:ready - ready"), "start 6");
}

#[test]
fn without_a_rolling_update_block_the_status_says_who_stays_old() {
    // C15
    let want = Set {
        strategy: Strategy::RollingUpdate(None),
        ..ordered(3)
    };
    assert_eq!(strict_steps(&want, "old:ready - old:ready"), "start 1 old");
    assert_eq!(strict_steps(&want, "old:ready - ready"), "start 1");
    assert_eq!(steps(&want, "old:ready - old:ready"), "start 1");
}

#[test]
fn on_delete_nothing_rolls_but_new_pets_are_new() {
    // R07
    let want = Set {
        strategy: Strategy::OnDelete,
        ..ordered(3)
    };
    assert_eq!(steps(&want, "old:ready old:ready old:ready"), "");
    assert_eq!(steps(&want, "old:ready - old:ready"), "start 1");
    assert_eq!(steps(&want, "old:ready old:unready old:ready"), "await 1");
}

#[test]
fn scaling_goes_before_rolling() {
    // R10, C11
    assert_eq!(
        steps(&ordered(4), "old:ready old:ready old:ready"),
        "start 3"
    );
    assert_eq!(
        steps(&ordered(2), "old:ready old:ready old:ready"),
        "stop 2"
    );
}

#[test]
fn a_parallel_set_rolls_one_at_a_time() {
    // R21, R20
    let want = parallel(3);
    assert_eq!(
        strict_steps(&want, "old:ready old:ready old:ready"),
        "stop 2"
    );
    assert_eq!(
        strict_steps(&want, "old:ready old:ready unready"),
        "await 2"
    );
    assert_eq!(
        strict_steps(&want, "old:unready old:ready ready"),
        "await 0, stop 1"
    );
}

#[test]
fn several_pets_roll_at_a_time_where_that_is_allowed() {
    // C17, C60: 6 pets, partition 3, 2 at a time
    let want = with_roll(3, 2, ordered(6));
    let old = "old:ready old:ready old:ready";
    assert_eq!(steps(&want, &format!("{old} {old}")), "stop 5, stop 4");
    assert_eq!(
        steps(&want, &format!("{old} old:ready ready ready")),
        "stop 3"
    );
    let want = with_roll(0, 2, parallel(6));
    assert_eq!(steps(&want, &format!("{old} {old}")), "stop 5, stop 4");
    assert_eq!(
        steps(&want, &format!("{old} old:ready ready stopping")),
        "await 5, stop 3"
    );
    assert_eq!(
        steps(&want, &format!("{old} old:ready unready stopping")),
        "await 4, await 5"
    );
    assert_eq!(
        strict_steps(&want, &format!("{old} {old}")),
        "stop 5",
        "the gate is off"
    );
}

#[test]
fn the_real_controller_is_trapped_by_a_broken_revision() {
    // C16, R08
    assert_eq!(
        strict_steps(&ordered(3), "old:ready old:ready bad:unready"),
        "await 2"
    );
    assert_eq!(strict_steps(&ordered(3), "old:starting - -"), "await 0");
}

#[test]
fn a_broken_pet_whose_revision_nobody_wants_is_replaced_first() {
    // U01
    assert_eq!(
        steps(&ordered(3), "old:ready old:ready bad:unready"),
        "stop 2"
    );
    assert_eq!(steps(&ordered(3), "old:starting - -"), "stop 0");
    assert_eq!(
        steps(&ordered(3), "old:unready old:ready old:ready"),
        "stop 0"
    );
    let rolled = with_roll(2, 1, ordered(3));
    assert_eq!(steps(&rolled, "old:ready bad:unready ready"), "stop 1");
    let two = with_roll(0, 2, ordered(3));
    assert_eq!(steps(&two, "old:ready bad:unready -"), "stop 1");
    let gated = with_roll(0, 1, parallel(3));
    assert_eq!(
        steps(&gated, "old:ready old:ready bad:unready"),
        "await 2, stop 2"
    );
    assert_eq!(
        steps(&gated, "bad:unready bad:unready bad:unready")
            .matches("stop")
            .count(),
        1
    );
}

#[test]
fn recovery_never_takes_down_a_second_pet() {
    // the pet that is on its way at the wanted revision comes first
    assert_eq!(
        steps(&ordered(3), "old:unready old:ready starting"),
        "await 0"
    );
    assert_eq!(
        steps(&ordered(3), "old:unready old:ready stopping"),
        "await 0"
    );
    assert_eq!(
        steps(
            &with_roll(0, 1, parallel(3)),
            "old:unready old:ready unready"
        ),
        "await 0, await 2"
    );
}

#[test]
fn an_outdated_pet_may_recover_while_another_is_down() {
    // a quorum that loses one member for its upgrade must not lose the next to a hiccup
    let want = ordered(3);
    let mut seen = world(&want, "old:ready old:unready -");
    let outcome = reconcile(&want, &seen, Rules::default(), NOW);
    let patience = Timestamp::constant(1_000_010, 0);
    assert_eq!(outcome.wake_at, Some(patience));
    let why =
        "web-1 is not ready: its readiness probe failed; it is replaced at 1970-01-12T13:46:50Z";
    let why = why.to_owned();
    assert_eq!(
        outcome.steps,
        [Step::Await {
            ordinal: Ordinal(1),
            why,
            stuck: false
        }]
    );
    seen.pets.get_mut(&Ordinal(1)).unwrap().unready_since = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(steps_in(&want, &seen, Rules::default()), "stop 1");
}

#[test]
fn a_broken_pet_is_left_alone_below_the_partition_and_on_delete() {
    assert_eq!(
        steps(&with_roll(2, 1, ordered(3)), "old:ready old:unready -"),
        "await 1"
    );
    let want = Set {
        strategy: Strategy::OnDelete,
        ..ordered(2)
    };
    assert_eq!(steps(&want, "old:ready bad:unready"), "await 1");
}

#[test]
fn a_pet_has_to_stay_ready_for_a_while_before_the_next() {
    // R14, C63
    let want = Set {
        min_ready: Duration::from_secs(5),
        ..ordered(2)
    };
    assert_eq!(steps(&want, "fresh -"), "await 0");
    let wake_at = reconcile(&want, &world(&want, "fresh -"), Rules::default(), NOW).wake_at;
    assert_eq!(wake_at, Some(Timestamp::constant(1_000_004, 0)));
    assert_eq!(steps(&want, "ready -"), "start 1");
    let want = Set {
        min_ready: Duration::from_secs(5),
        ..parallel(2)
    };
    assert_eq!(steps(&want, "fresh -"), "await 0, start 1");
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_up_a_set() {
    let want = Set {
        min_ready: Duration::from_secs(5),
        ..ordered(2)
    };
    let seen = world(&want, "ready -");
    let long_ago = Timestamp::constant(5, 0);
    let outcome = reconcile(&want, &seen, Rules::default(), long_ago);
    assert!(matches!(
        outcome.steps[..],
        [Step::CreatePet {
            ordinal: Ordinal(1),
            ..
        }]
    ));
}

#[test]
fn a_pet_starts_after_its_claims_and_keeps_them() {
    // C09, R02, C54
    let want = with_claims(Keep::Retain, Keep::Retain, ordered(2));
    assert_eq!(steps(&want, "- -"), "claim data-web-0, start 0");
    let mut seen = world(&want, "ready -");
    seen.claims = claims(&[("data-web-1", None)]);
    assert_eq!(steps_in(&want, &seen, Rules::default()), "start 1");
    assert_eq!(steps(&want, "starting -"), "claim data-web-0, await 0");
}

#[test]
fn a_claim_that_is_being_deleted_holds_its_pet_back() {
    // C22, R11
    let want = with_claims(Keep::Retain, Keep::Retain, ordered(1));
    let mut seen = world(&want, "-");
    seen.claims = claims(&[("data-web-0", None)]);
    seen.claims.get_mut("data-web-0").unwrap().terminating = true;
    let outcome = reconcile(&want, &seen, Rules::default(), NOW);
    let why = "web-0 cannot start: claim data-web-0 is being deleted".to_owned();
    assert_eq!(
        outcome.steps,
        [Step::Await {
            ordinal: Ordinal(0),
            why,
            stuck: false
        }]
    );
}

#[test]
fn a_claim_goes_with_its_pet_only_when_the_set_shrinks() {
    // C23, R16, V58
    let want = with_claims(Keep::Delete, Keep::Retain, ordered(1));
    let mut seen = world(&want, "ready ready");
    seen.claims = claims(&[("data-web-0", None), ("data-web-1", None)]);
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "give data-web-1 to web-1, stop 1"
    );
    let mut seen = world(&want, "ready");
    seen.claims = claims(&[("data-web-0", None), ("data-web-1", Some(("Pod", "uid-1")))]);
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "delete data-web-1"
    );
    let keeps = with_claims(Keep::Retain, Keep::Retain, ordered(1));
    assert_eq!(
        steps_in(&keeps, &seen, Rules::default()),
        "give data-web-1 to nobody"
    );
}

#[test]
fn a_pet_whose_claim_was_just_deleted_is_made_at_once() {
    // R23
    let want = with_claims(Keep::Delete, Keep::Retain, ordered(2));
    let mut seen = world(&want, "ready -");
    seen.claims = claims(&[("data-web-0", None), ("data-web-1", Some(("Pod", "uid-1")))]);
    assert_eq!(
        steps_in(&want, &seen, Rules::strict()),
        "delete data-web-1, await 1"
    );
    seen.claims.remove("data-web-1");
    assert_eq!(
        steps_in(&want, &seen, Rules::strict()),
        "claim data-web-1, start 1"
    );
}

#[test]
fn the_policy_can_be_changed_while_pets_run() {
    // C23, R16
    let mut seen = world(&ordered(1), "ready");
    seen.claims = claims(&[("data-web-0", None)]);
    let deletes = with_claims(Keep::Retain, Keep::Delete, ordered(1));
    assert_eq!(
        steps_in(&deletes, &seen, Rules::default()),
        "give data-web-0 to web"
    );
    seen.claims = claims(&[("data-web-0", Some(("StatefulSet", "set")))]);
    assert_eq!(steps_in(&deletes, &seen, Rules::default()), "");
    let keeps = with_claims(Keep::Retain, Keep::Retain, ordered(1));
    assert_eq!(
        steps_in(&keeps, &seen, Rules::default()),
        "give data-web-0 to nobody"
    );
    seen.claims = claims(&[("data-web-0", Some(("Backup", "other")))]);
    assert_eq!(
        steps_in(&deletes, &seen, Rules::default()),
        "",
        "a foreign owner is left alone"
    );
}

#[test]
fn a_deleted_set_stops_from_the_top_and_then_is_finished() {
    // U16, D05, C36
    let want = Set {
        deletion: Some(Deletion::Drain),
        ..ordered(3)
    };
    assert_eq!(steps(&want, "ready unready ready"), "stop 2");
    assert_eq!(steps(&want, "ready unready stopping"), "await 2");
    assert_eq!(steps(&want, "ready unready"), "stop 1");
    assert_eq!(steps(&want, ""), "finish");
    let want = Set {
        deletion: Some(Deletion::Drain),
        ..parallel(2)
    };
    assert_eq!(steps(&want, "ready ready"), "stop 1, stop 0");
}

#[test]
fn a_deleted_set_takes_only_the_claims_that_the_policy_lets_go() {
    // C23, V58
    let gone = |set| Set {
        deletion: Some(Deletion::Drain),
        ..set
    };
    let mut seen = Seen {
        claims: claims(&[("data-web-0", Some(("StatefulSet", "set"))), ("mine", None)]),
        ..Seen::default()
    };
    let want = gone(with_claims(Keep::Retain, Keep::Delete, ordered(1)));
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "delete data-web-0, finish"
    );
    let want = gone(with_claims(Keep::Delete, Keep::Retain, ordered(1)));
    assert_eq!(steps_in(&want, &seen, Rules::default()), "finish");
    seen.claims = claims(&[("data-web-0", Some(("StatefulSet", "another set")))]);
    let want = gone(with_claims(Keep::Retain, Keep::Delete, ordered(1)));
    assert_eq!(steps_in(&want, &seen, Rules::default()), "finish");
}

#[test]
fn an_orphaning_delete_lets_go_of_everything_at_once() {
    // R16, R17
    let want = with_claims(Keep::Retain, Keep::Delete, ordered(2));
    let want = Set {
        deletion: Some(Deletion::Orphan),
        ..want
    };
    let mut seen = world(&want, "ready ready");
    seen.claims = claims(&[("data-web-0", Some(("StatefulSet", "set")))]);
    let all = "release 0, release 1, release old, release bad, release new, \
               give data-web-0 to nobody, finish";
    assert_eq!(steps_in(&want, &seen, Rules::default()), all);
}

#[test]
fn a_stopped_set_empties_in_order_and_keeps_everything() {
    let want = with_claims(Keep::Delete, Keep::Delete, ordered(2));
    let want = Set {
        stopped: true,
        ..want
    };
    let mut seen = world(&want, "ready ready");
    seen.claims = claims(&[("data-web-0", Some(("StatefulSet", "set")))]);
    assert_eq!(steps_in(&want, &seen, Rules::default()), "stop 1");
    seen.pets = world(&want, "ready stopping").pets;
    assert_eq!(steps_in(&want, &seen, Rules::default()), "await 1");
    seen.pets.clear();
    assert_eq!(steps_in(&want, &seen, Rules::default()), "");
}

#[test]
fn an_evicted_pet_stops_at_once_and_comes_back_in_its_turn() {
    // R03: as `kubectl delete pod`
    let want = ordered(3);
    let mut seen = world(&want, "unready ready ready");
    seen.evict = ["uid-2".to_owned(), "uid-1".to_owned()].into();
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "stop 1, stop 2, await 0"
    );
    seen.evict = ["an earlier uid".to_owned()].into();
    assert_eq!(steps_in(&want, &seen, Rules::default()), "await 0");
}

#[test]
fn pets_and_revisions_that_nobody_owns_are_adopted() {
    // C37, R17
    let want = ordered(2);
    let mut seen = world(&want, "ready ready");
    seen.pets.get_mut(&Ordinal(1)).unwrap().owner = None;
    assert_eq!(steps_in(&want, &seen, Rules::default()), "adopt 1");
    seen.revisions[0].metadata.owner_references = None;
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "adopt old, adopt 1"
    );
    seen.pets.get_mut(&Ordinal(1)).unwrap().labels.clear();
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "adopt old, await 1"
    );
}

#[test]
fn a_pet_that_the_selector_no_longer_matches_is_released() {
    // C37
    let want = ordered(2);
    let mut seen = world(&want, "ready ready");
    seen.pets.get_mut(&Ordinal(1)).unwrap().labels.clear();
    assert_eq!(
        steps_in(&want, &seen, Rules::default()),
        "release 1, await 1"
    );
}

#[test]
fn a_pet_of_an_earlier_set_of_that_name_is_waited_for() {
    // promise 1: one identity, one process
    let want = ordered(2);
    let mut seen = world(&want, "stopping -");
    seen.pets.get_mut(&Ordinal(0)).unwrap().owner = Some("the earlier set".to_owned());
    assert_eq!(steps_in(&want, &seen, Rules::default()), "await 0");
    let want = Set {
        deletion: Some(Deletion::Drain),
        ..want
    };
    assert_eq!(steps_in(&want, &seen, Rules::default()), "finish");
}

#[test]
fn waiting_is_said_in_words() {
    // promise 6
    let want = ordered(2);
    let outcome = reconcile(&want, &world(&want, "unready -"), Rules::default(), NOW);
    let why = "web-0 is not ready: its readiness probe failed".to_owned();
    assert_eq!(
        outcome.steps,
        [Step::Await {
            ordinal: Ordinal(0),
            why,
            stuck: false
        }]
    );
    let outcome = reconcile(&want, &world(&want, "stopping -"), Rules::default(), NOW);
    let why = "web-0 is stopping".to_owned();
    assert_eq!(
        outcome.steps,
        [Step::Await {
            ordinal: Ordinal(0),
            why,
            stuck: false
        }]
    );
}

#[test]
fn a_new_template_is_recorded_and_an_earlier_one_gets_the_next_number() {
    // C27, R09, C57
    let want = Set {
        patch: json!("another"),
        ..ordered(1)
    };
    let seen = world(&want, "old:ready");
    assert!(steps_in(&want, &seen, Rules::default()).starts_with("record 4, stop 0"));
    let want = Set {
        patch: json!("bad"),
        ..ordered(1)
    };
    assert!(steps_in(&want, &seen, Rules::default()).starts_with("renumber bad 4, stop 0"));
}

#[test]
fn a_name_that_another_template_has_is_varied() {
    // C25
    let want = Set {
        patch: json!("another"),
        ..ordered(1)
    };
    let mut seen = world(&want, "");
    let taken = wanted_revision(&want, 4, 0).metadata.name;
    seen.revisions[0].metadata.name.clone_from(&taken);
    let outcome = reconcile(&want, &seen, Rules::default(), NOW);
    assert_eq!(outcome.status.collision_count, Some(1));
    assert_ne!(outcome.status.update_revision, taken);
}

#[test]
fn unused_revisions_beyond_the_limit_are_forgotten() {
    // C28, R19
    let limit = |limit| Set {
        history_limit: limit,
        ..ordered(2)
    };
    assert_eq!(
        steps(&limit(Some(0)), "ready ready"),
        "forget old, forget bad"
    );
    assert_eq!(steps(&limit(Some(1)), "ready ready"), "forget old");
    assert_eq!(
        steps(&limit(Some(0)), "bad:ready ready"),
        "stop 0, forget old"
    );
    assert_eq!(steps(&limit(None), "ready ready"), "");
    assert_eq!(
        steps(&limit(Some(0)), "old:ready ready"),
        "stop 0, forget bad"
    );
}

#[test]
fn the_status_counts_what_there_is() {
    // C20
    let want = Set {
        min_ready: Duration::from_secs(5),
        ..ordered(5)
    };
    let status = reconcile(
        &want,
        &world(&want, "old:ready old:unready stopping fresh"),
        Rules::default(),
        NOW,
    )
    .status;
    let counts = (
        status.replicas,
        status.ready_replicas,
        status.available_replicas,
    );
    assert_eq!(counts, (4, Some(3), Some(2)));
    assert_eq!(
        (status.current_replicas, status.updated_replicas),
        (Some(2), Some(1))
    );
    assert_eq!(status.observed_generation, Some(1));
}

#[test]
fn a_roll_is_complete_when_every_pet_is_new_and_ready() {
    // C19, R18
    let current = |want: &Set, pets: &str| {
        let mut seen = world(want, pets);
        seen.status.current_revision = Some("old".to_owned());
        reconcile(want, &seen, Rules::default(), NOW)
            .status
            .current_revision
            .unwrap()
    };
    assert_eq!(current(&ordered(2), "ready ready"), "new");
    assert_eq!(current(&ordered(2), "ready unready"), "old");
    assert_eq!(current(&ordered(2), "ready"), "old");
    assert_eq!(current(&ordered(0), ""), "new");
    let on_delete = Set {
        strategy: Strategy::OnDelete,
        ..ordered(2)
    };
    assert_eq!(current(&on_delete, "ready ready"), "old");
}

#[test]
fn ten_thousand_pets_take_one_pass_of_reasonable_work() {
    let want = with_claims(Keep::Delete, Keep::Delete, parallel(10_000));
    let mut seen = world(&want, &"old:ready ".repeat(10_000));
    let claims = want.ordinals().map(|ordinal| {
        let name = claim_name("data", "web", ordinal);
        let owners = vec![want.owner_reference()];
        (
            name.clone(),
            ClaimSeen {
                name,
                terminating: false,
                owners,
            },
        )
    });
    seen.claims = claims.collect();
    let started = std::time::Instant::now();
    assert_eq!(steps_in(&want, &seen, Rules::default()), "stop 9999");
    let took = started.elapsed();
    println!("one pass over 10,000 pets with claims took {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}"); // unoptimised; a release build needs ms
}
