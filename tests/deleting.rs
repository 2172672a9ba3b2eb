//! `delete`: the order it goes in, what stays, and everything that may come in between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::Sandbox;

#[test]
fn a_set_is_deleted_from_the_highest_ordinal_down_and_its_volumes_stay() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let deleted = sandbox.ok("delete web");
    deleted.matches("delete-three-ordered.txt");
    sandbox.journal_says(&["stopped web-2", "stopped web-1", "stopped web-0"]);
    assert!(sandbox.file("volumes/default/data-web-0").is_dir());
    sandbox.assert_nothing_left();
}

#[test]
fn a_set_created_again_finds_its_data() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    fs::write(sandbox.file("volumes/default/data-web-1/note"), "mine").unwrap();
    sandbox.ok("delete web");
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("exec web-1 -- cat data/note").prints("mine");
}

#[test]
fn purging_removes_the_data_too() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("delete web --purge");
    assert!(!sandbox.file("volumes/default/data-web-0").exists());
    sandbox.ok("get pvc").says("No resources found");
    sandbox.assert_nothing_left();
}

#[test]
fn an_orphaned_pet_runs_on_and_is_adopted_again() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    let main = sandbox.main("web-0");
    sandbox.ok("delete web --cascade=orphan");
    sandbox.ok("get sts").says("No resources found");
    assert_eq!(sandbox.main("web-0"), main);
    sandbox.ok("create -f manifests/one.yaml");
    assert_eq!(sandbox.main("web-0"), main);
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn what_ignores_the_request_to_stop_is_killed_after_its_grace() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/ignores-term.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.ok("delete web");
    sandbox.journal_says(&["ignored web-0"]);
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_in_back_off_is_deleted_at_once() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/crashes.yaml --no-wait");
    sandbox.until_pet_is("web-0", "CrashLoopBackOff");
    sandbox.ok("delete web --timeout 20s");
    sandbox.assert_nothing_left();
}

#[test]
fn a_set_that_is_being_deleted_can_be_neither_changed_nor_created() {
    let sandbox = Sandbox::new();
    let slow = slow_to_stop(&sandbox);
    sandbox.ok(&format!("create -f {slow}"));
    sandbox.journal_says(&["started web-0"]);
    let delete = sandbox.start("delete web");
    sandbox.journal_says(&["ignored web-0"]);
    sandbox
        .fails(4, "scale web --replicas 3")
        .says("is being deleted");
    sandbox
        .fails(4, "upgrade web -e A=B")
        .says("is being deleted");
    sandbox
        .fails(4, "create -f manifests/one.yaml")
        .says("still being deleted");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Terminating"));
    sandbox.kill(sandbox.main("web-0"));
    assert_eq!(sandbox.finish("delete", delete).code, 0);
    sandbox.assert_nothing_left();
}

/// A pet that takes a minute to be killed.
fn slow_to_stop(sandbox: &Sandbox) -> String {
    let text = fs::read_to_string(support::testdata().join("manifests/ignores-term.yaml"));
    let text = text
        .unwrap()
        .replace("PeriodSeconds: 1\n", "PeriodSeconds: 60\n");
    sandbox.manifest("slow-to-stop.yaml", &text)
}

#[test]
fn a_set_whose_deletion_nobody_waits_for_can_be_created_when_it_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("delete web --no-wait");
    sandbox.ok("wait web --for delete");
    sandbox.ok("create -f manifests/three-ordered.yaml");
    assert_eq!(sandbox.count("started web-0"), 2);
}

#[test]
fn deleting_while_create_waits_ends_both() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.ok("delete web");
    let outcome = sandbox.finish("create", create);
    assert_eq!(outcome.code, 4, "{}", outcome.transcript());
    outcome.says("was deleted meanwhile");
    sandbox.assert_nothing_left();
}

#[test]
fn a_set_may_be_deleted_by_several_at_once() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let deletes: Vec<_> = (0..5)
        .map(|_| sandbox.start("delete web --ignore-not-found"))
        .collect();
    for delete in deletes {
        let outcome = sandbox.finish("delete", delete);
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    }
    sandbox.assert_nothing_left();
}

#[test]
fn a_set_that_does_not_exist_cannot_be_deleted() {
    let sandbox = Sandbox::empty();
    sandbox.fails(3, "delete web").says("not found");
    sandbox.ok("delete web --ignore-not-found");
    assert!(
        !sandbox.state().exists(),
        "nothing was asked for, and something was made"
    );
}

#[test]
fn a_manifest_is_deleted_with_everything_in_it_but_the_data() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("delete -f manifests/three-ordered.yaml");
    sandbox.ok("get sts").says("No resources found");
    sandbox.ok("get svc").says("No resources found");
    assert!(sandbox.file("volumes/default/data-web-2").is_dir());
    sandbox.assert_nothing_left();
}

#[test]
fn a_daemonised_grandchild_is_ended_with_its_pet() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/daemonizes.yaml");
    sandbox.until_daemon_runs();
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deleted_pet_is_made_again() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let before = sandbox.pod("web-1")["metadata"]["uid"].clone();
    sandbox.ok("delete pod/web-1 --wait-ready");
    assert_ne!(sandbox.pod("web-1")["metadata"]["uid"], before);
    sandbox.journal_says(&["stopped web-1", "started web-1"]);
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn a_set_deleted_at_any_moment_of_its_start_is_gone() {
    let sandbox = Sandbox::new();
    for delay in 0..16 {
        sandbox.ok("create -f manifests/init-alpha-annotation.yaml --no-wait");
        std::thread::sleep(std::time::Duration::from_millis(delay * 3));
        sandbox.ok("delete web --timeout 20s");
        assert!(sandbox.pets().is_empty());
    }
    sandbox.assert_nothing_left();
}

#[test]
fn a_grace_period_may_be_given_with_the_deletion() {
    let sandbox = Sandbox::new();
    let text = fs::read_to_string("testdata/manifests/ignores-term.yaml").unwrap();
    let (before, after) = text.split_once("terminationGracePeriodSeconds: ").unwrap();
    let after = after.split_once('\n').unwrap().1;
    let text = format!("{before}terminationGracePeriodSeconds: 3600\n{after}");
    let file = sandbox.manifest("stubborn.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    let all = || {
        sandbox
            .journal()
            .iter()
            .filter(|line| line.starts_with("ignored "))
            .count()
    };
    let pets = sandbox.pets().len();
    // One pet comes back; by force it is not even asked.
    let main = sandbox.main("web-0");
    sandbox.ok("delete pod/web-0 --force --wait-ready");
    assert_ne!(sandbox.main("web-0"), main);
    assert_eq!(all(), 0);
    sandbox.ok("delete pod/web-0 --grace-period 1 --wait-ready");
    assert_eq!(all(), 1);
    // All of a set, whose deletion waits already.
    sandbox.ok("delete web --no-wait");
    sandbox.until("one is asked to stop", || all() > 1);
    sandbox.ok("delete web --now");
    assert_eq!(all(), 1 + pets);
    sandbox.assert_nothing_left();
}

#[test]
fn a_grace_period_that_contradicts_itself_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/one.yaml");
    for (words, why) in [
        ("--now --grace-period=5", "--now and --grace-period"),
        ("--force --grace-period=5", "--force and a grace period"),
        ("--grace-period=-2", "-2 is not in"),
        ("--force --cascade=orphan", "--cascade=orphan"),
    ] {
        sandbox.fails(2, &format!("delete web {words}")).says(why);
    }
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Running"));
    sandbox.ok("delete web --grace-period=-1");
    sandbox.assert_nothing_left();
}

/// A set with a service, a config map and a secret, and a config map that nothing mounts.
const FURNISHED: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {A: b}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {K: v}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: busybox
        command: [sleep, '1000']
        envFrom:
        - configMapRef: {name: conf}
        - secretRef: {name: key}
";

#[test]
fn deleting_by_file_what_does_not_exist_is_not_found() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("furnished.yaml", FURNISHED);
    let missed = sandbox.fails(3, &format!("delete -f {file}"));
    missed
        .says("statefulsets.apps \"web\" not found")
        .says("configmaps \"conf\" not found");
    missed.lacks("deleted");
    sandbox
        .ok(&format!("delete -f {file} --ignore-not-found"))
        .lacks("deleted");
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok("delete cm conf");
    let rest = sandbox.fails(3, &format!("delete -f {file}"));
    rest.says("statefulset.apps/web deleted")
        .says("secret/key deleted");
    rest.says("configmaps \"conf\" not found")
        .lacks("configmap/conf deleted");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deleted_set_says_which_services_and_maps_stay_and_how_they_go() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("furnished.yaml", FURNISHED);
    sandbox.ok(&format!("create -f {file}"));
    let deleted = sandbox.ok("delete sts web");
    deleted.says("Kept cm/conf, secret/key, svc/web.");
    deleted.says("petset delete cm/conf secret/key svc/web");
    sandbox
        .ok("delete svc/web cm/conf --dry-run")
        .says("service/web deleted (dry run)");
    let rest = sandbox.ok("delete svc/web cm/conf secret/key");
    rest.says("service/web deleted")
        .says("configmap/conf deleted")
        .says("secret/key deleted");
    sandbox.ok("get svc,cm,secret").says("No resources found");
    sandbox
        .fails(3, "delete secret key")
        .says("secrets \"key\" not found");
    sandbox.ok("delete secret key --ignore-not-found");
    sandbox
        .ok("delete pod/none sts/none --ignore-not-found")
        .lacks("deleted");
    sandbox.fails(3, "delete pod none").says("not found");
}

#[test]
fn a_claim_is_deleted_by_name_after_a_confirmation_only() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox
        .fails(4, "delete pvc data-web-0 --purge")
        .says("web-0 uses it");
    sandbox.ok("delete web");
    sandbox.fails(2, "delete pvc data-web-0").says("--purge");
    assert!(sandbox.file("volumes/default/data-web-0").is_dir());
    sandbox.ok("delete pvc data-web-0 data-web-1 --purge");
    assert!(!sandbox.file("volumes/default/data-web-0").exists());
    sandbox.fails(3, "delete pvc/data-web-0").says("not found");
}

#[test]
fn every_verb_takes_a_kind_and_a_name_as_two_words() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    for line in [
        "scale statefulset web --replicas 2",
        "rollout status sts web",
        "rollout history StatefulSet web",
        "wait pod web-0 web-1 --for condition=Ready",
        "logs pod web-0",
        "exec pods web-0 -- true",
        "events pod web-0",
        "get events sts web",
        "restart pod web-1",
        "upgrade sts web --env A=B",
        "dns sts web",
        "discover set web",
        "volume ls sts web",
    ] {
        sandbox.ok(line);
    }
    sandbox
        .fails(2, "scale pod web-0 --replicas 1")
        .says("does not name a set");
    sandbox
        .fails(2, "scale web db --replicas 1")
        .says("takes one set");
    sandbox.ok("delete statefulsets.apps web");
}

#[test]
fn deleting_a_pet_ends_when_it_is_gone_and_not_when_the_next_one_is_ready() {
    let sandbox = Sandbox::new();
    let text = fs::read_to_string(support::testdata().join("manifests/one.yaml")).unwrap();
    let probe = "command: [sh, -c, 'is-up && test -e $HOME/up']";
    let file = sandbox.manifest("slow.yaml", &text.replace("command: [is-up]", probe));
    sandbox.open("up");
    sandbox.ok(&format!("create -f {file}"));
    sandbox.shut("up");
    let before = sandbox.pod("web-0")["metadata"]["uid"].clone();
    sandbox.ok("delete pod/web-0 --timeout 20s");
    assert_ne!(sandbox.pod("web-0")["metadata"]["uid"], before);
    sandbox.fails(124, "delete pod web-0 --wait-ready --timeout 3s");
    sandbox.ok("delete pod/web-0 --no-wait --timeout 3s");
    sandbox.open("up");
    sandbox.ok("wait web");
}

#[test]
fn a_wait_for_the_end_of_a_set_names_a_set() {
    let sandbox = Sandbox::new();
    let wait = |name: &str| sandbox.ok(&format!("wait {name} --for delete"));
    wait("none").prints("statefulset.apps/none condition met\n");
    wait("none-0").prints("pod/none-0 condition met\n");
    wait("pod/none").prints("pod/none condition met\n");
}

#[test]
fn the_events_of_a_pod_are_not_those_of_an_earlier_one_of_its_name() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 1000");
    sandbox.ok("delete pod/web-0 --wait-ready");
    sandbox.ok("events web").says("Killing");
    let own = sandbox.ok("events web-0");
    own.says("Started").lacks("Killing").lacks("(x2 over");
    sandbox.ok("describe pod web-0").lacks("Killing");
    let pod = sandbox.ok("get pod web-0 -o json").out;
    let pod: serde_json::Value = serde_json::from_str(&pod).unwrap();
    let events = sandbox.ok("events web-0 -o json");
    events.says(&pod["metadata"]["uid"].to_string());
}
