//! The classic uses of init containers (I01, I08), each in a Deployment, a DaemonSet, a set and a
//! Job: waiting for a service, writing configuration from the members that exist, registering with
//! a central database, and downloading what the main process needs.

use crate::pods;
use crate::support::{Sandbox, is_installed};

/// The kinds, the fields that they have beside the template, and how a pod of them goes on.
const KINDS: [(&str, &str, &str); 4] = [
    ("apps/v1, kind: Deployment", OF_SELECTOR, "exec serve"),
    ("apps/v1, kind: DaemonSet", OF_SELECTOR, "exec serve"),
    (
        "apps/v1, kind: StatefulSet",
        "serviceName: NAME, selector: {matchLabels: {app: NAME}},",
        "exec serve",
    ),
    ("batch/v1, kind: Job", "", "exit 0"),
];
const OF_SELECTOR: &str = "selector: {matchLabels: {app: NAME}},";
const NAMES: [&str; 4] = ["deployment", "daemon", "set", "job"];

/// The address of the central database, for a shell.
const AT: &str = "http://$(petset discover central -o ip | head -n 1):8080";

/// Writes a workload of each kind whose init container runs a script; the main process tells what
/// it finds then.
fn manifest(sandbox: &Sandbox, script: &str) -> String {
    let mut all = String::new();
    for ((kind, fields, end), name) in KINDS.iter().zip(NAMES) {
        let policy = if *end == "exit 0" { "Never" } else { "Always" };
        let fields = fields.replace("NAME", name);
        all.push_str(&format!(
            "---\n{{apiVersion: {kind}, metadata: {{name: {name}}}, spec: {{{fields} template: \
             {{metadata: {{labels: {{app: {name}}}}}, spec: {{restartPolicy: {policy}, \
             terminationGracePeriodSeconds: 5, volumes: [{{name: work, emptyDir: {{}}}}], \
             initContainers: [{{name: init, image: example/tools, command: [sh, -ec, {script:?}], \
             volumeMounts: [{{name: work, mountPath: /petset-work}}]}}], containers: [{{name: main, image: \
             example/tools, command: [sh, -c, {main:?}], volumeMounts: [{{name: work, mountPath: \
             /petset-work}}]}}]}}}}}}}}\n",
            main = format!(
                "journal \"{name} has $(cat $PETSET_MOUNT_WORK/found | tr '\\n' ' ')\"; {end}"
            ),
        ));
    }
    sandbox.manifest("all.yaml", &all)
}

/// Makes the central database, of which several members exist.
fn central(sandbox: &Sandbox, members: usize) {
    let text = format!(
        "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: central}}, spec: {{serviceName: \
         central, replicas: {members}, selector: {{matchLabels: {{app: central}}}}, template: \
         {{metadata: {{labels: {{app: central}}}}, spec: {{terminationGracePeriodSeconds: 1, \
         containers: [{{name: main, image: example/central, command: [central], readinessProbe: \
         {{periodSeconds: 1, tcpSocket: {{port: 8080}}}}}}]}}}}}}}}\n"
    );
    let file = sandbox.manifest("central.yaml", &text);
    sandbox.ok(&format!("apply -f {file}"));
}

/// Runs all kinds beside the database, and requires what the main process of each finds.
fn all_find(sandbox: &Sandbox, script: &str, found: impl Fn(&str) -> String) {
    let file = manifest(sandbox, script);
    sandbox.ok(&format!("apply -f {file}"));
    for name in NAMES {
        sandbox.journal_says(&[&format!("{name} has {} ", found(name))]);
    }
    sandbox.ok(&format!("delete -f {file}"));
}

fn is_possible() -> bool {
    is_installed("python3", &["python3"]) && is_installed("curl", &["curl"])
}

#[test]
fn init_containers_wait_for_a_service_in_each_kind() {
    // I01
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    let script = format!(
        "until curl -fsS {AT}/members; do sleep 0.1; done; echo it >$PETSET_MOUNT_WORK/found"
    );
    let file = manifest(&sandbox, &script);
    sandbox.ok(&format!("apply -f {file} --no-wait"));
    for name in NAMES {
        sandbox.until(&format!("{name} waits"), || {
            let all = pods(&sandbox, &format!("{name}-"));
            let waits = |pod: &String| sandbox.status_of(pod).as_deref() == Some("Init:0/1");
            all.len() == 1 && all.iter().all(waits)
        });
    }
    assert!(!sandbox.journal().iter().any(|line| line.contains(" has ")));
    central(&sandbox, 1);
    all_find(&sandbox, &script, |_| "it".to_owned());
    sandbox.ok("delete sts/central");
    sandbox.assert_nothing_left();
}

#[test]
fn init_containers_write_configuration_from_the_members_that_exist_in_each_kind() {
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    central(&sandbox, 2);
    let script = "petset discover central -o name >$PETSET_MOUNT_WORK/found";
    all_find(&sandbox, script, |_| "central-0 central-1".to_owned());
    sandbox.ok("delete sts/central");
    sandbox.assert_nothing_left();
}

#[test]
fn init_containers_register_with_a_central_database_in_each_kind() {
    // I05: the restart of a main process registers nobody again
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    central(&sandbox, 1);
    let script = format!("curl -fsS -d \"${{POD_NAME%%-*}}\" {AT}/ >$PETSET_MOUNT_WORK/found");
    let file = manifest(&sandbox, &script);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox.kill(sandbox.main("set-0"));
    sandbox.until("it was started again", || {
        sandbox.count("set has set ") == 2
    });
    all_find(&sandbox, &script, str::to_owned);
    let members = "curl -fsS http://$POD_IP:8080/members | tr '\\n' ' '";
    let words = ["exec", "central-0", "--", "sh", "-c", members];
    let output = sandbox.command_of(&words).output().unwrap();
    let members = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(members, "daemon deployment job set ");
    sandbox.ok("delete sts/central");
    sandbox.assert_nothing_left();
}

#[test]
fn init_containers_download_what_the_main_process_needs_in_each_kind() {
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    central(&sandbox, 1);
    let script =
        format!("cd $PETSET_MOUNT_WORK; curl -fsS {AT}/tool -o tool; chmod +x tool; ./tool >found");
    all_find(&sandbox, &script, |_| "the tool".to_owned());
    sandbox.ok("delete sts/central");
    sandbox.assert_nothing_left();
}
