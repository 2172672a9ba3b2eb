//! The columns that `kubectl get` prints of workloads: `printers.go` of Kubernetes, and what
//! kubectl printed (`kubectl-workloads.json`).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::age;
use super::selector::{labels_text, or_none, selector_text};
use crate::model::Workload;
use crate::model::kind::WorkloadKind;

/// The headings after those of `-o wide`.
const WIDE: [&str; 3] = ["CONTAINERS", "IMAGES", "SELECTOR"];

/// Returns the headings of the table of a kind: those always shown, and those of `-o wide`.
pub(crate) const fn workload_headings(
    kind: WorkloadKind,
) -> (&'static [&'static str], &'static [&'static str]) {
    let narrow: &[&str] = match kind {
        WorkloadKind::Deployment => &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController => {
            &["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
        }
        WorkloadKind::DaemonSet => &[
            "NAME",
            "DESIRED",
            "CURRENT",
            "READY",
            "UP-TO-DATE",
            "AVAILABLE",
            "NODE SELECTOR",
            "AGE",
        ],
        WorkloadKind::Job => &["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"],
        WorkloadKind::CronJob => &[
            "NAME",
            "SCHEDULE",
            "TIMEZONE",
            "SUSPEND",
            "ACTIVE",
            "LAST SCHEDULE",
            "AGE",
        ],
    };
    (narrow, &WIDE)
}

/// Returns the cells of a workload: those always shown, and those of `-o wide`.
#[must_use]
pub fn workload_cells(workload: &Workload, now: Timestamp) -> (Vec<String>, Vec<String>) {
    let narrow = match workload {
        Workload::Deployment(deployment) => self::deployment(deployment),
        Workload::ReplicaSet(set) => replica_set(set),
        Workload::ReplicationController(controller) => replication_controller(controller),
        Workload::DaemonSet(set) => daemon_set(set),
        Workload::Job(job) => self::job(job, now),
        Workload::CronJob(job) => cron_job(job, now),
    };
    let meta = workload.metadata();
    let mut cells = vec![meta.name.clone().unwrap_or_default()];
    cells.extend(narrow);
    cells.push(since(meta.creation_timestamp.as_ref(), now, "<unknown>"));
    (cells, wide(workload))
}

/// Returns containers, images and selector.
fn wide(workload: &Workload) -> Vec<String> {
    let pod = workload
        .template()
        .and_then(|template| template.spec.as_ref());
    let containers = pod.map_or(&[][..], |pod| &pod.containers);
    let names = containers.iter().map(|container| container.name.clone());
    let images = containers
        .iter()
        .map(|container| container.image.clone().unwrap_or_default());
    vec![
        names.collect::<Vec<_>>().join(","),
        images.collect::<Vec<_>>().join(","),
        workload_selector(workload),
    ]
}

/// Prints the selector by which a workload knows its pods.
#[must_use]
pub fn workload_selector(workload: &Workload) -> String {
    let selector = match workload {
        Workload::Deployment(deployment) => deployment.spec.as_ref().map(|spec| &spec.selector),
        Workload::ReplicaSet(set) => set.spec.as_ref().map(|spec| &spec.selector),
        Workload::DaemonSet(set) => set.spec.as_ref().map(|spec| &spec.selector),
        Workload::Job(job) => job.spec.as_ref().and_then(|spec| spec.selector.as_ref()),
        Workload::CronJob(job) => {
            let made = job.spec.job_template.spec.as_ref();
            made.and_then(|spec| spec.selector.as_ref())
        }
        Workload::ReplicationController(controller) => {
            let spec = controller.spec.as_ref();
            return labels_text(spec.and_then(|spec| spec.selector.as_ref()));
        }
    };
    selector.map_or_else(|| or_none(String::new()), selector_text)
}

fn deployment(deployment: &Deployment) -> Vec<String> {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let status = deployment.status.clone().unwrap_or_default();
    let ready = status.ready_replicas.unwrap_or_default();
    vec![
        format!("{ready}/{}", wanted.unwrap_or(1)),
        count(status.updated_replicas),
        count(status.available_replicas),
    ]
}

fn replica_set(set: &ReplicaSet) -> Vec<String> {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
    let status = set.status.clone().unwrap_or_default();
    vec![
        wanted.unwrap_or(1).to_string(),
        status.replicas.to_string(),
        count(status.ready_replicas),
    ]
}

fn replication_controller(controller: &ReplicationController) -> Vec<String> {
    let wanted = controller.spec.as_ref().and_then(|spec| spec.replicas);
    let status = controller.status.clone().unwrap_or_default();
    vec![
        wanted.unwrap_or(1).to_string(),
        status.replicas.to_string(),
        count(status.ready_replicas),
    ]
}

fn daemon_set(set: &DaemonSet) -> Vec<String> {
    let status = set.status.clone().unwrap_or_default();
    let pod = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    vec![
        status.desired_number_scheduled.to_string(),
        status.current_number_scheduled.to_string(),
        status.number_ready.to_string(),
        count(status.updated_number_scheduled),
        count(status.number_available),
        labels_text(pod.and_then(|pod| pod.node_selector.as_ref())),
    ]
}

fn job(job: &Job, now: Timestamp) -> Vec<String> {
    let spec = job.spec.clone().unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let succeeded = status.succeeded.unwrap_or_default();
    let wanted = match (spec.completions, spec.parallelism.unwrap_or_default()) {
        (Some(wanted), _) => wanted.to_string(),
        (None, parallel @ 2..) => format!("1 of {parallel}"),
        (None, _) => "1".to_owned(),
    };
    let end = status.completion_time.as_ref().map_or(now, |time| time.0);
    let took = status
        .start_time
        .map(|start| age(end.duration_since(start.0)));
    vec![
        job_status_word(job).to_owned(),
        format!("{succeeded}/{wanted}"),
        took.unwrap_or_default(),
    ]
}

/// Returns the STATUS column of a Job.
#[must_use]
pub fn job_status_word(job: &Job) -> &'static str {
    let status = job.status.as_ref();
    let has = |kind: &str| {
        let conditions = status.iter().flat_map(|status| status.conditions.iter());
        let mut conditions = conditions.flatten();
        conditions.any(|condition| condition.type_ == kind && condition.status == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job.metadata.deletion_timestamp.is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn cron_job(job: &CronJob, now: Timestamp) -> Vec<String> {
    let (spec, status) = (&job.spec, job.status.clone().unwrap_or_default());
    let suspended = match spec.suspend {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let active = status.active.unwrap_or_default().len();
    vec![
        spec.schedule.clone(),
        or_none(spec.time_zone.clone().unwrap_or_default()),
        suspended.to_owned(),
        active.to_string(),
        since(status.last_schedule_time.as_ref(), now, "<none>"),
    ]
}

fn count(number: Option<i32>) -> String {
    number.unwrap_or_default().to_string()
}

fn since(time: Option<&Time>, now: Timestamp, never: &str) -> String {
    let ago = |time: &Time| -> SignedDuration { now.duration_since(time.0) };
    time.map_or_else(|| never.to_owned(), |time| age(ago(time)))
}

/// Returns the controller of an object as descriptions show it: `Job/one`.
#[must_use]
pub fn controlled_by(meta: &ObjectMeta) -> Option<String> {
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(format!("{}/{}", owner.kind, owner.name))
}

#[cfg(test)]
mod tests;
