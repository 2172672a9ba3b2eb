//! Sets: the rules of `apps/v1`, and petset's own limits.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume,
};
use serde_json::json;

use super::super::fault::{FaultKind, Faults};
use super::at_least_zero;
use super::names::{self, label, note};
use super::objects::claim_spec;
use super::template::{self, Words, fitting_selector};
use crate::model::{MAX_LABEL, MAX_REPLICAS};

/// Checks a completed set.
///
/// Whether a selector was given at all cannot be seen in the typed object: `has_selector` says.
pub(crate) fn validate_stateful_set(set: &StatefulSet, has_selector: bool) -> Faults {
    let mut faults = Faults::default();
    names::metadata(&mut faults, &set.metadata, label);
    if let Some(spec) = &set.spec {
        check_spec(&mut faults, spec, has_selector);
        let kubernetes_agrees = faults.is_empty();
        let name = set.metadata.name.as_deref().unwrap_or_default();
        if kubernetes_agrees {
            check_limits(&mut faults, spec, name);
        }
    }
    faults
}

fn check_spec(faults: &mut Faults, spec: &StatefulSetSpec, has_selector: bool) {
    match spec.pod_management_policy.as_deref().unwrap_or_default() {
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            faults.invalid_text("spec.podManagementPolicy", other, detail);
        }
    }
    if let Some(strategy) = &spec.update_strategy {
        check_strategy(faults, strategy);
    }
    check_retention(faults, spec);
    at_least_zero(faults, "spec.replicas", spec.replicas.map(i64::from));
    let ready_seconds = spec.min_ready_seconds.map(i64::from);
    at_least_zero(faults, "spec.minReadySeconds", ready_seconds);
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    at_least_zero(faults, "spec.ordinals.start", start.map(i64::from));
    check_selector_and_template(faults, spec, has_selector);
    template::stays(faults, "spec.template", &spec.template, "StatefulSet");
    for (index, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{index}].spec");
        claim_spec(faults, &path, &claim.spec.clone().unwrap_or_default());
    }
    if let Some(name) = spec.service_name.as_deref().filter(|name| !name.is_empty()) {
        note(faults, "spec.serviceName", name, label(name));
    }
}

fn check_strategy(faults: &mut Faults, strategy: &StatefulSetUpdateStrategy) {
    let rolling = strategy.rolling_update.as_ref();
    let shown = rolling.map_or_else(
        || "null".to_owned(),
        |rolling| {
            let (partition, most) = (json!(rolling.partition), json!(rolling.max_unavailable));
            format!(
                "{{\"Partition\":{},\"MaxUnavailable\":{most}}}",
                if partition.is_null() {
                    json!(0)
                } else {
                    partition
                }
            )
        },
    );
    match (strategy.type_.as_deref().unwrap_or_default(), rolling) {
        ("RollingUpdate" | "OnDelete", None) => {}
        ("RollingUpdate", Some(rolling)) => {
            let path = "spec.updateStrategy.rollingUpdate.partition";
            at_least_zero(faults, path, rolling.partition.map(i64::from));
        }
        ("OnDelete", Some(_)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            faults.invalid("spec.updateStrategy.rollingUpdate", shown, detail);
        }
        (other, _) => {
            let value = format!("{{\"Type\":{},\"RollingUpdate\":{shown}}}", json!(other));
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            faults.invalid("spec.updateStrategy", value, detail);
        }
    }
}

fn check_retention(faults: &mut Faults, spec: &StatefulSetSpec) {
    let Some(policy) = &spec.persistent_volume_claim_retention_policy else {
        return;
    };
    for (field, value) in [
        ("whenDeleted", &policy.when_deleted),
        ("whenScaled", &policy.when_scaled),
    ] {
        let path = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
        let value = value.as_deref().unwrap_or_default();
        if !matches!(value, "Retain" | "Delete") {
            faults.unsupported(&path, value, &["Retain", "Delete"]);
        }
    }
}

const SELECTOR: Words = Words {
    kind: "statefulset",
    unusable: "",
};

fn check_selector_and_template(faults: &mut Faults, spec: &StatefulSetSpec, has_selector: bool) {
    let StatefulSetSpec {
        selector, template, ..
    } = spec;
    if fitting_selector(faults, selector, has_selector, template, &SELECTOR) {
        let pet = PodSpec {
            volumes: Some(volumes(spec)),
            // A set gives its pods their host name, whatever the template says, and refuses a
            // deadline in words of its own.
            hostname: None,
            subdomain: None,
            active_deadline_seconds: None,
            ..template.spec.clone().unwrap_or_default()
        };
        let metadata = template.metadata.clone();
        let spec = Some(pet);
        template::template(faults, "spec.template", &PodTemplateSpec { metadata, spec });
    }
}

/// Returns the volumes a pod of the set will have: claims first, which win over volumes of the
/// same name.
fn volumes(spec: &StatefulSetSpec) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for name in claim_names(spec) {
        if volumes.iter().all(|volume| volume.name != name) {
            volumes.push(Volume {
                name: name.to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: name.to_owned(),
                    read_only: None,
                }),
                ..Volume::default()
            });
        }
    }
    let own = own_volumes(spec);
    volumes.extend(own.map(|(_, volume)| volume.clone()));
    volumes
}

/// Returns where in the manifest each of these volumes comes from.
pub(crate) fn volume_origins(spec: &StatefulSetSpec) -> Vec<String> {
    let mut origins = Vec::new();
    let mut seen = Vec::new();
    for (index, name) in claim_names(spec).enumerate() {
        if !seen.contains(&name) {
            seen.push(name);
            origins.push(format!("spec.volumeClaimTemplates[{index}].metadata"));
        }
    }
    let own = own_volumes(spec);
    origins.extend(own.map(|(index, _)| format!("spec.template.spec.volumes[{index}]")));
    origins
}

fn claim_names(spec: &StatefulSetSpec) -> impl Iterator<Item = &str> {
    let templates = spec.volume_claim_templates.iter().flatten();
    templates.map(|claim| claim.metadata.name.as_deref().unwrap_or_default())
}

fn own_volumes(spec: &StatefulSetSpec) -> impl Iterator<Item = (usize, &Volume)> {
    let pod = spec.template.spec.as_ref();
    let volumes = pod.and_then(|pod| pod.volumes.as_deref());
    let volumes = volumes.unwrap_or_default().iter().enumerate();
    volumes.filter(|(_, volume)| claim_names(spec).all(|name| name != volume.name))
}

/// Notes what Kubernetes would accept and then fail at, or what petset has no room for.
fn check_limits(faults: &mut Faults, spec: &StatefulSetSpec, name: &str) {
    let replicas = i64::from(spec.replicas.unwrap_or(1));
    if replicas > i64::from(MAX_REPLICAS) {
        let message = format!("Invalid value: {replicas}: a set has at most {MAX_REPLICAS} pets");
        faults.push("spec.replicas", message, FaultKind::Ours);
        return;
    }
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    let last = i64::from(start.unwrap_or(0)) + (replicas - 1).max(0);
    if last > i64::from(i32::MAX) {
        let message = format!(
            "Invalid value: {}: the last ordinal would be {last}",
            start.unwrap_or(0)
        );
        faults.push("spec.ordinals.start", message, FaultKind::Ours);
        return;
    }
    let pet = format!("{name}-{last}");
    if pet.len() > MAX_LABEL && !name.is_empty() {
        let message = format!(
            "Invalid value: {name:?}: the name of pet {last} would have {} characters, and a \
             host name has at most {MAX_LABEL}",
            pet.len()
        );
        faults.push("metadata.name", message, FaultKind::Ours);
    }
}
