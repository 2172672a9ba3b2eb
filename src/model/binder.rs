//! The binder of claims and volumes: which PersistentVolume a claim gets, what becomes of a volume
//! whose claim is gone, and when either may go (PV02-PV23).
//!
//! A claim and a volume are looked at one at a time, each with all that is seen; what a look asks
//! for is written in its order, the volume before its claim (PV06), so that a crash in between
//! leaves a volume that is reserved for the claim, which the next look completes.

mod bind;
mod claim;
mod fit;
mod provision;
mod volume;

#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus, Pod,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::workload::Told;

pub use claim::look_at_claim;
pub use fit::{default_class, is_default_class};
pub use provision::{bind_to_directory, is_provisioned, provisioned_volume};
pub use volume::look_at_volume;

/// The annotation of a claim whose binding is complete (PV06).
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// The annotation of a claim or volume that the binder has given its other half (PV06).
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The finalizer of a claim, which stays while a pod uses it (PV21).
pub const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The finalizer of a volume, which stays while the volume is bound (PV22).
pub const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

/// Who else works on claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioning {
    /// Neither a scheduler nor a provisioner, as where the recordings were made.
    Nobody,
    /// This machine: a pod that is there has its node, and claims have directories made for them,
    /// but for those of class "", of classes without a provisioner, and of classes that nobody has
    /// described and volumes made by hand have.
    Machine,
    /// The same for claims that have waited before: a class that nobody has described is one of
    /// volumes made by hand then, also when the last of these is gone.
    Waited,
}

/// All that is seen.
#[derive(Debug, Clone)]
pub struct StorageSeen<'a> {
    /// The volumes.
    pub volumes: Vec<&'a PersistentVolume>,
    /// The claims of all namespaces.
    pub claims: Vec<&'a PersistentVolumeClaim>,
    /// The classes.
    pub classes: Vec<&'a StorageClass>,
    /// The pods of all namespaces.
    pub pods: Vec<&'a Pod>,
    /// Who else works on claims.
    pub provisioning: Provisioning,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum BindStep {
    /// Replace a volume, its status included.
    UpdateVolume(Box<PersistentVolume>),
    /// Replace the claim, its status included; without its finalizer it goes (PV21).
    UpdateClaim(Box<PersistentVolumeClaim>),
    /// Make a directory for the claim, and bind it to that.
    Provision,
    /// Tell an event of what is looked at.
    Tell(Told),
}

impl<'a> StorageSeen<'a> {
    fn volume(&self, name: &str) -> Option<&'a PersistentVolume> {
        let mut volumes = self.volumes.iter();
        let named = |it: &&&PersistentVolume| it.metadata.name.as_deref() == Some(name);
        volumes.find(named).copied()
    }

    fn class(&self, name: &str) -> Option<&'a StorageClass> {
        let mut classes = self.classes.iter();
        let named = |it: &&&StorageClass| it.metadata.name.as_deref() == Some(name);
        classes.find(named).copied()
    }

    /// Lists the names of the pods that use a claim, in order.
    fn users(&self, claim: &PersistentVolumeClaim) -> Vec<&'a str> {
        let name = claim.metadata.name.as_deref();
        let uses = |pod: &&&Pod| {
            pod.metadata.namespace == claim.metadata.namespace
                && super::pod::claims_of(pod).any(|used| Some(used.as_str()) == name)
        };
        let users = self.pods.iter().filter(uses);
        let mut users: Vec<_> = users.filter_map(|it| it.metadata.name.as_deref()).collect();
        users.sort_unstable();
        users
    }
}

/// Returns whether the binding of a claim is complete: it stays with its volume (PV06).
#[must_use]
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    is_annotated(&claim.metadata, BIND_COMPLETED)
}

/// Returns whether a volume is bound to the claim that has this name and uid.
#[must_use]
pub fn has_claim(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_ref(volume).is_some_and(|of| of.uid.is_some() && of.uid == claim.metadata.uid)
}

/// Returns whether a volume is as the binder left it, but for its claim, which somebody has taken
/// off (PV18).
fn is_taken_off(volume: &PersistentVolume) -> bool {
    claim_ref(volume).is_none() && is_annotated(&volume.metadata, BOUND_BY_CONTROLLER)
}

/// Takes off a volume what the binder has put on it: its claim, unless that was reserved by hand,
/// its status and its finalizers. One whose claim was taken off by hand stays different.
pub fn forget_binding(volume: &mut PersistentVolume) {
    volume.status = None;
    volume.metadata.finalizers = None;
    if is_taken_off(volume) {
        return;
    }
    let notes = volume.metadata.annotations.as_mut();
    let by_controller = notes.and_then(|notes| notes.remove(BOUND_BY_CONTROLLER));
    let notes = volume.metadata.annotations.take();
    volume.metadata.annotations = notes.filter(|notes| !notes.is_empty());
    let Some(spec) = &mut volume.spec else { return };
    match (by_controller, &mut spec.claim_ref) {
        (Some(_), _) => spec.claim_ref = None,
        (None, Some(of)) => {
            (of.uid, of.resource_version) = (None, None);
            (of.api_version, of.kind) = (None, None);
        }
        (None, None) => {}
    }
}

/// Puts on the new version of a volume what the binder has put on the old one; but a claim that was
/// taken off by hand stays off (PV18).
pub fn keep_binding(old: &PersistentVolume, new: &mut PersistentVolume) {
    new.status.clone_from(&old.status);
    new.metadata.finalizers.clone_from(&old.metadata.finalizers);
    if is_taken_off(new) {
        let notes = new.metadata.annotations.get_or_insert_default();
        notes.remove(BOUND_BY_CONTROLLER);
        return;
    }
    let was_bound = is_annotated(&old.metadata, BOUND_BY_CONTROLLER);
    let given = new.spec.as_ref().is_some_and(|it| it.claim_ref.is_some());
    if was_bound {
        annotate(&mut new.metadata, BOUND_BY_CONTROLLER);
    }
    if was_bound || given {
        let spec = new.spec.get_or_insert_default();
        spec.claim_ref = claim_ref(old).cloned();
    }
}

/// Returns whether a volume is reserved for a claim, or bound to it (PV03, PV09).
fn is_for(volume: &PersistentVolume, claim: &ObjectMeta) -> bool {
    claim_ref(volume).is_some_and(|of| {
        let uid_fits = of
            .uid
            .as_deref()
            .is_none_or(|uid| uid.is_empty() || Some(uid) == claim.uid.as_deref());
        of.name == claim.name && of.namespace == claim.namespace && uid_fits
    })
}

/// Returns the volume that a claim names.
fn volume_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    let name = claim.spec.as_ref()?.volume_name.as_deref();
    name.filter(|name| !name.is_empty())
}

fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

fn phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    phase.unwrap_or("Pending")
}

/// Gives a volume a phase, and what there is to say about it.
fn set_phase(volume: &mut PersistentVolume, phase: &str, message: Option<String>) {
    let status = volume.status.get_or_insert_default();
    if status.phase.as_deref() != Some(phase) || status.message != message {
        *status = PersistentVolumeStatus {
            phase: Some(phase.to_owned()),
            message,
            ..PersistentVolumeStatus::default()
        };
    }
}

fn is_annotated(meta: &ObjectMeta, key: &str) -> bool {
    let notes = meta.annotations.as_ref();
    notes.is_some_and(|notes| notes.contains_key(key))
}

fn annotate(meta: &mut ObjectMeta, key: &str) {
    let notes = meta.annotations.get_or_insert_default();
    notes.insert(key.to_owned(), "yes".to_owned());
}

/// Takes a finalizer off; returns whether it was there.
fn unprotect(meta: &mut ObjectMeta, finalizer: &str) -> bool {
    let finalizers = meta.finalizers.get_or_insert_default();
    let before = finalizers.len();
    finalizers.retain(|it| it != finalizer);
    before != finalizers.len()
}
