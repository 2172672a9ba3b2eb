//! Binding a volume and a claim to each other.

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus,
};

use super::{BIND_COMPLETED, BOUND_BY_CONTROLLER, BindStep, annotate, is_annotated, is_for};
use super::{claim_ref, set_phase};

/// Lists what is left to do until both are bound: the volume gets the claim's uid and is Bound,
/// then the claim gets the volume's name, size and access modes and is Bound (PV06, PV09).
pub(super) fn bind(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Vec<BindStep> {
    let mut steps = Vec::new();
    let bound = bound_volume(volume, claim);
    if bound != *volume {
        steps.push(BindStep::UpdateVolume(Box::new(bound)));
    }
    let bound = bound_claim(volume, claim);
    if bound != *claim {
        steps.push(BindStep::UpdateClaim(Box::new(bound)));
    }
    steps
}

pub(super) fn bound_volume(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> PersistentVolume {
    let mut bound = volume.clone();
    let meta = &claim.metadata;
    if !is_for(volume, meta) && !is_annotated(&volume.metadata, BOUND_BY_CONTROLLER) {
        annotate(&mut bound.metadata, BOUND_BY_CONTROLLER);
    }
    let knows_uid = claim_ref(volume).is_some_and(|of| of.uid == meta.uid);
    if !is_for(volume, meta) || !knows_uid {
        bound.spec.get_or_insert_default().claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        });
    }
    set_phase(&mut bound, "Bound", None);
    bound
}

fn bound_claim(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> PersistentVolumeClaim {
    let mut bound = claim.clone();
    let spec = bound.spec.get_or_insert_default();
    if spec.volume_name.as_deref().unwrap_or_default().is_empty() {
        spec.volume_name.clone_from(&volume.metadata.name);
        annotate(&mut bound.metadata, BOUND_BY_CONTROLLER);
    }
    annotate(&mut bound.metadata, BIND_COMPLETED);
    let has = volume.spec.as_ref();
    bound.status = Some(PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        access_modes: has.and_then(|spec| spec.access_modes.clone()),
        capacity: has.and_then(|spec| spec.capacity.clone()),
        ..bound.status.unwrap_or_default()
    });
    bound
}
