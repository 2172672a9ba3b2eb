//! Doing what the model decided: one step after the other.

use std::fs;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::ability::Ability;
use super::pets::Pet;
use super::world::Key;
use super::{Supervisor, log};
use crate::model::{
    Deletion, EGRESS_ANNOTATION, Egress, ISOLATION_ANNOTATION, Isolation, ObjectName, Ordinal, Set,
    Step, claim_for, claim_name, pod_for,
};
use crate::problem::Result;
use crate::store::journal::Severity;
use crate::store::{self, Sync, Wanted, view};

impl Supervisor {
    /// Performs one step for the set; returns whether anything changed by it.
    pub(super) fn perform(
        &mut self,
        key: &Key,
        set: &Set,
        step: &Step,
        now: Timestamp,
    ) -> Result<bool> {
        match step {
            Step::Await { .. } => return Ok(false),
            Step::CreateRevision(revision) => {
                let mut revision = revision.as_ref().clone();
                revision.metadata.uid = Some(new_uid()?);
                revision.metadata.creation_timestamp = Some(Time(now));
                self.revise(key, |revisions| revisions.push(revision))?;
            }
            Step::RenumberRevision { name, number } => self.revise(key, |revisions| {
                let named = revisions
                    .iter_mut()
                    .filter(|r| r.metadata.name.as_ref() == Some(name));
                named.for_each(|revision| revision.revision = *number);
            })?,
            Step::AdoptRevision { name } => self.revise(key, |revisions| {
                let named = revisions
                    .iter_mut()
                    .filter(|r| r.metadata.name.as_ref() == Some(name));
                named.for_each(|r| r.metadata.owner_references = Some(vec![set.owner_reference()]));
            })?,
            Step::ReleaseRevision { name } => self.revise(key, |revisions| {
                let named = revisions
                    .iter_mut()
                    .filter(|r| r.metadata.name.as_ref() == Some(name));
                named.for_each(|revision| revision.metadata.owner_references = None);
            })?,
            Step::DeleteRevision { name } => self.revise(key, |revisions| {
                revisions.retain(|revision| revision.metadata.name.as_ref() != Some(name));
            })?,
            Step::CreateClaim {
                claim: _,
                template,
                ordinal,
            } => {
                self.create_claim(key, template, *ordinal, now)?;
            }
            Step::OwnClaim { claim, owners } => self.own_claim(key, claim, owners)?,
            Step::DeleteClaim { claim } => self.delete_claim(key, claim, now)?,
            Step::CreatePet { ordinal, revision } => {
                self.create_pet(key, *ordinal, revision, now)?;
            }
            Step::DeletePet {
                ordinal,
                uid,
                why: _,
            } => {
                self.delete_pet(key, &set.pet_name(*ordinal), uid, now)?;
            }
            Step::AdoptPet { ordinal } => {
                self.own_pet(key, &set.pet_name(*ordinal), Some(set.owner_reference()))?;
            }
            Step::ReleasePet { ordinal } => self.own_pet(key, &set.pet_name(*ordinal), None)?,
            Step::RunHook { ordinal, uid: _ } => self.run_hook(key, set, *ordinal)?,
            Step::RollBack { to, ordinal, why } => {
                self.roll_back(key, set, to, (*ordinal, why), now)?;
            }
            Step::Fulfil { annotation } => self.fulfil(key, set, annotation)?,
            Step::Finish => self.finish(key, set)?,
        }
        self.tell(key, set, step);
        Ok(true)
    }

    /// Tells of a step that was done, and why where the step knows (C21, C83).
    fn tell(&mut self, key: &Key, set: &Set, step: &Step) {
        let Some((reason, mut message)) = step.event(set) else {
            return;
        };
        if let Step::DeletePet { why, .. } = step {
            message.push_str(&format!(": {why}"));
        }
        self.set_event(key, Severity::Normal, reason, &message);
    }

    fn revise(
        &mut self,
        key: &Key,
        change: impl FnOnce(&mut Vec<k8s_openapi::api::apps::v1::ControllerRevision>),
    ) -> Result<()> {
        let path = self.store.layout().revisions(&key.0, key.1.as_str());
        let revisions = self
            .world
            .place_mut(&key.0)
            .revisions
            .entry(key.1.clone())
            .or_default();
        change(revisions);
        self.late.replace(path, serde_json::to_vec(revisions)?);
        Ok(())
    }

    fn create_claim(
        &mut self,
        key: &Key,
        template: &str,
        ordinal: Ordinal,
        now: Timestamp,
    ) -> Result<()> {
        let name = claim_name(template, key.1.as_str(), ordinal);
        let set = self.set(key)?;
        let mut claim = claim_for(set, template, ordinal)
            .with_context(|| format!("{} has no claim template {template}", key.1))?;
        claim.metadata.uid = Some(new_uid()?);
        claim.metadata.creation_timestamp = Some(Time(now));
        let notes = claim.metadata.annotations.get_or_insert_default();
        notes.insert(store::SET_ANNOTATION.to_owned(), key.1.to_string());
        let dir = self.store.layout().volume(&key.0, &name);
        store::make_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = self.store.layout().claim(&key.0, &name);
        store::replace_json(&path, &claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.world
            .place_mut(&key.0)
            .claims
            .insert(name.clone(), claim);
        Ok(())
    }

    fn own_claim(&mut self, key: &Key, name: &str, owners: &[OwnerReference]) -> Result<()> {
        let path = self.store.layout().claim(&key.0, name);
        let place = self.world.place_mut(&key.0);
        let Some(claim) = place.claims.get_mut(name) else {
            return Ok(());
        };
        claim.metadata.owner_references = (!owners.is_empty()).then(|| owners.to_vec());
        store::replace_json(&path, claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Marks a claim for removal; while a pet uses it, it is only marked.
    fn delete_claim(&mut self, key: &Key, name: &str, now: Timestamp) -> Result<()> {
        let path = self.store.layout().claim(&key.0, name);
        let place = self.world.place_mut(&key.0);
        let used = place.pets.values().any(|pet| pet.uses(name));
        let Some(claim) = place.claims.get_mut(name).filter(|_| used) else {
            return self.remove_claim(key, name);
        };
        claim.metadata.deletion_timestamp = Some(Time(now));
        store::replace_json(&path, claim, Sync::No)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes a claim with its data: the retention policy said Delete.
    fn remove_claim(&mut self, key: &Key, name: &str) -> Result<()> {
        let dir = self.store.layout().volume(&key.0, name);
        store::remove_tree(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        let path = self.store.layout().claim(&key.0, name);
        store::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        self.world.place_mut(&key.0).claims.remove(name);
        let message =
            format!("the data of claim {name} was removed, as its set's retention policy says");
        self.claim_event(key, name, &message);
        Ok(())
    }

    fn create_pet(
        &mut self,
        key: &Key,
        ordinal: Ordinal,
        revision: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.grow_claims(key, ordinal)?;
        let set = self.set(key)?;
        let revisions = self
            .world
            .place(&key.0)
            .and_then(|place| place.revisions.get(&key.1));
        let revision = revisions
            .into_iter()
            .flatten()
            .find(|r| r.metadata.name.as_deref() == Some(revision));
        let revision = revision.with_context(|| format!("{} has lost its revision", key.1))?;
        let mut pod = pod_for(set, ordinal, revision)?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        pod.metadata.uid = Some(new_uid()?);
        pod.metadata.creation_timestamp = Some(Time(now));
        let pet_key = (key.0.clone(), name.parse()?);
        let notes = self.set(key)?.metadata.annotations.as_ref();
        let asked = Isolation::asked(notes)?;
        if let Some(egress) = Egress::asked(notes)? {
            note_egress(&mut pod, egress);
        }
        self.launch(pod, &pet_key, asked)?;
        Ok(())
    }

    /// Completes a pod with what its identity has for ever, writes it down, and starts its runner.
    pub(super) fn launch(
        &mut self,
        mut pod: Pod,
        key: &Key,
        asked: Option<Isolation>,
    ) -> Result<()> {
        self.isolate(&mut pod, asked);
        self.locate(&mut pod, key)?;
        self.provide_volumes(&pod, key)?;
        let mut pet = Pet::new(pod);
        let written = pet.write(self.store.layout(), key);
        written.with_context(|| format!("cannot write the pod {}", key.1))?;
        // Watched before it starts, so that its first status is not missed.
        self.watch_pet(key);
        let started = pet.start(self.store.layout(), key);
        let place = self.world.place_mut(&key.0);
        place.pets.insert(key.1.clone(), pet);
        started.with_context(|| format!("cannot start the runner of {}", key.1))
    }

    /// Lets the claims of a pet ask for as much as their templates do now.
    fn grow_claims(&mut self, key: &Key, ordinal: Ordinal) -> Result<()> {
        let spec = self.set(key)?.spec.as_ref();
        let templates = spec.and_then(|spec| spec.volume_claim_templates.clone());
        for template in templates.unwrap_or_default() {
            let name = template.metadata.name.unwrap_or_default();
            let name = claim_name(&name, key.1.as_str(), ordinal);
            let path = self.store.layout().claim(&key.0, &name);
            let Some(claim) = self.world.place_mut(&key.0).claims.get_mut(&name) else {
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

    /// Makes the directories of claims whose data somebody removed by hand.
    fn provide_volumes(&self, pod: &Pod, key: &Key) -> Result<()> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let claims = volumes
            .into_iter()
            .flatten()
            .filter_map(|v| v.persistent_volume_claim.as_ref());
        for claim in claims {
            let known = self
                .world
                .place(&key.0)
                .is_some_and(|p| p.claims.contains_key(&claim.claim_name));
            let dir = self.store.layout().volume(&key.0, &claim.claim_name);
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

    /// Notes in a pod how much it is kept apart: what is asked for, or else the settings.
    fn isolate(&mut self, pod: &mut Pod, asked: Option<Isolation>) {
        let level = match asked.unwrap_or(self.store.settings().isolation) {
            Isolation::None => return,
            Isolation::Full => "full",
            Isolation::Auto if self.can_isolate() => "full",
            Isolation::Auto => "none",
        };
        let notes = pod.metadata.annotations.get_or_insert_default();
        notes.insert(ISOLATION_ANNOTATION.to_owned(), level.to_owned());
        let egress = Egress::asked(pod.metadata.annotations.as_ref());
        let egress = egress.ok().flatten();
        note_egress(pod, egress.unwrap_or(self.store.settings().egress));
    }

    /// Tells whether this machine can isolate pets: tried once.
    fn can_isolate(&mut self) -> bool {
        *self.can_isolate.get_or_insert_with(|| {
            let ability = Ability::of_this_machine(self.store.layout());
            if let Some(lack) = &ability.lack {
                log(&format!("no isolation: {lack}"));
            }
            ability.lack.is_none()
        })
    }

    /// Gives a pod the address that its identity has for ever.
    pub(super) fn locate(&mut self, pod: &mut Pod, key: &Key) -> Result<()> {
        let address = self
            .addresses
            .address_of(&key.0, key.1.as_str())?
            .to_string();
        pod.status = Some(PodStatus {
            phase: Some("Pending".to_owned()),
            host_ip: Some("127.0.0.1".to_owned()),
            host_ips: Some(vec![HostIP {
                ip: "127.0.0.1".to_owned(),
            }]),
            pod_ip: Some(address.clone()),
            pod_ips: Some(vec![PodIP { ip: address }]),
            ..PodStatus::default()
        });
        Ok(())
    }

    /// Asks a pet to stop; it is removed when its runner has ended.
    pub(super) fn delete_pet(
        &mut self,
        key: &Key,
        name: &str,
        uid: &str,
        now: Timestamp,
    ) -> Result<()> {
        let pet_key = (key.0.clone(), name.parse()?);
        let layout = self.store.layout().clone();
        let asked = self.world.grace_asked(&pet_key, uid);
        let Some(pet) = self.world.pet_mut(&pet_key).filter(|pet| pet.uid() == uid) else {
            return Ok(());
        };
        if pet.is_terminating() {
            return Ok(());
        }
        let spec = pet.pod.spec.as_ref();
        let own = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let grace = asked.or(own).unwrap_or(30);
        pet.pod.metadata.deletion_timestamp = Some(Time(now));
        pet.pod.metadata.deletion_grace_period_seconds = Some(grace);
        pet.write(&layout, &pet_key)
            .with_context(|| format!("cannot write the pod {name}"))?;
        // Nobody new is sent to it before it is told to stop.
        self.stirred.insert(key.0.clone());
        self.publish_endpoints();
        match self.world.pet_mut(&pet_key) {
            Some(pet) if pet.is_over() => self.remove_pet(&pet_key)?,
            Some(pet) => pet.stop(&layout, &pet_key),
            None => {}
        }
        Ok(())
    }

    /// Removes what a pet leaves; its logs stay as long as it may come back.
    pub(super) fn remove_pet(&mut self, key: &Key) -> Result<()> {
        let files = self.store.layout().pet(&key.0, key.1.as_str());
        // The pod goes first: without it, the rest is a ruin that the next pet clears away.
        store::remove(&files.pod())
            .and_then(|()| view::unshow(self.store.layout(), files.root()))
            .with_context(|| format!("cannot remove {}", files.pod().display()))?;
        let entries = fs::read_dir(files.root()).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.path() != files.logs()) {
            let path = entry.path();
            let removed = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                store::remove_tree(&path)
            } else {
                store::remove(&path)
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let gone = self.world.place_mut(&key.0).pets.remove(&key.1);
        self.collect(key, gone.as_ref().map_or("", Pet::uid))
    }

    /// Removes the claims that go with their last owner, and those that waited for their pet (C23).
    fn collect(&mut self, key: &Key, owner: &str) -> Result<()> {
        let place = self.world.place_mut(&key.0);
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

    fn own_pet(&mut self, key: &Key, name: &str, owner: Option<OwnerReference>) -> Result<()> {
        let pet_key = (key.0.clone(), name.parse()?);
        let layout = self.store.layout().clone();
        let Some(pet) = self.world.pet_mut(&pet_key) else {
            return Ok(());
        };
        pet.pod.metadata.owner_references = owner.map(|owner| vec![owner]);
        self.bare.due.insert(pet_key.clone());
        let Some(pet) = self.world.pet_mut(&pet_key) else {
            return Ok(());
        };
        pet.write(&layout, &pet_key)
            .with_context(|| format!("cannot write the pod {name}"))
    }

    /// Forgets a set whose deletion has come to its end.
    ///
    /// The wish goes last: whoever waits for the end waits for that, and a supervisor that dies
    /// before it leaves its successor the rest.
    fn finish(&mut self, key: &Key, set: &Set) -> Result<()> {
        let orphaned = matches!(set.deletion, Some(Deletion::Orphan));
        let object = self.set(key)?.clone();
        if annotated(&object, store::PURGE_ANNOTATION) {
            self.purge(key, set)?;
        }
        self.collect(key, &set.uid)?;
        let layout = self.store.layout().clone();
        let status = layout.set_status(&key.0, key.1.as_str());
        store::remove(&status).and_then(|()| view::unshow(&layout, &status))?;
        let mut own = Vec::new();
        if !orphaned {
            own = self.services_of(key, &set.uid);
            self.late.remove(layout.revisions(&key.0, key.1.as_str()));
            self.late.catch_up();
            self.remove_ruins(key)?;
        }
        self.store.edit("supervise", None, |edit| {
            let wanted: Option<StatefulSet> = edit.find(&key.0, &key.1)?;
            if wanted.is_some_and(|wanted| wanted.metadata.uid == object.metadata.uid) {
                edit.forget(&key.0, Wanted::StatefulSet, &key.1);
                let mut forget = |service| edit.forget(&key.0, Wanted::Service, service);
                own.iter().for_each(&mut forget);
            }
            Ok(())
        })?;
        let place = self.world.place_mut(&key.0);
        place.sets.remove(&key.1);
        if !orphaned {
            place.revisions.remove(&key.1);
        }
        Ok(())
    }

    /// Returns the services that were made for a set and go with it.
    fn services_of(&self, key: &Key, owner: &str) -> Vec<ObjectName> {
        let services = self.world.place(&key.0).map(|place| &place.services);
        let own = services.into_iter().flatten().filter(|(_, service)| {
            let owners = service
                .metadata
                .owner_references
                .as_deref()
                .unwrap_or_default();
            owners.iter().any(|of| of.uid == owner)
        });
        own.map(|(name, _)| name.clone()).collect()
    }

    /// Removes every claim of the set, also those of pets that went long ago.
    fn purge(&mut self, key: &Key, set: &Set) -> Result<()> {
        let claims = store::names_in(&self.store.layout().volumes(&key.0))?;
        let own = claims.iter().filter(|claim| set.is_own_claim(claim));
        own.into_iter()
            .try_for_each(|claim| self.remove_claim(key, claim))
    }

    /// Removes the directories that pets of this set left with nothing but logs in them.
    fn remove_ruins(&self, key: &Key) -> Result<()> {
        let layout = self.store.layout();
        let prefix = format!("{}-", key.1);
        for name in store::names_in(&layout.pets_of(&key.0))? {
            let ordinal = name
                .strip_prefix(&prefix)
                .is_some_and(|o| o.parse::<u32>().is_ok());
            let files = layout.pet(&key.0, &name);
            if ordinal && !files.pod().exists() {
                store::remove_tree(files.root())?;
            }
        }
        Ok(())
    }

    fn set(&self, key: &Key) -> Result<&StatefulSet> {
        let place = self.world.place(&key.0);
        let set = place.and_then(|place| place.sets.get(&key.1));
        set.with_context(|| format!("{} is not known", key.1))
    }
}

fn annotated(set: &StatefulSet, annotation: &str) -> bool {
    let annotations = set.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.get(annotation).is_some_and(|value| value == "true"))
}

/// Returns a random uid in the form of RFC 9562, version 4.
pub(crate) fn new_uid() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut bytes))
        .context("cannot read /dev/urandom")?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

/// Notes in a pod what it reaches.
fn note_egress(pod: &mut Pod, egress: Egress) {
    let notes = pod.metadata.annotations.get_or_insert_default();
    notes.insert(EGRESS_ANNOTATION.to_owned(), egress.word().to_owned());
}
