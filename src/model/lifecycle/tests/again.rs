//! A pod that is begun again by another runner, or with another image.

use super::*;

#[test]
fn i06_i43_a_new_runner_runs_them_again_and_goes_on_counting() {
    let (mut story, _) = Story::of(two_inits("Always"));
    for name in ["init1", "init2"] {
        story.started(name);
        story.ends(name, 0);
    }
    story.started("app");
    let before = story.pet.status().clone();
    let (mut story, said) = Story::after(two_inits("Always"), Some(&before));
    assert_eq!(said, "start init1");
    assert_eq!(story.phase(), "Pending");
    for name in ["init1", "init2"] {
        story.started(name);
        story.ends(name, 0);
    }
    story.started("app");
    let shown = story.shown("app");
    assert_eq!((shown.restarts, shown.last), (1, Some(137)));
    assert_eq!(story.shown("init1").restarts, 1);
    assert_eq!(story.pet.status().start_time, before.start_time);
}

#[test]
fn i47_a_pod_that_had_ended_starts_nothing() {
    let (mut story, _) = Story::of(one("Never"));
    story.started("app");
    story.ends("app", 2);
    let before = story.pet.status().clone();
    let (story, said) = Story::after(one("Never"), Some(&before));
    assert_eq!(said, "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.word("app"), "Error 2");
}

/// The status of a pod that ran one container, which was in this state.
fn left(state: Value) -> PodStatus {
    let container = json!({"name": "c", "image": "x", "imageID": "", "ready": false,
        "restartCount": 0, "state": state});
    serde_json::from_value(json!({"phase": "Running", "containerStatuses": [container]})).unwrap()
}

#[test]
fn i47_i56_what_runs_once_is_lost_with_its_runner() {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]});
    let running = left(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}));
    let (story, said) = Story::after(spec.clone(), Some(&running));
    assert_eq!(said, "finish");
    let status = story.pet.status();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    let ended = status.container_statuses.as_ref().unwrap()[0].state.clone();
    assert_eq!(ended.unwrap().terminated.unwrap().exit_code, 137);
    let well = left(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    let (story, said) = Story::after(spec.clone(), Some(&well));
    assert_eq!(said, "finish");
    assert_eq!(story.pet.status().phase.as_deref(), Some("Succeeded"));
    // I48: where nothing had begun, nothing is lost.
    let fresh = left(json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(Story::after(spec, Some(&fresh)).1, "start c");
}

#[test]
fn what_runs_once_and_may_have_begun_is_not_begun_again() {
    let pod = |policy: &str| {
        pod(&json!({"restartPolicy": policy, "containers": [{"name": "c", "image": "x"}]}))
    };
    let now = at(Duration::ZERO);
    let mut pet = PodMachine::new(&pod("Never"), None, BackOff::default(), now);
    pet.note_begun();
    let actions = pet.next(PodEvent::Tick, now);
    assert!(actions.contains(&Action::Finish), "{actions:?}");
    let state = pet.status().container_statuses.as_ref().unwrap()[0]
        .state
        .clone();
    let end = state.unwrap().terminated.unwrap();
    assert_eq!(end.reason.as_deref(), Some("ContainerStatusUnknown"));
    let mut pet = PodMachine::new(&pod("OnFailure"), None, BackOff::default(), now);
    pet.note_begun();
    assert!(!pet.next(PodEvent::Tick, now).contains(&Action::Finish));
}

#[test]
fn a_start_that_a_runners_death_caused_counts_as_a_restart() {
    let spec = json!({"containers": [{"name": "c", "image": "x"}]});
    // It died between the start of the container and the status that says so.
    let waiting = left(json!({"waiting": {"reason": "ContainerCreating"}}));
    let pod = pod(&spec);
    let now = at(Duration::ZERO);
    let mut pet = PodMachine::new(&pod, Some(&waiting), BackOff::default(), now);
    pet.note_started_before("c");
    pet.next(PodEvent::Prepared(Ok(())), now);
    let place = ContainerIndex(0);
    pet.next(PodEvent::Started { place, pid: 7 }, now);
    let status = &pet.status().container_statuses.as_ref().unwrap()[0];
    assert_eq!(status.restart_count, 1);
}

#[test]
fn i56_what_ended_well_does_not_run_again_with_the_others() {
    let spec = json!({"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "x"}]});
    let well = left(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    assert_eq!(Story::after(spec.clone(), Some(&well)).1, "finish");
    let two = json!({"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "x"},
        {"name": "d", "image": "x"}]});
    assert_eq!(Story::after(two, Some(&well)).1, "start d");
    let badly = left(json!({"terminated": {"exitCode": 1, "reason": "Error"}}));
    assert_eq!(Story::after(spec, Some(&badly)).1, "start c");
}

#[test]
fn a_new_image_restarts_the_container_whatever_its_policy() {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]});
    let (mut story, _) = Story::of(spec.clone());
    story.started("c");
    let mut new: k8s_openapi::api::core::v1::PodSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(story.tell(PodEvent::Redefined(Box::new(new.clone()))), "");
    new.containers[0].image = Some("y".to_owned());
    assert_eq!(story.tell(PodEvent::Redefined(Box::new(new))), "term c");
    assert_eq!(story.ends("c", 143), "start c");
    assert_eq!(
        story.pet.status().container_statuses.as_ref().unwrap()[0].image,
        "y"
    );
}

#[test]
fn i25_a_rule_restarts_all_containers_from_the_first_init_container_on() {
    let rule = json!({"action": "RestartAllContainers",
        "exitCodes": {"operator": "In", "values": [42]}});
    let spec = json!({"restartPolicy": "Never",
        "initContainers": [{"name": "init", "image": "x"}],
        "containers": [
            {"name": "c", "image": "x", "restartPolicy": "Never", "restartPolicyRules": [rule]},
            {"name": "d", "image": "x"}]});
    let (mut story, _) = Story::of(spec);
    assert_eq!(story.condition("AllContainersRestarting"), "False");
    let begin = |story: &mut Story| {
        story.started("init");
        assert_eq!(story.ends("init", 0), "start c");
        assert_eq!(story.started("c"), "start d");
        story.started("d");
    };
    begin(&mut story);
    assert_eq!(story.ends("c", 42), "kill d");
    assert_eq!(
        story.condition("AllContainersRestarting"),
        "True RestartAllContainersStarted container exited with restart policy rule"
    );
    assert_eq!(story.exits("d", Exit::Signal(9)), "start init");
    assert_eq!(story.condition("Initialized"), "True");
    assert_eq!(story.phase(), "Pending");
    begin(&mut story);
    assert_eq!(
        (story.phase(), story.word("d").as_str()),
        ("Running", "running")
    );
    for name in ["init", "c", "d"] {
        let shown = story.shown(name);
        assert_eq!((shown.restarts, shown.last), (1, Some(137)), "{name}");
    }
    story.ends("c", 42);
    story.exits("d", Exit::Signal(9));
    assert_eq!(
        story.wakes(),
        (1000, "start init".to_owned()),
        "not in a busy loop"
    );
}
