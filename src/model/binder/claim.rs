//! Looking at a claim.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::bind::bind;
use super::fit::{Wish, class_of_claim, default_class, is_of_class};
use super::{
    BIND_COMPLETED, BindStep, CLAIM_PROTECTION, Provisioning, StorageSeen, claim_ref, is_annotated,
    is_for, unprotect, volume_of,
};
use crate::model::workload::Told;

/// The provisioner of classes whose volumes are made by hand (PV12).
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Lists what a look at a claim asks for. One that is bound is only watched (PV23), one that names
/// a volume waits for that (PV08), and any other takes the best that there is, or waits for it
/// (PV03, PV12, PV13, PV16). One that found nothing is worth a look when a volume or a class comes,
/// and a cluster looks again every 15 s (PV07).
#[must_use]
pub fn look_at_claim(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> Vec<BindStep> {
    if claim.metadata.deletion_timestamp.is_some() && seen.users(claim).is_empty() {
        let mut free = claim.clone();
        if unprotect(&mut free.metadata, CLAIM_PROTECTION) {
            return vec![BindStep::UpdateClaim(Box::new(free))];
        }
    }
    if is_annotated(&claim.metadata, BIND_COMPLETED) {
        return look_at_bound(claim, seen);
    }
    match volume_of(claim) {
        Some(name) => match seen.volume(name) {
            Some(volume) => bind_to_named(claim, volume),
            None => Vec::new(),
        },
        None => find(claim, seen),
    }
}

fn bind_to_named(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Vec<BindStep> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    if claim_ref(volume).is_some() {
        if is_for(volume, &claim.metadata) {
            return bind(volume, claim);
        }
        let message = format!("volume {name:?} already bound to a different claim.");
        return warn("FailedBinding", message);
    }
    match Wish::of(claim).mismatch(volume) {
        Some(why) => {
            let message = format!("Cannot bind to requested volume {name:?}: {why}");
            warn("VolumeMismatch", message)
        }
        None => bind(volume, claim),
    }
}

fn find(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> Vec<BindStep> {
    let waits = waits_for_a_pod(claim, seen);
    if let Some(volume) = Wish::of(claim).best(seen, waits) {
        return bind(volume, claim);
    }
    if class_of_claim(claim).is_none()
        && let Some(class) = default_class(&seen.classes)
    {
        let mut classed = claim.clone();
        let spec = classed.spec.get_or_insert_default();
        spec.storage_class_name.clone_from(&class.metadata.name);
        return vec![BindStep::UpdateClaim(Box::new(classed))];
    }
    if waits {
        return vec![tell_what_it_waits_for(claim, seen)];
    }
    match class_of_claim(claim).unwrap_or_default() {
        "" if seen.provisioning != Provisioning::Nobody && class_of_claim(claim).is_none() => {
            make_directory(claim)
        }
        "" => {
            let message =
                "no persistent volumes available for this claim and no storage class is set";
            vec![BindStep::Tell(Told::normal("FailedBinding", message))]
        }
        class => provision(class, claim, seen),
    }
}

/// Has a volume made for a claim, where somebody makes volumes of its class (PV12).
fn provision(class: &str, claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> Vec<BindStep> {
    let known = seen.class(class);
    let provisioner = known.map(|known| known.provisioner.as_str());
    let is_machine = seen.provisioning != Provisioning::Nobody;
    let waited = seen.provisioning == Provisioning::Waited;
    // Who makes volumes of a class means that claims get those.
    let made_by_hand = || waited || seen.volumes.iter().any(|it| is_of_class(it, class));
    match provisioner {
        None if !is_machine || made_by_hand() => {
            let message = format!("storageclass.storage.k8s.io {class:?} not found");
            warn("ProvisioningFailed", message)
        }
        Some(NO_PROVISIONER) if is_delayed(claim, seen) => {
            vec![tell_what_it_waits_for(claim, seen)]
        }
        Some(by) if by == NO_PROVISIONER || !is_machine => {
            let message = format!("no volume plugin matched name: {by}");
            warn("ProvisioningFailed", message)
        }
        None | Some(_) => make_directory(claim),
    }
}

/// Has a directory made for a claim. One that selects volumes by their labels means those that
/// somebody makes.
fn make_directory(claim: &PersistentVolumeClaim) -> Vec<BindStep> {
    let spec = claim.spec.as_ref();
    match spec.and_then(|spec| spec.selector.as_ref()) {
        Some(_) => warn(
            "ProvisioningFailed",
            "claim.Spec.Selector is not supported: no volume has these labels".to_owned(),
        ),
        None => vec![BindStep::Provision],
    }
}

/// Returns whether a claim is of a class whose claims wait for a pod (PV16).
pub(super) fn is_delayed(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> bool {
    let class = class_of_claim(claim).and_then(|class| seen.class(class));
    let mode = class.and_then(|class| class.volume_binding_mode.as_deref());
    mode == Some("WaitForFirstConsumer")
}

/// Returns whether a claim waits until a pod that uses it has a node (PV16). Here that is as soon
/// as there is one.
fn waits_for_a_pod(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> bool {
    is_delayed(claim, seen)
        && (seen.provisioning == Provisioning::Nobody || seen.users(claim).is_empty())
}

fn tell_what_it_waits_for(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> BindStep {
    let users = seen.users(claim);
    let (reason, message) = match users.as_slice() {
        [] => (
            "WaitForFirstConsumer",
            "waiting for first consumer to be created before binding".to_owned(),
        ),
        [pod] => (
            "WaitForPodScheduled",
            format!("waiting for pod {pod} to be scheduled"),
        ),
        pods => {
            let message = format!("waiting for pods {} to be scheduled", pods.join(","));
            ("WaitForPodScheduled", message)
        }
    };
    BindStep::Tell(Told::normal(reason, message))
}

fn look_at_bound(claim: &PersistentVolumeClaim, seen: &StorageSeen<'_>) -> Vec<BindStep> {
    let lost = |reason, message| lose(claim, reason, message);
    let Some(name) = volume_of(claim) else {
        let message = "Bound claim has lost reference to PersistentVolume. \
                       Data on the volume is lost!";
        return lost("ClaimLost", message);
    };
    let Some(volume) = seen.volume(name) else {
        let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        return lost("ClaimLost", message);
    };
    match claim_ref(volume) {
        Some(of) if of.uid.is_none() || of.uid != claim.metadata.uid => {
            let is_lost = phase_of_claim(claim) == Some("Lost");
            match is_lost || is_for(volume, &claim.metadata) {
                true => Vec::new(),
                false => lost(
                    "ClaimMisbound",
                    "Two claims are bound to the same volume, this one is bound incorrectly",
                ),
            }
        }
        Some(_) | None => bind(volume, claim),
    }
}

fn phase_of_claim(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

/// Marks a claim whose volume is gone, once (PV23).
fn lose(claim: &PersistentVolumeClaim, reason: &str, message: &str) -> Vec<BindStep> {
    if phase_of_claim(claim) == Some("Lost") {
        return Vec::new();
    }
    let mut lost = claim.clone();
    let status = lost.status.get_or_insert_default();
    status.phase = Some("Lost".to_owned());
    (status.access_modes, status.capacity) = (None, None);
    let mut steps = vec![BindStep::UpdateClaim(Box::new(lost))];
    steps.extend(warn(reason, message));
    steps
}

fn warn(reason: &str, message: impl Into<String>) -> Vec<BindStep> {
    vec![BindStep::Tell(Told::warning(reason, message))]
}
