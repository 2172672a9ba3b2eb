//! What the API server fills in.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use super::{Kind, read, write};

/// Fills in what an object of a kind leaves out.
pub(super) fn complete(kind: Kind, object: &mut Value) {
    let spec = &mut object["spec"];
    match kind {
        Kind::Deployment => {
            template(spec);
            fill(spec, "replicas", 1.into());
            fill(spec, "revisionHistoryLimit", 10.into());
            fill(spec, "progressDeadlineSeconds", 600.into());
            let strategy = &mut spec["strategy"];
            fill(strategy, "type", "RollingUpdate".into());
            if strategy["type"] == "RollingUpdate" {
                fill(&mut strategy["rollingUpdate"], "maxSurge", "25%".into());
                fill(
                    &mut strategy["rollingUpdate"],
                    "maxUnavailable",
                    "25%".into(),
                );
            }
        }
        Kind::ReplicaSet => {
            template(spec);
            fill(spec, "replicas", 1.into());
        }
        Kind::ReplicationController => {
            template(spec);
            fill(spec, "replicas", 1.into());
            let labels = spec["template"]["metadata"]["labels"].clone();
            fill(spec, "selector", labels);
        }
        Kind::DaemonSet => {
            template(spec);
            fill(spec, "revisionHistoryLimit", 10.into());
            fill(&mut spec["updateStrategy"], "type", "RollingUpdate".into());
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                fill(
                    &mut spec["updateStrategy"]["rollingUpdate"],
                    "maxUnavailable",
                    1.into(),
                );
                fill(
                    &mut spec["updateStrategy"]["rollingUpdate"],
                    "maxSurge",
                    0.into(),
                );
            }
        }
        Kind::Job => job(spec),
        Kind::CronJob => {
            template(&mut spec["jobTemplate"]["spec"]);
            fill(spec, "concurrencyPolicy", "Allow".into());
            fill(spec, "suspend", false.into());
            fill(spec, "successfulJobsHistoryLimit", 3.into());
            fill(spec, "failedJobsHistoryLimit", 1.into());
        }
        Kind::Pod
        | Kind::StatefulSet
        | Kind::Claim
        | Kind::Volume
        | Kind::Revision
        | Kind::Node
        | Kind::Quota
        | Kind::Class => {}
    }
}

pub(super) fn job(spec: &mut Value) {
    template(spec);
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        fill(spec, "completions", 1.into());
    }
    fill(spec, "parallelism", 1.into());
    let per_index = spec["backoffLimitPerIndex"].is_number();
    fill(
        spec,
        "backoffLimit",
        if per_index { i32::MAX.into() } else { 6.into() },
    );
    fill(spec, "completionMode", "NonIndexed".into());
    fill(spec, "suspend", false.into());
    fill(spec, "manualSelector", false.into());
    let policy = if spec["podFailurePolicy"].is_null() {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    fill(spec, "podReplacementPolicy", policy.into());
}

/// Gives a Job a selector of its own and its pods the labels for it (JB02).
pub(super) fn select_by_uid(job: &mut Value, uid: &str, name: &str) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for (key, value) in [("controller-uid", uid), ("job-name", name)] {
        labels[key] = value.into();
        labels[format!("batch.kubernetes.io/{key}")] = value.into();
    }
    let labels = labels.clone();
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    fill(&mut job["metadata"], "labels", labels);
}

fn fill(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

/// Completes a pod template as the reader of manifests does.
fn template(spec: &mut Value) {
    let mut policy = spec["template"]["spec"]["restartPolicy"].clone();
    let set = json!({"metadata": {}, "spec": {"selector": {}, "serviceName": "", "template": spec["template"]}});
    let mut set: StatefulSet = read(&set);
    petset::complete_set(&mut set);
    spec["template"] = write(&set)["spec"]["template"].take();
    if policy.is_string() {
        spec["template"]["spec"]["restartPolicy"] = policy.take();
    }
}
