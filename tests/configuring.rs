//! What pets see of config maps and secrets, also of those that change while they run.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{Sandbox, is_full};

/// A config map with one file.
fn map(sandbox: &Sandbox, text: &str, more: &str) -> String {
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cfg}}\ndata: {{a.conf: {text}}}\n{more}"
    );
    sandbox.manifest("cfg.yaml", &map)
}

/// A set that has the file of the map in a directory, by itself, and in a variable.
fn reader(sandbox: &Sandbox) -> String {
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: t}\nspec:
  serviceName: t
  selector: {matchLabels: {app: t}}
  template:
    metadata: {labels: {app: t}}
    spec:
      terminationGracePeriodSeconds: 0
      volumes:
      - {name: v, configMap: {name: cfg}}
      - name: p
        projected:
          sources:
          - configMap: {name: cfg, items: [{key: a.conf, path: deep/a}]}
          - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
      containers:
      - name: c
        image: busybox
        command: [sleep, '6000']
        env: [{name: K, valueFrom: {configMapKeyRef: {name: cfg, key: a.conf}}}]
        volumeMounts:
        - {name: v, mountPath: /c}
        - {name: v, mountPath: /f/a.conf, subPath: a.conf}
        - {name: p, mountPath: /p}
";
    sandbox.manifest("t.yaml", set)
}

const READ: &str = "exec t-0 -- sh -c 'cat $PETSET_MOUNT_V/a.conf $PETSET_MOUNT_P/deep/a'";
const PART: &str = "exec t-0 -- sh -c 'cat $PETSET_MOUNT_V_A_CONF; echo $K'";

#[test]
fn a_changed_config_map_reaches_volumes_by_itself_and_variables_at_the_next_start() {
    let sandbox = Sandbox::new();
    let (cfg, set) = (map(&sandbox, "one", ""), reader(&sandbox));
    sandbox.ok(&format!("create -f {cfg} -f {set}"));
    sandbox.ok(READ).prints("oneone");
    map(&sandbox, "two", "");
    let applied = sandbox.ok(&format!("apply -f {cfg}"));
    applied.says("note: t-0 goes on with what was read of configmap/cfg at the start");
    applied.says("`petset restart t` gives the new content");
    sandbox.until_says(READ, "twotwo");
    let part = if is_full() { "oneone\n" } else { "twoone\n" };
    sandbox.ok(PART).prints(part);
    sandbox.kill(sandbox.main("t-0"));
    let restarted = || sandbox.pod("t-0")["status"]["containerStatuses"][0]["restartCount"] == 1;
    sandbox.until("the container was restarted", restarted);
    sandbox.until_says(PART, "twotwo");
    // Nothing has changed, so that nobody is to be restarted.
    let labels = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg, labels: {a: b}}\n\
                  data: {a.conf: two}\n";
    let cfg = sandbox.manifest("labels.yaml", labels);
    sandbox.ok(&format!("apply -f {cfg}")).lacks("goes on");
}

/// How a container has what is in a config map or a secret: a part of its pod, how it is read, and
/// whether it follows a change by itself. `$V` is where the volume is.
const WAYS: [(&str, &str, bool); 12] = [
    ("configMap: {name: cfg}", "cat $V/k", true),
    (
        "configMap: {name: cfg, items: [{key: k, path: a/deep}]}",
        "cat $V/a/deep",
        true,
    ),
    (
        "configMap: {name: cfg, defaultMode: 0400}",
        "cat $V/k",
        true,
    ),
    ("configMap: {name: late, optional: true}", "cat $V/k", true),
    ("secret: {secretName: sec}", "cat $V/k", true),
    (
        "secret: {secretName: sec, items: [{key: k, path: other, mode: 0444}]}",
        "cat $V/other",
        true,
    ),
    (
        "projected: {sources: [{configMap: {name: cfg}}]}",
        "cat $V/k",
        true,
    ),
    (
        "projected: {sources: [{secret: {name: sec, items: [{key: k, path: s}]}}]}",
        "cat $V/s",
        true,
    ),
    ("configMap: {name: cfg}, subPath: k", "cat $V", false),
    ("secret: {secretName: sec}, subPath: k", "cat $V", false),
    (
        "env: {name: K, valueFrom: {configMapKeyRef: {name: cfg, key: k}}}",
        "echo $K",
        false,
    ),
    (
        "envFrom: {prefix: F_, secretRef: {name: sec}}",
        "echo $F_k",
        false,
    ),
];

/// A pod with a container for each way.
fn all_ways() -> String {
    let mut text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  \
                    terminationGracePeriodSeconds: 0\n  volumes:\n"
        .to_owned();
    let mut containers = String::from("  containers:\n");
    for (number, (part, ..)) in WAYS.iter().enumerate() {
        let container =
            format!("  - name: c{number}\n    image: busybox\n    command: [sleep, '6000']\n");
        containers.push_str(&container);
        if let Some((kind @ ("env" | "envFrom"), value)) = part.split_once(": ") {
            containers.push_str(&format!("    {kind}: [{value}]\n"));
            continue;
        }
        let (source, below) = part.split_once(", subPath").unwrap_or((part, ""));
        let below = if below.is_empty() { "" } else { ", subPath: k" };
        text.push_str(&format!("  - {{name: v{number}, {source}}}\n"));
        let mount =
            format!("    volumeMounts: [{{name: v{number}, mountPath: /v/m{number}{below}}}]\n");
        containers.push_str(&mount);
    }
    text + &containers
}

/// The main processes of the pod.
fn mains(sandbox: &Sandbox) -> Vec<i32> {
    let record = std::fs::read(sandbox.file("pets/default/p/runner.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let all = record["containers"].as_array().unwrap().iter();
    all.map(|it| it["pid"].as_i64().unwrap().try_into().unwrap())
        .collect()
}

#[test]
fn a_change_reaches_volumes_by_themselves_and_all_else_at_the_next_start() {
    let sandbox = Sandbox::new();
    let objects = |word: &str| {
        let map = |name: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: {word}}}\n---\n"
            )
        };
        let late = if word == "one" {
            String::new()
        } else {
            map("late")
        };
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: sec}}\nstringData: {{k: {word}}}\n"
        );
        sandbox.manifest("objects.yaml", &(map("cfg") + &late + &secret))
    };
    let pod = sandbox.manifest("p.yaml", &all_ways());
    sandbox.ok(&format!("create -f {}", objects("one")));
    sandbox.ok(&format!("create -f {pod}"));
    let read = |number: usize, how: &str| {
        let place =
            format!("$(printenv | grep ^PETSET_MOUNT_V{number} | head -n 1 | cut -d= -f2-)");
        let script = how.replace("$V", &place);
        let words = [
            "exec",
            "p",
            "-c",
            &format!("c{number}"),
            "--",
            "sh",
            "-c",
            &script,
        ];
        let mut command = sandbox.command_of(&words);
        let outcome = sandbox.finish(&script, sandbox.start_command(&mut command));
        outcome.out.trim().to_owned()
    };
    for (number, (part, how, _)) in WAYS.iter().enumerate() {
        let before = if part.contains("late") { "" } else { "one" };
        assert_eq!(read(number, how), before, "{part}");
    }
    sandbox.ok(&format!("apply -f {}", objects("two")));
    for (number, (part, how, follows)) in WAYS.iter().enumerate() {
        if *follows {
            sandbox.until(part, || read(number, how) == "two");
        }
    }
    for (number, (part, how, follows)) in WAYS.iter().enumerate() {
        // Without isolation a part of a volume is a link, and follows too.
        if !*follows && (is_full() || !part.contains("subPath")) {
            assert_eq!(read(number, how), "one", "{part}");
        }
    }
    let status = || sandbox.pod("p")["status"]["containerStatuses"].clone();
    let pids = mains(&sandbox);
    assert_eq!(pids.len(), WAYS.len());
    pids.into_iter().for_each(|pid| sandbox.kill(Some(pid)));
    sandbox.until("all were restarted", || {
        let all = status();
        let mut all = all.as_array().unwrap().iter();
        all.all(|it| it["restartCount"] == 1 && it["ready"] == true)
    });
    for (number, (part, how, _)) in WAYS.iter().enumerate() {
        assert_eq!(read(number, how), "two", "{part}");
    }
    sandbox.ok("delete pod/p");
}

#[test]
fn a_change_that_comes_while_no_supervisor_runs_reaches_the_volumes_too() {
    let sandbox = Sandbox::new();
    let (cfg, set) = (map(&sandbox, "one", ""), reader(&sandbox));
    sandbox.ok(&format!("create -f {cfg} -f {set}"));
    sandbox.kill(sandbox.supervisor());
    map(&sandbox, "two", "");
    sandbox.ok(&format!("apply -f {cfg}"));
    sandbox.until_says(READ, "twotwo");
    // A volume whose object is gone stays as it is, and says why.
    sandbox.ok("delete cm cfg");
    sandbox.events_say(&["configmap \"cfg\" not found"]);
    sandbox.ok(READ).prints("twotwo");
}

#[test]
fn an_immutable_config_map_is_not_changed_but_deleted_and_made_again() {
    let sandbox = Sandbox::new();
    let cfg = map(&sandbox, "one", "immutable: true\n");
    sandbox.ok(&format!("create -f {cfg}"));
    for (text, more) in [("two", "immutable: true\n"), ("one", "")] {
        map(&sandbox, text, more);
        let refused = sandbox.fails(2, &format!("apply -f {cfg}"));
        refused.says("field is immutable when `immutable` is set");
        refused.says("delete it and create it again");
        sandbox.fails(2, &format!("apply -f {cfg} --dry-run"));
    }
    sandbox.ok("delete cm cfg");
    sandbox.ok(&format!("apply -f {cfg}"));
}

#[test]
fn a_secret_has_the_mode_that_its_manifest_says() {
    let sandbox = Sandbox::new();
    let user = match rustix::process::geteuid().is_root() {
        true => "  securityContext: {runAsUser: 999}\n",
        false => "",
    };
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: sesame}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  restartPolicy: Never\n{user}  \
         volumes:\n  - {{name: v, secret: {{secretName: s}}}}\n  \
         - {{name: w, secret: {{secretName: s, defaultMode: 0440}}}}\n  containers:\n  \
         - name: c\n    image: busybox\n    \
         command: [sh, -c, 'cd $PETSET_MOUNT_V; stat -Lc %a key; cat key; echo; \
         stat -Lc %a $PETSET_MOUNT_W/key']\n    \
         volumeMounts: [{{name: v, mountPath: /v}}, {{name: w, mountPath: /w}}]\n"
    );
    let file = sandbox.manifest("a.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok("logs a").prints("644\nsesame\n440\n");
}
