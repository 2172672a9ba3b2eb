//! Stops: hooks, grace, and what is left of a tree.

use super::*;

#[test]
fn i23_main_containers_stop_together_and_sidecars_in_reverse() {
    let (mut story, _) = Story::of(json!({
        "initContainers": [sidecar("one"), sidecar("two")],
        "containers": [named("a"), named("b")],
    }));
    for name in ["one", "two", "a", "b"] {
        story.started(name);
    }
    assert_eq!(story.stop(10), "term b, term a");
    assert_eq!(story.condition("Ready"), "True", "until they have ended");
    story.ends("a", 0);
    assert_eq!(story.ends("b", 0), "term two");
    assert_eq!(
        story.after_seconds(10),
        "kill two, term one",
        "one grace for all"
    );
    assert_eq!(story.exits("two", Exit::Signal(9)), "");
    assert_eq!(story.wakes(), (2000, "kill one".to_owned()));
    assert_eq!(story.exits("one", Exit::Signal(9)), "finish");
    assert_eq!(story.word("one"), "Error 137");
}

#[test]
fn v50_the_second_container_waits_for_the_first_ones_post_start() {
    let hook = json!({"lifecycle": {"postStart": {"exec": {}}}});
    let (mut story, said) = Story::of(json!({"containers": [with("a", hook), named("b")]}));
    assert_eq!(said, "start a");
    assert_eq!(story.started("a"), "PostStart a");
    assert_eq!(story.word("a"), "ContainerCreating");
    assert_eq!(story.phase(), "Pending");
    assert_eq!(story.hooked("a", HookKind::PostStart, Ok(())), "start b");
    assert_eq!(story.word("a"), "running");
}

#[test]
fn v50_a_failed_post_start_kills_the_container() {
    let hook = json!({"lifecycle": {"postStart": {"exec": {}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    assert_eq!(
        story.hooked("app", HookKind::PostStart, Err("no")),
        "term app"
    );
    assert_eq!(story.exits("app", Exit::Signal(15)), "start app");
}

#[test]
fn v52_a_hook_that_fell_back_to_http_is_a_success_with_a_warning() {
    let hook = json!({"lifecycle": {"postStart": {"httpGet": {"port": 1, "scheme": "HTTPS"}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    let event = PodEvent::Hooked {
        place: story.place("app"),
        hook: HookKind::PostStart,
        outcome: Ok(HookSuccess::FellBack("10.0.0.1:80".to_owned())),
    };
    let actions = story.pet.next(event, at(story.at));
    let [Action::Report(report)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert!(report.warning && report.message.contains("HTTPS lifecycle hook 10.0.0.1:80"));
    assert_eq!(report.reason, "LifecycleHTTPFallback");
    assert_eq!(story.word("app"), "running");
}

#[test]
fn v51_pre_stop_comes_before_the_signal_and_leaves_two_seconds() {
    let hook = json!({"lifecycle": {"preStop": {"exec": {}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    assert_eq!(story.stop(5), "PreStop app");
    assert_eq!(story.wakes(), (5000, "term app".to_owned()));
    assert_eq!(story.wakes(), (2000, "kill app".to_owned()));
    assert_eq!(story.exits("app", Exit::Signal(9)), "finish");
}

#[test]
fn v51_a_pre_stop_that_ends_the_main_process_is_no_crash() {
    let hook = json!({"lifecycle": {"preStop": {"exec": {}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    story.stop(30);
    assert_eq!(story.ends("app", 0), "finish");
    assert_eq!(story.phase(), "Succeeded");
}

#[test]
fn v51_a_container_that_ended_by_itself_gets_no_pre_stop() {
    let hook = json!({"lifecycle": {"preStop": {"exec": {}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    assert_eq!(story.ends("app", 1), "start app");
    story.started("app");
    story.ends("app", 1);
    assert_eq!(story.stop(30), "finish", "in back-off");
    assert_eq!(story.word("app"), "Error 1");
    assert_eq!(story.phase(), "Failed");
}

#[test]
fn v52_without_grace_it_is_killed_at_once() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    assert_eq!(story.stop(0), "kill app");
}

#[test]
fn a_repeated_stop_may_shorten_the_grace_but_not_lengthen_it() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    assert_eq!(story.stop(30), "term app");
    assert_eq!(story.stop(300), "");
    assert_eq!(story.stop(3), "");
    assert_eq!(story.wakes(), (3000, "kill app".to_owned()));
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    story.stop(30);
    assert_eq!(story.stop(0), "kill app");
}

#[test]
fn a_stop_during_an_init_container_starts_nothing_more() {
    let (mut story, _) = Story::of(two_inits("Always"));
    story.started("init1");
    assert_eq!(story.stop(10), "term init1");
    assert_eq!(story.exits("init1", Exit::Signal(15)), "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.word("init1"), "Error 143");
}

#[test]
fn a_stop_before_anything_ran_ends_at_once() {
    let (mut story, _) = Story::of(one("Always"));
    assert_eq!(story.stop(10), "", "it is being started");
    assert_eq!(story.started("app"), "term app");
    assert_eq!(story.ends("app", 0), "finish");
}

#[test]
fn what_is_left_of_a_tree_gets_the_signal_and_the_rest_of_the_grace() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    story.stop(10);
    let ended = PodEvent::Ended {
        place: ContainerIndex(0),
        exit: Exit::Code(0),
        message: None,
    };
    assert_eq!(story.tell(ended.clone()), "term app");
    assert_eq!(story.wakes(), (10_000, "kill app".to_owned()));
    assert_eq!(story.tell(PodEvent::Gone(ContainerIndex(0))), "finish");
    assert_eq!(story.word("app"), "Completed 0");
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    assert_eq!(
        story.tell(ended),
        "kill app",
        "after a crash there is no grace"
    );
}

#[test]
fn a_deleted_pod_starts_nothing() {
    let mut pod = pod(&one("Always"));
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        at(Duration::ZERO).wall,
    ));
    let mut pet = PodMachine::new(&pod, None, BackOff::default(), at(Duration::ZERO));
    let said = pet.next(PodEvent::Tick, at(Duration::ZERO));
    assert_eq!(said, [Action::Finish]);
}

#[test]
fn a_restart_on_request_has_no_back_off() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    story.ends("app", 1);
    story.started("app");
    story.ends("app", 1);
    assert_eq!(story.word("app"), "Error 1");
    assert_eq!(
        story.tell(PodEvent::Restart(ContainerIndex(0))),
        "start app"
    );
    story.started("app");
    assert_eq!(story.tell(PodEvent::Restart(ContainerIndex(0))), "term app");
    assert_eq!(
        story.tell(PodEvent::Restart(ContainerIndex(0))),
        "",
        "it is on its way"
    );
    assert_eq!(story.exits("app", Exit::Signal(15)), "start app");
}
