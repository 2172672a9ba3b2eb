//! The rules of a pod's life, as short stories: what happens, then what is done and shown.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};

use super::*;

/// A pod under test, with a clock that only the test moves.
struct Story {
    pet: Pet,
    at: Duration,
    pid: u32,
    names: Vec<String>,
}

fn pod(spec: &Value) -> Pod {
    let uid = "u1";
    let meta = json!({"name": "web-0", "namespace": "default", "uid": uid});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

impl Story {
    /// Begins with a pod whose volumes are in place.
    fn of(spec: Value) -> (Self, String) {
        Self::after(spec, None)
    }

    fn after(spec: Value, previous: Option<&PodStatus>) -> (Self, String) {
        let pod = pod(&spec);
        let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
        let mut names = list("initContainers");
        names.extend(list("containers"));
        let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
        let names = names.iter().map(name).collect();
        let now = at(Duration::ZERO);
        let mut story = Self {
            pet: Pet::new(&pod, previous, BackOff::default(), now),
            at: Duration::ZERO,
            pid: 100,
            names,
        };
        let said = story.tell(Event::Tick);
        if said != "prepare" {
            return (story, said);
        }
        let said = story.tell(Event::Prepared(Ok(())));
        (story, said)
    }

    fn place(&self, name: &str) -> Place {
        Place(self.names.iter().position(|it| it == name).unwrap())
    }

    fn tell(&mut self, event: Event) -> String {
        let actions = self.pet.next(event, at(self.at));
        let words = actions.iter().filter_map(|it| self.words(it));
        words.collect::<Vec<_>>().join(", ")
    }

    fn words(&self, action: &Action) -> Option<String> {
        let name = |place: &Place| &self.names[place.0];
        Some(match action {
            Action::Prepare => "prepare".to_owned(),
            Action::Start(place) => format!("start {}", name(place)),
            Action::Terminate(place) => format!("term {}", name(place)),
            Action::Kill(place) => format!("kill {}", name(place)),
            Action::Hook { place, hook } => format!("{hook:?} {}", name(place)),
            Action::Probe { place, kind, .. } => format!("probe {} {}", kind.word(), name(place)),
            Action::Finish => "finish".to_owned(),
            Action::Report(_) => return None,
        })
    }

    fn started(&mut self, name: &str) -> String {
        self.pid += 1;
        let (place, pid) = (self.place(name), self.pid);
        self.tell(Event::Started { place, pid })
    }

    /// Ends the main process, with nothing left of its tree.
    fn exits(&mut self, name: &str, exit: Exit) -> String {
        let place = self.place(name);
        let message = None;
        self.tell(Event::Ended {
            place,
            exit,
            message,
        });
        self.tell(Event::Gone(place))
    }

    fn ends(&mut self, name: &str, code: i32) -> String {
        self.exits(name, Exit::Code(code))
    }

    fn fails_to_start(&mut self, name: &str, failure: Failure) -> String {
        let place = self.place(name);
        self.tell(Event::StartFailed { place, failure })
    }

    fn hooked(&mut self, name: &str, hook: Hook, outcome: Result<(), &str>) -> String {
        let place = self.place(name);
        let outcome = outcome.map_err(str::to_owned);
        self.tell(Event::Hooked {
            place,
            hook,
            outcome,
        })
    }

    fn probed(&mut self, name: &str, kind: ProbeKind, good: bool) -> String {
        let place = self.place(name);
        let run = self.pet.containers[place.0].runs;
        let outcome = match good {
            true => Outcome::Success,
            false => Outcome::Failure("no".to_owned()),
        };
        self.tell(Event::Probed {
            place,
            kind,
            run,
            outcome,
        })
    }

    fn stop(&mut self, grace: u64) -> String {
        let grace = Duration::from_secs(grace);
        self.tell(Event::Stop { grace })
    }

    fn after_seconds(&mut self, seconds: u64) -> String {
        self.at += Duration::from_secs(seconds);
        self.tell(Event::Tick)
    }

    /// Goes on to when the machine wants to be woken; says in how many milliseconds.
    fn wakes(&mut self) -> (u128, String) {
        let wake = self.pet.deadline().expect("the machine waits for a time");
        let pause = wake.saturating_sub(self.at).as_millis();
        self.at = wake.max(self.at);
        (pause, self.tell(Event::Tick))
    }

    fn shown(&self, name: &str) -> Shown {
        let status = self.pet.status();
        let inits = status.init_container_statuses.iter().flatten();
        let mut all = inits.chain(status.container_statuses.iter().flatten());
        let found = all.find(|it| it.name == name).unwrap();
        let state = found.state.clone().unwrap();
        let waiting = state.waiting.clone();
        let word = match (&state.waiting, &state.running, &state.terminated) {
            (Some(waiting), ..) => waiting.reason.clone().unwrap(),
            (_, Some(_), _) => "running".to_owned(),
            (_, _, Some(ended)) => {
                format!("{} {}", ended.reason.clone().unwrap(), ended.exit_code)
            }
            (None, None, None) => panic!("no state"),
        };
        let last = found.last_state.clone().and_then(|it| it.terminated);
        Shown {
            word,
            message: waiting.and_then(|it| it.message).unwrap_or_default(),
            ready: found.ready,
            started: found.started == Some(true),
            restarts: found.restart_count,
            last: last.map(|it| it.exit_code),
        }
    }

    fn word(&self, name: &str) -> String {
        self.shown(name).word
    }

    fn phase(&self) -> &str {
        self.pet.status().phase.as_deref().unwrap()
    }

    fn condition(&self, kind: &str) -> String {
        let mut all = self.pet.status().conditions.iter().flatten();
        let it = all.find(|it| it.type_ == kind).unwrap();
        let words = [Some(&it.status), it.reason.as_ref(), it.message.as_ref()];
        let words: Vec<_> = words.into_iter().flatten().map(String::as_str).collect();
        words.join(" ")
    }
}

struct Shown {
    word: String,
    message: String,
    ready: bool,
    started: bool,
    restarts: i32,
    last: Option<i32>,
}

fn at(mono: Duration) -> Now {
    let wall = Timestamp::from_second(1_700_000_000).unwrap()
        + jiff::SignedDuration::try_from(mono).unwrap();
    Now { mono, wall }
}

fn named(name: &str) -> Value {
    json!({"name": name, "image": "x"})
}

fn with(name: &str, more: Value) -> Value {
    let mut container = named(name);
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    container
}

fn sidecar(name: &str) -> Value {
    with(name, json!({"restartPolicy": "Always"}))
}

/// Two init containers and one main container.
fn two_inits(policy: &str) -> Value {
    json!({
        "restartPolicy": policy,
        "initContainers": [named("init1"), named("init2")],
        "containers": [named("app")],
    })
}

fn one(policy: &str) -> Value {
    json!({"restartPolicy": policy, "containers": [named("app")]})
}

fn only(container: Value) -> Value {
    json!({"containers": [container]})
}

#[test]
fn i01_i40_i41_init_containers_run_one_by_one_and_then_the_main_ones() {
    let (mut story, said) = Story::of(two_inits("Always"));
    assert_eq!(said, "start init1");
    assert_eq!(story.started("init1"), "");
    assert_eq!(story.phase(), "Pending");
    assert_eq!(story.word("app"), "PodInitializing");
    assert_eq!(story.word("init2"), "ContainerCreating");
    assert_eq!(
        story.condition("Initialized"),
        "False ContainersNotInitialized containers with incomplete status: [init1 init2]"
    );
    assert_eq!(story.ends("init1", 0), "start init2");
    assert_eq!(story.word("init1"), "Completed 0");
    assert!(story.shown("init1").ready);
    story.started("init2");
    assert_eq!(story.ends("init2", 0), "start app");
    assert_eq!(story.started("app"), "");
    assert_eq!(story.phase(), "Running");
    assert_eq!(story.condition("Initialized"), "True");
    assert_eq!(story.condition("Ready"), "True");
}

#[test]
fn i02_i44_e40_a_failing_init_container_is_retried_with_back_off() {
    for policy in ["Always", "OnFailure"] {
        let (mut story, _) = Story::of(two_inits(policy));
        let mut pauses = Vec::new();
        for _ in 0..3 {
            story.started("init1");
            let said = story.ends("init1", 1);
            if said.is_empty() {
                let (pause, said) = story.wakes();
                assert_eq!(said, "start init1");
                pauses.push(pause);
            } else {
                assert_eq!(said, "start init1");
                pauses.push(0);
            }
        }
        assert_eq!(pauses, [0, 1000, 2000]);
        story.started("init1");
        story.ends("init1", 1);
        let shown = story.shown("init1");
        assert_eq!(
            (shown.word.as_str(), shown.restarts),
            ("CrashLoopBackOff", 3)
        );
        assert_eq!(shown.last, Some(1));
        assert_eq!(story.phase(), "Pending");
        assert_eq!(story.word("app"), "PodInitializing");
    }
}

#[test]
fn i02_i45_e40_a_failing_init_container_ends_a_pod_that_never_restarts() {
    let (mut story, _) = Story::of(two_inits("Never"));
    story.started("init1");
    story.ends("init1", 0);
    story.started("init2");
    assert_eq!(story.ends("init2", 3), "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.word("init2"), "Error 3");
    assert_eq!(story.word("app"), "PodInitializing");
    assert_eq!(
        story.condition("Initialized"),
        "False ContainersNotInitialized containers with incomplete status: [init2]"
    );
}

#[test]
fn e40_a_pod_that_never_restarts_succeeds_when_all_have_run() {
    let (mut story, _) = Story::of(two_inits("Never"));
    for name in ["init1", "init2"] {
        story.started(name);
        story.ends(name, 0);
    }
    story.started("app");
    assert_eq!(story.ends("app", 0), "finish");
    assert_eq!(story.phase(), "Succeeded");
    assert_eq!(story.condition("Ready"), "False PodCompleted");
    assert_eq!(story.condition("Initialized"), "True PodCompleted");
}

#[test]
fn i05_a_restart_of_the_main_container_runs_no_init_container() {
    let (mut story, _) = Story::of(two_inits("Always"));
    for name in ["init1", "init2"] {
        story.started(name);
        story.ends(name, 0);
    }
    story.started("app");
    assert_eq!(story.ends("app", 1), "start app");
}

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

#[test]
fn i42_i50_nothing_is_started_twice() {
    let (mut story, _) = Story::of(two_inits("Always"));
    assert_eq!(story.tell(Event::Tick), "");
    story.started("init1");
    assert_eq!(story.after_seconds(1000), "");
}

#[test]
fn i09_i10_delays_double_and_a_long_run_forgets_them() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    assert_eq!(story.ends("app", 0), "start app");
    story.started("app");
    assert_eq!(story.ends("app", 1), "");
    let shown = story.shown("app");
    assert_eq!(shown.word, "CrashLoopBackOff");
    assert_eq!(
        shown.message,
        "back-off 1s restarting failed container=app pod=web-0_default(u1)"
    );
    assert_eq!(story.phase(), "Running");
    assert_eq!(
        story.condition("Ready"),
        "False ContainersNotReady containers with unready status: [app]"
    );
    assert_eq!(story.wakes(), (1000, "start app".to_owned()));
    story.started("app");
    story.after_seconds(121);
    assert_eq!(story.ends("app", 1), "start app", "after twice the cap");
}

#[test]
fn i56_v54_the_restart_policy_decides() {
    let cases = [
        ("Always", 0, "start app"),
        ("Always", 1, "start app"),
        ("OnFailure", 0, "finish"),
        ("OnFailure", 1, "start app"),
        ("Never", 0, "finish"),
        ("Never", 1, "finish"),
    ];
    for (policy, code, wanted) in cases {
        let (mut story, _) = Story::of(one(policy));
        story.started("app");
        assert_eq!(story.ends("app", code), wanted, "{policy} {code}");
    }
}

#[test]
fn i25_a_container_may_have_its_own_policy_and_rules() {
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    let own = json!({"restartPolicy": "Never", "restartPolicyRules": rules});
    let (mut story, _) = Story::of(only(with("app", own)));
    story.started("app");
    assert_eq!(story.ends("app", 42), "start app");
    story.started("app");
    assert_eq!(story.ends("app", 1), "finish");
}

#[test]
fn i21_i51_i52_the_next_starts_when_a_sidecar_has_started() {
    let startup = json!({"restartPolicy": "Always", "startupProbe": {"exec": {}}});
    let (mut story, said) = Story::of(json!({
        "initContainers": [with("side", startup), sidecar("plain"), named("init")],
        "containers": [named("app")],
    }));
    assert_eq!(said, "start side");
    assert_eq!(story.started("side"), "probe startup side");
    assert_eq!(story.phase(), "Pending");
    assert_eq!(
        story.probed("side", ProbeKind::Startup, true),
        "start plain"
    );
    assert_eq!(story.started("plain"), "start init");
    story.started("init");
    assert_eq!(story.ends("init", 0), "start app");
    story.started("app");
    assert_eq!(story.condition("Ready"), "True");
}

#[test]
fn i22_i54_a_sidecar_is_restarted_while_others_go_on() {
    let (mut story, _) = Story::of(json!({
        "restartPolicy": "Never",
        "initContainers": [sidecar("side"), named("init")],
        "containers": [named("app")],
    }));
    story.started("side");
    story.started("init");
    assert_eq!(story.ends("side", 0), "start side", "while initialising");
    assert_eq!(story.ends("init", 0), "start app");
    story.started("side");
    story.started("app");
    story.ends("side", 1);
    assert_eq!(story.wakes().1, "start side", "while the main ones run");
    assert_eq!(story.shown("side").restarts, 1);
}

#[test]
fn i24_i55_sidecars_stop_when_the_main_ones_have_ended() {
    let (mut story, _) = Story::of(json!({
        "restartPolicy": "Never",
        "initContainers": [sidecar("one"), sidecar("two")],
        "containers": [named("app")],
    }));
    for name in ["one", "two", "app"] {
        story.started(name);
    }
    assert_eq!(story.ends("app", 0), "term two");
    assert_eq!(story.ends("two", 0), "term one");
    assert_eq!(story.exits("one", Exit::Signal(15)), "finish");
    assert_eq!(
        story.phase(),
        "Succeeded",
        "a sidecar's code does not count"
    );
}

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
    assert_eq!(story.condition("Ready").split(' ').next(), Some("False"));
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
    assert_eq!(story.hooked("a", Hook::PostStart, Ok(())), "start b");
    assert_eq!(story.word("a"), "running");
}

#[test]
fn v50_a_failed_post_start_kills_the_container() {
    let hook = json!({"lifecycle": {"postStart": {"exec": {}}}});
    let (mut story, _) = Story::of(only(with("app", hook)));
    story.started("app");
    assert_eq!(story.hooked("app", Hook::PostStart, Err("no")), "term app");
    assert_eq!(story.exits("app", Exit::Signal(15)), "start app");
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
    let ended = Event::Ended {
        place: Place(0),
        exit: Exit::Code(0),
        message: None,
    };
    assert_eq!(story.tell(ended.clone()), "term app");
    assert_eq!(story.wakes(), (10_000, "kill app".to_owned()));
    assert_eq!(story.tell(Event::Gone(Place(0))), "finish");
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
    let mut pet = Pet::new(&pod, None, BackOff::default(), at(Duration::ZERO));
    let said = pet.next(Event::Tick, at(Duration::ZERO));
    assert_eq!(said, [Action::Finish]);
}

#[test]
fn a_restart_on_request_has_no_back_off() {
    let (mut story, _) = Story::of(one("Always"));
    story.started("app");
    story.ends("app", 1);
    story.started("app");
    story.ends("app", 1);
    assert_eq!(story.word("app"), "CrashLoopBackOff");
    assert_eq!(story.tell(Event::Restart(Place(0))), "start app");
    story.started("app");
    assert_eq!(story.tell(Event::Restart(Place(0))), "term app");
    assert_eq!(story.tell(Event::Restart(Place(0))), "", "it is on its way");
    assert_eq!(story.exits("app", Exit::Signal(15)), "start app");
}

#[test]
fn a_missing_image_alternates_between_its_two_reasons() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::Image("no entry for it".to_owned());
    assert_eq!(story.fails_to_start("app", failure.clone()), "");
    assert_eq!(story.word("app"), "ErrImagePull");
    assert_eq!(story.wakes(), (500, String::new()));
    assert_eq!(story.word("app"), "ImagePullBackOff");
    assert!(
        story
            .shown("app")
            .message
            .starts_with("Back-off pulling image \"x\"")
    );
    assert_eq!(story.wakes(), (500, "start app".to_owned()));
    story.fails_to_start("app", failure);
    assert_eq!(story.phase(), "Pending");
    assert_eq!(
        story.tell(Event::Reload),
        "start app",
        "it may be there now"
    );
    assert_eq!(story.shown("app").restarts, 0);
}

#[test]
fn v25_a_bad_configuration_waits_under_its_own_reason() {
    let (mut story, _) = Story::of(one("Always"));
    let failure = Failure::Config("configmap \"c\" not found".to_owned());
    story.fails_to_start("app", failure);
    let shown = story.shown("app");
    assert_eq!(shown.word, "CreateContainerConfigError");
    assert_eq!(shown.message, "configmap \"c\" not found");
    assert_eq!(story.wakes().1, "start app");
}

#[test]
fn v55_a_process_that_cannot_be_made_is_a_run_with_code_128() {
    let (mut story, _) = Story::of(one("Never"));
    let failure = Failure::Launch("executing: not found".to_owned());
    assert_eq!(story.fails_to_start("app", failure.clone()), "finish");
    assert_eq!(story.word("app"), "StartError 128");
    let (mut story, _) = Story::of(one("Always"));
    assert_eq!(story.fails_to_start("app", failure.clone()), "start app");
    story.fails_to_start("app", failure);
    let shown = story.shown("app");
    assert_eq!(
        (shown.word.as_str(), shown.restarts),
        ("CrashLoopBackOff", 1)
    );
    assert_eq!(shown.last, Some(128));
}

#[test]
fn missing_volumes_are_tried_again_before_anything_starts() {
    let pod = pod(&one("Always"));
    let mut pet = Pet::new(&pod, None, BackOff::default(), at(Duration::ZERO));
    assert_eq!(pet.next(Event::Tick, at(Duration::ZERO)), [Action::Prepare]);
    let failed = Event::Prepared(Err("no claim".to_owned()));
    let said = pet.next(failed, at(Duration::ZERO));
    assert!(matches!(&said[..], [Action::Report(report)] if report.reason == "FailedMount"));
    let again = pet.deadline().unwrap();
    assert_eq!(again, Duration::from_secs(1));
    assert_eq!(waiting_message(&pet).as_deref(), Some("no claim"));
    assert_eq!(pet.next(Event::Tick, at(again)), [Action::Prepare]);
    pet.next(Event::Prepared(Ok(())), at(again));
    assert_eq!(waiting_message(&pet), None);
}

/// What the first container's status says it waits for, beyond the reason.
fn waiting_message(pet: &Pet) -> Option<String> {
    let containers = pet.status().container_statuses.as_ref()?;
    let waiting = containers.first()?.state.as_ref()?.waiting.as_ref()?;
    waiting.message.clone()
}

#[test]
fn i12_a_pod_may_have_a_deadline() {
    let mut spec = one("Always");
    spec["activeDeadlineSeconds"] = json!(60);
    let (mut story, _) = Story::of(spec);
    story.started("app");
    assert_eq!(story.wakes(), (60_000, "term app".to_owned()));
    assert_eq!(story.ends("app", 0), "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(
        story.pet.status().reason.as_deref(),
        Some("DeadlineExceeded")
    );
}

fn probing(kind: &str, more: Value) -> Value {
    let mut probe = json!({"exec": {}, "periodSeconds": 10});
    for (key, value) in more.as_object().unwrap() {
        probe[key] = value.clone();
    }
    only(with("app", json!({kind: probe})))
}

#[test]
fn v41_readiness_counts_from_its_first_success_and_is_eager_until_then() {
    let (mut story, _) = Story::of(probing("readinessProbe", json!({})));
    assert_eq!(story.started("app"), "probe readiness app");
    assert!(!story.shown("app").ready && story.shown("app").started);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        story.probed("app", ProbeKind::Readiness, false);
        let (pause, said) = story.wakes();
        assert_eq!(said, "probe readiness app");
        pauses.push(pause);
    }
    assert_eq!(pauses[..4], [10, 20, 40, 80]);
    assert_eq!(pauses[10..], [10_000, 10_000]);
    story.probed("app", ProbeKind::Readiness, true);
    assert_eq!(story.condition("Ready"), "True");
    for turn in 0..3 {
        assert!(story.shown("app").ready, "{turn} failures");
        assert_eq!(story.wakes().0, 10_000);
        story.probed("app", ProbeKind::Readiness, false);
    }
    assert!(!story.shown("app").ready, "the threshold is 3");
    assert_eq!(story.word("app"), "running", "readiness restarts nothing");
}

#[test]
fn v40_the_initial_delay_is_kept() {
    let spec = probing("readinessProbe", json!({"initialDelaySeconds": 7}));
    let (mut story, _) = Story::of(spec);
    assert_eq!(story.started("app"), "");
    assert_eq!(story.wakes(), (7000, "probe readiness app".to_owned()));
}

#[test]
fn v40_v47_liveness_restarts_after_its_threshold_with_its_own_grace() {
    let more = json!({"failureThreshold": 2, "terminationGracePeriodSeconds": 4});
    let (mut story, _) = Story::of(probing("livenessProbe", more));
    assert_eq!(story.started("app"), "probe liveness app");
    assert!(story.shown("app").ready, "liveness starts as a success");
    story.probed("app", ProbeKind::Liveness, false);
    assert_eq!(story.wakes(), (10_000, "probe liveness app".to_owned()));
    assert_eq!(story.probed("app", ProbeKind::Liveness, false), "term app");
    assert_eq!(story.wakes(), (4000, "kill app".to_owned()));
    assert_eq!(story.exits("app", Exit::Signal(9)), "start app");
    assert_eq!(story.started("app"), "probe liveness app", "probed anew");
}

#[test]
fn i56_liveness_restarts_even_what_then_ends_well() {
    let mut spec = probing("livenessProbe", json!({"failureThreshold": 1}));
    spec["restartPolicy"] = json!("OnFailure");
    let (mut story, _) = Story::of(spec);
    story.started("app");
    story.probed("app", ProbeKind::Liveness, false);
    assert_eq!(story.ends("app", 0), "start app");
}

#[test]
fn v42_a_startup_probe_holds_the_others_back() {
    let spec = only(with(
        "app",
        json!({
            "startupProbe": {"exec": {}, "periodSeconds": 1, "failureThreshold": 3},
            "livenessProbe": {"exec": {}},
            "readinessProbe": {"exec": {}},
        }),
    ));
    let (mut story, _) = Story::of(spec.clone());
    assert_eq!(story.started("app"), "probe startup app");
    assert!(!story.shown("app").started);
    assert_eq!(
        story.probed("app", ProbeKind::Startup, true),
        "probe liveness app, probe readiness app"
    );
    assert!(story.shown("app").started && !story.shown("app").ready);
    story.probed("app", ProbeKind::Readiness, true);
    assert!(story.shown("app").ready);

    let (mut story, _) = Story::of(spec);
    story.started("app");
    let mut said = String::new();
    while said.is_empty() {
        said = story.probed("app", ProbeKind::Startup, false);
        if said.is_empty() {
            story.wakes();
        }
    }
    assert_eq!(said, "term app");
    let ran = story.at.as_millis();
    assert!(
        (2000..4100).contains(&ran),
        "eager tries count once a period: {ran}"
    );
}

#[test]
fn v43_an_error_of_the_probe_itself_changes_nothing() {
    let (mut story, _) = Story::of(probing("livenessProbe", json!({"failureThreshold": 1})));
    story.started("app");
    let run = 1;
    let said = story.tell(Event::Probed {
        place: Place(0),
        kind: ProbeKind::Liveness,
        run,
        outcome: Outcome::Error("no such program".to_owned()),
    });
    assert_eq!(said, "");
    assert_eq!(story.wakes().1, "probe liveness app");
}

#[test]
fn v46_while_it_stops_nothing_is_probed_and_it_is_not_ready() {
    let (mut story, _) = Story::of(probing("livenessProbe", json!({"failureThreshold": 1})));
    story.started("app");
    story.stop(30);
    assert!(!story.shown("app").ready);
    assert_eq!(story.probed("app", ProbeKind::Liveness, false), "");
}

#[test]
fn a_late_answer_of_an_earlier_run_is_ignored() {
    let (mut story, _) = Story::of(probing("readinessProbe", json!({})));
    story.started("app");
    story.ends("app", 1);
    story.started("app");
    let late = Event::Probed {
        place: Place(0),
        kind: ProbeKind::Readiness,
        run: 1,
        outcome: Outcome::Success,
    };
    story.tell(late);
    assert!(!story.shown("app").ready);
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let (mut story, _) = Story::of(one("Always"));
    let since = |story: &Story| {
        let mut all = story.pet.status().conditions.iter().flatten();
        let ready = all.find(|it| it.type_ == "Ready").unwrap();
        ready.last_transition_time.clone().unwrap().0
    };
    let first = since(&story);
    story.after_seconds(5);
    assert_eq!(since(&story), first);
    story.started("app");
    assert_ne!(since(&story), first);
}

/// Random worlds: whatever happens, nothing runs twice, an init container never runs beside or
/// after the main ones, a machine that waits has a reason to, and a stop comes to an end.
#[test]
fn random_lives_keep_the_promises() {
    for seed in 1..400_u64 {
        let mut random = Random(seed);
        life(&mut random).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the world around the machine knows.
#[derive(Default)]
struct World {
    running: Vec<Place>,
    ended: Vec<Place>,
    hooks: Vec<(Place, Hook)>,
    probes: Vec<(Place, ProbeKind, u32)>,
    told_to_stop: bool,
    finished: bool,
}

fn life(random: &mut Random) -> Result<(), String> {
    let policy = ["Always", "OnFailure", "Never"][usize::try_from(random.below(3)).unwrap()];
    let hooks = json!({"postStart": {"exec": {}}, "preStop": {"exec": {}}});
    let probe = json!({"exec": {}, "periodSeconds": 1, "failureThreshold": 2});
    let full = json!({"lifecycle": hooks, "livenessProbe": probe, "startupProbe": probe,
        "readinessProbe": probe});
    let spec = json!({
        "restartPolicy": policy,
        "initContainers": [named("one"), sidecar("side"), named("two")],
        "containers": [with("a", full), named("b")],
    });
    let inits = [Place(0), Place(2)];
    let apps = [Place(3), Place(4)];
    let (mut clock, mut world) = (Duration::ZERO, World::default());
    let mut pet = Pet::new(&pod(&spec), None, BackOff::default(), at(clock));
    let mut queue = vec![Event::Tick];
    for turn in 0..400 {
        let event = match queue.pop() {
            Some(event) => event,
            None => match happening(random, &mut world, turn) {
                Some(event) => event,
                None => {
                    clock = pet.deadline().unwrap_or(clock).max(clock);
                    Event::Tick
                }
            },
        };
        for action in pet.next(event, at(clock)) {
            obey(action, random, &mut world, &mut queue)?;
        }
        let alive = |places: &[Place]| places.iter().any(|it| world.running.contains(it));
        if alive(&inits) && alive(&apps) {
            return Err("an init container beside a main one".to_owned());
        }
        if world.finished {
            let phase = pet.status().phase.clone().unwrap();
            let over = world.running.is_empty() && ["Failed", "Succeeded"].contains(&&*phase);
            return if over {
                Ok(())
            } else {
                Err(format!("finished as {phase}"))
            };
        }
        let waits = pet.deadline().is_none_or(|at| at > clock);
        let idle = world.running.is_empty() && queue.is_empty() && world.ended.is_empty();
        if idle && waits && pet.deadline().is_none() {
            return Err("waits for nothing".to_owned());
        }
    }
    Err("the stop never came to an end".to_owned())
}

fn obey(
    action: Action,
    random: &mut Random,
    world: &mut World,
    queue: &mut Vec<Event>,
) -> Result<(), String> {
    match action {
        Action::Prepare => queue.push(Event::Prepared(Ok(()))),
        Action::Start(place) if world.running.contains(&place) || world.ended.contains(&place) => {
            return Err(format!("{place:?} started twice"));
        }
        Action::Start(place) if random.below(10) == 0 => {
            let failure = Failure::Launch("no".to_owned());
            queue.push(Event::StartFailed { place, failure });
        }
        Action::Start(place) => {
            world.running.push(place);
            queue.push(Event::Started { place, pid: 7 });
        }
        Action::Kill(place) => {
            if let Some(index) = world.running.iter().position(|it| *it == place) {
                world.running.swap_remove(index);
                world.ended.push(place);
                let (exit, message) = (Exit::Signal(9), None);
                queue.push(Event::Ended {
                    place,
                    exit,
                    message,
                });
            }
        }
        Action::Hook { place, hook } => world.hooks.push((place, hook)),
        Action::Probe { place, kind, run } => world.probes.push((place, kind, run)),
        Action::Finish => world.finished = true,
        Action::Terminate(_) | Action::Report(_) => {}
    }
    Ok(())
}

/// Lets something happen by itself; nothing when time should pass.
fn happening(random: &mut Random, world: &mut World, turn: u32) -> Option<Event> {
    if turn >= 200 && !world.told_to_stop {
        world.told_to_stop = true;
        let grace = Duration::from_secs(random.below(20));
        return Some(Event::Stop { grace });
    }
    if let Some(place) = world.ended.pop() {
        return Some(Event::Gone(place));
    }
    if let Some((place, kind, run)) = world.probes.pop() {
        let outcome = match random.below(3) {
            0 => Outcome::Failure("no".to_owned()),
            _ => Outcome::Success,
        };
        return Some(Event::Probed {
            place,
            kind,
            run,
            outcome,
        });
    }
    if random.below(2) == 0
        && let Some((place, hook)) = world.hooks.pop()
    {
        let outcome = match random.below(4) {
            0 => Err("no".to_owned()),
            _ => Ok(()),
        };
        return Some(Event::Hooked {
            place,
            hook,
            outcome,
        });
    }
    if random.below(3) > 0 || world.running.is_empty() {
        return None;
    }
    let index = random.below(world.running.len() as u64);
    let place = world.running.swap_remove(usize::try_from(index).unwrap());
    world.ended.push(place);
    let code = i32::try_from(random.below(2)).unwrap();
    let (exit, message) = (Exit::Code(code), None);
    Some(Event::Ended {
        place,
        exit,
        message,
    })
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
    let mut pet = Pet::new(&pod("Never"), None, BackOff::default(), now);
    pet.note_begun();
    let actions = pet.next(Event::Tick, now);
    assert!(actions.contains(&Action::Finish), "{actions:?}");
    let state = pet.status().container_statuses.as_ref().unwrap()[0]
        .state
        .clone();
    let end = state.unwrap().terminated.unwrap();
    assert_eq!(end.reason.as_deref(), Some("ContainerStatusUnknown"));
    let mut pet = Pet::new(&pod("OnFailure"), None, BackOff::default(), now);
    pet.note_begun();
    assert!(!pet.next(Event::Tick, now).contains(&Action::Finish));
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
    assert_eq!(story.tell(Event::Redefined(Box::new(new.clone()))), "");
    new.containers[0].image = Some("y".to_owned());
    assert_eq!(story.tell(Event::Redefined(Box::new(new))), "term c");
    assert_eq!(story.ends("c", 143), "start c");
    assert_eq!(
        story.pet.status().container_statuses.as_ref().unwrap()[0].image,
        "y"
    );
}
