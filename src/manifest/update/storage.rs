//! What may change of an existing claim, volume or class of volumes (PV25, PV26).

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::{IMMUTABLE, conclude, same_name, size};
use crate::manifest::fault::Faults;
use crate::manifest::internal;
use crate::manifest::validate::{validate_claim, validate_class, validate_volume, volume_source};
use crate::model::quantity::Quantity;
use crate::problem::Problem;

/// Checks that `new` may take the place of the claim `old`, as strictly as the API server; both
/// are complete.
///
/// # Errors
///
/// Returns what is wrong, in the API server's words.
pub fn check_claim_update(
    old: &PersistentVolumeClaim,
    new: &PersistentVolumeClaim,
) -> Result<(), Problem> {
    let name = same_name(&old.metadata, &new.metadata)?;
    let mut faults = validate_claim(new);
    let mut before = old.spec.clone().unwrap_or_default();
    let mut after = new.spec.clone().unwrap_or_default();
    if before.volume_name.as_ref().is_none_or(String::is_empty) {
        before.volume_name.clone_from(&after.volume_name);
    }
    let status = old.status.as_ref();
    if status.and_then(|status| status.phase.as_deref()) == Some("Bound") {
        after.resources.clone_from(&before.resources);
    }
    after
        .volume_attributes_class_name
        .clone_from(&before.volume_attributes_class_name);
    if before != after {
        let (before, after) = (internal::claim(&before), internal::claim(&after));
        let detail = format!(
            "spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims\n{}",
            internal::difference(&before, &after)
        );
        faults.forbidden("spec", &detail);
    }
    let capacity = status.and_then(|status| status.capacity.as_ref()?.get("storage"));
    let capacity = capacity.and_then(|size| Some(size.0.parse::<Quantity>().ok()?.nanos()));
    if size(new) < size(old) && capacity.is_some() && size(new) <= capacity {
        let path = "spec.resources.requests.storage";
        faults.forbidden(path, "field can not be less than status.capacity");
    }
    let mode = |claim: &PersistentVolumeClaim| claim.spec.clone()?.volume_mode;
    volume_mode(&mut faults, mode(old), mode(new));
    conclude(&faults, "PersistentVolumeClaim", &name)
}

fn volume_mode(faults: &mut Faults, old: Option<String>, new: Option<String>) {
    if old != new {
        faults.invalid("volumeMode", json!(new), IMMUTABLE);
    }
}

/// Checks that `new` may take the place of the volume `old`; both are complete.
///
/// # Errors
///
/// Returns what is wrong, in the API server's words.
pub fn check_volume_update(old: &PersistentVolume, new: &PersistentVolume) -> Result<(), Problem> {
    let name = same_name(&old.metadata, &new.metadata)?;
    let mut faults = validate_volume(new);
    let spec = |volume: &PersistentVolume| volume.spec.clone().unwrap_or_default();
    let (before, after) = (spec(old), spec(new));
    if volume_source(&before) != volume_source(&after) {
        let shown = |spec: &PersistentVolumeSpec| internal::volume_source(spec);
        let detail = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            internal::difference(&shown(&before), &shown(&after))
        );
        faults.forbidden("spec.persistentvolumesource", &detail);
    }
    volume_mode(&mut faults, before.volume_mode, after.volume_mode);
    if before.node_affinity.is_some() && before.node_affinity != after.node_affinity {
        faults.invalid("nodeAffinity", json!(after.node_affinity), IMMUTABLE);
    }
    conclude(&faults, "PersistentVolume", &name)
}

/// Checks that `new` may take the place of the class `old`; both are complete.
///
/// # Errors
///
/// Returns what is wrong, in the API server's words.
pub fn check_class_update(old: &StorageClass, new: &StorageClass) -> Result<(), Problem> {
    let name = same_name(&old.metadata, &new.metadata)?;
    let mut faults = validate_class(new);
    let fields = |class: &StorageClass| {
        [
            ("parameters", json!(class.parameters)),
            ("provisioner", json!(class.provisioner)),
            ("reclaimPolicy", json!(class.reclaim_policy)),
            ("volumeBindingMode", json!(class.volume_binding_mode)),
        ]
    };
    for ((field, before), (_, after)) in fields(old).into_iter().zip(fields(new)) {
        if before != after {
            faults.invalid(field, after, IMMUTABLE);
        }
    }
    conclude(&faults, "StorageClass.storage.k8s.io", &name)
}
