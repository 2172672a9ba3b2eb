//! The verbs that only read (get, describe, logs, events, exec, wait), on state directories
//! written by hand: no supervisor or runner runs, and none is started.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../handmade/mod.rs"]
mod handmade;
mod logs;
mod showing;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use handmade::{Reaped, World, eventually, ok, said};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const REVISION: &str = "web-85fdcc8cb";

/// Returns the time so many seconds ago.
fn ago(seconds: i64) -> String {
    (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
}

const DAY: i64 = 24 * 3600;

/// A world with a set `web` of two pets: one is ready, one restarts in vain.
fn world() -> World {
    let world = World::new();
    world.write("wanted/default/statefulset/web.yaml", &set("web"));
    world.service("web", "clusterIP: None");
    world.record("web", &["web-0", "web-1"]);
    world.write("seen/default/sets/web.json", &report().to_string());
    world.write("seen/default/claims/data-web-0.json", &claim().to_string());
    fs::create_dir_all(world.root().join("volumes/default/data-web-0")).unwrap();
    pet(&world, "web-0", &running());
    pet(&world, "web-1", &crashing());
    world
}

fn set(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, namespace: default, uid: uid-{name}, generation: 1, creationTimestamp: '{}', labels: {{app: {name}}}}}
spec:
  replicas: 2
  serviceName: web
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: c, image: 'img:v1'}}
",
        ago(3 * DAY)
    )
}

fn report() -> Value {
    json!({
        "uid": "uid-web", "settled": false, "stopped": false,
        "status": {"replicas": 2, "readyReplicas": 1, "observedGeneration": 1,
                   "currentRevision": REVISION, "updateRevision": REVISION},
        "waiting": [{"pet": "web-1", "why": "web-1 is not ready: container c: back-off 20s restarting",
                     "since": ago(3 * DAY), "stuck": false}],
    })
}

fn claim() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-web-0", "namespace": "default", "uid": "u",
            "creationTimestamp": ago(3 * DAY)},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    })
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "creationTimestamp": ago(3 * DAY),
            "labels": {"app": "web", "controller-revision-hash": REVISION},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web",
                                 "uid": "uid-web", "controller": true}],
        },
        "spec": {
            "hostname": name, "subdomain": "web",
            "initContainers": [{"name": "prepare", "image": "img:v1"}],
            "containers": [{
                "name": "c", "image": "img:v1",
                "env": [
                    {"name": "PLAIN", "value": "shown"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data",
                         "persistentVolumeClaim": {"claimName": format!("data-{name}")}}],
        },
        "status": {"podIP": "127.84.1.1", "podIPs": [{"ip": "127.84.1.1"}]},
    })
}

fn pet(world: &World, name: &str, status: &Value) {
    let dir = format!("pets/default/{name}");
    world.write(&format!("{dir}/pod.json"), &pod(name).to_string());
    world.write(&format!("{dir}/status.json"), &status.to_string());
}

fn status(ready: bool, state: &Value, more: &Value) -> Value {
    let word = if ready { "True" } else { "False" };
    let mut container = json!({
        "name": "c", "image": "img:v1", "imageID": "", "ready": ready, "restartCount": 0,
        "started": ready, "state": state,
    });
    let fields = container.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({
        "phase": "Running",
        "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": word}],
        "initContainerStatuses": [ended_init()],
        "containerStatuses": [container],
    })
}

fn ended_init() -> Value {
    json!({
        "name": "prepare", "image": "img:v1", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
    })
}

fn running() -> Value {
    status(
        true,
        &json!({"running": {"startedAt": ago(3 * DAY)}}),
        &json!({}),
    )
}

fn crashing() -> Value {
    let state = json!({"waiting": {"reason": "CrashLoopBackOff",
                                   "message": "back-off 20s restarting failed container=c pod=web-1"}});
    let end = json!({"terminated": {"exitCode": 3, "reason": "Error",
                                    "startedAt": ago(3 * DAY), "finishedAt": ago(2 * DAY)}});
    status(false, &state, &json!({"restartCount": 4, "lastState": end}))
}

fn initializing() -> Value {
    json!({
        "phase": "Pending",
        "conditions": [{"type": "Initialized", "status": "False"}, {"type": "Ready", "status": "False"}],
        "initContainerStatuses": [{
            "name": "prepare", "image": "img:v1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": ago(5)}},
        }],
        "containerStatuses": [{
            "name": "c", "image": "img:v1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "PodInitializing"}},
        }],
    })
}

fn event(seconds_ago: i64, object: &str, reason: &str, message: &str) -> String {
    let event = json!({"time": ago(seconds_ago), "type": "Normal", "reason": reason,
                       "object": object, "message": message});
    format!("{event}\n")
}

/// Starts petset in the background, its output in a pipe.
fn start(world: &World, words: &str) -> Reaped {
    let child = Command::new(assert_cmd::cargo::cargo_bin("petset"))
        .args(shlex::split(words).unwrap())
        .env_clear()
        .env("PETSET_STATE_DIR", world.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    Reaped(child.unwrap())
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines().map(|line| line.unwrap())
}

fn append(path: PathBuf, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_watch_shows_each_change_once_and_ends_with_its_reader() {
    let world = world();
    let mut watch = start(&world, "get pods -w");
    let mut lines = lines(&mut watch.0);
    let mut next = || lines.next().unwrap();
    assert!(next().starts_with("NAME    READY   STATUS"));
    assert!(next().starts_with("web-0   1/1     Running"));
    assert!(next().starts_with("web-1   0/1     CrashLoopBackOff"));
    pet(&world, "web-1", &running());
    assert_eq!(next(), "web-1   1/1     Running            0            3d");
    pet(&world, "web-2", &initializing());
    // Its two files come one after the other.
    while !next().starts_with("web-2   0/1     Init:0/1") {}
    fs::remove_dir_all(world.root().join("pets/default/web-2")).unwrap();
    assert!(next().starts_with("web-2   0/1"));
    drop(lines);
    eventually("the watch ends", || watch.0.try_wait().unwrap().is_some());
    assert!(watch.0.wait().unwrap().success());
    assert_eq!(said(world.petset("get all -w")).code, 2);
}

#[test]
fn events_are_counted_and_belong_to_sets_and_pets() {
    let world = world();
    let journal = [
        event(
            5 * DAY,
            "statefulset/web",
            "SuccessfulCreate",
            "create Pod web-0",
        ),
        event(4 * DAY, "pod/web-0", "Started", "started c"),
        event(3 * DAY, "pod/web-1", "Started", "started c"),
        event(2 * DAY, "pod/web-0", "Started", "started c"),
    ];
    world.write(
        "seen/default/events/web.jsonl",
        &(journal.concat() + "{torn"),
    );
    assert_eq!(
        ok(world.petset("events")),
        "LAST SEEN         TYPE     REASON             OBJECT            MESSAGE\n\
         5d                Normal   SuccessfulCreate   statefulset/web   create Pod web-0\n\
         3d                Normal   Started            pod/web-1         started c\n\
         2d (x2 over 4d)   Normal   Started            pod/web-0         started c\n"
    );
    assert_eq!(
        ok(world.petset("events web")),
        ok(world.petset("get events"))
    );
    assert_eq!(
        ok(world.petset("events web-1 --no-headers"))
            .lines()
            .count(),
        1
    );
    assert_eq!(
        ok(world.petset("events --tail 1 --no-headers"))
            .lines()
            .count(),
        1
    );
    let list: Value = serde_json::from_str(&ok(world.petset("events web-0 -o json"))).unwrap();
    assert_eq!(list["items"][0]["count"], 2);
    assert_eq!(list["items"][0]["involvedObject"]["kind"], "Pod");
    let none = said(world.petset("events -n other"));
    assert_eq!(none.err, "No events found in other namespace.\n");
    assert_eq!(said(world.petset("events nope")).code, 3);
    let mut watch = start(&world, "events -w --no-headers --tail 1");
    let mut lines = lines(&mut watch.0);
    assert!(lines.next().unwrap().contains("pod/web-0"));
    let path = world.root().join("seen/default/events/web.jsonl");
    append(
        path,
        &format!("\n{}", event(0, "pod/web-7", "Killing", "stopping c")),
    );
    assert!(lines.next().unwrap().contains("pod/web-7"));
}

/// Makes `web-0` a pet whose container is this test's own process.
fn with_launch(world: &World) {
    let root = world.root();
    let path = std::env::var("PATH").unwrap();
    let launch = json!({"argv": ["x"], "env": [["PATH", path], ["POD_NAME", "web-0"]],
                        "cwd": root, "pid": std::process::id(), "mounts": []});
    world.write("pets/default/web-0/run/c.json", &launch.to_string());
}

#[test]
fn a_program_runs_as_the_container_does_and_its_exit_code_is_the_commands() {
    let world = world();
    with_launch(&world);
    let out = ok(world.petset("exec web-0 -- sh -c 'echo $POD_NAME$PETSET_STATE_DIR; pwd'"));
    assert_eq!(out, format!("web-0\n{}\n", world.root().display()));
    let mut command = world.petset("exec -it pod/web-0 -c c -- cat");
    command.write_stdin("through\n");
    assert_eq!(ok(command), "through\n");
    assert_eq!(said(world.petset("exec web-0 -- sh -c 'exit 7'")).code, 7);
    let missing = said(world.petset("exec web-0 -- no-such-program"));
    assert_eq!(missing.code, 127);
    assert!(missing.err.contains("executable file not found in $PATH"));
    assert_eq!(said(world.petset("exec web-0 -- /")).code, 126);
    assert_eq!(said(world.petset("exec web -- true")).code, 2);
    assert_eq!(said(world.petset("exec nope -- true")).code, 3);
    let down = said(world.petset("exec web-1 -- true"));
    assert_eq!(down.code, 1);
    let words = "error: container c of web-1 is not running (CrashLoopBackOff)";
    assert!(down.err.contains(words), "{}", down.err);
}

#[test]
fn a_wait_ends_when_it_is_so_and_says_what_is_missing_when_it_is_late() {
    let world = world();
    assert_eq!(
        ok(world.petset("wait pod/web-0")),
        "pod/web-0 condition met\n"
    );
    assert_eq!(
        ok(world.petset("wait web-0 --for condition=Ready")),
        "pod/web-0 condition met\n"
    );
    let late = said(world.petset("wait web --timeout 0s"));
    assert_eq!(late.code, 124);
    assert!(
        late.err.contains("web: 1 of 2 ready; web-1 is not ready: "),
        "{}",
        late.err
    );
    assert_eq!(
        ok(world.petset("wait web --for 'jsonpath={.status.readyReplicas}=1'")),
        "statefulset.apps/web condition met\n"
    );
    assert_eq!(
        said(world.petset("wait sts/web --for delete --timeout 0s")).code,
        124
    );
    assert_eq!(
        ok(world.petset("wait pod/gone --for delete")),
        "pod/gone condition met\n"
    );
    assert_eq!(said(world.petset("wait nope")).code, 3);
    assert_eq!(said(world.petset("wait web-2 --timeout 0s")).code, 3);
    assert_eq!(said(world.petset("wait web --for nonsense")).code, 2);
}

#[test]
fn a_wait_for_a_pet_that_cannot_become_ready_halts() {
    let world = world();
    let mut stuck = report();
    stuck["waiting"][0]["stuck"] = true.into();
    world.write("seen/default/sets/web.json", &stuck.to_string());
    let halted = said(world.petset("wait web"));
    assert_eq!(halted.code, 5);
    assert!(
        halted.err.contains("error: web-1 is not ready"),
        "{}",
        halted.err
    );
    assert_eq!(said(world.petset("wait web-1")).code, 5);
}

#[test]
fn a_reading_verb_leaves_no_trace() {
    let world = world();
    for words in [
        "get all",
        "describe web",
        "events",
        "wait web-0",
        "logs web-0 -c c",
    ] {
        let _ = said(world.petset(words));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(world.root()).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["format", "pets", "seen", "volumes", "wanted"]);
}
