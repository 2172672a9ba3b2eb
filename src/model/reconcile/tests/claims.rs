//! Claims: made, kept, handed over, deleted.

use super::*;

#[test]
fn a_pet_starts_after_its_claims_and_keeps_them() {
    // C09, R02, C54, E28: the claim of a pet that is still pending is made again
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
    let stuck = false;
    let wait = Step::Await {
        ordinal: Ordinal(0),
        why,
        stuck,
    };
    assert_eq!(outcome.steps.last(), Some(&wait));
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
fn a_claim_whose_removal_was_cut_short_is_removed_before_its_pet_is_made() {
    let want = with_claims(Keep::Retain, Keep::Retain, ordered(2));
    let mut seen = world(&want, "ready -");
    seen.claims = claims(&[("data-web-0", None), ("data-web-1", None)]);
    for claim in seen.claims.values_mut() {
        claim.terminating = true;
    }
    // What web-0 uses stays until web-0 is gone.
    let steps = steps_in(&want, &seen, Rules::default());
    assert_eq!(steps, "delete data-web-1, await 1");
}

#[test]
fn what_another_set_has_too_is_let_go_of_and_not_deleted() {
    let want = with_claims(Keep::Delete, Keep::Delete, ordered(1));
    let mut seen = world(&want, "ready");
    seen.claims = claims(&[
        ("data-web-0", Some(("StatefulSet", "set"))),
        ("data-web-1", Some(("Pod", "uid-1"))),
    ]);
    let freed = "delete data-web-1";
    assert_eq!(steps_in(&want, &seen, Rules::default()), freed);
    for claim in seen.claims.values_mut() {
        claim.shared = true;
    }
    let freed = "give data-web-1 to nobody";
    assert_eq!(steps_in(&want, &seen, Rules::default()), freed);
    let gone = Set {
        deletion: Some(Deletion::Drain),
        ..want
    };
    seen.pets.clear();
    let freed = "give data-web-1 to nobody, give data-web-0 to nobody, finish";
    assert_eq!(steps_in(&gone, &seen, Rules::default()), freed);
}

#[test]
fn a_marked_claim_that_another_pod_uses_is_not_deleted_again_and_again() {
    let want = with_claims(Keep::Delete, Keep::Retain, ordered(1));
    let mut seen = world(&want, "ready");
    seen.claims = claims(&[("data-web-0", None), ("data-web-1", None)]);
    let marked = seen.claims.get_mut("data-web-1").unwrap();
    (marked.terminating, marked.in_use) = (true, true);
    assert_eq!(steps_in(&want, &seen, Rules::default()), "");
    seen.claims.get_mut("data-web-1").unwrap().in_use = false;
    let goes = "delete data-web-1";
    assert_eq!(steps_in(&want, &seen, Rules::default()), goes);
}
