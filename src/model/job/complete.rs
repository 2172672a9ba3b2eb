//! What the API server adds to a Job (JB01, JB02).

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// The label by which a job knows its pods, and the older form of it (JB02).
const CONTROLLER_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
/// The label that names a pod's job, and the older form of it.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Completes a job's spec but for the template of its pods (JB01).
pub(crate) fn complete_spec(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let endless = spec.backoff_limit_per_index.is_some();
    let limit = if endless { i32::MAX } else { 6 };
    spec.backoff_limit.get_or_insert(limit);
    let mode = spec.completion_mode.take().filter(|mode| !mode.is_empty());
    spec.completion_mode = Some(mode.unwrap_or_else(|| "NonIndexed".to_owned()));
    spec.suspend.get_or_insert(false);
    spec.manual_selector.get_or_insert(false);
    let replaced = match spec.pod_failure_policy {
        Some(_) => "Failed",
        None => "TerminatingOrFailed",
    };
    spec.pod_replacement_policy
        .get_or_insert_with(|| replaced.to_owned());
}

/// Gives a new job the selector and the labels by which it alone knows its pods (JB02), unless its
/// author chose them.
pub(crate) fn select_own_pods(job: &mut Job, uid: &str) {
    let name = job.metadata.name.clone().unwrap_or_default();
    let spec = job.spec.get_or_insert_default();
    if spec.manual_selector != Some(true) {
        let meta = spec.template.metadata.get_or_insert_default();
        let labels = meta.labels.get_or_insert_default();
        for (keys, value) in [(CONTROLLER_UID, uid), (JOB_NAME, &name)] {
            for key in keys {
                let known = labels.entry(key.to_owned());
                known.or_insert_with(|| value.to_owned());
            }
        }
        let selector = spec.selector.get_or_insert_with(LabelSelector::default);
        let selected = selector.match_labels.get_or_insert_default();
        selected.insert(CONTROLLER_UID[0].to_owned(), uid.to_owned());
    }
}

/// Removes the selector and the labels that [`select_own_pods`] gave a job, also from its own
/// labels.
pub(crate) fn forget_selection(job: &mut Job) {
    let spec = job.spec.get_or_insert_default();
    if spec.manual_selector == Some(true) {
        return;
    }
    spec.selector = None;
    let template = spec.template.metadata.as_mut();
    for meta in template.into_iter().chain([&mut job.metadata]) {
        if let Some(labels) = &mut meta.labels {
            let made = CONTROLLER_UID.iter().chain(&JOB_NAME);
            made.for_each(|key| drop(labels.remove(*key)));
        }
        meta.labels = meta.labels.take().filter(|left| !left.is_empty());
    }
}

/// Labels a workload that has no labels as its pods are.
pub(crate) fn label_as_pods(own: &mut ObjectMeta, template: &PodTemplateSpec) {
    let given = template.metadata.as_ref();
    if own.labels.as_ref().is_none_or(|own| own.is_empty()) {
        own.labels = given.and_then(|meta| meta.labels.clone());
    }
}

/// Completes a job that a controller has made, whose uid is known.
pub(crate) fn complete(job: &mut Job, uid: &str) {
    complete_spec(job.spec.get_or_insert_default());
    select_own_pods(job, uid);
    let spec = job.spec.get_or_insert_default();
    label_as_pods(&mut job.metadata, &spec.template);
}
