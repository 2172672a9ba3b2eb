//! One pass of each controller over 10,000 pets or pods, in the states in which it has most to do.
//!
//! `cargo bench --bench reconcile` prints the middle of several passes; the bound is 10 ms.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use petset::model::cron_job::{self, JobsSeen};
use petset::model::daemon_set::{self, NodesSeen};
use petset::model::deployment::{self, SetsSeen};
use petset::model::job::{self, BackOffRecord, JobSeen};
use petset::model::node::this_node;
use petset::model::replica_set::{self, PodsSeen};
use petset::model::workload::Random;
use petset::model::{Ordinal, PetSeen, Phase, Rules, Seen, Set, Step, reconcile};
use serde_json::{Value, json};

const PETS: u32 = 10_000;
const RUNS: usize = 31;
const BOUND: Duration = Duration::from_millis(10);

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        return; // `cargo test --benches` starts this too
    }
    for policy in ["OrderedReady", "Parallel"] {
        let want = set(policy, "v1");
        let calm = world(&want, PETS);
        report(policy, "all ready", &want, &calm);
        report(policy, "an upgrade", &set(policy, "v2"), &calm);
        report(policy, "half of it missing", &want, &world(&want, PETS / 2));
    }
    replica_sets();
    deployments();
    jobs();
    daemon_sets();
    cron_jobs();
}

fn set(policy: &str, image: &str) -> Set {
    let set = json!({"metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"replicas": PETS, "podManagementPolicy": policy, "serviceName": "web",
            "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}});
    let set: StatefulSet = serde_json::from_value(set).unwrap();
    Set::of(&set).unwrap()
}

/// A set that rests at what is wanted, but for pets that are missing.
fn world(want: &Set, pets: u32) -> Seen {
    let mut seen = Seen::default();
    let first = reconcile(want, &seen, Rules::default(), Timestamp::UNIX_EPOCH);
    for step in first.steps {
        if let Step::CreateRevision(revision) = step {
            seen.revisions.push(*revision);
        }
    }
    let revision = first.status.update_revision.clone().unwrap();
    for ordinal in (0..pets).map(Ordinal) {
        let name = want.pet_name(ordinal);
        let claim = format!("data-{name}");
        let made = petset::model::ClaimSeen {
            name: claim.clone(),
            ..petset::model::ClaimSeen::default()
        };
        seen.claims.insert(claim, made);
        let pet = PetSeen {
            uid: format!("uid-{ordinal}"),
            name,
            revision: revision.clone(),
            labels: want.template_labels.clone(),
            owner: Some(want.uid.clone()),
            phase: Phase::Running,
            ready: true,
            ready_since: Some(Timestamp::UNIX_EPOCH),
            ..PetSeen::default()
        };
        seen.pets.insert(ordinal, pet);
    }
    seen.status = first.status;
    seen
}

fn report(policy: &str, what: &str, want: &Set, seen: &Seen) {
    let now = Timestamp::now();
    time(policy, what, || {
        reconcile(want, seen, Rules::default(), now)
    });
}

/// Prints how long the middle one of several passes takes.
fn time<T>(kind: &str, what: &str, mut pass: impl FnMut() -> T) {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let outcome = pass();
            let time = start.elapsed();
            drop(outcome);
            time
        })
        .collect();
    times.sort();
    let (best, middle, worst) = (times[0], times[RUNS / 2], times[RUNS - 1]);
    let verdict = if middle <= BOUND { "" } else { "  TOO SLOW" };
    println!("{kind:<12} {what:<20} {middle:>10.2?} (best {best:.2?}, worst {worst:.2?}){verdict}");
}

/// Makes pods of an owner that run, or have ended in a phase; those of a Job are held for counting.
fn pods(kind: &str, count: u32, phase: &str) -> Vec<Pod> {
    let held = (kind == "Job").then(|| json!(["batch.kubernetes.io/job-tracking"]));
    let pod = |number: u32| -> Pod {
        let pod = json!({"metadata": {"name": format!("it-{number}"), "namespace": "default",
                "uid": format!("uid-{number}"), "labels": {"app": "it"}, "finalizers": held,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"apiVersion": "x", "kind": kind, "name": "it", "uid": "u",
                    "controller": true}]},
            "spec": {"containers": [{"name": "c", "image": "v1"}], "nodeName": "localhost"},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status":
                if phase == "Running" { "True" } else { "False" },
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        serde_json::from_value(pod).unwrap()
    };
    (0..count).map(pod).collect()
}

/// Makes an object named `it` with what is common to specs of workloads.
fn object<T: serde::de::DeserializeOwned>(spec: Value, status: Value) -> T {
    let mut object = json!({"metadata": {"name": "it", "namespace": "default", "uid": "u",
            "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status,
        "spec": {"selector": {"matchLabels": {"app": "it"}},
            "template": {"metadata": {"labels": {"app": "it"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}]}}}});
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn replica_sets() {
    let (now, mut random) = (Timestamp::now(), Random::seeded(1));
    for (what, wanted) in [
        ("all ready", PETS),
        ("half of it missing", PETS * 2),
        ("half of it too many", PETS / 2),
    ] {
        let set: ReplicaSet = object(json!({"replicas": wanted}), Value::Null);
        let all = pods("ReplicaSet", PETS, "Running");
        time("ReplicaSet", what, || {
            let seen = PodsSeen {
                pods: all.iter().collect(),
                related: Vec::new(),
            };
            replica_set::reconcile(&set, &seen, now, &mut random).unwrap()
        });
    }
}

fn deployments() {
    let now = Timestamp::now();
    for strategy in ["RollingUpdate", "Recreate"] {
        let spec = json!({"replicas": PETS, "strategy": {"type": strategy}});
        let deployment: Deployment = object(spec, Value::Null);
        let status = json!({"replicas": PETS, "availableReplicas": PETS});
        let mut set: ReplicaSet = object(json!({"replicas": PETS}), status);
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "it",
            "uid": "u", "controller": true}]);
        set.metadata.owner_references = serde_json::from_value(owner).unwrap();
        set.metadata.labels = Some([("app".to_owned(), "it".to_owned())].into());
        let template = set.spec.as_mut().unwrap().template.as_mut().unwrap();
        template.spec.as_mut().unwrap().containers[0].image = Some("v0".to_owned());
        let all = pods("ReplicaSet", PETS, "Running");
        time("Deployment", strategy, || {
            let seen = SetsSeen {
                sets: vec![&set],
                pods: all.iter().collect(),
            };
            deployment::reconcile(&deployment, &seen, now).unwrap()
        });
    }
}

fn jobs() {
    let (now, mut random) = (Timestamp::now(), Random::seeded(1));
    for (what, phase) in [("all run", "Running"), ("all have ended", "Succeeded")] {
        let spec = json!({"completions": PETS * 2, "parallelism": PETS, "backoffLimit": 6,
            "completionMode": "NonIndexed"});
        let job: Job = object(spec, json!({"startTime": "2026-01-01T00:00:00Z"}));
        let all = pods("Job", PETS, phase);
        time("Job", what, || {
            let seen = JobSeen {
                pods: all.iter().collect(),
                back_off: BackOffRecord::default(),
            };
            job::reconcile(&job, &seen, now, &mut random).unwrap()
        });
    }
}

fn daemon_sets() {
    let (now, mut random) = (Timestamp::now(), Random::seeded(1));
    let set: DaemonSet = object(
        json!({"updateStrategy": {"type": "RollingUpdate"}}),
        Value::Null,
    );
    let node = this_node("x86_64", "", &std::collections::BTreeMap::new());
    for (what, kind) in [("pods of others", "ReplicaSet"), ("too many", "DaemonSet")] {
        let all = pods(kind, PETS, "Running");
        time("DaemonSet", what, || {
            let seen = NodesSeen {
                nodes: vec![&node],
                pods: all.iter().collect(),
                revisions: Vec::new(),
                failed: daemon_set::FailedPods::default(),
            };
            daemon_set::reconcile(&set, &seen, now, &mut random).unwrap()
        });
    }
}

fn cron_jobs() {
    let now = Timestamp::now();
    let cron = json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {}}}});
    let cron: CronJob = object(cron, json!({"lastScheduleTime": now.to_string()}));
    let made = |number: u32| -> Job {
        let owner = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "it", "uid": "u",
            "controller": true}]);
        let job = json!({"metadata": {"name": format!("it-{number}"), "uid": format!("j{number}"),
                "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": owner},
            "spec": {"template": {}}, "status": {"conditions": [{"type": "Complete",
                "status": "True"}]}});
        serde_json::from_value(job).unwrap()
    };
    let all: Vec<Job> = (0..PETS).map(made).collect();
    time("CronJob", "all have ended", || {
        let seen = JobsSeen {
            jobs: all.iter().collect(),
            zone: Some(jiff::tz::TimeZone::UTC),
        };
        cron_job::reconcile(&cron, &seen, now)
    });
}
