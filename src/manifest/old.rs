//! Forms of earlier Kubernetes versions, brought up to date.
//!
//! Sets of `apps/v1alpha1` (PetSet) and `apps/v1beta1` may leave out their selector (C30) and
//! are updated by deleting pets (C82). Init containers once were JSON in an annotation (I30);
//! while that counted, it won over the field, and `beta` over `alpha` (I31). petset reads the
//! annotation in every version, but where the field counts today, the field wins.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, PodSpec, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::decode::decode;
use super::fault::{FaultKind, Faults};
use super::remark::{Remark, RemarkKind, Remarks};
use crate::model::{KIND_ANNOTATION, PETSET};
use crate::yaml;

/// How old the API version of a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// `apps/v1` and `apps/v1beta2`: today's defaults.
    Current,
    /// `apps/v1beta1`.
    Early,
    /// `apps/v1alpha1`, whose sets are PetSets.
    PetSet,
}

impl Era {
    /// Returns the era of an API version.
    pub(super) fn of(version: &str) -> Self {
        match version {
            "apps/v1alpha1" => Self::PetSet,
            "apps/v1beta1" => Self::Early,
            _ => Self::Current,
        }
    }
}

const INIT: [&str; 2] = [
    "pod.beta.kubernetes.io/init-containers",
    "pod.alpha.kubernetes.io/init-containers",
];
const INIT_STATUS: [&str; 2] = [
    "pod.beta.kubernetes.io/init-container-statuses",
    "pod.alpha.kubernetes.io/init-container-statuses",
];
const UNREADY: [&str; 2] = [
    "service.alpha.kubernetes.io/tolerate-unready-endpoints",
    "service.beta.kubernetes.io/tolerate-unready-endpoints",
];

/// Brings a set up to date, before its defaults are filled in.
pub(super) fn modernize_set(
    set: &mut StatefulSet,
    era: Era,
    faults: &mut Faults,
    remarks: &mut Remarks,
) {
    let Some(spec) = &mut set.spec else { return };
    let template = &mut spec.template;
    if let Some(meta) = &mut template.metadata {
        let pod = template.spec.get_or_insert_default();
        modernize_pod(meta, pod, era, "spec.template.", faults, remarks);
    }
    if era == Era::Current {
        return;
    }
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.clone());
    if spec.selector == Default::default() {
        spec.selector.match_labels = labels.clone();
    }
    if era == Era::PetSet {
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(KIND_ANNOTATION.to_owned(), PETSET.to_owned());
    }
    if set.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty) {
        set.metadata.labels = labels;
    }
    let strategy = spec.update_strategy.get_or_insert_default();
    if strategy.type_.as_deref().unwrap_or_default().is_empty() {
        strategy.type_ = Some("OnDelete".to_owned());
        let text = "OnDelete, the default of this API version: an upgrade reaches a pet when it \
             is deleted; write `type: RollingUpdate` to have petset replace them";
        remarks.push(Remark::new("spec.updateStrategy", text));
    }
}

/// Turns the annotations of a pod, or of its template, into fields.
pub(super) fn modernize_pod(
    meta: &mut ObjectMeta,
    pod: &mut PodSpec,
    era: Era,
    path: &str,
    faults: &mut Faults,
    remarks: &mut Remarks,
) {
    let Some(annotations) = &mut meta.annotations else {
        return;
    };
    for key in INIT_STATUS {
        annotations.remove(key);
    }
    let found = INIT.map(|key| annotations.remove(key).map(|text| (key, text)));
    let Some((key, text)) = found.into_iter().flatten().next() else {
        return;
    };
    let path = format!("{path}metadata.annotations[{key}]");
    let has_field = pod
        .init_containers
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    if has_field && era == Era::Current {
        let text = "ignored, because there is a field initContainers";
        return remarks.push(Remark::new(path, text));
    }
    if let Some(containers) = containers(&path, &text, faults) {
        pod.init_containers = Some(containers);
        let text = "taken as initContainers; Kubernetes ignores it since 1.8";
        remarks.push(Remark {
            kind: RemarkKind::InitContainers,
            ..Remark::new(path, text)
        });
    }
}

fn containers(path: &str, text: &str, faults: &mut Faults) -> Option<Vec<Container>> {
    let documents = yaml::read(text);
    for fault in &documents.faults {
        faults.push(
            path,
            format!("at {}: {}", fault.at, fault.message),
            FaultKind::Decoding,
        );
    }
    let mut inner = Faults::default();
    let list = documents.roots.first();
    let containers = list.and_then(|list| decode(list, &mut inner));
    for fault in inner.0 {
        faults.push(path, fault.to_string(), FaultKind::Decoding);
    }
    containers
}

/// Brings a service up to date: the annotation becomes `publishNotReadyAddresses` (N13).
pub(super) fn modernize_service(service: &mut Service) {
    let annotations = service.metadata.annotations.as_ref();
    let is_true =
        |key: &str| annotations.is_some_and(|map| map.get(key).is_some_and(|text| text == "true"));
    if UNREADY.iter().any(|key| is_true(key)) {
        let spec = service.spec.get_or_insert_default();
        spec.publish_not_ready_addresses.get_or_insert(true);
    }
}
