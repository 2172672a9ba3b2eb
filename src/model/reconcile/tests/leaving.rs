//! Sets that are deleted or stopped, pets that are evicted, adopted and let go.

use super::*;

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
fn a_stop_in_parallel_asks_all_pets_at_once_and_a_deletion_keeps_its_order() {
    let want = Set {
        stopped: true,
        stops_together: true,
        ..ordered(3)
    };
    let steps = |pets: &str| steps_in(&want, &world(&want, pets), Rules::default());
    assert_eq!(steps("ready ready ready"), "stop 2, stop 1, stop 0");
    assert_eq!(steps("ready stopping stopping"), "await 2, await 1, stop 0");
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
    // D10: one identity, one process
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
