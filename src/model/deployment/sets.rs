//! What a Deployment reads of its ReplicaSets, and notes at them.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::template_hash::dump_of;
use crate::model::workload::pods;

/// The label that tells the ReplicaSets of a Deployment apart, and their pods (DP02).
pub const HASH_LABEL: &str = "pod-template-hash";
/// The number of a template (DP08).
pub const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
/// The numbers that a ReplicaSet had before (DP09).
pub const HISTORY_ANNOTATION: &str = "deployment.kubernetes.io/revision-history";
/// The size of the Deployment when the ReplicaSet was scaled last (DP06).
pub const DESIRED_ANNOTATION: &str = "deployment.kubernetes.io/desired-replicas";
/// That size with the surge (DP06).
pub const MAX_ANNOTATION: &str = "deployment.kubernetes.io/max-replicas";

/// Returns whether two templates are equal but for the hash that a ReplicaSet adds (DP10).
#[must_use]
pub fn same_template(one: &PodTemplateSpec, two: &PodTemplateSpec) -> bool {
    let plain = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        if let Some(labels) = template.metadata.get_or_insert_default().labels.as_mut() {
            labels.remove(HASH_LABEL);
        }
        dump_of(&template)
    };
    plain(one) == plain(two)
}

/// Notes the size of a Deployment, without and with surge; returns whether anything changed.
pub(super) fn annotate_size(meta: &mut ObjectMeta, (desired, most): (i32, i32)) -> bool {
    let annotations = meta.annotations.get_or_insert_default();
    let mut put =
        |key: &str, value: String| annotations.insert(key.to_owned(), value.clone()) != Some(value);
    put(DESIRED_ANNOTATION, desired.to_string()) | put(MAX_ANNOTATION, most.to_string())
}

/// Returns the revision of a ReplicaSet, 0 if it has none.
pub(super) fn revision_of(set: &ReplicaSet) -> i64 {
    let revision = pods::annotation(&set.metadata, REVISION_ANNOTATION);
    revision
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// Returns how many pods a ReplicaSet wants.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

/// Returns how many available pods a ReplicaSet has.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref();
    status
        .and_then(|status| status.available_replicas)
        .unwrap_or_default()
}
