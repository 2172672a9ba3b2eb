//! Pets that move to another revision, and those that are broken.

use super::*;

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
    // R10, C08, C11
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
