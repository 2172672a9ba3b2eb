//! Volumes and their classes (PV01).

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;

use super::{fill, round_up};

/// Completes a volume.
pub(crate) fn default_persistent_volume(volume: &mut PersistentVolume) {
    let spec = volume.spec.get_or_insert_default();
    fill(&mut spec.persistent_volume_reclaim_policy, "Retain");
    fill(&mut spec.volume_mode, "Filesystem");
    if let Some(host_path) = &mut spec.host_path {
        host_path.type_.get_or_insert_default();
    }
    spec.capacity.iter_mut().flatten().for_each(round_up);
    let status = volume.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
}

/// Completes a class of volumes.
pub(crate) fn default_class(class: &mut StorageClass) {
    let policy = &mut class.reclaim_policy;
    policy.get_or_insert_with(|| "Delete".to_owned());
    let mode = &mut class.volume_binding_mode;
    mode.get_or_insert_with(|| "Immediate".to_owned());
}
