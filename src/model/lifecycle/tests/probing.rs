//! Probes: what they count, whom they hold back, whom they restart.

use super::*;

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
fn v41_a_startup_probe_holds_the_others_back() {
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
    let said = story.tell(PodEvent::Probed {
        place: ContainerIndex(0),
        kind: ProbeKind::Liveness,
        run,
        outcome: ProbeOutcome::Error("no such program".to_owned()),
    });
    assert_eq!(said, "");
    assert_eq!(story.wakes().1, "probe liveness app");
}

#[test]
fn v46_while_it_stops_nothing_is_probed_and_readiness_stands() {
    let (mut story, _) = Story::of(probing("livenessProbe", json!({"failureThreshold": 1})));
    story.started("app");
    story.stop(30);
    assert!(story.shown("app").ready);
    assert_eq!(story.probed("app", ProbeKind::Liveness, false), "");
}

#[test]
fn a_late_answer_of_an_earlier_run_is_ignored() {
    let (mut story, _) = Story::of(probing("readinessProbe", json!({})));
    story.started("app");
    story.ends("app", 1);
    story.started("app");
    let late = PodEvent::Probed {
        place: ContainerIndex(0),
        kind: ProbeKind::Readiness,
        run: 1,
        outcome: ProbeOutcome::Success,
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

#[test]
fn the_words_of_a_failing_probe_are_in_the_status_until_it_succeeds() {
    let fault = |story: &Story| {
        let kind = crate::model::printer::probe_condition("app");
        let mut all = story.pet.status().conditions.iter().flatten();
        all.find(|it| it.type_ == kind)?.message.clone()
    };
    let (mut story, _) = Story::of(probing("readinessProbe", json!({})));
    story.started("app");
    story.probed("app", ProbeKind::Readiness, false);
    assert_eq!(fault(&story), None, "it has only just started");
    for _ in 0..8 {
        story.wakes();
        story.probed("app", ProbeKind::Readiness, false);
    }
    assert_eq!(fault(&story).as_deref(), Some("no"));
    story.wakes();
    story.probed("app", ProbeKind::Readiness, true);
    assert_eq!(fault(&story), None);

    let spec = json!({"startupProbe": {"exec": {}, "failureThreshold": 9}, "readinessProbe": {"exec": {}}});
    let (mut story, _) = Story::of(only(with("app", spec)));
    story.started("app");
    story.after_seconds(1);
    story.probed("app", ProbeKind::Startup, false);
    assert_eq!(fault(&story).as_deref(), Some("no"), "the startup probe's");
    story.ends("app", 1);
    assert_eq!(fault(&story), None, "it does not run");
}

#[test]
fn a_container_whose_hook_runs_says_so_and_the_next_one_does_not() {
    let hook = json!({"lifecycle": {"postStart": {"exec": {}}}});
    let (mut story, _) = Story::of(json!({"containers": [with("one", hook), named("two")]}));
    assert_eq!(story.started("one"), "PostStart one");
    assert_eq!(story.shown("one").word, "ContainerCreating");
    assert_eq!(story.shown("one").message, "");
    let told = |story: &Story| -> Vec<String> {
        let conditions = story.pet.status().conditions.iter().flatten();
        let own = conditions.filter(|it| it.type_.starts_with("petset.dev/"));
        own.filter_map(|it| it.message.clone()).collect()
    };
    assert_eq!(told(&story), ["postStart of one still runs"]);
    story.hooked("one", HookKind::PostStart, Ok(()));
    assert!(told(&story).is_empty());
}

#[test]
fn a_probe_that_keeps_failing_is_counted_in_the_journal() {
    let (mut story, _) = Story::of(probing("readinessProbe", json!({"periodSeconds": 1})));
    story.started("app");
    story.probed("app", ProbeKind::Readiness, true);
    let (mut lines, mut count) = (0, 0);
    for failure in 1..=1000 {
        story.wakes();
        let failed = PodEvent::Probed {
            place: ContainerIndex(0),
            kind: ProbeKind::Readiness,
            run: 1,
            outcome: ProbeOutcome::Failure("no".to_owned()),
        };
        for action in story.pet.next(failed, at(story.at)) {
            if let Action::Report(report) = action {
                lines += 1;
                count += report.count;
            }
        }
        if failure <= 16 {
            assert_eq!(count, failure);
        }
    }
    assert!(count > 930 && lines < 100, "{lines} lines say {count}");
}
