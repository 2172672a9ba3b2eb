//! Claims: creating them, growing them, and removing them with their data.

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::perform::new_uid;
use super::state::Supervisor;
use crate::model::{ObjectRef, Ordinal, Set, claim_for, claim_name};
use crate::problem::Result;
use crate::store::journal::Severity;
use crate::store::{self, Sync};

impl Supervisor {
    pub(super) fn create_claim(
        &mut self,
        key: &ObjectRef,
        template: &str,
        ordinal: Ordinal,
        now: Timestamp,
    ) -> Result<()> {
        let name = claim_name(template, key.name.as_str(), ordinal);
        let set = self.set(key)?;
        let mut claim = claim_for(set, template, ordinal)
            .with_context(|| format!("{} has no claim template {template}", key.name))?;
        claim.metadata.uid = Some(new_uid()?);
        claim.metadata.creation_timestamp = Some(Time(now));
        let notes = claim.metadata.annotations.get_or_insert_default();
        notes.insert(store::SET_ANNOTATION.to_owned(), key.name.to_string());
        let dir = self.store.layout().volume(&key.namespace, &name);
        store::make_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = self.store.layout().claim(&key.namespace, &name);
        store::replace_json(&path, &claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.world
            .place_mut(&key.namespace)
            .claims
            .insert(name.clone(), claim);
        Ok(())
    }

    pub(super) fn own_claim(
        &mut self,
        key: &ObjectRef,
        name: &str,
        owners: &[OwnerReference],
    ) -> Result<()> {
        let path = self.store.layout().claim(&key.namespace, name);
        let place = self.world.place_mut(&key.namespace);
        let Some(claim) = place.claims.get_mut(name) else {
            return Ok(());
        };
        claim.metadata.owner_references = (!owners.is_empty()).then(|| owners.to_vec());
        store::replace_json(&path, claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Deletes a claim; one that a pet uses only gets a deletion time.
    pub(super) fn delete_claim(
        &mut self,
        key: &ObjectRef,
        name: &str,
        now: Timestamp,
    ) -> Result<()> {
        let path = self.store.layout().claim(&key.namespace, name);
        let place = self.world.place_mut(&key.namespace);
        let used = place.pets.values().any(|pet| pet.uses(name));
        let Some(claim) = place.claims.get_mut(name).filter(|_| used) else {
            return self.remove_claim(key, name);
        };
        claim.metadata.deletion_timestamp = Some(Time(now));
        store::replace_json(&path, claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes a claim with its data.
    fn remove_claim(&mut self, key: &ObjectRef, name: &str) -> Result<()> {
        let dir = self.store.layout().volume(&key.namespace, name);
        store::remove_tree(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        let path = self.store.layout().claim(&key.namespace, name);
        store::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        self.world.place_mut(&key.namespace).claims.remove(name);
        let message =
            format!("the data of claim {name} was removed, as its set's retention policy says");
        self.claim_event(key, name, &message);
        Ok(())
    }

    /// Raises the requests of a pet's claims to those of their templates.
    pub(super) fn grow_claims(&mut self, key: &ObjectRef, ordinal: Ordinal) -> Result<()> {
        let spec = self.set(key)?.spec.as_ref();
        let templates = spec.and_then(|spec| spec.volume_claim_templates.clone());
        for template in templates.unwrap_or_default() {
            let name = template.metadata.name.unwrap_or_default();
            let name = claim_name(&name, key.name.as_str(), ordinal);
            let path = self.store.layout().claim(&key.namespace, &name);
            let Some(claim) = self.world.place_mut(&key.namespace).claims.get_mut(&name) else {
                continue;
            };
            let wished = template.spec.and_then(|spec| spec.resources);
            let asked = claim.spec.as_mut().map(|spec| &mut spec.resources);
            let Some(asked) = asked.filter(|asked| wished.is_some() && **asked != wished) else {
                continue;
            };
            *asked = wished;
            store::replace_json(&path, claim, Sync::No)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Creates the directories of claims whose data a user has removed by hand.
    pub(super) fn provide_volumes(&self, pod: &Pod, key: &ObjectRef) -> Result<()> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let claims = volumes
            .into_iter()
            .flatten()
            .filter_map(|v| v.persistent_volume_claim.as_ref());
        for claim in claims {
            let known = self
                .world
                .place(&key.namespace)
                .is_some_and(|p| p.claims.contains_key(&claim.claim_name));
            let dir = self
                .store
                .layout()
                .volume(&key.namespace, &claim.claim_name);
            if known && !dir.exists() {
                store::make_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
                let message = format!(
                    "claim {} had lost its directory; it is empty now",
                    claim.claim_name
                );
                self.pet_event(key, Severity::Warning, "VolumeLost", &message);
            }
        }
        Ok(())
    }

    /// Removes the claims whose last owner is gone, and deleted ones that no pet uses any more
    /// (C23).
    pub(super) fn collect(&mut self, key: &ObjectRef, owner: &str) -> Result<()> {
        let place = self.world.place_mut(&key.namespace);
        let mut gone = Vec::new();
        for (name, claim) in &place.claims {
            let owners = claim
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default();
            let orphaned = !owners.is_empty() && owners.iter().all(|of| of.uid == owner);
            let doomed = orphaned || claim.metadata.deletion_timestamp.is_some();
            if doomed && !place.pets.values().any(|pet| pet.uses(name)) {
                gone.push(name.clone());
            }
        }
        gone.iter()
            .try_for_each(|claim| self.remove_claim(key, claim))
    }

    /// Removes every claim of the set, also those of pets that were removed long ago.
    pub(super) fn purge(&mut self, key: &ObjectRef, set: &Set) -> Result<()> {
        let claims = store::names_in(&self.store.layout().volumes(&key.namespace))?;
        let own = claims.iter().filter(|claim| set.is_own_claim(claim));
        own.into_iter()
            .try_for_each(|claim| self.remove_claim(key, claim))
    }
}
