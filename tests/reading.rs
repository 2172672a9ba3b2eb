//! The verbs that only read (get, describe, logs, events, exec, wait), on state directories
//! written by hand: nobody runs, and nobody is started.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod handmade;

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
        "metadata": {"name": "data-web-0", "namespace": "default", "creationTimestamp": ago(3 * DAY)},
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
fn tables_are_kubectls() {
    let world = world();
    assert_eq!(
        ok(world.petset("get sts")),
        "NAME   READY   AGE\nweb    1/2     3d\n"
    );
    assert_eq!(
        ok(world.petset("get sets -o wide")),
        "NAME   READY   AGE   CONTAINERS   IMAGES\nweb    1/2     3d    c            img:v1\n"
    );
    assert_eq!(
        ok(world.petset("get pods")),
        "NAME    READY   STATUS             RESTARTS     AGE\n\
         web-0   1/1     Running            0            3d\n\
         web-1   0/1     CrashLoopBackOff   4 (2d ago)   3d\n"
    );
    assert_eq!(
        ok(world.petset("get svc")),
        "NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\n\
         web    ClusterIP   None         <none>        80/TCP    <unknown>\n"
    );
    let claims = ok(world.petset("get pvc --no-headers"));
    let path = world.root().join("volumes/default/data-web-0");
    assert_eq!(
        claims,
        format!(
            "data-web-0   Bound   {}   1Gi   RWO      3d\n",
            path.display()
        )
    );
}

#[test]
fn wide_pets_tell_what_they_wait_for() {
    let wide = ok(world().petset("get pods -o wide"));
    let second = wide.lines().nth(2).unwrap();
    assert!(wide.starts_with("NAME    READY   STATUS"), "{wide}");
    assert!(
        second.contains("127.84.1.1   web-85fdcc8cb   container c"),
        "{wide}"
    );
    assert!(second.contains("back-off 20s"), "{wide}");
}

#[test]
fn pets_go_by_their_own_name_or_that_of_their_set() {
    let world = world();
    let all = ok(world.petset("get pods -o name"));
    assert_eq!(all, "pod/web-0\npod/web-1\n");
    assert_eq!(ok(world.petset("get pets web -o name")), all);
    assert_eq!(ok(world.petset("get pod/web-1 -o name")), "pod/web-1\n");
    assert_eq!(ok(world.petset("get pods web-1 -o name")), "pod/web-1\n");
    assert_eq!(ok(world.petset("get po -l 'app in (web,x)' -o name")), all);
    let several = ok(world.petset("get sts/web pod/web-0 -o name"));
    assert_eq!(several, "statefulset.apps/web\npod/web-0\n");
    let tables = ok(world.petset("get sts,pods"));
    assert!(tables.contains("statefulset.apps/web   1/2"), "{tables}");
    assert!(tables.contains("\n\nNAME        READY"), "{tables}");
}

#[test]
fn what_is_not_there_is_said_in_kubectls_words() {
    let world = world();
    let none = said(world.petset("get pods -l app=kctl"));
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert_eq!(none.err, "No resources found in default namespace.\n");
    let other = said(world.petset("get all -n other"));
    assert_eq!(other.err, "No resources found in other namespace.\n");
    let missing = said(world.petset("get sts nope"));
    assert_eq!(missing.code, 3);
    assert!(
        missing
            .err
            .starts_with("error: statefulsets.apps \"nope\" not found\n")
    );
    let partly = said(world.petset("get pods web-0 web-9 --no-headers"));
    assert_eq!(
        (partly.code, partly.out.as_str()),
        (3, "web-0   1/1   Running   0   3d\n")
    );
    assert!(partly.err.contains("pods \"web-9\" not found"));
    let unknown = said(world.petset("get web"));
    assert_eq!(unknown.code, 2);
    assert!(
        unknown
            .err
            .contains("hint: web is a set: `petset get set web`")
    );
    for bad in [
        "get pods ../x",
        "get pods -l 'a b'",
        "get pods web-0 -l app=web",
        "get all x",
    ] {
        assert_eq!(said(world.petset(bad)).code, 2, "{bad}");
    }
}

#[test]
fn objects_are_shown_whole_with_what_is_seen_of_them() {
    let world = world();
    let set: Value = serde_json::from_str(&ok(world.petset("get sts web -o json"))).unwrap();
    assert_eq!(set["kind"], "StatefulSet");
    assert_eq!(set["status"]["readyReplicas"], 1);
    let pods: Value = serde_json::from_str(&ok(world.petset("get pods -o json"))).unwrap();
    assert_eq!(pods["kind"], "List");
    let second = &pods["items"][1];
    assert_eq!(second["spec"]["hostname"], "web-1");
    assert_eq!(second["status"]["containerStatuses"][0]["restartCount"], 4);
    assert_eq!(second["status"]["podIP"], "127.84.1.1");
    let yaml = ok(world.petset("get pod web-0 -o yaml"));
    assert!(yaml.starts_with("apiVersion: v1\nkind: Pod\n"), "{yaml}");
    assert!(yaml.contains("  phase: Running\n"), "{yaml}");
    let none: Value = serde_json::from_str(&ok(world.petset("get cm -o json"))).unwrap();
    assert_eq!(none["items"], json!([]));
}

#[test]
fn a_report_of_a_set_that_had_this_name_before_is_not_believed() {
    let world = world();
    let mut old = report();
    old["uid"] = "another".into();
    world.write("seen/default/sets/web.json", &old.to_string());
    assert_eq!(
        ok(world.petset("get sts web --no-headers")),
        "web   0/2   3d\n"
    );
}

#[test]
fn one_damaged_file_costs_a_warning_and_not_the_command() {
    let world = world();
    world.write("pets/default/web-0/pod.json", "{torn");
    world.write("wanted/default/statefulset/bad.yaml", "kind: [");
    let pods = said(world.petset("get pods -o name"));
    assert_eq!((pods.code, pods.out.as_str()), (0, "pod/web-1\n"));
    assert!(
        pods.err.starts_with("warning: pod web-0 is left out: "),
        "{}",
        pods.err
    );
    assert!(
        pods.err.contains("pets/default/web-0/pod.json"),
        "{}",
        pods.err
    );
    let sets = said(world.petset("get sets -o name"));
    assert_eq!(
        (sets.code, sets.out.as_str()),
        (0, "statefulset.apps/web\n")
    );
    assert!(sets.err.contains("bad is left out"), "{}", sets.err);
    assert_eq!(said(world.petset("get set bad")).code, 1);
}

#[test]
fn a_pet_whose_runner_is_gone_is_not_shown_as_running() {
    let world = world();
    let dead = json!({"pid": 1, "start": 1, "bootId": "of another boot", "clean": false,
                      "containers": []});
    world.write("pets/default/web-0/runner.json", &dead.to_string());
    assert_eq!(
        ok(world.petset("get pods web-0 --no-headers")),
        "web-0   0/1   Unknown   0   3d\n"
    );
    let told = ok(world.petset("describe web-0"));
    assert!(told.contains("its runner is gone"), "{told}");
}

#[test]
fn names_of_another_namespace_come_with_it() {
    let world = world();
    let other = set("db").replace("namespace: default", "namespace: other");
    world.write("wanted/other/statefulset/db.yaml", &other);
    assert_eq!(
        ok(world.petset("get sts -A")),
        "NAMESPACE   NAME   READY   AGE\ndefault     web    1/2     3d\nother       db     0/2     3d\n"
    );
    assert_eq!(
        ok(world.petset("get sts -n other -o name")),
        "statefulset.apps/db\n"
    );
}

#[test]
fn nothing_that_a_manifest_says_reaches_the_terminal_raw() {
    let world = world();
    let set = set("web")
        .replace("img:v1", "img\\u001b[31m:v1")
        .replace("'img", "\"img");
    let set = set.replace(":v1'", ":v1\"");
    world.write("wanted/default/statefulset/web.yaml", &set);
    let wide = ok(world.petset("get sts -o wide"));
    assert!(!wide.contains('\u{1b}'), "{wide:?}");
    assert!(wide.contains("img\\u{1b}[31m:v1"), "{wide:?}");
    assert!(!ok(world.petset("describe web")).contains('\u{1b}'));
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
fn a_pet_is_described_with_what_it_waits_for_and_how_it_was_started() {
    let world = world();
    let launch = json!({"argv": ["sh", "-c", "echo $TOKEN"], "env": [["TOKEN", "very-secret"]],
                        "cwd": "/tmp", "pid": 4711,
                        "mounts": [{"volume": "data", "mountPath": "/data", "path": "/real/place",
                                    "readOnly": false}]});
    world.write("pets/default/web-1/run/c.json", &launch.to_string());
    let journal = event(3 * DAY, "pod/web-1", "Started", "Started container c");
    world.write("seen/default/events/web.jsonl", &journal.repeat(2));
    let told = ok(world.petset("describe web-1"));
    for part in [
        "Name:           web-1\n",
        "Waits For:      container c: back-off 20s restarting after exit code 3 (for 3d)\n",
        "FQDN:           web-1.web.default.svc.cluster.local\n",
        "Controlled By:  StatefulSet/web\n",
        "    Runs:           sh -c 'echo $TOKEN'\n",
        "    State:          Waiting\n      Reason:       CrashLoopBackOff\n",
        "    Last State:     Terminated\n      Reason:       Error\n      Exit Code:    3\n",
        "    Restart Count:  4\n",
        "      PLAIN:  shown\n",
        "      TOKEN:  <set to the key 'k' in secret 's'> Optional: false\n",
        "      /data from data (rw)  is  /real/place\n",
        "    ClaimName:  data-web-1\n",
        "  Normal  Started  3d (x2 over 3d)  Started container c\n",
    ] {
        assert!(told.contains(part), "{part:?} is missing:\n{told}");
    }
    assert!(!told.contains("very-secret"), "{told}");
    assert!(told.contains(&format!(
        "{}/pets/default/web-1/logs/c.log",
        world.root().display()
    )));
}

#[test]
fn a_set_a_service_and_a_claim_are_described() {
    let world = world();
    let set = ok(world.petset("describe web"));
    for part in [
        "Replicas:           2 desired | 2 total\n",
        "State:              not settled\n",
        "Waits For:          web-1 is not ready: container c: back-off 20s restarting (for 3d)\n",
        "  web-1  0/1    CrashLoopBackOff  127.84.1.1\n",
        "Events:             <none>\n",
    ] {
        assert!(set.contains(part), "{part:?} is missing:\n{set}");
    }
    assert_eq!(ok(world.petset("describe sts/web")), set);
    assert_eq!(ok(world.petset("describe set web")), set);
    let service = ok(world.petset("describe svc web"));
    assert!(
        service.contains("web-0.web.default.svc.cluster.local"),
        "{service}"
    );
    let claim = ok(world.petset("describe pvc data-web-0"));
    assert!(claim.contains("Used By:       web-0\n"), "{claim}");
    assert_eq!(said(world.petset("describe nope")).code, 3);
    assert_eq!(said(world.petset("describe pod nope")).code, 3);
}

fn log(world: &World, pet: &str, name: &str, text: &str) {
    world.write(&format!("pets/default/{pet}/logs/{name}"), text);
}

#[test]
fn logs_are_read_across_rotated_parts_and_from_the_end() {
    let world = world();
    log(&world, "web-0", "c.log.2", "one\n");
    log(&world, "web-0", "c.log.1", "two\nth");
    log(&world, "web-0", "c.log", "ree\nfour\n");
    log(&world, "web-0", "c.previous.log", "before\n");
    log(&world, "web-0", "prepare.log", "prepared");
    log(&world, "web-1", "c.log", "other\n");
    let all = said(world.petset("logs web-0"));
    assert_eq!(all.out, "one\ntwo\nthree\nfour\n");
    assert_eq!(
        all.err,
        "Defaulted container \"c\" out of: c, prepare (init)\n"
    );
    assert_eq!(
        ok(world.petset("logs web-0 -c c --tail 2")),
        "three\nfour\n"
    );
    assert_eq!(ok(world.petset("logs web-0 --tail 0")), "");
    assert_eq!(ok(world.petset("logs web-0 --previous")), "before\n");
    assert_eq!(ok(world.petset("logs pod/web-0 -c prepare")), "prepared");
    assert_eq!(
        ok(world.petset("logs web --tail=1")),
        "[pod/web-0/c] four\n[pod/web-1/c] other\n"
    );
    assert_eq!(
        ok(world.petset("logs web-0 --all-containers --prefix --tail 1")),
        "[pod/web-0/prepare] prepared\n[pod/web-0/c] four\n"
    );
    let wrong = said(world.petset("logs web-0 -c nope"));
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("hint: it has: c, prepare (init)"));
    assert_eq!(said(world.petset("logs nope")).code, 3);
    assert_eq!(said(world.petset("logs web-1 -p -c prepare")).code, 3);
}

#[test]
fn logs_come_byte_for_byte() {
    let world = world();
    let dir = world.root().join("pets/default/web-0/logs");
    fs::create_dir_all(&dir).unwrap();
    let bytes = b"\x1b[31mred\xff\x00\r\nend";
    fs::write(dir.join("c.log"), bytes).unwrap();
    let output = world.petset("logs web-0").output().unwrap();
    assert_eq!(output.stdout, bytes);
}

#[test]
fn a_pet_that_initializes_shows_its_init_step() {
    let world = world();
    pet(&world, "web-0", &initializing());
    log(&world, "web-0", "prepare.log", "preparing\n");
    let said_ = said(world.petset("logs web-0"));
    assert_eq!(said_.out, "preparing\n");
    assert!(said_.err.contains("Defaulted container \"prepare\""));
    let early = said(world.petset("logs web-0 -c c"));
    assert_eq!(early.code, 1);
    let words = "container \"c\" in pod \"web-0\" is waiting to start: PodInitializing";
    assert!(early.err.contains(words), "{}", early.err);
}

#[test]
fn following_goes_on_across_rotation_and_restarts_until_the_pet_is_gone() {
    let world = world();
    log(&world, "web-0", "c.log", "old\none\n");
    let dir = world.root().join("pets/default/web-0/logs");
    let mut follow = start(&world, "logs web-0 -f --tail 1");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "one");
    append(dir.join("c.log"), "two\n");
    assert_eq!(lines.next().unwrap(), "two");
    append(dir.join("c.log"), "three\n");
    fs::rename(dir.join("c.log"), dir.join("c.log.1")).unwrap();
    append(dir.join("c.log"), "four\n");
    assert_eq!(lines.next().unwrap(), "three");
    assert_eq!(lines.next().unwrap(), "four");
    append(dir.join("c.log"), "five\n");
    fs::rename(dir.join("c.log"), dir.join("c.previous.log")).unwrap();
    fs::remove_file(dir.join("c.log.1")).unwrap();
    append(dir.join("c.log"), "six\n");
    assert_eq!(lines.next().unwrap(), "five");
    assert_eq!(lines.next().unwrap(), "six");
    fs::remove_dir_all(world.root().join("pets/default/web-0")).unwrap();
    assert_eq!(lines.next(), None);
    assert!(follow.0.wait().unwrap().success());
}

#[test]
fn following_a_set_hears_pets_that_come_later() {
    let world = world();
    log(&world, "web-0", "c.log", "one\n");
    let mut follow = start(&world, "logs web -f");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "[pod/web-0/c] one");
    log(&world, "web-2", "c.log", "two\n");
    pet(&world, "web-2", &running());
    assert_eq!(lines.next().unwrap(), "[pod/web-2/c] two");
    fs::remove_file(world.root().join("wanted/default/statefulset/web.yaml")).unwrap();
    fs::remove_dir_all(world.root().join("pets/default")).unwrap();
    assert_eq!(lines.next(), None);
}

#[test]
fn following_a_pet_that_initializes_goes_on_to_its_container() {
    let world = world();
    pet(&world, "web-0", &initializing());
    log(&world, "web-0", "prepare.log", "preparing\n");
    let mut follow = start(&world, "logs web-0 -f");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "preparing");
    log(&world, "web-0", "c.log", "serving\n");
    pet(&world, "web-0", &running());
    assert_eq!(lines.next().unwrap(), "serving");
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
