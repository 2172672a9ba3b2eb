//! `petset get` and `petset describe`.

use std::os::unix::fs::PermissionsExt;

use super::*;

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
    let row = "data-web-0   Bound   pvc-u   1Gi   RWO      <unset>   3d\n";
    assert_eq!(claims, row, "PV29");
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
        "Name:             web-1\n",
        "Waits For:        container c: back-off 20s restarting after exit code 3 (for 3d)\n",
        "FQDN:           web-1.web.default.svc.cluster.local\n",
        "Controlled By:  StatefulSet/web\n",
        "    Runs:           sh -c 'echo $TOKEN'\n",
        "    State:          Waiting\n      Reason:       CrashLoopBackOff\n",
        "    Last State:     Terminated\n      Reason:       Error\n      Exit Code:    3\n",
        "    Restart Count:  4\n",
        "      PLAIN:  shown\n",
        "      TOKEN:  <set to the key 'k' in secret 's'>  Optional: false\n",
        "      /data from data (rw)\n",
        "      /data  is  /real/place\n",
        "    ClaimName:   data-web-1\n",
        "  Normal  Started  3d (x2 over 3d)  kubelet  Started container c\n",
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

/// Runs a command of petset in a terminal, with programs from `path`; returns what is shown.
fn on_terminal(world: &World, words: &str, path: &str) -> Option<String> {
    let petset = assert_cmd::cargo::cargo_bin("petset");
    let line = format!("PATH={path} exec {} {words}", petset.display());
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("PETSET_STATE_DIR", world.root())
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        // Not `eprintln!`, which the test harness keeps to itself where a test succeeds.
        let _ = writeln!(std::io::stderr(), "skipped: `script` is not installed");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

#[test]
fn on_a_terminal_the_manual_page_is_shown_by_man_and_not_as_roff() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let man = dir.path().join("man");
    fs::write(
        &man,
        "#!/bin/sh\nexport PATH=/usr/bin:/bin\ngrep -q '^.TH petset 1' && echo \"man $*\"\n",
    )
    .unwrap();
    fs::set_permissions(&man, fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().display().to_string();
    let Some(shown) = on_terminal(&world, "man", &path) else {
        return;
    };
    assert_eq!(shown, "man -l -\n");
    // Without man it is the help.
    let shown = on_terminal(&world, "man", "/nonexistent").unwrap();
    assert!(
        shown.contains("Usage: petset") && !shown.contains(".TH"),
        "{shown}"
    );
    assert!(ok(world.petset("man")).contains(".TH petset 1"));
}

#[test]
fn on_a_terminal_a_list_of_nothing_names_the_state_directory() {
    let world = World::new();
    let Some(shown) = on_terminal(&world, "get pods", "/usr/bin") else {
        return;
    };
    let root = world.root();
    let hint = format!(
        "hint: petset looked in the state directory {}\n",
        root.display()
    );
    assert!(shown.ends_with(&hint), "{shown}");
    assert!(!said(world.petset("get pods")).err.contains("hint"));
}
