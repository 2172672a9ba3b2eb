//! An ordinary user with subordinate ids: their pets are the users and groups they ask for, and
//! what those leave behind is the user's to look at and to remove.
//!
//! Root needs no subordinates, and a user without them sees what `furnishing` tests: then these
//! tests say so and do nothing.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};
use support::Sandbox;

/// Makes a sandbox where this user has subordinates.
fn sandbox() -> Option<Sandbox> {
    if rustix::process::getuid().is_root() {
        support::skipped("root needs no subordinate ids");
        return None;
    }
    let sandbox = Sandbox::new();
    for check in ["user ids", "isolation"] {
        let finding = sandbox.diagnosis(check);
        if finding["verdict"] != "ok" {
            support::skipped(&format!("{}: {}", finding["result"], finding["advice"]));
            return None;
        }
    }
    Some(sandbox)
}

fn inside(sandbox: &Sandbox, container: &str, script: &str) -> String {
    let words = ["exec", "db-0", "-c", container, "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.out, outcome.err);
    outcome.out.trim_end().to_owned()
}

/// A set `db` of one pet with a claim `data` at `/data` in each of its containers.
fn create(sandbox: &Sandbox, context: &Value, containers: &Value) -> String {
    create_with(sandbox, context, containers, &json!({}))
}

/// The same, with more fields of its pod.
fn create_with(sandbox: &Sandbox, context: &Value, containers: &Value, more: &Value) -> String {
    let mut containers = containers.clone();
    for container in containers.as_array_mut().unwrap() {
        container["image"] = json!("c");
        let mounts = json!([{"name": "data", "mountPath": "/data"},
            {"name": "inner", "mountPath": "/data/inner"}]);
        container["volumeMounts"] = mounts;
    }
    let mut pod = json!({"securityContext": context, "terminationGracePeriodSeconds": 5,
        "containers": containers, "volumes": [{"name": "inner", "emptyDir": {}}]});
    for (field, value) in more.as_object().unwrap() {
        pod[field] = value.clone();
    }
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": "db", "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}});
    let path = sandbox.manifest("set.json", &set.to_string());
    format!("create -f {path} --isolation full")
}

fn is_gone(pid: Option<i32>) -> bool {
    pid.is_some_and(|pid| !support::processes::is_alive(pid))
}

#[test]
fn a_pet_is_who_it_asks_to_be_and_leaves_nothing_that_cannot_be_removed() {
    let Some(sandbox) = sandbox() else { return };
    let context = json!({"runAsUser": 12345, "runAsGroup": 23456, "supplementalGroups": [45678],
        "fsGroup": 34567});
    let script = "trap 'echo told; exit 0' TERM; umask 077; mkdir -p /data/own /data/inner/own; \
        head -c 200000 /dev/zero > /data/own/file; touch /data/inner/own/file; \
        echo loud > /dev/stdout; while :; do sleep 0.05; done";
    let probe = json!({"exec": {"command": ["sh", "-c", "test $(id -u) = 12345 -a -e /data/inner/own/file"]}});
    let containers =
        json!([{"name": "c", "command": ["sh", "-c", script], "readinessProbe": probe}]);
    sandbox.ok(&create(&sandbox, &context, &containers));
    sandbox.ok("logs db-0").says("loud");
    let ids = inside(&sandbox, "c", "id -u; id -g; id -G; whoami");
    assert_eq!(ids, "12345\n23456\n23456 34567 45678\npet12345");
    inside(&sandbox, "c", "! touch /etc/x 2>/dev/null");
    inside(
        &sandbox,
        "c",
        "grep -q '^CapEff:.0000000000000000' /proc/self/status",
    );
    sandbox.ok("describe pod db-0").lacks("is ignored");
    let claim = sandbox.file("volumes/default/data-db-0");
    let own = fs::metadata(claim.join("own")).unwrap();
    assert_ne!(own.uid(), rustix::process::getuid().as_raw());
    assert!(fs::read_dir(claim.join("own")).is_err());
    sandbox.ok("volume ls").lacks(" 8 KiB");

    // It dies with its runner, comes back once, and finds its files.
    let (first, runner) = (sandbox.main("db-0"), sandbox.runner("db-0"));
    sandbox.kill(runner);
    sandbox.until("what the dead runner kept is gone", || is_gone(first));
    sandbox.until("it runs again", || {
        sandbox.main("db-0").is_some() && sandbox.status_of("db-0").as_deref() == Some("Running")
    });
    assert_eq!(inside(&sandbox, "c", "wc -c < /data/own/file"), "200000");

    let second = sandbox.main("db-0");
    sandbox.ok("restart db-0");
    assert!(is_gone(second));
    sandbox.ok("logs db-0 --previous").says("told");
    sandbox.ok("delete db");
    sandbox.ok("volume rm data-db-0 --yes");
    assert!(!claim.exists());
    assert!(!sandbox.file("pets/default/db-0").exists());
    sandbox.assert_nothing_left();
}

#[test]
fn a_pets_root_may_give_things_away_and_become_others() {
    let Some(sandbox) = sandbox() else { return };
    let script = "mkdir -p /data/own && chown 77:78 /data /data/own && chmod 700 /data /data/own; \
        touch /etc/changed && exec setpriv --reuid 77 --regid 78 --clear-groups \
        sh -c 'touch /data/own/file && exec sleep 1000'";
    let containers = json!([{"name": "c", "command": ["sh", "-c", script]}]);
    sandbox.ok(&create(&sandbox, &json!({"runAsUser": 0}), &containers));
    sandbox.until("it is another", || {
        sandbox.main("db-0").is_some_and(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|it| it.starts_with("sleep"))
        })
    });
    assert_eq!(
        inside(&sandbox, "c", "id -u; stat -c %u:%g /data/own/file"),
        "0\n77:78"
    );
    // Root inside is an ordinary user outside: it has no rights over the host's files.
    inside(
        &sandbox,
        "c",
        "! cat /etc/shadow 2>/dev/null && ! mknod /tmp/x c 1 3 2>/dev/null",
    );
    let claim = sandbox.file("volumes/default/data-db-0");
    assert_eq!(fs::metadata(&claim).unwrap().mode() & 0o777, 0o700);
    // The volume is closed to the user now, and another is still mounted within it.
    sandbox.ok("restart db-0");
    sandbox.until_pet_is("db-0", "Running");
    sandbox.ok("delete db --purge");
    assert!(!claim.exists());
    sandbox.assert_nothing_left();
}

#[test]
fn an_orphan_of_another_user_ends_with_its_container_and_only_with_that() {
    let Some(sandbox) = sandbox() else { return };
    let script = "(setsid sh -c 'echo $$$$ > /data/$1; exec sleep 5555' - $0 &); exec sleep 1000";
    let container = |name: &str| json!({"name": name, "command": ["sh", "-c", script, name]});
    let containers = json!([container("one"), container("two")]);
    let context = json!({"runAsUser": 12345, "fsGroup": 34567});
    let shared = json!({"shareProcessNamespace": true});
    sandbox.ok(&create_with(&sandbox, &context, &containers, &shared));
    let orphan = |name: &str| inside(&sandbox, "two", &format!("cat /data/{name}"));
    sandbox.until("both have left their sessions", || {
        let script = "cat /data/one /data/two | wc -l";
        inside(&sandbox, "two", script) == "2"
    });
    let (one, two) = (orphan("one"), orphan("two"));
    let record = fs::read(sandbox.file("pets/default/db-0/runner.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let mut mains = record["containers"].as_array().unwrap().iter();
    let main = mains.find(|it| it["name"] == "one").unwrap()["pid"].as_i64();
    sandbox.kill(main.and_then(|pid| i32::try_from(pid).ok()));
    sandbox.until("the orphan has ended too", || {
        let script = format!("kill -0 {one} 2>/dev/null || echo gone");
        inside(&sandbox, "two", &script) == "gone"
    });
    inside(&sandbox, "two", &format!("kill -0 {two}"));
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn what_is_not_among_the_subordinates_is_told_and_not_done() {
    let Some(sandbox) = sandbox() else { return };
    let containers = json!([{"name": "c", "command": ["sleep", "1000"]}]);
    let context = json!({"runAsUser": 1_000_650_000, "fsGroup": 34567});
    sandbox.ok(&create(&sandbox, &context, &containers));
    let own = rustix::process::getuid().as_raw().to_string();
    assert_eq!(inside(&sandbox, "c", "id -u"), own);
    let described = sandbox.ok("describe pod db-0");
    described
        .says("runAsUser 1000650000 is ignored")
        .says("subordinate ids");
    sandbox.ok("delete db --purge");

    let context = json!({"runAsUser": 0, "runAsNonRoot": true});
    let create = create(&sandbox, &context, &containers);
    sandbox.ok(&format!("{create} --no-wait"));
    sandbox.until_pet_is("db-0", "CreateContainerConfigError");
    sandbox
        .ok("describe pod db-0")
        .says("breaks non-root policy");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn who_asks_for_nobody_runs_as_the_user_and_keeps_claims_to_themselves() {
    let Some(sandbox) = sandbox() else { return };
    let containers =
        json!([{"name": "c", "command": ["sh", "-c", "touch /data/x; exec sleep 1000"]}]);
    sandbox.ok(&create(&sandbox, &json!({}), &containers));
    sandbox.until("it wrote", || {
        sandbox.file("volumes/default/data-db-0/x").exists()
    });
    let found = fs::metadata(sandbox.file("volumes/default/data-db-0")).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    let own = rustix::process::getuid().as_raw();
    let file = fs::metadata(sandbox.file("volumes/default/data-db-0/x")).unwrap();
    assert_eq!((found.uid(), file.uid()), (own, own));
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}
