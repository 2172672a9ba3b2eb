//! Revisions, and what the status says.

use super::*;

#[test]
fn waiting_is_said_in_words() {
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
                owners,
                ..ClaimSeen::default()
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
