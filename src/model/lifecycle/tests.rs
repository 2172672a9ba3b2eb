//! The rules of a pod's life, as short stories: what happens, then what is done and shown.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use serde_json::{Value, json};

use super::*;
use crate::model::BackOff;
use crate::problem::Problem;

mod again;
mod failing;
mod probing;
mod random;
mod stopping;

/// A pod under test, with a clock that only the test moves.
struct Story {
    pet: PodMachine,
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
            pet: PodMachine::new(&pod, previous, BackOff::default(), now),
            at: Duration::ZERO,
            pid: 100,
            names,
        };
        let said = story.tell(PodEvent::Tick);
        if said != "prepare" {
            return (story, said);
        }
        let said = story.tell(PodEvent::Prepared(Ok(())));
        (story, said)
    }

    fn place(&self, name: &str) -> ContainerIndex {
        ContainerIndex(self.names.iter().position(|it| it == name).unwrap())
    }

    fn tell(&mut self, event: PodEvent) -> String {
        let actions = self.pet.next(event, at(self.at));
        if actions.contains(&Action::Finish) {
            self.pet.close(at(self.at));
        }
        let words = actions.iter().filter_map(|it| self.words(it));
        words.collect::<Vec<_>>().join(", ")
    }

    fn words(&self, action: &Action) -> Option<String> {
        let name = |place: &ContainerIndex| &self.names[place.0];
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
        self.tell(PodEvent::Started { place, pid })
    }

    /// Ends the main process, with nothing left of its tree.
    fn exits(&mut self, name: &str, exit: Exit) -> String {
        let place = self.place(name);
        let message = None;
        self.tell(PodEvent::Ended {
            place,
            exit,
            message,
        });
        self.tell(PodEvent::Gone(place))
    }

    fn ends(&mut self, name: &str, code: i32) -> String {
        self.exits(name, Exit::Code(code))
    }

    fn fails_to_start(&mut self, name: &str, failure: Failure) -> String {
        let place = self.place(name);
        self.tell(PodEvent::StartFailed { place, failure })
    }

    fn hooked(&mut self, name: &str, hook: HookKind, outcome: Result<(), &str>) -> String {
        let place = self.place(name);
        let outcome = outcome.map_err(Problem::failed);
        let outcome = outcome.map(|()| HookSuccess::Plain);
        self.tell(PodEvent::Hooked {
            place,
            hook,
            outcome,
        })
    }

    fn probed(&mut self, name: &str, kind: ProbeKind, good: bool) -> String {
        let place = self.place(name);
        let run = self.pet.containers[place.0].runs;
        let outcome = match good {
            true => ProbeOutcome::Success,
            false => ProbeOutcome::Failure("no".to_owned()),
        };
        self.tell(PodEvent::Probed {
            place,
            kind,
            run,
            outcome,
        })
    }

    fn stop(&mut self, grace: u64) -> String {
        let grace = Duration::from_secs(grace);
        self.tell(PodEvent::Stop { grace })
    }

    fn after_seconds(&mut self, seconds: u64) -> String {
        self.at += Duration::from_secs(seconds);
        self.tell(PodEvent::Tick)
    }

    /// Goes on to when the machine wants to be woken; says in how many milliseconds.
    fn wakes(&mut self) -> (u128, String) {
        let wake = self.pet.deadline().expect("the machine waits for a time");
        let pause = wake.saturating_sub(self.at).as_millis();
        self.at = wake.max(self.at);
        (pause, self.tell(PodEvent::Tick))
    }

    fn container(&self, name: &str) -> &ContainerStatus {
        let status = self.pet.status();
        let inits = status.init_container_statuses.iter().flatten();
        let mut all = inits.chain(status.container_statuses.iter().flatten());
        all.find(|it| it.name == name).unwrap()
    }

    fn shown(&self, name: &str) -> Shown {
        let found = self.container(name);
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
    assert_eq!(story.word("init2"), "PodInitializing");
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
                let (mut pause, mut said) = story.wakes();
                if said.is_empty() {
                    let more;
                    (more, said) = story.wakes();
                    pause += more;
                }
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
        assert_eq!(story.word("init1"), "Error 1");
        story.after_seconds(1);
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
fn i42_nothing_is_started_twice() {
    let (mut story, _) = Story::of(two_inits("Always"));
    assert_eq!(story.tell(PodEvent::Tick), "");
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
    assert_eq!(story.word("app"), "Error 1");
    assert_eq!(story.wakes(), (1000, "start app".to_owned()));
    story.started("app");
    assert_eq!(story.ends("app", 1), "");
    assert_eq!(story.word("app"), "Error 1", "as long as the first pause");
    assert_eq!(story.wakes(), (1000, String::new()));
    let shown = story.shown("app");
    assert_eq!(shown.word, "CrashLoopBackOff");
    assert_eq!(
        shown.message,
        "back-off 2s restarting failed container=app pod=web-0_default(u1)"
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
fn what_has_ended_is_told_before_the_pod_is_over() {
    // A kubelet shows how the containers ended, and its verdict, while it takes the pod down.
    let (mut story, _) = Story::of(one("Never"));
    story.started("app");
    let place = story.place("app");
    let ended = PodEvent::Ended {
        place,
        exit: Exit::Code(3),
        message: None,
    };
    story.pet.next(ended, at(story.at));
    let last = story.pet.next(PodEvent::Gone(place), at(story.at));
    assert_eq!(last, [Action::Finish]);
    assert_eq!(story.phase(), "Running");
    assert_eq!(story.word("app"), "Error 3");
    assert_eq!(story.condition("Ready"), "False PodFailed");
    assert_eq!(story.condition("PodReadyToStartContainers"), "True");
    story.pet.close(at(story.at));
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.condition("PodReadyToStartContainers"), "False");
}

#[test]
fn what_was_never_started_is_lost_when_its_pod_is_deleted() {
    let (mut story, _) = Story::of(one("Always"));
    story.fails_to_start("app", Failure::Config("no map".to_owned()));
    assert_eq!(story.stop(30), "finish");
    assert_eq!(story.phase(), "Failed");
    assert_eq!(story.word("app"), "ContainerStatusUnknown 137");
    let unready = "False ContainersNotReady containers with unready status: [app]";
    assert_eq!(story.condition("Ready"), unready);
    let (mut story, _) = Story::of(two_inits("Always"));
    story.started("init1");
    story.stop(30);
    story.exits("init1", Exit::Signal(15));
    let words = ["init1", "init2", "app"].map(|name| story.word(name));
    assert_eq!(words, ["Error 143", "PodInitializing", "PodInitializing"]);
}

#[test]
fn a_run_that_a_probe_ended_does_not_count_before_the_next_one() {
    // The second restart comes at once too, and what ended is not shown as such.
    let probe = json!({"livenessProbe": {"exec": {}, "failureThreshold": 1}});
    let (mut story, _) = Story::of(only(with("app", probe)));
    for _ in 0..2 {
        story.started("app");
        story.probed("app", ProbeKind::Liveness, false);
        assert_eq!(story.exits("app", Exit::Signal(9)), "start app");
    }
    story.started("app");
    story.probed("app", ProbeKind::Liveness, false);
    assert_eq!(story.exits("app", Exit::Signal(9)), "");
    assert_eq!(story.word("app"), "CrashLoopBackOff");
    assert_eq!(story.shown("app").restarts, 2);
}
