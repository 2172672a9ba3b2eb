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
