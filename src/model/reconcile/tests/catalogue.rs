//! The cases of the real controller's own tests (C50-C67), and of PetSet's (C80-C84).

use super::*;
use crate::model::step::Reason;

fn count(want: &Set, pets: usize) -> usize {
    steps(want, &"ready ".repeat(pets)).split(", ").count()
}

#[test]
fn a_set_is_created_and_scaled() {
    // C50
    assert_eq!(steps(&ordered(3), "- - -"), "start 0");
    assert_eq!(steps(&ordered(4), "ready ready ready"), "start 3");
    assert_eq!(steps(&ordered(0), "ready ready ready"), "stop 2");
    assert_eq!(steps(&ordered(0), ""), "");
}

#[test]
fn pets_that_are_lost_come_back() {
    // C51
    assert_eq!(steps(&ordered(5), "- ready - ready -"), "start 0");
    assert_eq!(steps(&ordered(5), "ready ready - ready -"), "start 2");
    let all = steps(&parallel(5), "- ready - ready -");
    assert_eq!(all, "start 0, start 2, start 4");
}

#[test]
fn a_step_that_failed_is_found_again_by_the_next_pass() {
    // C53, C56
    let want = ordered(2);
    let seen = world(&want, "ready ready ready");
    let pass = || reconcile(&want, &seen, Rules::default(), NOW);
    assert_eq!(pass(), pass());
    assert_eq!(pass().steps.len(), 1);
}

#[test]
fn ordinals_begin_where_the_set_says() {
    // C03, C55
    let mut want = ordered(2);
    want.start = 2;
    assert_eq!(steps(&want, "- -"), "start 2");
    assert_eq!(steps(&want, "ready ready"), "");
    assert_eq!(steps(&want, "ready ready ready"), "stop 4");
}

#[test]
fn an_image_that_changes_with_the_scale_waits_for_the_scale() {
    // C58
    let three = "old:ready old:ready old:ready";
    assert_eq!(steps(&ordered(5), three), "start 3");
    let five = "old:ready old:ready old:ready old:ready old:ready";
    assert_eq!(steps(&ordered(3), five), "stop 4");
    assert_eq!(steps(&parallel(3), five), "stop 4, stop 3, stop 2");
}

#[test]
fn only_pets_from_the_partition_up_move() {
    // C59
    let want = with_roll(2, 1, ordered(4));
    let all = "old:ready old:ready old:ready old:ready";
    assert_eq!(steps(&want, all), "stop 3");
    assert_eq!(steps(&want, "old:ready old:ready ready ready"), "");
}

#[test]
fn a_parallel_set_scales_in_one_pass_however_large_it_is() {
    // C62
    assert_eq!(count(&parallel(30), 3), 27);
    assert_eq!(count(&parallel(1), 10), 9);
    assert_eq!(count(&parallel(0), 501), 501);
    assert_eq!(count(&parallel(1000), 0), 1000);
}

#[test]
fn a_pet_that_stops_is_waited_for() {
    // C65, C67
    assert_eq!(steps(&ordered(2), "stopping ready"), "await 0");
    assert_eq!(steps(&ordered(1), "ready stopping"), "await 1");
}

#[test]
fn one_pet_that_is_not_healthy_blocks_all_others() {
    // C80
    assert_eq!(steps(&ordered(3), "ready unready -"), "await 1");
    assert_eq!(steps(&ordered(1), "unready ready ready"), "await 0");
}

fn available(want: &Set, pets: &str) -> i32 {
    let status = reconcile(want, &world(want, pets), Rules::default(), NOW).status;
    status.available_replicas.unwrap()
}

#[test]
fn pets_are_available_when_they_have_been_ready_for_long_enough() {
    // C64, E22: each pet here has been ready for 1000 s, `fresh` for 1 s
    let after = |seconds| Set {
        min_ready: Duration::from_secs(seconds),
        ..ordered(3)
    };
    let pets = "ready fresh unready";
    assert_eq!(available(&after(0), pets), 2);
    assert_eq!(available(&after(30), pets), 1);
    assert_eq!(available(&after(3600), pets), 0);
    let outcome = reconcile(
        &after(3600),
        &world(&after(3600), pets),
        Rules::default(),
        NOW,
    );
    let wake = outcome.wake_at.unwrap();
    assert_eq!(wake.duration_since(NOW).as_secs(), 3600 - 1000);
}

#[test]
fn what_is_unavailable_counts_whatever_the_policy_and_on_delete_not_at_all() {
    // C64, R15
    let half = |set: Set| Set {
        strategy: Strategy::RollingUpdate(Some(Roll {
            partition: 0,
            max_unavailable: Some(Bound::Percent(50)),
        })),
        ..set
    };
    let five = "old:ready old:ready old:ready old:ready old:ready";
    assert_eq!(steps(&half(ordered(5)), five), "stop 4, stop 3");
    assert_eq!(steps(&half(parallel(5)), five), "stop 4, stop 3");
    let one_down = "old:ready old:ready old:ready old:ready starting";
    assert_eq!(steps(&half(parallel(5)), one_down), "await 4, stop 3");
    let on_delete = Set {
        strategy: Strategy::OnDelete,
        ..parallel(5)
    };
    assert_eq!(steps(&on_delete, one_down), "await 4");
}

#[test]
fn revisions_in_use_do_not_count_against_the_limit() {
    // C61: LimitsHistory and Rollback; see also the simulated cases
    let limit = |limit, pets: &str| {
        let want = Set {
            history_limit: Some(limit),
            ..ordered(3)
        };
        steps(&want, pets)
    };
    assert_eq!(limit(0, "old:ready bad:ready ready"), "stop 1");
    assert_eq!(limit(0, "ready ready ready"), "forget old, forget bad");
    assert_eq!(limit(2, "ready ready ready"), "");
}

#[test]
fn claims_are_owned_as_the_tables_of_the_real_one_say() {
    // C66: owner references for each of the four policies, live and condemned
    use crate::model::claim::wanted_owner;
    let owner = |when_scaled, when_deleted, condemned| {
        let want = with_claims(when_scaled, when_deleted, ordered(1));
        let pet = pet(&want, Ordinal(0), "new", "ready");
        wanted_owner(&want, &pet, condemned).map(|owner| owner.kind)
    };
    let (set, pod) = (Some("StatefulSet".to_owned()), Some("Pod".to_owned()));
    assert_eq!(owner(Keep::Retain, Keep::Retain, false), None);
    assert_eq!(owner(Keep::Retain, Keep::Retain, true), None);
    assert_eq!(owner(Keep::Retain, Keep::Delete, false), set);
    assert_eq!(owner(Keep::Retain, Keep::Delete, true), set);
    assert_eq!(owner(Keep::Delete, Keep::Retain, false), None);
    assert_eq!(owner(Keep::Delete, Keep::Retain, true), pod);
    assert_eq!(owner(Keep::Delete, Keep::Delete, false), set);
    assert_eq!(owner(Keep::Delete, Keep::Delete, true), pod);
}

#[test]
fn events_speak_the_words_of_the_controller_that_the_set_was_written_for() {
    // C21, C83
    let mut want = ordered(1);
    let start = Step::CreatePet {
        ordinal: Ordinal(0),
        revision: "new".to_owned(),
    };
    let claim = Step::CreateClaim {
        claim: "data-web-0".to_owned(),
        template: "data".to_owned(),
        ordinal: Ordinal(0),
    };
    let stop = Step::DeletePet {
        ordinal: Ordinal(0),
        uid: String::new(),
        why: Reason::Ended,
    };
    let told = |step: &Step, want: &Set| step.event(want).unwrap();
    let text = "Create Pod web-0 in StatefulSet web successful";
    assert_eq!(told(&start, &want), ("SuccessfulCreate", text.to_owned()));
    let text = "Create Claim data-web-0 Pod web-0 in StatefulSet web success";
    assert_eq!(told(&claim, &want), ("SuccessfulCreate", text.to_owned()));
    let text = "Delete Pod web-0 in StatefulSet web failed error: no";
    assert_eq!(
        stop.failure(&want, "no"),
        Some(("FailedDelete", text.to_owned()))
    );
    want.is_petset = true;
    assert_eq!(told(&start, &want).1, "pet: web-0");
    assert_eq!(told(&claim, &want).1, "pvc: data-web-0");
    assert_eq!(
        told(&stop, &want),
        ("SuccessfulDelete", "pet: web-0".to_owned())
    );
    assert_eq!(
        start.failure(&want, "no").unwrap().1,
        "pet: web-0, error: no"
    );
}

#[test]
fn the_youngest_pet_of_a_petset_goes_first() {
    // C84: web-1 was made anew, so it is the youngest
    let age = |is_petset| {
        let want = Set {
            is_petset,
            ..ordered(1)
        };
        let mut seen = world(&want, "ready ready ready");
        for (ordinal, made) in [(0, 1), (1, 9), (2, 3)] {
            let pet = seen.pets.get_mut(&Ordinal(ordinal)).unwrap();
            pet.created = Some(Timestamp::constant(made, 0));
        }
        let scaled = steps_in(&want, &seen, Rules::default());
        let deleted = Set {
            deletion: Some(Deletion::Drain),
            ..want
        };
        (scaled, steps_in(&deleted, &seen, Rules::default()))
    };
    assert_eq!(age(true), ("stop 1".to_owned(), "stop 1".to_owned()));
    assert_eq!(age(false), ("stop 2".to_owned(), "stop 2".to_owned()));
}
