//! `petset up`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use support::{Sandbox, processes};

const SERVER: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: busybox
        command: [sh, -c, 'trap \"echo bye; exit 0\" TERM; echo hello from $POD_NAME; \
            echo kept > $PETSET_MOUNT_DATA/note; while :; do sleep 0.05; done']
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
";

/// Starts `petset up`, and waits until both pets have said hello.
fn up(sandbox: &Sandbox, text: &str) -> support::Background {
    let file = sandbox.manifest("up.yaml", text);
    let up = sandbox.start(&format!("up -f {file}"));
    for pet in ["web-0", "web-1"] {
        sandbox.until("it says hello", || {
            fs::read_to_string(sandbox.file(&format!("pets/default/{pet}/logs/c.log")))
                .is_ok_and(|log| log.contains("hello"))
        });
    }
    up
}

#[test]
fn logs_are_shown_until_a_signal_takes_everything_down_but_the_data() {
    let sandbox = Sandbox::new();
    let up = up(&sandbox, SERVER);
    sandbox.until_pet_is("web-1", "Running");
    sandbox.ok("wait web --for ready");
    processes::signal(up.pid(), Signal::INT);
    let outcome = sandbox.finish("up -f up.yaml", up);
    assert_eq!(outcome.code, 130, "{outcome:?}");
    for words in [
        "web-0 | hello from web-0",
        "web-1 | hello from web-1",
        "web-1 | bye",
    ] {
        assert!(outcome.out.contains(words), "{words}: {}", outcome.out);
    }
    outcome.says("Taking everything down");
    sandbox.fails(3, "get sts/web");
    sandbox.fails(3, "get cm/settings");
    let note = sandbox.file("volumes/default/data-web-0/note");
    assert_eq!(fs::read_to_string(note).unwrap(), "kept\n");
    sandbox.assert_nothing_left();
}

#[test]
fn a_second_signal_kills_what_does_not_end() {
    let sandbox = Sandbox::new();
    let deaf = SERVER.replace("echo bye; exit 0", "echo deaf");
    let deaf = deaf.replace(
        "    spec:\n      containers",
        "    spec:\n      terminationGracePeriodSeconds: 600\n      containers",
    );
    let up = up(&sandbox, &deaf);
    processes::signal(up.pid(), Signal::TERM);
    sandbox.until("a pet is told to stop", || {
        let pods = ["web-0", "web-1"].map(|pet| sandbox.status_of(pet));
        pods.iter().any(|it| it.as_deref() == Some("Terminating"))
    });
    processes::signal(up.pid(), Signal::INT);
    let outcome = sandbox.finish("up -f up.yaml", up);
    assert_eq!(outcome.code, 143, "{outcome:?}");
    outcome.says("Killing everything");
    sandbox.assert_nothing_left();
}

#[test]
fn it_ends_with_jobs_and_leaves_pets_alone_when_it_is_killed() {
    let sandbox = Sandbox::new();
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: load}\nspec:\n  backoffLimit: 0\n  \
        template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: c\n        \
        image: busybox\n        command: [sh, -c, 'echo done; exit CODE']\n";
    for (code, wanted) in [("0", 0), ("3", 5)] {
        let file = sandbox.manifest("job.yaml", &job.replace("CODE", code));
        let outcome = sandbox.run(&format!("up -f {file} --no-log-prefix"));
        assert_eq!(outcome.code, wanted, "{outcome:?}");
        assert!(outcome.out.contains("\ndone\n"), "{outcome:?}");
        sandbox.fails(3, "get job/load");
    }
    sandbox.fails(3, "up -f nothing.yaml");
    let up = up(&sandbox, SERVER);
    processes::kill(up.pid());
    let _ = sandbox.finish("up -f up.yaml", up);
    sandbox.ok("wait web --for ready");
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn what_cannot_become_ready_is_told_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    let program = sandbox.scratch().join("gone");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let bad = SERVER.replace("image: busybox", "image: nothing/known:1");
    let bad = bad.split("        command:").next().unwrap().to_owned();
    let file = sandbox.manifest("bad.yaml", &bad);
    let up = sandbox.start(&format!("up -f {file}"));
    sandbox.until("it waits", || {
        sandbox
            .status_of("web-0")
            .is_some_and(|it| it.contains("Image"))
    });
    processes::signal(up.pid(), Signal::INT);
    let outcome = sandbox.finish("up -f bad.yaml", up);
    assert_eq!(outcome.code, 130, "{outcome:?}");
    sandbox.assert_nothing_left();
}
