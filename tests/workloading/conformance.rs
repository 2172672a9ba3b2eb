//! What Kubernetes' own conformance suite demands of workloads (docs/conformance.md), tried with
//! real processes where no other test of this folder does.

use std::fs;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{apply, is_ready, object, pods, until_ready};

/// Writes the manifest of a Job of a script, with fields of its spec.
fn job(sandbox: &Sandbox, name: &str, script: &str, fields: &str) -> String {
    let text = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{fields} template: \
         {{spec: {{restartPolicy: Never, terminationGracePeriodSeconds: 1, containers: [{{name: \
         main, image: busybox, command: [sh, -c, {script:?}]}}]}}}}}}}}\n"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

/// A Job as its index decides: what is demanded of its status at its end.
struct Case {
    name: &'static str,
    script: &'static str,
    fields: &'static str,
    /// Its last condition.
    end: &'static str,
    /// Fields of its status, with their values as JSON.
    status: &'static [(&'static str, &'static str)],
}

const INDEXED: &str = "completionMode: Indexed, completions: 4, parallelism: 4,";

const CASES: [Case; 7] = [
    Case {
        // CF-apps-27
        name: "fail-job",
        script: "exit 1",
        fields: "backoffLimit: 6, completions: 3, parallelism: 1, podFailurePolicy: {rules: [{action: \
                 FailJob, onExitCodes: {containerName: main, operator: In, values: [1]}}]},",
        end: "Failed",
        status: &[("failed", "1")],
    },
    Case {
        // CF-apps-30
        name: "all-indexes",
        script: "exit 0",
        fields: "completionMode: Indexed, completions: 2, parallelism: 2, successPolicy: {rules: \
                 [{succeededIndexes: '0-1'}]},",
        end: "Complete",
        status: &[("completedIndexes", "\"0,1\""), ("failed", "null")],
    },
    Case {
        // CF-apps-31
        name: "one-index",
        script: "test $JOB_COMPLETION_INDEX = 0 || exec sleep 1000",
        fields: "completionMode: Indexed, completions: 5, parallelism: 5, successPolicy: {rules: \
                 [{succeededIndexes: '0'}]},",
        end: "Complete",
        status: &[("completedIndexes", "\"0\"")],
    },
    Case {
        // CF-apps-32
        name: "one-success",
        script: "test $JOB_COMPLETION_INDEX = 3 || exec sleep 1000",
        fields: "completionMode: Indexed, completions: 5, parallelism: 5, successPolicy: {rules: \
                 [{succeededCount: 1}]},",
        end: "Complete",
        status: &[("completedIndexes", "\"3\""), ("succeeded", "1")],
    },
    Case {
        // CF-apps-33
        name: "some-fail",
        script: "exit $(($JOB_COMPLETION_INDEX % 2))",
        fields: "completionMode: Indexed, completions: 4, parallelism: 4, backoffLimitPerIndex: 1,",
        end: "Failed",
        status: &[
            ("failedIndexes", "\"1,3\""),
            ("completedIndexes", "\"0,2\""),
            ("failed", "4"),
            ("succeeded", "2"),
        ],
    },
    Case {
        // CF-apps-34
        name: "too-many-fail",
        script: "test $JOB_COMPLETION_INDEX = 0 && exit 1; exec sleep 1000",
        fields: "completionMode: Indexed, completions: 4, parallelism: 4, backoffLimitPerIndex: 0, \
                 maxFailedIndexes: 0,",
        end: "Failed",
        status: &[("failedIndexes", "\"0\"")],
    },
    Case {
        // CF-apps-35
        name: "fail-index",
        script: "exit $(($JOB_COMPLETION_INDEX * 42))",
        fields: "completionMode: Indexed, completions: 2, parallelism: 2, backoffLimitPerIndex: 1, \
                 podFailurePolicy: {rules: [{action: FailIndex, onExitCodes: {containerName: main, \
                 operator: In, values: [42]}}]},",
        end: "Failed",
        status: &[
            ("failedIndexes", "\"1\""),
            ("failed", "1"),
            ("succeeded", "1"),
        ],
    },
];

#[test]
fn jobs_end_as_their_policies_say() {
    let sandbox = Sandbox::new();
    for case in &CASES {
        let file = job(&sandbox, case.name, case.script, case.fields);
        sandbox.ok(&format!("create -f {file} --no-wait"));
    }
    for case in &CASES {
        let status = || object(&sandbox, &format!("job/{}", case.name))["status"].take();
        sandbox.until(&format!("{} is {}", case.name, case.end), || {
            let conditions = status()["conditions"].as_array().cloned();
            let mut conditions = conditions.unwrap_or_default().into_iter();
            conditions.any(|it| it["type"] == case.end && it["status"] == "True")
        });
        let seen = status();
        for (field, wanted) in case.status {
            let wanted: Value = serde_json::from_str(wanted).unwrap();
            assert_eq!(seen[*field], wanted, "{}: {seen}", case.name);
        }
        // All of its pods have ended.
        assert!(seen["active"].is_null(), "{}: {seen}", case.name);
        sandbox.ok(&format!("delete job/{}", case.name));
    }
    sandbox.assert_nothing_left();
}

#[test]
fn pods_of_an_indexed_job_have_its_number_as_annotation_and_in_their_names() {
    // CF-apps-29
    let sandbox = Sandbox::new();
    let file = job(
        &sandbox,
        "work",
        "journal $JOB_COMPLETION_INDEX of $(hostname)",
        INDEXED,
    );
    sandbox.ok(&format!("create -f {file}"));
    let mut indexes = Vec::new();
    for pod in pods(&sandbox, "work-") {
        let pod = sandbox.pod(&pod);
        let index = &pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"];
        let index = index.as_str().unwrap().to_owned();
        assert_eq!(pod["spec"]["hostname"], format!("work-{index}"));
        indexes.push(index);
    }
    indexes.sort();
    assert_eq!(indexes, ["0", "1", "2", "3"]);
    sandbox.ok("delete job/work");
    sandbox.assert_nothing_left();
}

#[test]
fn a_task_that_fails_is_restarted_in_its_pod_with_what_it_has_written() {
    // CF-apps-36
    let sandbox = Sandbox::new();
    let text = "{apiVersion: batch/v1, kind: Job, metadata: {name: retry}, spec: {completions: 2, \
                parallelism: 2, template: {spec: {restartPolicy: OnFailure, volumes: [{name: d, \
                emptyDir: {}}], containers: [{name: c, image: busybox, volumeMounts: [{name: d, \
                mountPath: /petset-data}], command: [sh, -c, 'test -e $PETSET_MOUNT_D/f && exit 0; \
                touch $PETSET_MOUNT_D/f; exit 1']}]}}}}\n";
    let file = sandbox.manifest("retry.yaml", text);
    sandbox.ok(&format!("create -f {file}"));
    let all = pods(&sandbox, "retry-");
    assert_eq!(all.len(), 2);
    for pod in all {
        let status = &sandbox.pod(&pod)["status"]["containerStatuses"][0];
        assert_eq!(status["restartCount"], 1);
    }
    sandbox.ok("delete job/retry");
    sandbox.assert_nothing_left();
}

#[test]
fn a_job_that_runs_is_deleted_with_its_pods() {
    // CF-apps-37
    let sandbox = Sandbox::new();
    let file = job(
        &sandbox,
        "long",
        "exec sleep 1000",
        "parallelism: 2, completions: 2,",
    );
    sandbox.ok(&format!("create -f {file} --no-wait"));
    until_ready(&sandbox, "long-", 2);
    sandbox.ok("delete job/long");
    assert!(sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
}

/// Writes a workload of servers whose pods have the label `app: front`.
fn front(sandbox: &Sandbox, kind: &str, name: &str, fields: &str, word: &str) -> String {
    let version = if kind == "ReplicationController" {
        "v1"
    } else {
        "apps/v1"
    };
    let selector = match kind {
        "ReplicationController" => "selector: {app: front},",
        _ => "selector: {matchLabels: {app: front}},",
    };
    let text = format!(
        "{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, spec: {{{fields} \
         {selector} template: {{metadata: {{labels: {{app: front}}}}, spec: \
         {{terminationGracePeriodSeconds: 5, containers: [{{name: main, image: example/serve, \
         command: [{word}], readinessProbe: {{periodSeconds: 1, exec: {{command: [is-up]}}}}}}]}}}}}}}}\n"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

fn sizes(sandbox: &Sandbox) -> Vec<u64> {
    let list = object(sandbox, "rs");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let sizes = items
        .iter()
        .map(|set| set["spec"]["replicas"].as_u64().unwrap());
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn a_deployment_adopts_a_replica_set_of_its_labels_and_replaces_its_pods() {
    // CF-apps-14, CF-apps-16
    let sandbox = Sandbox::new();
    let old = front(&sandbox, "ReplicaSet", "old", "replicas: 1,", "serve");
    let text = fs::read_to_string(&old).unwrap();
    let number = "metadata: {annotations: {deployment.kubernetes.io/revision: '3546343826724305832'}, labels: {app: front}, \
                  name: old}";
    fs::write(&old, text.replace("metadata: {name: old}", number)).unwrap();
    apply(&sandbox, &old);
    let before = until_ready(&sandbox, "old-", 1);
    let fields = "replicas: 1, revisionHistoryLimit: 0,";
    let new = front(&sandbox, "Deployment", "new", fields, "serve");
    let text = fs::read_to_string(&new).unwrap();
    fs::write(&new, text.replace("name: main", "name: other")).unwrap();
    apply(&sandbox, &new);
    let revision = &object(&sandbox, "deploy/new")["metadata"]["annotations"];
    assert_eq!(
        revision["deployment.kubernetes.io/revision"],
        "3546343826724305833"
    );
    sandbox.until("the old one is forgotten", || sizes(&sandbox) == [1]);
    assert!(!sandbox.pets().contains(&before[0]));
    until_ready(&sandbox, "new-", 1);
    sandbox.ok("delete deploy/new");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deployment_rolls_over_to_the_template_that_is_wanted_last() {
    // CF-apps-17
    let sandbox = Sandbox::new();
    let fields = "replicas: 1, minReadySeconds: 1, strategy: {rollingUpdate: {maxSurge: 1, \
                  maxUnavailable: 0}},";
    apply(
        &sandbox,
        &front(&sandbox, "Deployment", "new", fields, "serve"),
    );
    let first = until_ready(&sandbox, "new-", 1);
    let broken = front(&sandbox, "Deployment", "new", fields, "no-such-program");
    sandbox.ok(&format!("apply -f {broken} --no-wait"));
    sandbox.until("both have a pod", || sizes(&sandbox) == [1, 1]);
    assert!(is_ready(&sandbox.pod(&first[0])));
    let last = front(&sandbox, "Deployment", "new", fields, "sh, -c, exec serve");
    apply(&sandbox, &last);
    assert_eq!(sizes(&sandbox), [0, 0, 1]);
    sandbox.ok("delete deploy/new");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deployment_that_is_scaled_amid_a_rollout_keeps_the_proportion() {
    // CF-apps-19
    let sandbox = Sandbox::new();
    let fields = |replicas: u32| {
        format!(
            "replicas: {replicas}, strategy: {{rollingUpdate: {{maxSurge: 3, maxUnavailable: 2}}}},"
        )
    };
    apply(
        &sandbox,
        &front(&sandbox, "Deployment", "new", &fields(10), "serve"),
    );
    let broken = front(
        &sandbox,
        "Deployment",
        "new",
        &fields(10),
        "no-such-program",
    );
    sandbox.ok(&format!("apply -f {broken} --no-wait"));
    sandbox.until("the rollout hangs", || sizes(&sandbox) == [5, 8]);
    sandbox.until("the surplus is gone", || pods(&sandbox, "new-").len() == 13);
    let more = front(
        &sandbox,
        "Deployment",
        "new",
        &fields(30),
        "no-such-program",
    );
    sandbox.ok(&format!("apply -f {more} --no-wait"));
    sandbox.until("both have grown", || sizes(&sandbox) == [13, 20]);
    sandbox.ok("delete deploy/new");
    sandbox.assert_nothing_left();
}

#[test]
fn what_a_workload_has_made_goes_with_it_or_stays_as_it_is_asked() {
    // CF-api-38, CF-api-39, CF-api-40
    // CF-apps-43, CF-api-37 to CF-api-41
    let sandbox = Sandbox::new();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: bare, labels: {app: front}}, spec: \
               {terminationGracePeriodSeconds: 5, containers: [{name: main, image: example/serve, \
               command: [serve]}]}}\n";
    let bare = sandbox.manifest("bare.yaml", pod);
    sandbox.ok(&format!("create -f {bare}"));
    let controller = front(
        &sandbox,
        "ReplicationController",
        "rc",
        "replicas: 3,",
        "serve",
    );
    apply(&sandbox, &controller);
    assert_eq!(
        sandbox.pod("bare")["metadata"]["ownerReferences"][0]["name"],
        "rc"
    );
    sandbox.ok("delete rc/rc --cascade=orphan");
    assert_eq!(sandbox.pets().len(), 3);
    apply(&sandbox, &controller);
    assert_eq!(sandbox.pets().len(), 3, "those were adopted");
    sandbox.ok("delete rc/rc --cascade=background");
    assert!(sandbox.pets().is_empty());

    let deployment = front(&sandbox, "Deployment", "new", "replicas: 2,", "serve");
    apply(&sandbox, &deployment);
    sandbox.ok("delete deploy/new --cascade=orphan");
    let set = object(&sandbox, "rs")["items"][0].take();
    assert!(set["metadata"]["ownerReferences"].is_null(), "{set}");
    assert_eq!(pods(&sandbox, "new-").len(), 2);
    apply(&sandbox, &deployment);
    assert_eq!(sizes(&sandbox), [2], "it was adopted");
    // The object is there until its pods are gone.
    let mut deleting = sandbox.start("delete deploy/new --cascade=foreground");
    while deleting.runs() {
        let there = sandbox.run("get deploy/new").code == 0;
        assert!(there || sandbox.pets().is_empty());
    }
    assert_eq!(sandbox.finish("delete", deleting).code, 0);
    assert!(sizes(&sandbox).is_empty() && sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn pods_of_a_replica_set_keep_their_template_and_new_ones_have_the_other() {
    // CF-apps-50
    let sandbox = Sandbox::new();
    apply(
        &sandbox,
        &front(&sandbox, "ReplicaSet", "set", "replicas: 2,", "serve"),
    );
    let before = until_ready(&sandbox, "set-", 2);
    let more = front(
        &sandbox,
        "ReplicaSet",
        "set",
        "replicas: 3,",
        "sh, -c, exec serve",
    );
    apply(&sandbox, &more);
    let after = until_ready(&sandbox, "set-", 3);
    for pod in &after {
        let command = &sandbox.pod(pod)["spec"]["containers"][0]["command"];
        let words = command.as_array().unwrap().len();
        assert_eq!(words, if before.contains(pod) { 1 } else { 3 });
    }
    sandbox.ok("delete rs/set");
    sandbox.assert_nothing_left();
}

#[test]
fn a_failed_pod_of_a_daemon_set_is_replaced() {
    // CF-apps-09
    let sandbox = Sandbox::new();
    let text = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: \
                {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: \
                {terminationGracePeriodSeconds: 1, volumes: [{name: d, emptyDir: {sizeLimit: 1Mi}}], \
                containers: [{name: c, image: busybox, volumeMounts: [{name: d, mountPath: \
                /petset-data}], command: [sh, -c, 'test -e $HOME/second || head -c 9000000 /dev/zero \
                >$PETSET_MOUNT_D/f; journal up $POD_NAME; exec sleep 1000']}]}}}}\n";
    let file = sandbox.manifest("agent.yaml", text);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.until("the first pod is up", || sandbox.journal().len() == 1);
    sandbox.open("second");
    sandbox.until("another has taken its place", || {
        let all = pods(&sandbox, "agent-");
        let other = |pod: &String| !sandbox.journal()[0].ends_with(pod.as_str());
        all.len() == 1 && other(&all[0]) && is_ready(&sandbox.pod(&all[0]))
    });
    sandbox.ok("events ds/agent").says("FailedDaemonPod");
    sandbox.ok("delete ds/agent");
    sandbox.assert_nothing_left();
}

#[test]
fn pods_of_fifty_volumes_each_start_side_by_side() {
    // CF-stor-06
    let sandbox = Sandbox::new();
    let mut text = String::new();
    let (mut volumes, mut mounts) = (String::new(), String::new());
    for number in 0..50 {
        text.push_str(&format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{number}}}, data: {{number: \
             '{number}'}}}}\n---\n"
        ));
        volumes.push_str(&format!(
            "{{name: v{number}, configMap: {{name: c{number}}}}},"
        ));
        mounts.push_str(&format!(
            "{{name: v{number}, mountPath: /petset-v/{number}}},"
        ));
    }
    text.push_str(&format!(
        "{{apiVersion: v1, kind: ReplicationController, metadata: {{name: many}}, spec: {{replicas: \
         5, selector: {{app: many}}, template: {{metadata: {{labels: {{app: many}}}}, spec: \
         {{terminationGracePeriodSeconds: 1, volumes: [{volumes}], containers: [{{name: c, image: \
         busybox, command: [sh, -c, 'journal $(cat $PETSET_MOUNT_V7/number); exec sleep 1000'], \
         volumeMounts: [{mounts}]}}]}}}}}}}}\n"
    ));
    let file = sandbox.manifest("many.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    until_ready(&sandbox, "many-", 5);
    sandbox.until("each reads its file", || sandbox.count("7") == 5);
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.assert_nothing_left();
}

#[test]
fn a_service_changes_its_type_and_its_name_leads_elsewhere() {
    // CF-net-29, CF-net-31
    let sandbox = Sandbox::new();
    let set = front(&sandbox, "ReplicaSet", "set", "replicas: 1,", "serve");
    apply(&sandbox, &set);
    let service = |fields: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {fields}, ports: [{{port: 80}}]}}}}\n"
        );
        sandbox.manifest("service.yaml", &text)
    };
    let selecting = "selector: {app: front}";
    apply(
        &sandbox,
        &service(&format!("other}}, spec: {{clusterIP: None, {selecting}")),
    );
    let alias = "door}, spec: {type: ExternalName, externalName: other.default.svc.cluster.local";
    apply(&sandbox, &service(alias));
    let pod = until_ready(&sandbox, "set-", 1);
    let address = crate::address(&sandbox, &pod[0]);
    sandbox.until_says("dns query door", &address);
    apply(&sandbox, &service(&format!("door}}, spec: {{{selecting}")));
    let own = || object(&sandbox, "svc/door")["spec"]["clusterIP"].clone();
    sandbox.until("it has an address of its own", || {
        let own = own().as_str().map(|ip| format!("{ip}\n"));
        own.is_some_and(|own| sandbox.run("dns query door").out == own)
    });
    let ip = own().as_str().unwrap().to_owned();
    assert_ne!(ip, address);
    apply(&sandbox, &service(alias));
    sandbox.until_says("dns query door", &address);
    sandbox.ok("delete svc/door svc/other rs/set");
    sandbox.assert_nothing_left();
}
