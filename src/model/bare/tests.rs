use serde_json::{Value, json};

use super::PodStep::{Await, Create, Forget, Keep, Refresh, Remove, Rest, Revive, Stop};
use super::{Pod, PodStep, has_ended_for_good, reconcile_pod, refresh, wanted_of};

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

/// A pod as it is asked for: its uid, and `deleted`.
fn want(uid: &str, words: &str) -> Pod {
    let mut pod = pod(json!({"metadata": {"name": "p", "uid": uid},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "one"}]}}));
    mark(&mut pod, words);
    pod
}

/// A pet that runs: its uid, and `owned`, `stopping`, `never`, `failed`, `succeeded`.
fn pet(uid: &str, words: &str) -> Pod {
    let mut pet = want(uid, words);
    let status = pet.status.get_or_insert_default();
    status.phase = Some("Running".to_owned());
    mark(&mut pet, words);
    pet
}

fn mark(pod: &mut Pod, words: &str) {
    let phase = |pod: &mut Pod, phase: &str| {
        pod.status.get_or_insert_default().phase = Some(phase.to_owned());
    };
    let policy = |pod: &mut Pod, policy: &str| {
        pod.spec.get_or_insert_default().restart_policy = Some(policy.to_owned());
    };
    for word in words.split_whitespace() {
        match word {
            "deleted" | "stopping" => {
                let at = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
                pod.metadata.deletion_timestamp = Some(at);
            }
            "owned" => {
                let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web",
                    "uid": "set", "controller": true}]);
                pod.metadata.owner_references = serde_json::from_value(owner).unwrap();
            }
            "never" => policy(pod, "Never"),
            "onfailure" => policy(pod, "OnFailure"),
            "failed" => phase(pod, "Failed"),
            "succeeded" => phase(pod, "Succeeded"),
            other => panic!("{other}"),
        }
    }
}

fn next(want: Option<&Pod>, pet: Option<&Pod>) -> Option<PodStep> {
    reconcile_pod(want, pet, false, false)
}

fn when_over(want: Option<&Pod>, pet: Option<&Pod>) -> Option<PodStep> {
    reconcile_pod(want, pet, true, false)
}

#[test]
fn a_pod_is_made_and_then_left_alone() {
    let asked = want("a", "");
    assert_eq!(next(Some(&asked), None), Some(Create));
    assert_eq!(next(Some(&asked), Some(&pet("a", ""))), None);
    assert_eq!(next(None, None), None);
}

#[test]
fn a_deleted_pod_stops_then_goes_then_is_forgotten() {
    let asked = want("a", "deleted");
    assert_eq!(next(Some(&asked), Some(&pet("a", ""))), Some(Stop));
    let stopping = pet("a", "stopping");
    assert_eq!(next(Some(&asked), Some(&stopping)), None);
    assert_eq!(when_over(Some(&asked), Some(&stopping)), Some(Remove));
    assert_eq!(next(Some(&asked), None), Some(Forget));
}

#[test]
fn a_pod_that_has_ended_stays_until_it_is_deleted() {
    let asked = want("a", "never");
    for end in ["never failed", "never succeeded"] {
        let ended = pet("a", end);
        assert_eq!(when_over(Some(&asked), Some(&ended)), None, "{end}");
        let deleted = want("a", "never deleted");
        assert_eq!(when_over(Some(&deleted), Some(&ended)), Some(Stop), "{end}");
    }
    assert_eq!(
        when_over(
            Some(&want("a", "onfailure")),
            Some(&pet("a", "onfailure succeeded"))
        ),
        None
    );
}

#[test]
fn a_pod_that_something_else_ended_runs_again_if_its_policy_says_so() {
    for (policy, end) in [("", "failed"), ("", "succeeded"), ("onfailure", "failed")] {
        let (asked, ended) = (want("a", policy), pet("a", &format!("{policy} {end}")));
        assert_eq!(
            when_over(Some(&asked), Some(&ended)),
            Some(Revive),
            "{policy} {end}"
        );
    }
    let mut late = pet("a", "failed");
    late.status.get_or_insert_default().reason = Some("DeadlineExceeded".to_owned());
    assert!(has_ended_for_good(&late));
}

#[test]
fn another_pod_of_the_name_waits_until_the_one_before_is_gone() {
    let asked = want("b", "");
    assert_eq!(next(Some(&asked), Some(&pet("a", ""))), Some(Stop));
    assert_eq!(
        when_over(Some(&asked), Some(&pet("a", "stopping"))),
        Some(Remove)
    );
}

#[test]
fn stopping_everything_ends_pods_and_keeps_them() {
    let asked = want("a", "");
    let stopped = |pet: Option<&Pod>, over| reconcile_pod(Some(&asked), pet, over, true);
    assert_eq!(stopped(None, false), None);
    assert_eq!(stopped(Some(&pet("a", "")), false), Some(Stop));
    assert_eq!(stopped(Some(&pet("a", "stopping")), true), Some(Rest));
    assert_eq!(stopped(Some(&pet("a", "failed")), true), None);
    let once = (want("a", "never"), pet("a", "never failed"));
    assert_eq!(when_over(Some(&once.0), Some(&once.1)), None);
}

#[test]
fn what_a_set_lets_go_is_wanted_and_what_it_adopts_is_not() {
    // C37, E02
    assert_eq!(next(None, Some(&pet("a", ""))), Some(Keep));
    assert_eq!(next(None, Some(&pet("a", "owned"))), None);
    assert_eq!(
        next(Some(&want("a", "")), Some(&pet("a", "owned"))),
        Some(Forget)
    );
    let kept = wanted_of(&pet("a", "owned"));
    assert_eq!(next(Some(&kept), Some(&pet("a", ""))), None);
}

#[test]
fn a_pet_of_a_set_keeps_its_name() {
    let owned = pet("a", "owned");
    assert_eq!(next(Some(&want("b", "")), Some(&owned)), Some(Await));
    assert_eq!(
        next(Some(&want("b", "deleted")), Some(&owned)),
        Some(Forget)
    );
}

#[test]
fn a_new_image_or_label_reaches_the_pet_but_no_other_isolation() {
    let note = |pod: &mut Pod, level: &str| {
        let notes = pod.metadata.annotations.get_or_insert_default();
        notes.insert(super::ISOLATION_ANNOTATION.to_owned(), level.to_owned());
    };
    let (mut asked, mut there) = (want("a", ""), pet("a", ""));
    note(&mut there, "full");
    assert_eq!(next(Some(&asked), Some(&there)), None);
    asked.spec.get_or_insert_default().containers[0].image = Some("two".to_owned());
    note(&mut asked, "none");
    let closed = (super::EGRESS_ANNOTATION.to_owned(), "none".to_owned());
    there
        .metadata
        .annotations
        .get_or_insert_default()
        .extend([closed]);
    assert_eq!(next(Some(&asked), Some(&there)), Some(Refresh));
    refresh(&mut there, &asked);
    assert_eq!(next(Some(&asked), Some(&there)), None);
    let notes = there.metadata.annotations.unwrap();
    assert_eq!(notes[super::EGRESS_ANNOTATION], "none");
    assert_eq!(notes[super::ISOLATION_ANNOTATION], "full");
}

#[test]
fn i25_a_container_that_never_runs_again_ends_a_pod_that_restarts_always() {
    let mut pod = pet("1", "failed");
    let spec = pod.spec.as_mut().unwrap();
    spec.containers[0].restart_policy = Some("Never".to_owned());
    let ended = json!([{"name": "c", "image": "one", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": 1}}}]);
    let status = pod.status.as_mut().unwrap();
    status.container_statuses = serde_json::from_value(ended).unwrap();
    assert!(has_ended_for_good(&pod));
}
