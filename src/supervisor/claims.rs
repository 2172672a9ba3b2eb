//! Claims: creating them, growing them, and removing them with their data.

use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::perform::new_uid;
use super::state::Supervisor;
use super::storage_plan::is_open;
use crate::model::binder::{CLAIM_PROTECTION, bind_to_directory, is_bound, is_provisioned};
use crate::model::kind::ObjectKind;
use crate::model::{
    Namespace, ObjectName, ObjectRef, Ordinal, Set, claim_for, claim_name, names_claim,
};
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
        self.store_claim(&key.namespace, name, claim)?;
        // Its pod is made next, and finds it bound if there is a volume.
        self.tend_storage(Instant::now());
        Ok(())
    }

    /// Keeps a new claim, with its directory if it gets one. A directory of that name that is there
    /// is its own: it was kept when an earlier claim went.
    pub(super) fn store_claim(
        &mut self,
        namespace: &Namespace,
        name: String,
        mut claim: PersistentVolumeClaim,
    ) -> Result<()> {
        let dir = self.store.layout().volume(namespace, &name);
        claim.metadata.finalizers = Some(vec![CLAIM_PROTECTION.to_owned()]);
        let status = claim.status.get_or_insert_default();
        status.phase.get_or_insert_with(|| "Pending".to_owned());
        if dir.is_dir() || self.world.makes_directory(namespace, &claim) {
            store::make_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            claim = of_directory(claim);
        } else {
            self.storage.due = true;
        }
        self.write_claim(namespace, &name, claim)
    }

    /// Writes the record of a claim, and keeps it here when that is done. Which volume a claim has
    /// is synced.
    pub(super) fn write_claim(
        &mut self,
        namespace: &Namespace,
        name: &str,
        claim: PersistentVolumeClaim,
    ) -> Result<()> {
        let path = self.store.layout().claim(namespace, name);
        let key = (namespace.clone(), name.to_owned());
        match is_open(&claim) {
            true => self.storage.open.insert(key),
            false => self.storage.open.remove(&key),
        };
        let has_volume = is_bound(&claim) && !is_provisioned(&claim);
        let sync = if has_volume { Sync::Yes } else { Sync::No };
        store::replace_json(&path, &claim, sync)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let place = self.world.place_mut(namespace);
        place.claims.insert(name.to_owned(), Box::new(claim));
        Ok(())
    }

    /// Binds the claims of an earlier version to their directories.
    pub(super) fn bind_earlier_claims(&mut self) -> Result<()> {
        let mut earlier = Vec::new();
        for (namespace, place) in &self.world.places {
            for (name, claim) in &place.claims {
                if !is_bound(claim) && self.store.layout().volume(namespace, name).is_dir() {
                    earlier.push((namespace.clone(), name.clone(), (**claim).clone()));
                }
            }
        }
        for (namespace, name, claim) in earlier {
            self.write_claim(&namespace, &name, of_directory(claim))?;
        }
        Ok(())
    }

    pub(super) fn own_claim(
        &mut self,
        key: &ObjectRef,
        name: &str,
        owners: &[OwnerReference],
    ) -> Result<()> {
        self.change_claim(&key.namespace, name, |claim| {
            claim.metadata.owner_references = (!owners.is_empty()).then(|| owners.to_vec());
        })
    }

    /// Changes the record of a claim on the disk first, and here when that is done.
    fn change_claim(
        &mut self,
        namespace: &Namespace,
        name: &str,
        change: impl FnOnce(&mut PersistentVolumeClaim),
    ) -> Result<()> {
        let place = self.world.place_mut(namespace);
        let Some(mut claim) = place.claims.get(name).cloned() else {
            return Ok(());
        };
        change(&mut claim);
        self.write_claim(namespace, name, *claim)
    }

    /// Deletes a claim; one that a pod uses is marked, and goes with its last user. Returns whether
    /// that changed anything.
    pub(super) fn delete_claim(
        &mut self,
        key: &ObjectRef,
        name: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let place = self.world.place_mut(&key.namespace);
        let Some(user) = place.user_of(name).map(str::to_owned) else {
            return self.remove_claim(key, name).map(|()| true);
        };
        let known = place.claims.get(name);
        if known.is_none_or(|claim| claim.metadata.deletion_timestamp.is_some()) {
            return Ok(false);
        }
        self.change_claim(&key.namespace, name, |claim| {
            claim.metadata.deletion_timestamp = Some(Time(now));
        })?;
        let message = format!("claim {name} goes when no pod uses it any more: {user} does");
        self.claim_event(key, name, "Deleting", &message);
        Ok(true)
    }

    /// Removes a claim, also from what is wanted, with the directory that was made for it. The data
    /// of a volume that a user has made stay.
    pub(super) fn remove_claim(&mut self, key: &ObjectRef, name: &str) -> Result<()> {
        let dir = self.store.layout().volume(&key.namespace, name);
        store::remove_tree(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        let path = self.store.layout().claim(&key.namespace, name);
        store::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        self.storage.forget(&key.namespace, name);
        let place = self.world.place_mut(&key.namespace);
        let gone = place.claims.remove(name);
        // A pet may have waited for the end of it.
        let waiting = place.sets.iter().filter(|(_, set)| names_claim(set, name));
        let waiting = waiting.map(|(set, _)| ObjectRef::new(key.namespace.clone(), set.clone()));
        self.due.extend(waiting);
        let object: ObjectName = name.parse()?;
        if place.claims_wanted.contains_key(&object) {
            self.store.edit("supervise", None, |edit| {
                edit.forget(&key.namespace, ObjectKind::PersistentVolumeClaim, &object);
                Ok(())
            })?;
            let place = self.world.place_mut(&key.namespace);
            place.claims_wanted.remove(&object);
        }
        let bound = gone.filter(|claim| is_bound(claim));
        let message = match bound.filter(|claim| !is_provisioned(claim)) {
            Some(claim) => {
                let volume = claim.spec.and_then(|spec| spec.volume_name);
                let volume = volume.unwrap_or_default();
                format!("claim {name} is gone, and volume {volume} keeps its data")
            }
            None => format!("the data of claim {name} was removed, as was asked for"),
        };
        self.claim_event(key, name, "Deleted", &message);
        Ok(())
    }

    /// Raises the requests of a pet's claims to those of their templates.
    pub(super) fn grow_claims(&mut self, key: &ObjectRef, ordinal: Ordinal) -> Result<()> {
        let spec = self.set(key)?.spec.as_ref();
        let templates = spec.and_then(|spec| spec.volume_claim_templates.clone());
        for template in templates.unwrap_or_default() {
            let name = template.metadata.name.unwrap_or_default();
            let name = claim_name(&name, key.name.as_str(), ordinal);
            let Some(claim) = self.world.place_mut(&key.namespace).claims.get(&name) else {
                continue;
            };
            let wished = template.spec.and_then(|spec| spec.resources);
            let asked = claim.spec.as_ref().map(|spec| &spec.resources);
            if wished.is_some() && asked.is_some_and(|asked| *asked != wished) {
                self.change_claim(&key.namespace, &name, |claim| {
                    claim.spec.get_or_insert_default().resources = wished;
                    if is_provisioned(claim)
                        && let Some(grown) = bind_to_directory(claim)
                    {
                        *claim = grown;
                    }
                })?;
            }
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
                .and_then(|place| place.claims.get(&claim.claim_name))
                .is_some_and(|claim| is_bound(claim) && is_provisioned(claim));
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

    /// Removes the claims whose last owner is gone, and deleted ones that no pod uses any more
    /// (C23). What the last owner takes along and a pod still uses is marked; what another set than
    /// `set` has too stays.
    pub(super) fn collect(&mut self, key: &ObjectRef, set: &ObjectName, owner: &str) -> Result<()> {
        let place = self.world.place_mut(&key.namespace);
        let mut gone = Vec::new();
        for (name, claim) in &place.claims {
            let owners = claim
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default();
            let orphaned = !owners.is_empty() && owners.iter().all(|of| of.uid == owner);
            let marked = claim.metadata.deletion_timestamp.is_some();
            let shared = || place.claim_users(set, owner).set_of(name).is_some();
            if marked || (orphaned && !shared()) {
                gone.push(name.clone());
            }
        }
        let now = Timestamp::now();
        for claim in gone {
            self.delete_claim(key, &claim, now)?;
        }
        Ok(())
    }

    /// Removes what an earlier supervisor has marked and not removed.
    pub(super) fn collect_marked(&mut self) -> Result<()> {
        let namespaces: Vec<Namespace> = self.world.places.keys().cloned().collect();
        for namespace in namespaces {
            let place = self.world.place_mut(&namespace);
            let marked = |meta: &ObjectMeta| meta.deletion_timestamp.is_some();
            let claims = place.claims.values().map(|claim| &claim.metadata);
            let claim = claims.filter(|meta| marked(meta)).find_map(set_or_claim);
            if let Some(name) = claim {
                let key = ObjectRef::new(namespace, name.clone());
                self.collect(&key, &name, "")?;
            }
        }
        Ok(())
    }

    /// Removes every claim of the set, also those of pets that were removed long ago, but none that
    /// another set has too.
    pub(super) fn purge(&mut self, key: &ObjectRef, set: &Set) -> Result<()> {
        let mut claims = store::names_in(&self.store.layout().volumes(&key.namespace))?;
        let place = self.world.place_mut(&key.namespace);
        claims.extend(place.claims.keys().cloned());
        claims.sort();
        claims.dedup();
        let now = Timestamp::now();
        for claim in claims.iter().filter(|claim| set.is_own_claim(claim)) {
            let place = self.world.place_mut(&key.namespace);
            let users = place.claim_users(&key.name, &set.uid);
            if users.set_of(claim).is_none() {
                self.delete_claim(key, claim, now)?;
            }
        }
        Ok(())
    }
}

/// Returns a claim, bound to the directory of its name.
fn of_directory(claim: PersistentVolumeClaim) -> PersistentVolumeClaim {
    bind_to_directory(&claim).unwrap_or(claim)
}

/// Returns the name under which events of a claim are kept.
pub(super) fn set_or_claim(claim: &ObjectMeta) -> Option<ObjectName> {
    let notes = claim.annotations.as_ref();
    let set = notes.and_then(|notes| notes.get(store::SET_ANNOTATION));
    set.or(claim.name.as_ref())?.parse().ok()
}
