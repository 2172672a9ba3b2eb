//! The rows of volumes and of their classes (PV28, PV30).

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;

use crate::cli::shared::storage::claim_of;
use crate::cli::shared::words::modes;
use crate::model::binder::is_default_class;

/// What stands for a class of attributes, which no volume here has.
pub(super) const UNSET: &str = "<unset>";

pub(super) fn volume(
    volume: &PersistentVolume,
    name: String,
    age: String,
) -> (Vec<String>, Vec<String>) {
    let spec = volume.spec.clone().unwrap_or_default();
    let status = volume.status.clone().unwrap_or_default();
    let phase = match volume.metadata.deletion_timestamp {
        Some(_) => "Terminating".to_owned(),
        None => status.phase.unwrap_or_else(|| "Pending".to_owned()),
    };
    let capacity = spec.capacity.unwrap_or_default();
    let capacity = capacity.get("storage").map(|size| size.0.clone());
    let cells = vec![
        name,
        capacity.unwrap_or_default(),
        modes(spec.access_modes.as_deref().unwrap_or_default()),
        spec.persistent_volume_reclaim_policy.unwrap_or_default(),
        phase,
        claim_of(volume).unwrap_or_default(),
        spec.storage_class_name.unwrap_or_default(),
        UNSET.to_owned(),
        status.reason.unwrap_or_default(),
        age,
    ];
    let mode = spec.volume_mode.unwrap_or_else(|| "Filesystem".to_owned());
    (cells, vec![mode])
}

pub(super) fn class(class: &StorageClass, name: String, age: String) -> Vec<String> {
    let default = if is_default_class(class) {
        " (default)"
    } else {
        ""
    };
    let or = |given: &Option<String>, otherwise: &str| {
        given.clone().unwrap_or_else(|| otherwise.to_owned())
    };
    vec![
        format!("{name}{default}"),
        class.provisioner.clone(),
        or(&class.reclaim_policy, "Delete"),
        or(&class.volume_binding_mode, "Immediate"),
        class.allow_volume_expansion.unwrap_or(false).to_string(),
        age,
    ]
}
