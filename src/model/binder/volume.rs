//! Looking at a volume.

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};

use super::{
    BOUND_BY_CONTROLLER, BindStep, Provisioning, StorageSeen, VOLUME_PROTECTION, claim_ref,
    is_annotated, phase, set_phase, unprotect, volume_of,
};
use crate::model::workload::Told;

/// Lists what a look at a volume asks for: its phase, by what has become of its claim (PV02, PV09,
/// PV11), what its reclaim policy says when that is gone (PV18, PV19), and its own end, which waits
/// while it is bound (PV22).
///
/// A volume that is reserved for a claim, or half bound to it, is completed by a look at the claim.
#[must_use]
pub fn look_at_volume(volume: &PersistentVolume, seen: &StorageSeen<'_>) -> Vec<BindStep> {
    let mut new = volume.clone();
    let mut steps = Vec::new();
    let mut failure = None;
    let has_uid = |of: &&ObjectReference| of.uid.as_deref().is_some_and(|uid| !uid.is_empty());
    match claim_ref(volume).filter(has_uid) {
        None => set_phase(&mut new, "Available", None),
        Some(of) => {
            let mut claims = seen.claims.iter();
            let claim = claims.find(|claim| claim.metadata.uid == of.uid);
            match claim.map(|claim| volume_of(claim)) {
                None => failure = release(&mut new, seen.provisioning),
                Some(None) => {}
                Some(name) if name == volume.metadata.name.as_deref() => {
                    set_phase(&mut new, "Bound", None);
                }
                Some(Some(_)) => unbind(&mut new),
            }
        }
    }
    if let Some(message) = &failure {
        steps.push(BindStep::UpdateVolume(Box::new(new.clone())));
        set_phase(&mut new, "Failed", Some(message.clone()));
    }
    if volume.metadata.deletion_timestamp.is_some() && phase(volume) != "Bound" {
        unprotect(&mut new.metadata, VOLUME_PROTECTION);
    }
    if new != *volume {
        steps.push(BindStep::UpdateVolume(Box::new(new)));
    }
    let told = failure.map(|message| Told::warning("VolumeFailedDelete", message));
    steps.extend(told.map(BindStep::Tell));
    steps
}

/// Releases a volume whose claim is gone; says why its data cannot be deleted, if they were to be.
/// Nothing outside of what petset has made is ever removed.
fn release(volume: &mut PersistentVolume, provisioning: Provisioning) -> Option<String> {
    if phase(volume) == "Failed" {
        return None;
    }
    set_phase(volume, "Released", None);
    let spec = volume.spec.as_ref()?;
    if spec.persistent_volume_reclaim_policy.as_deref() != Some("Delete")
        || volume.metadata.deletion_timestamp.is_some()
    {
        return None;
    }
    Some(match (&spec.host_path, provisioning) {
        (Some(of), Provisioning::Nobody) => {
            let path = &of.path;
            format!("host_path deleter only supports /tmp/.+ but received provided {path}")
        }
        (_, Provisioning::Machine | Provisioning::Waited) | (None, Provisioning::Nobody) => {
            "petset removes no data that it has not made: remove it yourself, then the volume"
                .to_owned()
        }
    })
}

/// Frees a volume whose claim is bound to another one.
fn unbind(volume: &mut PersistentVolume) {
    let by_controller = is_annotated(&volume.metadata, BOUND_BY_CONTROLLER);
    let spec = volume.spec.get_or_insert_default();
    if by_controller {
        spec.claim_ref = None;
        let notes = volume.metadata.annotations.get_or_insert_default();
        notes.remove(BOUND_BY_CONTROLLER);
    } else if let Some(of) = &mut spec.claim_ref {
        of.uid = None;
    }
    set_phase(volume, "Available", None);
}
