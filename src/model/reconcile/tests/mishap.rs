//! Rules of pauses, rollbacks, hooks and deadlocks, in their own words.

use std::time::Duration;

use super::*;
use crate::model::TOGETHER_ANNOTATION;
use crate::model::pet::{HookOutcome, ScaleDownHook};
use crate::model::wish::SetOptions;

fn with(options: SetOptions, set: Set) -> Set {
    Set { options, ..set }
}

fn paused() -> SetOptions {
    SetOptions {
        paused: true,
        ..SetOptions::default()
    }
}

fn pause_after(pets: u32) -> SetOptions {
    SetOptions {
        pause_after: Some(pets),
        ..SetOptions::default()
    }
}

fn roll_back(seconds: u64) -> SetOptions {
    SetOptions {
        roll_back: true,
        progress_deadline: Some(Duration::from_secs(seconds)),
        ..SetOptions::default()
    }
}

#[test]
fn a_paused_set_moves_no_pet_but_scales_and_replaces() {
    let want = with(paused(), ordered(3));
    assert_eq!(steps(&want, "old:ready old:ready old:ready"), "");
    assert_eq!(
        steps(&want, "old:ready old:ready old:ready ready"),
        "stop 3"
    );
    assert_eq!(steps(&want, "old:ready old:failed old:ready"), "stop 1");
}

#[test]
fn a_pet_that_is_lost_in_a_pause_comes_back_as_it_was() {
    let want = with(paused(), ordered(3));
    assert_eq!(steps(&want, "old:ready - ready"), "start 1 old");
    assert_eq!(steps(&want, "old:ready ready -"), "start 2");
    assert_eq!(
        steps(&want, "ready ready -"),
        "start 2",
        "nothing is rolling"
    );
}

#[test]
fn a_broken_pet_in_a_pause_is_not_replaced_again_and_again() {
    let want = with(paused(), ordered(3));
    assert_eq!(steps(&want, "old:ready old:unready old:ready"), "await 1");
}

#[test]
fn a_roll_pauses_when_so_many_pets_have_moved() {
    let want = with(pause_after(1), ordered(3));
    assert_eq!(steps(&want, "old:ready old:ready old:ready"), "stop 2");
    assert_eq!(steps(&want, "old:ready old:ready -"), "start 2");
    assert_eq!(steps(&want, "old:ready old:ready ready"), "");
    assert_eq!(steps(&want, "old:ready - ready"), "start 1 old");
}

#[test]
fn several_at_a_time_do_not_go_beyond_the_pause() {
    let want = with(pause_after(2), with_roll(0, 3, ordered(5)));
    let all = "old:ready old:ready old:ready old:ready old:ready";
    assert_eq!(steps(&want, all), "stop 4, stop 3");
    let one = "old:ready old:ready old:ready old:ready ready";
    assert_eq!(steps(&want, one), "stop 3");
}

#[test]
fn a_failed_upgrade_goes_back_to_the_revision_at_which_all_were_ready() {
    let want = with(roll_back(10), ordered(3));
    let seen = "old:ready old:ready unready";
    assert_eq!(steps(&want, seen), "roll back to old for 2");
    let patient = with(roll_back(30), ordered(3));
    assert_eq!(steps(&patient, seen), "await 2");
    assert_eq!(
        steps(&patient, "old:ready old:ready stuck"),
        "roll back to old for 2",
        "what will never be ready is not waited for"
    );
}

#[test]
fn a_deadline_wakes_the_set() {
    let want = with(roll_back(30), ordered(3));
    let seen = world(&want, "old:ready old:ready unready");
    let outcome = reconcile(&want, &seen, Rules::default(), NOW);
    assert_eq!(outcome.wake_at, Some(Timestamp::constant(1_000_010, 0)));
}

#[test]
fn there_is_nothing_to_go_back_to_at_the_first_revision() {
    let want = with(roll_back(10), ordered(3));
    assert_eq!(steps(&want, "ready stuck -"), "await 1");
}

#[test]
fn an_outdated_pet_that_is_not_ready_takes_no_upgrade_back() {
    let want = with(roll_back(10), ordered(3));
    assert_eq!(steps(&want, "old:ready old:stuck ready"), "stop 1");
}

#[test]
fn a_halted_upgrade_says_which_pet_is_stuck() {
    let stuck = |seen: &str, options: SetOptions| {
        let want = with(options, ordered(3));
        let outcome = reconcile(&want, &world(&want, seen), Rules::default(), NOW);
        let stuck = |step: &Step| matches!(step, Step::Await { stuck: true, .. });
        outcome.steps.iter().any(stuck)
    };
    let halt = SetOptions {
        roll_back: false,
        ..roll_back(10)
    };
    assert!(stuck("old:ready old:ready unready", halt.clone()));
    assert!(
        !stuck("ready unready -", halt),
        "a deadline is for upgrades"
    );
    assert!(stuck("ready stuck -", SetOptions::default()));
    assert!(!stuck("ready unready -", SetOptions::default()));
}

fn hooked(outcome: Option<HookOutcome>, generation: i64) -> String {
    let options = SetOptions {
        pre_scale_down: Some("./leave".to_owned()),
        ..SetOptions::default()
    };
    let want = with(options, ordered(1));
    let mut seen = world(&want, "ready ready");
    seen.pets.get_mut(&Ordinal(1)).unwrap().hook = outcome.map(|outcome| ScaleDownHook {
        generation,
        outcome,
    });
    steps_in(&want, &seen, Rules::default())
}

#[test]
fn a_pet_hands_over_before_the_set_is_scaled_below_it() {
    assert_eq!(hooked(None, 1), "hook 1");
    assert_eq!(hooked(Some(HookOutcome::Running), 1), "await 1");
    assert_eq!(hooked(Some(HookOutcome::Done), 1), "stop 1");
    let failed = HookOutcome::Failed("failed with exit code 1".to_owned());
    assert_eq!(hooked(Some(failed.clone()), 1), "await 1");
    assert_eq!(
        hooked(Some(failed), 0),
        "hook 1",
        "another wish, another try"
    );
}

#[test]
fn a_pet_that_never_ran_has_nothing_to_hand_over() {
    let options = SetOptions {
        pre_scale_down: Some("./leave".to_owned()),
        ..SetOptions::default()
    };
    let want = with(options, ordered(1));
    assert_eq!(steps(&want, "ready starting"), "stop 1");
}

#[test]
fn missing_pets_are_started_together_where_that_is_wished() {
    let options = SetOptions {
        together: true,
        ..SetOptions::default()
    };
    let want = with(options, ordered(3));
    assert_eq!(steps(&want, "- - -"), "start 0, start 1, start 2");
    assert_eq!(
        steps(&want, "unready - unready"),
        "await 0, start 1, await 2"
    );
    let done = format!("fulfil {TOGETHER_ANNOTATION}");
    assert_eq!(steps(&want, "ready ready ready"), done);
}

#[test]
fn a_deadlock_of_a_quorum_is_said_in_plain_words() {
    let mut want = ordered(3);
    want.claim_templates = vec!["data".to_owned()];
    let mut seen = world(&want, "unready - -");
    let why = |seen: &Seen| {
        let outcome = reconcile(&want, seen, Rules::default(), NOW);
        match outcome.steps.first() {
            Some(Step::Await { why, .. }) => why.clone(),
            other => panic!("{other:?}"),
        }
    };
    seen.claims = claims(&[("data-web-0", None)]);
    assert!(!why(&seen).contains("--parallel"), "the others never ran");
    let all = [
        ("data-web-0", None),
        ("data-web-1", None),
        ("data-web-2", None),
    ];
    seen.claims = claims(&all);
    let said = why(&seen);
    assert!(said.contains("web-1, web-2, which ran before"), "{said}");
    assert!(said.contains("petset restart web --parallel"), "{said}");
    assert!(!said.contains("publishNotReadyAddresses"), "{said}");
    seen.hiding_service = Some("peers".to_owned());
    let said = why(&seen);
    assert!(
        said.contains("service peers names only pets that are ready"),
        "{said}"
    );
    let pet = seen.pets.get_mut(&Ordinal(0)).unwrap();
    pet.phase = Phase::Pending;
    assert!(!why(&seen).contains("--parallel"), "it does not run");
    let pet = seen.pets.get_mut(&Ordinal(0)).unwrap();
    pet.in_hook = true;
    assert!(
        why(&seen).contains("--parallel"),
        "its postStart may wait for them"
    );
    let pet = seen.pets.get_mut(&Ordinal(0)).unwrap();
    pet.unready_since = Some(NOW);
    assert!(!why(&seen).contains("--parallel"), "it may just be slow");
}
