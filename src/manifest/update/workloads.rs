//! What may change of an existing deployment, replica set, daemon set, job ...

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::{IMMUTABLE, conclude, same_name};
use crate::manifest::fault::Faults;
use crate::manifest::internal;
use crate::manifest::validate::{shown_selector, validate_workload};
use crate::model::Workload;
use crate::model::kind::ObjectKind;
use crate::problem::Problem;

/// Checks that `new` may take the place of `old`; both are complete (DP14, JB37).
///
/// A job whose file gives no selector keeps the one that was made for it.
///
/// # Errors
///
/// Returns what is wrong, in the API server's words.
pub fn check_workload_update(old: &Workload, new: &mut Workload) -> Result<(), Problem> {
    let name = same_name(old.metadata(), new.metadata())?;
    let uid = old.metadata().uid.clone().unwrap_or_default();
    if let (Workload::Job(old), Workload::Job(new)) = (old, &mut *new) {
        keep_selector(old, new);
    }
    let mut faults = validate_workload(new, true, &uid);
    if matches!(new, Workload::CronJob(_)) {
        // A name that was accepted once stays.
        faults.0.retain(|fault| fault.path != "metadata.name");
    }
    if let (Workload::Job(old), Workload::Job(new)) = (old, &*new) {
        check_job(&mut faults, old, new);
    } else if let (Some(before), Some(after)) = (selector(old), selector(new))
        && before != after
    {
        faults.invalid("spec.selector", shown_selector(after), IMMUTABLE);
    }
    let kind = ObjectKind::Workload(new.kind()).with_group();
    conclude(&faults, &kind, &name)
}

/// Returns the selector of a workload that keeps it for life.
fn selector(workload: &Workload) -> Option<&LabelSelector> {
    match workload {
        Workload::Deployment(deployment) => Some(&deployment.spec.as_ref()?.selector),
        Workload::ReplicaSet(set) => Some(&set.spec.as_ref()?.selector),
        Workload::DaemonSet(set) => Some(&set.spec.as_ref()?.selector),
        Workload::ReplicationController(_) | Workload::Job(_) | Workload::CronJob(_) => None,
    }
}

/// Gives a job the selector and the labels of `old` that it lacks.
fn keep_selector(old: &Job, new: &mut Job) {
    let (Some(before), Some(after)) = (&old.spec, &mut new.spec) else {
        return;
    };
    if after.manual_selector == Some(true) {
        return;
    }
    let selector = &mut after.selector;
    *selector = selector.take().or_else(|| before.selector.clone());
    let labels = |template: &PodTemplateSpec| template.metadata.clone()?.labels;
    let kept = labels(&before.template).into_iter().flatten();
    let meta = after.template.metadata.get_or_insert_default();
    let own = meta.labels.get_or_insert_default();
    for (key, value) in kept.filter(|(key, _)| is_made(key)) {
        own.entry(key).or_insert(value);
    }
}

/// Returns whether a label of pods is made for the job that they belong to.
fn is_made(key: &str) -> bool {
    let plain = key.strip_prefix("batch.kubernetes.io/").unwrap_or(key);
    matches!(plain, "controller-uid" | "job-name")
}

fn check_job(faults: &mut Faults, old: &Job, new: &Job) {
    let (Some(before), Some(after)) = (&old.spec, &new.spec) else {
        return;
    };
    completions(faults, before, after);
    if before.selector != after.selector {
        let shown = after.selector.as_ref().map(shown_selector);
        let shown = shown.unwrap_or_else(|| "null".to_owned());
        faults.invalid("spec.selector", shown, IMMUTABLE);
    }
    let rests = old
        .status
        .as_ref()
        .is_none_or(|status| rests(before, status));
    let may = if rests {
        may_become(&before.template, &after.template)
    } else {
        before.template.clone()
    };
    if may != after.template {
        let shown = internal::template(&after.template);
        faults.invalid("spec.template", shown, IMMUTABLE);
    }
    let fields = [
        (
            "completionMode",
            json!(before.completion_mode),
            json!(after.completion_mode),
        ),
        (
            "podFailurePolicy",
            json!(before.pod_failure_policy),
            json!(after.pod_failure_policy),
        ),
        (
            "backoffLimitPerIndex",
            json!(before.backoff_limit_per_index),
            json!(after.backoff_limit_per_index),
        ),
        (
            "managedBy",
            json!(before.managed_by),
            json!(after.managed_by),
        ),
        (
            "successPolicy",
            json!(before.success_policy),
            json!(after.success_policy),
        ),
    ];
    for (field, before, after) in fields {
        if before != after {
            faults.invalid(&format!("spec.{field}"), after, IMMUTABLE);
        }
    }
}

/// Checks the number of completions, which an indexed job may change together with its
/// parallelism (JB27).
fn completions(faults: &mut Faults, before: &JobSpec, after: &JobSpec) {
    let path = "spec.completions";
    let indexed = after.completion_mode.as_deref() == Some("Indexed");
    match (before.completions, after.completions) {
        (before, after) if before == after => {}
        (_, after) if !indexed => faults.invalid(path, json!(after), IMMUTABLE),
        (_, Some(number)) if after.parallelism != Some(number) => {
            let detail = "can only be modified in tandem with spec.parallelism";
            faults.invalid(path, number, detail);
        }
        (_, _) => {}
    }
}

/// Returns whether no pod of the job has been started, or none since it was suspended.
fn rests(spec: &JobSpec, status: &JobStatus) -> bool {
    let conditions = status.conditions.iter().flatten();
    let mut suspended = conditions.filter(|it| it.type_ == "Suspended" && it.status == "True");
    spec.suspend == Some(true)
        && status.active.unwrap_or_default() == 0
        && (status.start_time.is_none() || suspended.next().is_some())
}

/// Returns what the template `old` becomes when all of `new` is taken over that may change while
/// a job rests.
fn may_become(old: &PodTemplateSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut may = old.clone();
    let given = new.metadata.clone().unwrap_or_default();
    let meta = may.metadata.get_or_insert_default();
    meta.labels = given.labels;
    meta.annotations = given.annotations;
    let (Some(pod), Some(given)) = (&mut may.spec, &new.spec) else {
        return may;
    };
    pod.node_selector.clone_from(&given.node_selector);
    pod.tolerations.clone_from(&given.tolerations);
    pod.scheduling_gates.clone_from(&given.scheduling_gates);
    let affinity = given.affinity.as_ref();
    let node = affinity.and_then(|affinity| affinity.node_affinity.clone());
    let mut becomes = pod.affinity.take().unwrap_or_default();
    becomes.node_affinity = node;
    let is_given = affinity.is_some() || becomes != Default::default();
    pod.affinity = is_given.then_some(becomes);
    let known = pod.init_containers.iter_mut().flatten();
    let wanted = given.init_containers.iter().flatten();
    let pairs = known.zip(wanted);
    for (mine, given) in pairs.chain(pod.containers.iter_mut().zip(&given.containers)) {
        mine.resources.clone_from(&given.resources);
    }
    may
}
