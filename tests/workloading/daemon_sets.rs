//! Daemon sets: a pod on each node, of which there is one.

use std::fs;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{apply, object, until_ready};

/// Writes the manifest of a daemon set of servers, with lines for its pods' spec.
fn daemon_set(sandbox: &Sandbox, word: &str, more: &str) -> String {
    let text = format!(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: agent}}\nspec:\n  selector: \
         {{matchLabels: {{app: agent}}}}\n  template:\n    metadata: {{labels: {{app: agent}}}}\n    \
         spec:\n{more}      terminationGracePeriodSeconds: 10\n      containers:\n      - {{name: \
         main, image: example/serve, command: [serve], env: [{{name: WORD, value: {word}}}], \
         readinessProbe: {{periodSeconds: 1, exec: {{command: [is-up]}}}}}}\n"
    );
    sandbox.manifest("agent.yaml", &text)
}

fn revisions(sandbox: &Sandbox) -> Vec<Value> {
    let list = object(sandbox, "controllerrevisions");
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_daemon_set_has_one_pod_on_this_machine_and_makes_it_anew_for_another_template() {
    // DS02, DS04, DS13, DS18
    // CF-apps-07, CF-apps-10
    let sandbox = Sandbox::new();
    apply(&sandbox, &daemon_set(&sandbox, "one", "")).prints("daemonset.apps/agent created\n");
    let first = until_ready(&sandbox, "agent-", 1);
    let pod = sandbox.pod(&first[0]);
    assert_eq!(pod["spec"]["nodeName"], "localhost");
    assert_eq!(pod["metadata"]["labels"]["pod-template-generation"], "1");
    let agent = object(&sandbox, "ds/agent");
    assert_eq!(agent["status"]["desiredNumberScheduled"], 1);
    assert_eq!(agent["status"]["numberAvailable"], 1);
    assert_eq!(revisions(&sandbox).len(), 1);

    apply(&sandbox, &daemon_set(&sandbox, "two", "")).says("configured");
    let second = until_ready(&sandbox, "agent-", 1);
    assert_ne!(first, second);
    let pod = sandbox.pod(&second[0]);
    assert_eq!(pod["metadata"]["labels"]["pod-template-generation"], "2");
    assert_eq!(revisions(&sandbox).len(), 2);
    // A pod that is lost comes back, also when the supervisor was killed.
    sandbox.kill(sandbox.supervisor());
    let _ = sandbox.run("start");
    sandbox.ok(&format!("delete pod/{}", second[0]));
    assert_ne!(until_ready(&sandbox, "agent-", 1), second);
    assert_eq!(revisions(&sandbox).len(), 2);
    sandbox.ok("stop").prints("stopped 0 sets and 1 workload\n");
    sandbox.assert_nothing_left();
    sandbox.ok("start");
    until_ready(&sandbox, "agent-", 1);
    sandbox
        .ok("delete ds/agent")
        .prints("daemonset.apps/agent deleted\n");
    assert!(sandbox.pets().is_empty() && revisions(&sandbox).is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn with_on_delete_a_pod_is_made_anew_only_when_it_is_deleted() {
    // DS17
    let sandbox = Sandbox::new();
    let on_delete = |file: &str| {
        let text = fs::read_to_string(file).unwrap();
        let how = "spec:\n  updateStrategy: {type: OnDelete}\n  selector";
        fs::write(file, text.replacen("spec:\n  selector", how, 1)).unwrap();
    };
    let file = daemon_set(&sandbox, "one", "");
    on_delete(&file);
    apply(&sandbox, &file);
    let first = until_ready(&sandbox, "agent-", 1);
    on_delete(&daemon_set(&sandbox, "two", ""));
    apply(&sandbox, &file).says("configured");
    assert_eq!(until_ready(&sandbox, "agent-", 1), first);
    sandbox.ok(&format!("delete pod/{}", first[0]));
    let second = until_ready(&sandbox, "agent-", 1);
    let env = &sandbox.pod(&second[0])["spec"]["containers"][0]["env"][0];
    assert_eq!(env["value"], "two");
    sandbox.ok("delete ds/agent");
    sandbox.assert_nothing_left();
}

#[test]
fn a_node_selector_decides_whether_this_machine_is_meant() {
    // DS02, DS11
    // CF-apps-08
    let sandbox = Sandbox::new();
    let here = "      nodeSelector: {kubernetes.io/os: linux}\n";
    apply(&sandbox, &daemon_set(&sandbox, "one", here));
    until_ready(&sandbox, "agent-", 1);
    let elsewhere = "      nodeSelector: {disk: fast}\n";
    apply(&sandbox, &daemon_set(&sandbox, "one", elsewhere));
    sandbox.until("no pod is left", || sandbox.pets().is_empty());
    assert_eq!(
        object(&sandbox, "ds/agent")["status"]["desiredNumberScheduled"],
        0
    );
    sandbox.assert_nothing_left();
    sandbox.ok("delete ds/agent");
}
