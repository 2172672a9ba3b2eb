//! Performing the steps that the model returns.

use std::fs;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::log::log;
use super::pets::TrackedPet;
use super::state::Supervisor;
use crate::model::pod::{NODE_NAME, scheduled};
use crate::model::{
    EGRESS_ANNOTATION, Egress, ISOLATION_ANNOTATION, Isolation, ObjectRef, Ordinal, Set, Step,
    pod_for, qos_class,
};
use crate::problem::Result;
use crate::store::Ability;
use crate::store::journal::Severity;

impl Supervisor {
    /// Performs one step of a set; returns whether it changed anything.
    pub(super) fn perform(
        &mut self,
        key: &ObjectRef,
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
            Step::DeleteClaim { claim } => return self.delete_claim(key, claim, now),
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

    /// Writes an event about a performed step, with its reason if the step has one (C21, C83).
    fn tell(&mut self, key: &ObjectRef, set: &Set, step: &Step) {
        let Some((reason, mut message)) = step.event(set) else {
            return;
        };
        if let Step::DeletePet { why, .. } = step {
            message.push_str(&format!(": {why}"));
        }
        self.set_event(key, Severity::Normal, reason, &message);
        if let Step::CreatePet { ordinal, .. } = step {
            self.tell_place(key, &set.pet_name(*ordinal));
        }
    }

    /// Writes the event that a new pet has its place, after the one that it was made.
    fn tell_place(&self, key: &ObjectRef, pet: &str) {
        let Ok(name) = pet.parse() else { return };
        let words = scheduled(&format!("{}/{pet}", key.namespace));
        let pet = ObjectRef::new(key.namespace.clone(), name);
        self.pet_event(&pet, Severity::Normal, "Scheduled", &words);
    }

    fn revise(
        &mut self,
        key: &ObjectRef,
        change: impl FnOnce(&mut Vec<k8s_openapi::api::apps::v1::ControllerRevision>),
    ) -> Result<()> {
        let path = self
            .store
            .layout()
            .revisions(&key.namespace, key.name.as_str());
        let revisions = self
            .world
            .place_mut(&key.namespace)
            .revisions
            .entry(key.name.clone())
            .or_default();
        change(revisions);
        self.writer.replace(path, serde_json::to_vec(revisions)?);
        Ok(())
    }

    fn create_pet(
        &mut self,
        key: &ObjectRef,
        ordinal: Ordinal,
        revision: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.grow_claims(key, ordinal)?;
        let set = self.set(key)?;
        let revisions = self
            .world
            .place(&key.namespace)
            .and_then(|place| place.revisions.get(&key.name));
        let revision = revisions
            .into_iter()
            .flatten()
            .find(|r| r.metadata.name.as_deref() == Some(revision));
        let revision = revision.with_context(|| format!("{} has lost its revision", key.name))?;
        let mut pod = pod_for(set, ordinal, revision)?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        pod.metadata.uid = Some(new_uid()?);
        pod.metadata.creation_timestamp = Some(Time(now));
        let pet_key = ObjectRef::new(key.namespace.clone(), name.parse()?);
        let notes = self.set(key)?.metadata.annotations.as_ref();
        let asked = Isolation::asked(notes)?;
        if let Some(egress) = Egress::asked(notes)? {
            note_egress(&mut pod, egress);
        }
        self.launch(pod, &pet_key, asked)?;
        Ok(())
    }

    /// Adds address, isolation and volumes to a pod, writes it, and starts its runner.
    pub(super) fn launch(
        &mut self,
        mut pod: Pod,
        key: &ObjectRef,
        asked: Option<Isolation>,
    ) -> Result<()> {
        self.isolate(&mut pod, asked);
        self.locate(&mut pod, key)?;
        self.make_ephemeral_claims(&pod, key)?;
        self.provide_volumes(&pod, key)?;
        let mut pet = TrackedPet::new(pod);
        let written = pet.write(self.store.layout(), key);
        written.with_context(|| format!("cannot write the pod {}", key.name))?;
        // The pet is watched before it starts, so that its first status is not missed.
        self.watch_pet(key);
        let started = pet.start(self.store.layout(), &mut self.nursery, key);
        let place = self.world.place_mut(&key.namespace);
        place.pets.insert(key.name.clone(), pet);
        self.storage.due = true;
        started.with_context(|| format!("cannot start the runner of {}", key.name))
    }

    /// Writes the level of isolation to a pod: the requested one, or else that of the settings.
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
        let egress = egress.unwrap_or(self.store.settings().egress);
        // A pod without the annotation reaches everything.
        if egress == Egress::None {
            note_egress(pod, egress);
        }
    }

    /// Returns whether this machine can isolate pets, which is tried once.
    fn can_isolate(&mut self) -> bool {
        *self.can_isolate.get_or_insert_with(|| {
            let ability = Ability::of_this_machine(self.store.layout());
            if let Some(lack) = &ability.lack {
                log(&format!("no isolation: {lack}"));
            }
            ability.lack.is_none()
        })
    }

    /// Writes the address of a pet to its pod.
    pub(super) fn locate(&mut self, pod: &mut Pod, key: &ObjectRef) -> Result<()> {
        let address = self
            .addresses
            .address_of(&key.namespace, key.name.as_str())?
            .to_string();
        let spec = pod.spec.get_or_insert_default();
        spec.node_name.get_or_insert_with(|| NODE_NAME.to_owned());
        // On the host's network a pod's address is the machine's.
        let host = match spec.host_network {
            Some(true) => address.clone(),
            Some(false) | None => "127.0.0.1".to_owned(),
        };
        pod.status = Some(PodStatus {
            qos_class: Some(qos_class(spec).to_owned()),
            phase: Some("Pending".to_owned()),
            host_ip: Some(host.clone()),
            host_ips: Some(vec![HostIP { ip: host }]),
            pod_ip: Some(address.clone()),
            pod_ips: Some(vec![PodIP { ip: address }]),
            ..PodStatus::default()
        });
        Ok(())
    }

    pub(super) fn own_pet(
        &mut self,
        key: &ObjectRef,
        name: &str,
        owner: Option<OwnerReference>,
    ) -> Result<()> {
        let pet_key = ObjectRef::new(key.namespace.clone(), name.parse()?);
        let layout = self.store.layout().clone();
        let Some(pet) = self.world.pet_mut(&pet_key) else {
            return Ok(());
        };
        pet.change(&layout, &pet_key, |pod| {
            pod.metadata.owner_references = owner.map(|owner| vec![owner]);
        })
        .with_context(|| format!("cannot write the pod {name}"))?;
        self.set_of_pet_is_due(&pet_key);
        self.bare.due.insert(pet_key);
        Ok(())
    }

    pub(super) fn set(&self, key: &ObjectRef) -> Result<&StatefulSet> {
        let place = self.world.place(&key.namespace);
        let set = place.and_then(|place| place.sets.get(&key.name));
        set.with_context(|| format!("{} is not known", key.name))
    }
}

/// Returns a random uid in the form of RFC 9562, version 4.
pub(crate) fn new_uid() -> Result<String> {
    let mut bytes: [u8; 16] = random_bytes()?;
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

/// Returns a random number from which made-up names are derived.
pub(super) fn random_seed() -> Result<u64> {
    Ok(u64::from_ne_bytes(random_bytes()?))
}

fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes)
}

/// Writes the level of egress to a pod.
pub(super) fn note_egress(pod: &mut Pod, egress: Egress) {
    let notes = pod.metadata.annotations.get_or_insert_default();
    notes.insert(EGRESS_ANNOTATION.to_owned(), egress.word().to_owned());
}
