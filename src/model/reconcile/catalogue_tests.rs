//! The cases of the real controller's own tests (C50-C67), and of PetSet's (C80-C84).

use super::tests::{ordered, parallel, steps, with_roll, world};
use super::*;

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
    let pass = || reconcile(&want, &seen, Rules::default(), super::tests::NOW);
    assert_eq!(pass(), pass());
    assert_eq!(pass().steps.len(), 1);
}

#[test]
fn ordinals_begin_where_the_set_says() {
    // C55
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
