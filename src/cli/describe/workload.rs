//! The description of a workload, which is that of kubectl (`pkg/describe/describe.go` of kubectl).

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cli::shared::events::Scope;
use crate::cli::shared::pages::{Page, write_template};
use crate::cli::shared::session::Session;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::model::deployment::same_template;
use crate::model::kind::WorkloadKind;
use crate::model::{EGRESS_ANNOTATION, ISOLATION_ANNOTATION, Namespace, Workload, printer};
use crate::problem::Result;

/// What stands for a value that is not given.
const UNSET: &str = "<unset>";
/// The annotation in which kubectl keeps a manifest, and which it does not show.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// From this length on a list of indexes is cut.
const ENOUGH_INDEXES: usize = 50;

/// What is seen of a workload besides itself.
struct Surroundings {
    /// The ReplicaSets of a Deployment, oldest first.
    sets: Vec<ReplicaSet>,
    /// Its own pods.
    pods: Vec<Pod>,
}

pub(super) fn write(
    session: &Session,
    workload: &Workload,
    now: Timestamp,
    page: &mut Page,
) -> Result<()> {
    let meta = workload.metadata();
    let namespace: Namespace = meta.namespace.as_deref().unwrap_or("default").parse()?;
    let seen = match workload.kind() {
        WorkloadKind::Deployment => Surroundings {
            sets: session.sets_of_deployment(workload, &namespace)?,
            pods: Vec::new(),
        },
        WorkloadKind::ReplicaSet
        | WorkloadKind::ReplicationController
        | WorkloadKind::DaemonSet => Surroundings {
            sets: Vec::new(),
            pods: session.pods_of_workload(&namespace, workload)?,
        },
        WorkloadKind::Job | WorkloadKind::CronJob => Surroundings {
            sets: Vec::new(),
            pods: Vec::new(),
        },
    };
    write_page(workload, &seen, page);
    page.events(Scope::workload(workload).events(session)?, now);
    Ok(())
}

/// Writes everything but the events.
fn write_page(workload: &Workload, seen: &Surroundings, page: &mut Page) {
    let meta = workload.metadata();
    page.field(0, "Name", meta.name.as_deref().unwrap_or_default());
    page.field(
        0,
        "Namespace",
        meta.namespace.as_deref().unwrap_or("default"),
    );
    write_head(workload, page);
    let phases = |page: &mut Page| page.field(0, "Pods Status", printer::phases(&seen.pods));
    match workload {
        Workload::Deployment(deployment) => write_deployment(deployment, page),
        Workload::ReplicaSet(set) => {
            let status = set.status.clone().unwrap_or_default();
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
            write_replicas(status.replicas, wanted, page);
            phases(page);
        }
        Workload::ReplicationController(controller) => {
            let status = controller.status.clone().unwrap_or_default();
            let wanted = controller.spec.as_ref().and_then(|spec| spec.replicas);
            write_replicas(status.replicas, wanted, page);
            phases(page);
        }
        Workload::DaemonSet(set) => {
            write_nodes(set, page);
            phases(page);
        }
        Workload::Job(job) => write_job(job, page),
        Workload::CronJob(job) => write_schedule(job, page),
    }
    match workload.template() {
        Some(template) => write_template(template, page),
        None => page.field(0, "Pod Template", UNSET),
    }
    match workload {
        Workload::Deployment(deployment) => write_sets(deployment, &seen.sets, page),
        Workload::CronJob(job) => write_active(job, page),
        Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::DaemonSet(_)
        | Workload::Job(_) => {}
    }
}

/// Writes labels, annotations and selector, in the order that each kind has.
fn write_head(workload: &Workload, page: &mut Page) {
    let meta = workload.metadata();
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    let noted = [
        ("Isolation", ISOLATION_ANNOTATION),
        ("Egress", EGRESS_ANNOTATION),
    ];
    let notes = noted.map(|(name, note)| (name, annotations.remove(note)));
    annotations.remove(LAST_APPLIED);
    let labels = |page: &mut Page| {
        page.pairs(0, "Labels", "=", meta.labels.as_ref());
        page.annotations(Some(&annotations));
        for (name, note) in &notes {
            if let Some(note) = note {
                page.field(0, name, note);
            }
        }
    };
    let selector = printer::workload_selector(workload);
    match workload.kind() {
        WorkloadKind::Deployment => {
            if let Some(created) = &meta.creation_timestamp {
                page.field(0, "CreationTimestamp", date(created.0));
            }
            labels(page);
            page.field(0, "Selector", selector);
        }
        WorkloadKind::CronJob => labels(page),
        WorkloadKind::DaemonSet => {
            page.field(0, "Selector", selector);
            let template = workload.template();
            let pod = template.and_then(|template| template.spec.as_ref());
            let nodes = pod.and_then(|pod| pod.node_selector.as_ref());
            page.field(0, "Node-Selector", printer::labels_text(nodes));
            labels(page);
        }
        WorkloadKind::ReplicaSet | WorkloadKind::ReplicationController | WorkloadKind::Job => {
            page.field(0, "Selector", selector);
            labels(page);
        }
    }
    if let Some(owner) = printer::controlled_by(meta) {
        page.field(0, "Controlled By", owner);
    }
}

fn write_deployment(deployment: &Deployment, page: &mut Page) {
    let spec = deployment.spec.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let count = |number: Option<i32>| number.unwrap_or_default();
    page.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            spec.replicas.unwrap_or(1),
            count(status.updated_replicas),
            count(status.replicas),
            count(status.available_replicas),
            count(status.unavailable_replicas),
        ),
    );
    let strategy = spec.strategy.unwrap_or_default();
    let kind = strategy.type_.as_deref().unwrap_or("RollingUpdate");
    page.field(0, "StrategyType", kind);
    let seconds = spec.min_ready_seconds.unwrap_or_default();
    page.field(0, "MinReadySeconds", seconds.to_string());
    if let Some(rolling) = strategy.rolling_update {
        let bound = |bound: Option<IntOrString>| match bound {
            Some(IntOrString::String(text)) => text,
            Some(IntOrString::Int(number)) => number.to_string(),
            None => "0".to_owned(),
        };
        let (unavailable, surge) = (bound(rolling.max_unavailable), bound(rolling.max_surge));
        let text = format!("{unavailable} max unavailable, {surge} max surge");
        page.field(0, "RollingUpdateStrategy", text);
    }
}

fn write_replicas(now: i32, wanted: Option<i32>, page: &mut Page) {
    let text = format!("{now} current / {} desired", wanted.unwrap_or(1));
    page.field(0, "Replicas", text);
}

fn write_nodes(set: &DaemonSet, page: &mut Page) {
    let status = set.status.clone().unwrap_or_default();
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let available = status.number_available.unwrap_or_default();
    for (name, number) in [
        (
            "Desired Number of Nodes Scheduled",
            status.desired_number_scheduled,
        ),
        (
            "Current Number of Nodes Scheduled",
            status.current_number_scheduled,
        ),
        ("Number of Nodes Scheduled with Up-to-date Pods", updated),
        ("Number of Nodes Scheduled with Available Pods", available),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ] {
        page.row(0, &[&format!("{name}: {number}")]);
    }
}

fn write_job(job: &Job, page: &mut Page) {
    let spec = job.spec.clone().unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let mode = spec.completion_mode.as_deref();
    let number = |number: Option<i32>| number.map(|number| number.to_string());
    let time = |time: Option<&Timestamp>| time.map(|time| date(*time));
    let start = status.start_time.as_ref().map(|time| &time.0);
    let end = status.completion_time.as_ref().map(|time| &time.0);
    let took = start.zip(end);
    let completions = number(spec.completions).unwrap_or_else(|| UNSET.to_owned());
    let deadline = spec.active_deadline_seconds;
    for (name, value) in [
        ("Parallelism", number(spec.parallelism)),
        ("Completions", Some(completions)),
        ("Completion Mode", mode.map(str::to_owned)),
        ("Suspend", spec.suspend.map(|suspend| suspend.to_string())),
        ("Backoff Limit", number(spec.backoff_limit)),
        (
            "Backoff Limit Per Index",
            number(spec.backoff_limit_per_index),
        ),
        ("Max Failed Indexes", number(spec.max_failed_indexes)),
        (
            "TTL Seconds After Finished",
            number(spec.ttl_seconds_after_finished),
        ),
        ("Start Time", time(start)),
        ("Completed At", time(end)),
        (
            "Duration",
            took.map(|(start, end)| printer::age(end.duration_since(*start))),
        ),
        (
            "Active Deadline Seconds",
            deadline.map(|seconds| format!("{seconds}s")),
        ),
    ] {
        if let Some(value) = value {
            page.field(0, name, value);
        }
    }
    let count = |number: Option<i32>| number.unwrap_or_default();
    let ready = status.ready.map(|ready| format!(" ({ready} Ready)"));
    let text = format!(
        "{} Active{} / {} Succeeded / {} Failed",
        count(status.active),
        ready.unwrap_or_default(),
        count(status.succeeded),
        count(status.failed),
    );
    page.field(0, "Pods Statuses", text);
    if mode == Some("Indexed") {
        page.field(0, "Completed Indexes", indexes(status.completed_indexes));
        if let Some(failed) = status.failed_indexes {
            page.field(0, "Failed Indexes", indexes(Some(failed)));
        }
    }
}

/// Returns a list of indexes, cut at the first comma after a while.
fn indexes(list: Option<String>) -> String {
    let list = or_none(list);
    let late = list.get(ENOUGH_INDEXES..).and_then(|rest| rest.find(','));
    match late {
        Some(comma) => format!("{}...", &list[..=ENOUGH_INDEXES + comma]),
        None => list,
    }
}

fn write_schedule(job: &CronJob, page: &mut Page) {
    let spec = &job.spec;
    let made = spec.job_template.spec.clone().unwrap_or_default();
    let unset = |value: Option<String>| value.unwrap_or_else(|| UNSET.to_owned());
    let number = |number: Option<i32>| unset(number.map(|number| number.to_string()));
    let suspend = spec.suspend.map(|suspend| match suspend {
        true => "True".to_owned(),
        false => "False".to_owned(),
    });
    let policy = spec.concurrency_policy.as_deref().unwrap_or("Allow");
    let deadline = spec.starting_deadline_seconds;
    page.field(0, "Schedule", &spec.schedule);
    page.field(0, "Concurrency Policy", policy);
    page.field(0, "Suspend", unset(suspend));
    page.field(0, "Time Zone", unset(spec.time_zone.clone()));
    let kept = number(spec.successful_jobs_history_limit);
    page.field(0, "Successful Job History Limit", kept);
    let kept = number(spec.failed_jobs_history_limit);
    page.field(0, "Failed Job History Limit", kept);
    let deadline = unset(deadline.map(|seconds| format!("{seconds}s")));
    page.field(0, "Starting Deadline Seconds", deadline);
    let selector = made.selector.as_ref().map(printer::selector_text);
    page.field(0, "Selector", unset(selector));
    page.field(0, "Parallelism", number(made.parallelism));
    page.field(0, "Completions", number(made.completions));
    if let Some(seconds) = made.active_deadline_seconds {
        page.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
}

fn write_active(job: &CronJob, page: &mut Page) {
    let status = job.status.clone().unwrap_or_default();
    let last = status.last_schedule_time.map(|time| date(time.0));
    let last = last.unwrap_or_else(|| UNSET.to_owned());
    page.field(0, "Last Schedule Time", last);
    let active = status.active.unwrap_or_default().into_iter();
    let names: Vec<String> = active.filter_map(|job| job.name).collect();
    page.field(0, "Active Jobs", or_none(Some(names.join(", "))));
}

/// Writes the conditions of a Deployment and its ReplicaSets, the one of its template last.
fn write_sets(deployment: &Deployment, sets: &[ReplicaSet], page: &mut Page) {
    let status = deployment.status.clone().unwrap_or_default();
    write_conditions(&status.conditions.unwrap_or_default(), page);
    if sets.is_empty() {
        return;
    }
    let wanted = deployment.spec.clone().unwrap_or_default().template;
    let is_new = |set: &&ReplicaSet| {
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        template.is_some_and(|template| same_template(template, &wanted))
    };
    let new = sets.iter().find(is_new);
    let old = sets.iter().filter(|set| {
        let name = new.map(|new| &new.metadata.name);
        name != Some(&set.metadata.name)
    });
    page.field(0, "OldReplicaSets", created(old));
    page.field(0, "NewReplicaSet", created(new.into_iter()));
}

fn write_conditions(conditions: &[DeploymentCondition], page: &mut Page) {
    if conditions.is_empty() {
        return;
    }
    page.heading(0, "Conditions");
    page.row(1, &["Type", "Status", "Reason"]);
    page.row(1, &["----", "------", "------"]);
    for condition in conditions {
        let reason = condition.reason.as_deref().unwrap_or_default();
        page.row(1, &[&condition.type_, &condition.status, reason]);
    }
}

fn created<'a>(sets: impl Iterator<Item = &'a ReplicaSet>) -> String {
    let texts = sets.map(|set| {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let there = set.status.as_ref().map_or(0, |status| status.replicas);
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
        let wanted = wanted.unwrap_or(1);
        format!("{name} ({there}/{wanted} replicas created)")
    });
    match texts.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => NONE.to_owned(),
        texts => texts,
    }
}

#[cfg(test)]
mod tests;
