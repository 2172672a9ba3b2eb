use serde::de::DeserializeOwned;

use super::*;
use crate::yaml;

/// Reads YAML.
fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&yaml::to_json(text).unwrap()).unwrap()
}

const WEB: &str = "
metadata:
  name: web
  namespace: NS
  creationTimestamp: 2026-11-29T08:40:17Z
  uid: u
  annotations:
    deployment.kubernetes.io/revision: '2'
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: img:v2, resources: {requests: {cpu: 100m}}, env: [{name: A, value: '1'}]}
status:
  replicas: 7
  updatedReplicas: 3
  availableReplicas: 4
  unavailableReplicas: 3
  conditions:
  - {type: Available, status: 'True', reason: MinimumReplicasAvailable}
  - {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}
";

fn replica_set(name: &str, image: &str, (there, wanted): (i32, i32)) -> ReplicaSet {
    read(&format!(
        "{{metadata: {{name: {name}}}, status: {{replicas: {there}}}, spec: {{replicas: {wanted}, \
         selector: {{}}, template: {{metadata: {{labels: {{app: web, pod-template-hash: x}}}}, \
         spec: {{containers: [{{name: c, image: '{image}', resources: {{requests: {{cpu: 100m}}}}, \
         env: [{{name: A, value: '1'}}]}}]}}}}}}}}"
    ))
}

fn page(workload: &Workload, sets: Vec<ReplicaSet>, pods: Vec<Pod>) -> String {
    let mut page = Page::default();
    write_page(workload, &Surroundings { sets, pods }, &mut page);
    page.to_string()
}

/// Compares line by line; how wide the columns are is petset's own.
#[track_caller]
fn same(page: &str, wanted: &str) {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = |text: &str| text.lines().map(words).collect::<Vec<_>>();
    assert_eq!(lines(page), lines(wanted));
}

#[test]
fn a_deployment_names_its_replica_sets() {
    let web = Workload::Deployment(read(WEB));
    let sets = vec![
        replica_set("web-1", "img:v1", (4, 4)),
        replica_set("web-2", "img:v2", (3, 3)),
        replica_set("web-3", "img:v3", (0, 0)),
    ];
    let text = "\
Name: web
Namespace: NS
CreationTimestamp: Sun, 29 Nov 2026 08:40:17 +0000
Labels: <none>
Annotations: deployment.kubernetes.io/revision: 2
Selector: app=web
Replicas: 5 desired | 3 updated | 7 total | 4 available | 3 unavailable
StrategyType: RollingUpdate
MinReadySeconds: 0
RollingUpdateStrategy: 25% max unavailable, 25% max surge
Pod Template:
Labels: app=web
Containers:
c:
Image: img:v2
Port: <none>
Host Port: <none>
Requests:
cpu: 100m
Environment:
A: 1
Mounts: <none>
Volumes: <none>
Node-Selectors: <none>
Tolerations: <none>
Conditions:
Type Status Reason
---- ------ ------
Available True MinimumReplicasAvailable
Progressing False ProgressDeadlineExceeded
OldReplicaSets: web-1 (4/4 replicas created), web-3 (0/0 replicas created)
NewReplicaSet: web-2 (3/3 replicas created)
";
    same(&page(&web, sets, Vec::new()), text);
    let other = vec![replica_set("web-1", "img:v1", (3, 3))];
    assert!(page(&web, other, Vec::new()).ends_with("NewReplicaSet:   <none>\n"));
}

#[test]
fn a_replica_set_and_a_daemon_set_count_their_pods() {
    let set =
        "{metadata: {name: web, namespace: NS, ownerReferences: [{kind: Deployment, name: web,
      apiVersion: apps/v1, uid: u, controller: true}]}, status: {replicas: 3}, spec: {replicas: 4,
      selector: {matchLabels: {app: web}}, template: {spec: {containers: [{name: c}]}}}}";
    let pod = |phase: &str| read::<Pod>(&format!("{{metadata: {{}}, status: {{phase: {phase}}}}}"));
    let pods = vec![pod("Running"), pod("Pending"), pod("Running")];
    let told = page(&Workload::ReplicaSet(read(set)), Vec::new(), pods);
    let text = "\
Name: web
Namespace: NS
Selector: app=web
Labels: <none>
Annotations: <none>
Controlled By: Deployment/web
Replicas: 3 current / 4 desired
Pods Status: 2 Running / 1 Waiting / 0 Succeeded / 0 Failed
";
    same(told.split("Pod Template").next().unwrap(), text);

    let agent = "{metadata: {name: agent, namespace: NS}, spec: {selector: {matchLabels:
      {app: agent}}, template: {spec: {nodeSelector: {disk: ssd}, containers: [{name: c}]}}},
      status: {desiredNumberScheduled: 1, currentNumberScheduled: 1, numberReady: 0,
      updatedNumberScheduled: 1, numberAvailable: 0, numberMisscheduled: 2}}";
    let told = page(
        &Workload::DaemonSet(read(agent)),
        Vec::new(),
        vec![pod("Running")],
    );
    let text = "\
Name: agent
Namespace: NS
Selector: app=agent
Node-Selector: disk=ssd
Labels: <none>
Annotations: <none>
Desired Number of Nodes Scheduled: 1
Current Number of Nodes Scheduled: 1
Number of Nodes Scheduled with Up-to-date Pods: 1
Number of Nodes Scheduled with Available Pods: 0
Number of Nodes Misscheduled: 2
Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed
";
    same(told.split("Pod Template").next().unwrap(), text);
    assert!(told.contains("Node-Selectors:   disk=ssd"), "{told}");
}

#[test]
fn a_job_tells_when_it_ran_and_what_is_done() {
    let job =
        "{metadata: {name: idx, namespace: NS, labels: {job-name: idx}}, spec: {parallelism: 3,
      completions: 3, completionMode: Indexed, suspend: false, backoffLimit: 6, selector:
      {matchLabels: {job-name: idx}}, template: {spec: {containers: [{name: c}]}}}, status:
      {startTime: '2026-11-29T08:41:28Z', completionTime: '2026-11-29T08:41:29Z', ready: 0,
      succeeded: 3, completedIndexes: 0-2}}";
    let told = page(&Workload::Job(read(job)), Vec::new(), Vec::new());
    let text = "\
Name: idx
Namespace: NS
Selector: job-name=idx
Labels: job-name=idx
Annotations: <none>
Parallelism: 3
Completions: 3
Completion Mode: Indexed
Suspend: false
Backoff Limit: 6
Start Time: Sun, 29 Nov 2026 08:41:28 +0000
Completed At: Sun, 29 Nov 2026 08:41:29 +0000
Duration: 1s
Pods Statuses: 0 Active (0 Ready) / 3 Succeeded / 0 Failed
Completed Indexes: 0-2
";
    same(told.split("Pod Template").next().unwrap(), text);
    let many = (0..40).map(|index| (index * 2).to_string());
    let cut = indexes(Some(many.collect::<Vec<_>>().join(",")));
    assert!(cut.ends_with(",34,36,...") && cut.len() < 60, "{cut}");
}

#[test]
fn a_cron_job_tells_when_its_jobs_begin() {
    let job = "{metadata: {name: zoned, namespace: NS}, spec: {schedule: 0 3 * * *,
      timeZone: Europe/Zurich, suspend: false, concurrencyPolicy: Allow, startingDeadlineSeconds: 60,
      successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1, jobTemplate: {spec: {template: {spec:
      {containers: [{name: c, image: 'img:exit0'}]}}}}}, status: {active: [{name: a}, {name: b}]}}";
    let told = page(&Workload::CronJob(read(job)), Vec::new(), Vec::new());
    let text = "\
Name: zoned
Namespace: NS
Labels: <none>
Annotations: <none>
Schedule: 0 3 * * *
Concurrency Policy: Allow
Suspend: False
Time Zone: Europe/Zurich
Successful Job History Limit: 3
Failed Job History Limit: 1
Starting Deadline Seconds: 60s
Selector: <unset>
Parallelism: <unset>
Completions: <unset>
Pod Template:
Labels: <none>
Containers:
c:
Image: img:exit0
Port: <none>
Host Port: <none>
Environment: <none>
Mounts: <none>
Volumes: <none>
Node-Selectors: <none>
Tolerations: <none>
Last Schedule Time: <unset>
Active Jobs: a, b
";
    same(&told, text);
}
