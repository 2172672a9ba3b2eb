//! Stops: by a signal, by a control message, before the start is over, and of containers that
//! ignore SIGTERM.

use super::*;

#[test]
fn what_ignores_sigterm_is_killed_when_the_grace_is_over() {
    let mut pod = running(json!({
        "containers": [shell("main", "trap '' TERM; echo up > $F/up; while :; do sleep 0.1; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(1);
    assert_eq!(pod.ended(), 0);
    assert_eq!(main_state(&pod.status())["terminated"]["exitCode"], 137);
    pod.until_no_process_is_left();
}

#[test]
fn a_repeated_stop_shortens_the_grace() {
    let mut pod = running(json!({
        "containers": [shell("main", "trap '' TERM; echo up > $F/up; while :; do sleep 0.1; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(10_000);
    let told = wait_for(|| {
        pod.journal()
            .contains("Stopping container main")
            .then_some(())
    });
    assert!(told.is_some(), "{}", pod.journal());
    pod.stop(0);
    assert_eq!(pod.ended(), 0);
    pod.until_no_process_is_left();
}

#[test]
fn a_signal_stops_the_pod_with_its_own_grace() {
    let mut pod = running(json!({
        "terminationGracePeriodSeconds": 10,
        "containers": [shell("main", "trap 'echo bye; exit 0' TERM; echo up > $F/up; \
            while :; do sleep 0.05; done")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    let pid = pod.runner_pid().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Succeeded");
    assert_eq!(pod.log("main.log"), "bye\n");
}

#[test]
fn a_stop_during_an_init_container_starts_nothing_more() {
    let mut pod = running(json!({
        "initContainers": [shell("init", "echo up > $F/up; exec sleep 1000")],
        "containers": [shell("main", "echo run >> $F/runs")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.status()["phase"], "Failed");
    assert_eq!(pod.text("runs"), "");
}

#[test]
fn a_pod_that_is_deleted_before_it_begins_starts_nothing() {
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = json!({"containers": [shell("main", "echo run >> $F/runs")]});
    let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    pod.write_pod(deleted, with_files(&pod, spec));
    assert_eq!(pod.start().ended(), 0);
    assert_eq!(pod.text("runs"), "");
}

#[test]
fn a_reload_that_finds_the_pod_deleted_stops_it() {
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = with_files(
        &pod,
        json!({"containers": [shell("main", "exec sleep 1000")]}),
    );
    pod.write_pod(json!({}), spec.clone());
    pod.start();
    pod.until_ready();
    let deleted = json!({
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5,
    });
    pod.write_pod(deleted, spec);
    pod.tell(r#"{"reload":{}}"#);
    assert_eq!(pod.ended(), 0);
}
