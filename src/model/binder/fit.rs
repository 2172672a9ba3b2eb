//! Which volume fits a claim.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

use super::{StorageSeen, is_for, phase};
use crate::model::quantity::Quantity;
use crate::model::set::Selector;
use crate::sorted::sort_by_key;

/// The annotation of the class that claims without one get (PV15).
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The mode of volumes and claims that name none (PV01).
pub(super) const FILESYSTEM: &str = "Filesystem";

/// What a claim asks of a volume.
pub(super) struct Wish<'a> {
    claim: &'a PersistentVolumeClaim,
    size: i128,
    modes: &'a [String],
    mode: &'a str,
    class: &'a str,
}

impl<'a> Wish<'a> {
    pub(super) fn of(claim: &'a PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref();
        let resources = spec.and_then(|spec| spec.resources.as_ref());
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        let mode = spec.and_then(|spec| spec.volume_mode.as_deref());
        Self {
            claim,
            size: nanos(requests.and_then(|requests| requests.get("storage"))),
            modes: spec
                .and_then(|it| it.access_modes.as_deref())
                .unwrap_or_default(),
            mode: mode.unwrap_or(FILESYSTEM),
            class: class_of_claim(claim).unwrap_or_default(),
        }
    }

    /// Returns the volume that fits best (PV03, PV04): volumes with the fewest access modes are
    /// looked through first, and among those the one that is reserved for the claim goes before the
    /// smallest. A claim that is to wait for its pod takes a reserved one only (PV16).
    pub(super) fn best(&self, seen: &StorageSeen<'a>, waits: bool) -> Option<&'a PersistentVolume> {
        let mut fitting = seen.volumes.clone();
        fitting.retain(|volume| self.is_offered(volume, waits));
        sort_by_key(&mut fitting, |volume| {
            let meta = &volume.metadata;
            let reserved = is_for(volume, &self.claim.metadata);
            (
                modes(volume).len(),
                !reserved,
                capacity(volume),
                meta.name.as_deref(),
            )
        });
        fitting.first().copied()
    }

    fn is_offered(&self, volume: &PersistentVolume, waits: bool) -> bool {
        let fits = capacity(volume) >= self.size
            && mode(volume) == self.mode
            && has_modes(volume, self.modes)
            && volume.metadata.deletion_timestamp.is_none();
        let is_reserved = is_for(volume, &self.claim.metadata);
        let is_free = super::claim_ref(volume).is_none() && phase(volume) == "Available";
        let is_wanted = || self.is_selected(volume) && class(volume) == self.class;
        fits && (is_reserved || is_free && !waits && is_wanted())
    }

    fn is_selected(&self, volume: &PersistentVolume) -> bool {
        let spec = self.claim.spec.as_ref();
        let Some(selector) = spec.and_then(|spec| spec.selector.as_ref()) else {
            return true;
        };
        let labels = volume.metadata.labels.clone().unwrap_or_default();
        Selector::of(selector).is_ok_and(|selector| selector.matches(&labels))
    }

    /// Says why the volume that the claim names cannot be bound to it; its selector does not count
    /// (PV08).
    pub(super) fn mismatch(&self, volume: &PersistentVolume) -> Option<String> {
        let deleted = volume.metadata.deletion_timestamp.is_some();
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let why = if deleted {
            return Some(format!("the volume is marked for deletion {name:?}"));
        } else if capacity(volume) < self.size {
            "requested PV is too small"
        } else if class(volume) != self.class {
            "storageClassName does not match"
        } else if mode(volume) != self.mode {
            "incompatible volumeMode"
        } else if !has_modes(volume, self.modes) {
            "incompatible accessMode"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}

/// Returns the class that a claim names; "" is one, and `None` is none at all (PV15).
pub(super) fn class_of_claim(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

/// Returns whether claims without a class get this one.
#[must_use]
pub fn is_default_class(class: &StorageClass) -> bool {
    let notes = class.metadata.annotations.as_ref();
    let note = notes.and_then(|notes| notes.get(DEFAULT_CLASS));
    note.is_some_and(|it| it == "true")
}

/// Returns the class that claims without one get: of several the newest (PV15).
#[must_use]
pub fn default_class<'a>(classes: &[&'a StorageClass]) -> Option<&'a StorageClass> {
    let is_default = |class: &&&StorageClass| is_default_class(class);
    let newest = |class: &&&StorageClass| {
        let meta = &class.metadata;
        let since = meta.creation_timestamp.as_ref().map(|it| it.0);
        (since, std::cmp::Reverse(meta.name.clone()))
    };
    classes
        .iter()
        .filter(is_default)
        .max_by_key(newest)
        .copied()
}

/// Returns whether a volume that somebody has made is of a class.
pub(super) fn is_of_class(volume: &PersistentVolume, name: &str) -> bool {
    class(volume) == name
}

fn class(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref());
    class.unwrap_or_default()
}

fn mode(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    let mode = spec.and_then(|spec| spec.volume_mode.as_deref());
    mode.unwrap_or(FILESYSTEM)
}

fn modes(volume: &PersistentVolume) -> &[String] {
    let spec = volume.spec.as_ref();
    let modes = spec.and_then(|spec| spec.access_modes.as_deref());
    modes.unwrap_or_default()
}

fn has_modes(volume: &PersistentVolume, wanted: &[String]) -> bool {
    wanted.iter().all(|mode| modes(volume).contains(mode))
}

fn capacity(volume: &PersistentVolume) -> i128 {
    let spec = volume.spec.as_ref();
    let capacity = spec.and_then(|spec| spec.capacity.as_ref());
    nanos(capacity.and_then(|capacity| capacity.get("storage")))
}

fn nanos(amount: Option<&Amount>) -> i128 {
    let amount = amount.and_then(|amount| amount.0.parse::<Quantity>().ok());
    amount.map_or(0, Quantity::nanos)
}
