use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T00:01:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A pod with these init and main containers; a name that begins with `~` is a sidecar's.
fn pod(init: &[&str], main: &[&str], status: Value) -> Pod {
    let plain = |name: &&str| json!({"name": name});
    let maybe_sidecar = |name: &&str| match name.strip_prefix('~') {
        Some(name) => json!({"name": name, "restartPolicy": "Always"}),
        None => json!({"name": name}),
    };
    let init: Vec<_> = init.iter().map(maybe_sidecar).collect();
    let main: Vec<_> = main.iter().map(plain).collect();
    let spec = json!({"initContainers": init, "containers": main});
    let pod = json!({"metadata": {"name": "web-0"}, "spec": spec, "status": status});
    serde_json::from_value(pod).unwrap()
}

/// One container's status in a word: `run`, `ready`, `wait:Reason`, `end:CODE:Reason`, `sig:N`.
fn container(name: &str, state: &str) -> Value {
    let mut words = state.split(':');
    let (kind, first, second) = (words.next(), words.next(), words.next());
    let state = match kind.unwrap() {
        "wait" => json!({"waiting": {"reason": first, "message": second}}),
        "end" => {
            let code: i32 = first.unwrap().parse().unwrap();
            json!({"terminated": {"exitCode": code, "reason": second}})
        }
        "sig" => {
            let signal: i32 = first.unwrap().parse().unwrap();
            json!({"terminated": {"exitCode": 128 + signal, "signal": signal}})
        }
        _ => json!({"running": {}}),
    };
    let running = matches!(kind, Some("run" | "ready"));
    json!({"name": name, "image": "img", "imageID": "", "ready": kind == Some("ready"),
        "restartCount": 0, "started": running, "state": state})
}

fn statuses(states: &[&str]) -> Vec<Value> {
    let status = |(at, state): (usize, &&str)| container(&format!("c{at}"), state);
    states.iter().enumerate().map(status).collect()
}

fn word(init: &[&str], main: &[&str], phase: &str, conditions: &[&str]) -> String {
    pod_status_word(&staged(init, main, phase, conditions))
}

/// A pod whose containers are named `i0`, `i1` ... and `c0`, `c1` ...; sidecars are marked `~`.
fn staged(init: &[&str], main: &[&str], phase: &str, conditions: &[&str]) -> Pod {
    let name = |(at, state): (usize, &&str)| {
        let mark = if state.starts_with('~') { "~" } else { "" };
        format!("{mark}i{at}")
    };
    let init_names: Vec<_> = init.iter().enumerate().map(name).collect();
    let init_names: Vec<_> = init_names.iter().map(String::as_str).collect();
    let main_names: Vec<_> = (0..main.len()).map(|at| format!("c{at}")).collect();
    let main_names: Vec<_> = main_names.iter().map(String::as_str).collect();
    let init = init
        .iter()
        .enumerate()
        .map(|(at, state)| container(&format!("i{at}"), state.trim_start_matches('~')));
    let conditions = conditions
        .iter()
        .map(|name| json!({"type": name, "status": "True"}));
    let status = json!({"phase": phase, "initContainerStatuses": init.collect::<Vec<_>>(),
        "containerStatuses": statuses(main), "conditions": conditions.collect::<Vec<_>>()});
    pod(&init_names, &main_names, status)
}

#[test]
fn i15_while_initializing_the_word_tells_how_far() {
    let early = ["wait:PodInitializing"];
    let cases: &[(&[&str], &str)] = &[
        (
            &["run", "wait:PodInitializing", "wait:PodInitializing"],
            "Init:0/3",
        ),
        (
            &["end:0:Completed", "run", "wait:PodInitializing"],
            "Init:1/3",
        ),
        (&["end:0:Completed", "end:1:Error", "wait:"], "Init:Error"),
        (&["end:3:", "wait:"], "Init:ExitCode:3"),
        (&["sig:9"], "Init:Signal:9"),
        (&["wait:CrashLoopBackOff"], "Init:CrashLoopBackOff"),
        (&["wait:ErrImagePull"], "Init:ErrImagePull"),
        (&["wait:PodInitializing"], "Init:0/1"),
        (&["~run", "run"], "Init:1/2"),
        (
            &["~wait:PodInitializing", "wait:PodInitializing"],
            "Init:0/2",
        ),
    ];
    for (init, expected) in cases {
        assert_eq!(word(init, &early, "Pending", &[]), *expected, "{init:?}");
    }
}

#[test]
fn i16_after_init_the_first_container_with_something_to_say_has_the_word() {
    let cases: &[(&[&str], &str, &[&str], &str)] = &[
        (&["wait:PodInitializing"], "Pending", &[], "PodInitializing"),
        (
            &["wait:ContainerCreating"],
            "Pending",
            &[],
            "ContainerCreating",
        ),
        (
            &["wait:CreateContainerConfigError"],
            "Pending",
            &[],
            "CreateContainerConfigError",
        ),
        (&["run"], "Running", &[], "Running"),
        (
            &["ready", "wait:CrashLoopBackOff"],
            "Running",
            &[],
            "CrashLoopBackOff",
        ),
        (
            &["wait:ErrImagePull", "end:1:Error"],
            "Pending",
            &[],
            "ErrImagePull",
        ),
        (&["end:1:Error"], "Running", &[], "Error"),
        (&["end:137:OOMKilled"], "Running", &[], "OOMKilled"),
        (&["end:2:"], "Running", &[], "ExitCode:2"),
        (&["sig:15"], "Running", &[], "Signal:15"),
        (&["end:0:Completed"], "Succeeded", &[], "Completed"),
        (
            &["end:0:Completed", "ready"],
            "Running",
            &["Ready"],
            "Running",
        ),
        (&["end:0:Completed", "ready"], "Running", &[], "NotReady"),
        (&[], "Pending", &[], "Pending"),
    ];
    for (main, phase, conditions, expected) in cases {
        assert_eq!(
            word(&["end:0:Completed"], main, phase, conditions),
            *expected,
            "{main:?}"
        );
    }
}

#[test]
fn i16_a_crashing_sidecar_is_seen_behind_running_containers() {
    let init = ["~wait:CrashLoopBackOff"];
    let seen = word(&init, &["ready"], "Running", &["Initialized"]);
    assert_eq!(seen, "Init:CrashLoopBackOff");
}

#[test]
fn i16_a_pod_that_is_deleted_is_terminating_unless_it_has_ended() {
    let mut pod = staged(&[], &["ready"], "Running", &["Ready"]);
    let deleted = "2026-01-01T00:00:00Z".parse().unwrap();
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        deleted,
    ));
    assert_eq!(pod_status_word(&pod), "Terminating");
    assert_eq!(why_not_ready(&pod).as_deref(), Some("it is stopping"));
    pod.status.as_mut().unwrap().reason = Some("NodeLost".to_owned());
    assert_eq!(pod_status_word(&pod), "Unknown");
    let ended = PodStatus {
        phase: Some("Failed".to_owned()),
        ..PodStatus::default()
    };
    pod.status = Some(ended);
    assert_eq!(pod_status_word(&pod), "Failed");
    assert_eq!(pod_status_word(&Pod::default()), "Pending");
}

#[test]
fn i17_ready_counts_containers_and_sidecars() {
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&[], &["ready"], "1/1"),
        (&[], &["ready", "run"], "1/2"),
        (&["end:0:Completed"], &["ready"], "1/1"),
        (&["~ready"], &["ready"], "2/2"),
        (&["~ready", "run"], &["wait:PodInitializing"], "1/2"),
        (
            &["run", "~wait:PodInitializing"],
            &["wait:PodInitializing"],
            "0/2",
        ),
        (&["~run"], &["run"], "0/2"),
    ];
    for (init, main, expected) in cases {
        let pod = staged(init, main, "Running", &[]);
        assert_eq!(ready_column(&pod), *expected, "{init:?} {main:?}");
    }
    assert_eq!(ready_column(&Pod::default()), "0/0");
}

#[test]
fn i17_restarts_are_those_of_init_containers_first_and_of_the_others_later() {
    let mut pod = staged(
        &["end:0:", "run"],
        &["wait:PodInitializing"],
        "Pending",
        &[],
    );
    let count = |pod: &mut Pod, init: &[i32], main: i32, ended: Option<&str>| {
        let status = pod.status.as_mut().unwrap();
        let steps = status.init_container_statuses.as_mut().unwrap();
        for (step, restarts) in steps.iter_mut().zip(init) {
            step.restart_count = *restarts;
        }
        let container = &mut status.container_statuses.as_mut().unwrap()[0];
        container.restart_count = main;
        let last = json!({"terminated": {"exitCode": 1, "finishedAt": ended}});
        container.last_state = Some(serde_json::from_value(last).unwrap());
    };
    count(&mut pod, &[2, 3], 7, None);
    assert_eq!(restarts(&pod, now()), "5");
    let mut pod = staged(&["end:0:", "end:0:"], &["ready"], "Running", &[]);
    count(&mut pod, &[2, 3], 7, None);
    assert_eq!(restarts(&pod, now()), "7");
    count(&mut pod, &[2, 3], 7, Some("2026-01-01T00:00:55Z"));
    assert_eq!(restarts(&pod, now()), "7 (5s ago)");
    count(&mut pod, &[2, 3], 0, Some("2026-01-01T00:00:55Z"));
    assert_eq!(restarts(&pod, now()), "0");
    let mut pod = staged(&["end:0:", "~ready"], &["ready"], "Running", &[]);
    count(&mut pod, &[2, 3], 7, None);
    assert_eq!(restarts(&pod, now()), "10");
}

#[test]
fn ages_are_printed_as_kubectl_prints_them() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let cases = [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (70, "70s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (5 * MINUTE + 3, "5m3s"),
        (10 * MINUTE + 3, "10m"),
        (2 * HOUR + 59 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 5 * MINUTE, "3h5m"),
        (8 * HOUR + 5 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (2 * 365 * DAY, "2y"),
        (2 * 365 * DAY + 3 * DAY, "2y3d"),
        (9 * 365 * DAY + 3 * DAY, "9y"),
    ];
    for (seconds, text) in cases {
        assert_eq!(age(SignedDuration::from_secs(seconds)), text, "{seconds}");
    }
}

#[test]
fn a_pet_that_is_not_ready_says_why_in_one_sentence() {
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &["end:0:", "run", "wait:"],
            &["wait:"],
            "init container i1 is running (2 of 3)",
        ),
        (
            &["wait:"],
            &["wait:"],
            "init container i0 has not started yet (1 of 1)",
        ),
        (
            &["end:1:Error"],
            &["wait:"],
            "init container i0 ended with exit code 1 (1 of 1)",
        ),
        (
            &["wait:CrashLoopBackOff:back-off 4s restarting failed container=i0 pod=p"],
            &["wait:"],
            "init container i0: back-off 4s restarting (1 of 1)",
        ),
        (
            &[],
            &["wait:ContainerCreating"],
            "container c0 has not started yet",
        ),
        (
            &[],
            &["ready", "wait:ErrImagePull:no program"],
            "container c1: image img: no program",
        ),
        (
            &["end:0:"],
            &["wait:ErrImagePull:no program"],
            "image img: no program",
        ),
        (
            &[],
            &["end:137:OOMKilled"],
            "container c0 ended with exit code 137 (OOMKilled)",
        ),
        (&[], &["sig:9"], "container c0 ended with signal 9"),
        (
            &[],
            &["wait:CreateContainerConfigError:secret \"s\" not found"],
            "container c0: CreateContainerConfigError: secret \"s\" not found",
        ),
        (&[], &["run"], "readiness probe has not succeeded yet"),
        (
            &[],
            &["run", "wait:ErrImagePull:no program"],
            "container c1: image img: no program",
        ),
        (
            &[],
            &[
                "wait:CrashLoopBackOff:back-off 4s restarting x",
                "wait:InvalidImageName:bad",
            ],
            "container c1: image img: bad",
        ),
        (
            &[],
            &["wait:ContainerCreating", "end:0:Completed", "end:1:Error"],
            "container c2 ended with exit code 1",
        ),
        (
            &["~run"],
            &["ready"],
            "container i0: readiness probe has not succeeded yet",
        ),
    ];
    for (init, main, why) in cases {
        let pod = staged(init, main, "Pending", &[]);
        assert_eq!(
            why_not_ready(&pod).as_deref(),
            Some(*why),
            "{init:?} {main:?}"
        );
    }
    let ready = staged(&[], &["ready"], "Running", &["Ready"]);
    assert_eq!(why_not_ready(&ready), None);
}

#[test]
fn a_hook_that_runs_and_volumes_that_are_missing_are_told() {
    let unstarted = ["wait:ContainerCreating", "wait:ContainerCreating"];
    let mut pod = staged(&[], &unstarted, "Pending", &[]);
    let mut tell = |kind: String, words: &str| {
        let condition = json!({"type": kind, "status": "False", "message": words});
        let condition = serde_json::from_value(condition).unwrap();
        pod.status.as_mut().unwrap().conditions = Some(vec![condition]);
        why_not_ready(&pod).unwrap()
    };
    let hook = tell(hook_condition("c1"), "postStart of c1 still runs");
    assert_eq!(hook, "postStart of c1 still runs");
    let volumes = tell(volumes_condition().to_owned(), "no such claim");
    assert_eq!(volumes, "container c0 has not started yet: no such claim");
}

#[test]
fn a_crash_and_a_failing_probe_are_told_with_their_cause() {
    let mut pod = staged(
        &[],
        &["wait:CrashLoopBackOff:back-off 4s restarting x"],
        "Running",
        &[],
    );
    let status = pod.status.as_mut().unwrap();
    let container = &mut status.container_statuses.as_mut().unwrap()[0];
    let last = json!({"terminated": {"exitCode": 1}});
    container.last_state = Some(serde_json::from_value(last).unwrap());
    let why = "container c0: back-off 4s restarting after exit code 1";
    assert_eq!(why_not_ready(&pod).as_deref(), Some(why));

    let status = pod.status.as_mut().unwrap();
    let container = &mut status.container_statuses.as_mut().unwrap()[0];
    let cause = "starting w-0: executing \"srv\": executable file not found in $PATH";
    let last = json!({"exitCode": 128, "reason": "StartError", "message": cause});
    let last = json!({"terminated": last});
    container.last_state = Some(serde_json::from_value(last).unwrap());
    let why = format!("container c0: back-off 4s after {cause}");
    assert_eq!(why_not_ready(&pod), Some(why));

    let mut pod = staged(&[], &["run"], "Running", &[]);
    let fault = "dial tcp 127.3.1.1:8080: connection refused";
    let condition = json!({"type": probe_condition("c0"), "status": "False", "message": fault});
    let conditions = vec![serde_json::from_value(condition).unwrap()];
    pod.status.as_mut().unwrap().conditions = Some(conditions);
    let why = format!("readiness probe has not succeeded: {fault}");
    assert_eq!(why_not_ready(&pod), Some(why));
}

#[test]
fn the_fault_of_an_image_shows_its_digest_once() {
    let image = "img@sha256:0123";
    let message = format!("Back-off pulling image \"{image}\": no image \"img\" here");
    let mut pod = staged(&[], &["wait:ImagePullBackOff"], "Pending", &[]);
    let status = pod.status.as_mut().unwrap();
    let container = &mut status.container_statuses.as_mut().unwrap()[0];
    container.image = image.to_owned();
    let waiting = container.state.as_mut().unwrap().waiting.as_mut().unwrap();
    waiting.message = Some(message);
    let why = format!("image {image}: no image \"img\" here");
    assert_eq!(why_not_ready(&pod), Some(why));
}

#[test]
fn the_lines_of_a_probe_are_one_line_and_of_many_the_last_counts() {
    let why = |message: &str| {
        let mut pod = staged(&[], &["run"], "Running", &[]);
        let kind = probe_condition("c0");
        let condition = json!({"type": kind, "status": "False", "message": message});
        let conditions = vec![serde_json::from_value(condition).unwrap()];
        pod.status.as_mut().unwrap().conditions = Some(conditions);
        why_not_ready(&pod).unwrap()
    };
    let of = |fault: &str| format!("readiness probe has not succeeded: {fault}");
    assert_eq!(why("no\n\n  nor yes\n"), of("no; nor yes"));
    let trace = format!("Traceback\n{}\nKeyError: 'up'", "at x\n".repeat(100));
    assert_eq!(why(&trace), of("KeyError: 'up'"));
    assert_eq!(
        why(&"é".repeat(300)),
        of(&format!("{}...", "é".repeat(200)))
    );
    assert_eq!(why("\n"), "readiness probe has not succeeded yet");
}
