//! Workloads run: what replica sets, deployments, jobs and so on make of real processes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "workloading/conformance.rs"]
mod conformance;
#[path = "workloading/cron_jobs.rs"]
mod cron_jobs;
#[path = "workloading/daemon_sets.rs"]
mod daemon_sets;
#[path = "workloading/deployments.rs"]
mod deployments;
#[path = "workloading/init_containers.rs"]
mod init_containers;
#[path = "workloading/jobs.rs"]
mod jobs;
#[path = "workloading/replica_sets.rs"]
mod replica_sets;

use serde_json::Value;
use support::{Outcome, Sandbox};

/// The pods whose names begin so, which run or are to run.
fn pods(sandbox: &Sandbox, prefix: &str) -> Vec<String> {
    let all = sandbox.pets().into_iter();
    let own = all.filter(|name| name.starts_with(prefix));
    own.filter(|name| sandbox.pod(name)["metadata"]["deletionTimestamp"].is_null())
        .collect()
}

/// Waits until there are so many pods, all of them ready, and returns their names.
#[track_caller]
fn until_ready(sandbox: &Sandbox, prefix: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    sandbox.until(&format!("{count} pods of {prefix} are ready"), || {
        found = sandbox.pets();
        found.retain(|name| name.starts_with(prefix));
        found.len() == count && found.iter().all(|name| is_ready(&sandbox.pod(name)))
    });
    found
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = conditions.and_then(|all| all.iter().find(|it| it["type"] == "Ready"));
    ready.is_some_and(|it| it["status"] == "True") && pod["metadata"]["deletionTimestamp"].is_null()
}

/// An object as `get -o json` shows it.
fn object(sandbox: &Sandbox, name: &str) -> Value {
    let output = sandbox.command(&format!("get {name} -o json")).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default()
}

fn address(sandbox: &Sandbox, pod: &str) -> String {
    let address = sandbox.pod(pod)["status"]["podIP"].clone();
    address.as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn apply(sandbox: &Sandbox, file: &str) -> Outcome {
    sandbox.ok(&format!("apply -f {file}"))
}
