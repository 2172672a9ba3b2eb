//! Claims: their names, their content and their owners.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::name::claim_name;
use super::set::{Keep, Retention, Set, controller_reference};
use super::{Ordinal, PetSeen};
use crate::sorted::SortedMap;

/// A claim as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimSeen {
    /// Its name.
    pub name: String,
    /// It is being deleted; no pet may start with it (C22).
    pub terminating: bool,
    /// The objects with which it is deleted (C23).
    pub owners: Vec<OwnerReference>,
    /// Another set has it too: this set must not take it along.
    pub shared: bool,
    /// A pod that is no pet of this set uses it: it is only marked, and goes with its last user.
    pub in_use: bool,
}

impl ClaimSeen {
    /// Reads what counts of a stored claim.
    #[must_use]
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let meta = &claim.metadata;
        Self {
            name: meta.name.clone().unwrap_or_default(),
            terminating: meta.deletion_timestamp.is_some(),
            owners: meta.owner_references.clone().unwrap_or_default(),
            shared: false,
            in_use: false,
        }
    }

    /// Returns whether a pass could delete it.
    #[must_use]
    pub fn may_go(&self) -> bool {
        self.terminating || !self.owners.is_empty()
    }

    /// Returns the owners it has beside the one with this uid.
    pub(super) fn owners_but(&self, uid: &str) -> Vec<OwnerReference> {
        let others = self.owners.iter().filter(|owner| owner.uid != uid);
        others.cloned().collect()
    }

    pub(super) fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner.uid == uid)
    }

    /// Returns the pod that takes the claim along when it goes.
    pub(super) fn pod_owner(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.kind == "Pod")
    }

    /// Returns whether it still belongs to an earlier pet of its ordinal, which takes it along.
    pub(super) fn is_stale(&self, set: &Set) -> bool {
        self.pod_owner()
            .is_some_and(|owner| set.ordinal_of(&owner.name).is_some())
    }

    /// Returns whether an object other than the set and its pets controls the claim.
    pub(super) fn is_controlled_by_another(&self, set: &Set) -> bool {
        let ours = |owner: &OwnerReference| {
            owner.uid == set.uid || owner.kind == "Pod" && set.ordinal_of(&owner.name).is_some()
        };
        let mut controllers = self
            .owners
            .iter()
            .filter(|owner| owner.controller == Some(true));
        controllers.any(|owner| !ours(owner))
    }
}

impl super::Set {
    /// Returns whether a claim is named like one that a template of this set made, for any ordinal.
    #[must_use]
    pub fn is_own_claim(&self, claim: &str) -> bool {
        self.ordinal_of_claim(claim).is_some()
    }

    /// Returns the ordinal whose claim is named so.
    #[must_use]
    pub fn ordinal_of_claim(&self, claim: &str) -> Option<Ordinal> {
        let pet = |template: &String| claim.strip_prefix(template.as_str())?.strip_prefix('-');
        let mut pets = self.claim_templates.iter().filter_map(pet);
        pets.find_map(|pet| self.ordinal_of(pet))
    }
}

/// Makes the claim of a pet from the template of that name; it has no uid yet (C02).
///
/// It carries the selector's labels on top of the template's.
#[must_use]
pub fn claim_for(
    set: &StatefulSet,
    template: &str,
    ordinal: Ordinal,
) -> Option<PersistentVolumeClaim> {
    let spec = set.spec.as_ref()?;
    let mut templates = spec.volume_claim_templates.iter().flatten();
    let named = |claim: &&PersistentVolumeClaim| claim.metadata.name.as_deref() == Some(template);
    let mut claim = templates.find(named)?.clone();
    let name = claim_name(template, set.metadata.name.as_deref()?, ordinal);
    claim.metadata.name = Some(name);
    claim.metadata.namespace.clone_from(&set.metadata.namespace);
    if let Some(labels) = &spec.selector.match_labels {
        let own = claim.metadata.labels.get_or_insert_default();
        own.extend(
            labels
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
    claim.status = Some(PersistentVolumeClaimStatus {
        phase: Some("Pending".to_owned()),
        ..PersistentVolumeClaimStatus::default()
    });
    Some(claim)
}

/// Returns the owner that the claims of a pet shall have: none, its set, or the pet itself (C23).
///
/// A claim is handed to its pet only when the pet is condemned: scaled away, not just replaced.
pub(super) fn wanted_owner(set: &Set, pet: &PetSeen, condemned: bool) -> Option<OwnerReference> {
    let Retention {
        when_deleted,
        when_scaled,
    } = set.retention;
    match (when_scaled, when_deleted) {
        (Keep::Delete, _) if condemned => {
            Some(controller_reference("v1", "Pod", &pet.name, &pet.uid))
        }
        (_, Keep::Delete) => Some(set.owner_reference()),
        (_, Keep::Retain) => None,
    }
}

/// Returns the owners a claim shall have, if they differ from those it has.
///
/// Owners that are neither the set nor one of its pets are left alone.
pub(super) fn owners_to_set(
    set: &Set,
    claim: &ClaimSeen,
    wanted: Option<&OwnerReference>,
) -> Option<Vec<OwnerReference>> {
    if claim.is_controlled_by_another(set) {
        return None;
    }
    let ours = |owner: &&OwnerReference| {
        owner.uid == set.uid || owner.kind == "Pod" && set.ordinal_of(&owner.name).is_some()
    };
    let mut have = claim.owners.iter().filter(ours);
    let settled = match wanted {
        None => have.next().is_none(),
        Some(wanted) => {
            have.next().map(|owner| &owner.uid) == Some(&wanted.uid) && have.next().is_none()
        }
    };
    if settled {
        return None;
    }
    let others = claim.owners.iter().filter(|owner| !ours(owner)).cloned();
    Some(others.chain(wanted.cloned()).collect())
}

/// Claims by name.
pub type Claims = SortedMap<String, ClaimSeen>;
