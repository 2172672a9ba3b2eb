//! Pets that come and go, in order or all at once.

use super::*;

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
