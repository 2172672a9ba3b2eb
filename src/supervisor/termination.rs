//! Deleting pets and sets: a pet is stopped, then removed, and its set is removed last.

use std::fs;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pets::TrackedPet;
use super::state::Supervisor;
use crate::model::kind::ObjectKind;
use crate::model::pod::mark_terminating;
use crate::model::{Deletion, ObjectName, ObjectRef, PURGE_ANNOTATION, Set};
use crate::problem::Result;
use crate::store;

impl Supervisor {
    /// Stops a pet; it is removed when its runner has ended.
    pub(super) fn delete_pet(
        &mut self,
        key: &ObjectRef,
        name: &str,
        uid: &str,
        now: Timestamp,
    ) -> Result<()> {
        let pet_key = ObjectRef::new(key.namespace.clone(), name.parse()?);
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
        pet.change(&layout, &pet_key, |pod| {
            mark_terminating(pod, Time(now), grace);
        })
        .with_context(|| format!("cannot write the pod {name}"))?;
        // Services stop sending new connections to it before it is told to stop.
        self.stirred.insert(key.namespace.clone());
        self.publish_endpoints();
        match self.world.pet_mut(&pet_key) {
            Some(pet) if pet.is_over() => self.remove_pet(&pet_key)?,
            Some(pet) => pet.stop(&layout, &pet_key),
            None => {}
        }
        Ok(())
    }

    /// Removes the files of a pet; its logs are kept while its set may create it again.
    pub(super) fn remove_pet(&mut self, key: &ObjectRef) -> Result<()> {
        self.storage.due = true;
        let files = self.store.layout().pet_of(key);
        // `pod.json` is removed first: a directory without it is cleared by the next pet.
        store::withdraw_pod(self.store.layout(), &files)
            .with_context(|| format!("cannot remove {}", files.pod().display()))?;
        if self
            .world
            .pet_mut(key)
            .is_some_and(|pet| pet.is_of_workload())
        {
            return self.remove_pod_of_workload(key);
        }
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
        let gone = self.world.place_mut(&key.namespace).pets.remove(&key.name);
        let set = key.set_by_name().name;
        self.collect(key, &set, gone.as_ref().map_or("", TrackedPet::uid))
    }

    /// Removes all that a pod of a workload leaves: none of its name comes again.
    fn remove_pod_of_workload(&mut self, key: &ObjectRef) -> Result<()> {
        let files = self.store.layout().pet_of(key);
        store::remove_tree(files.root())
            .with_context(|| format!("cannot remove {}", files.root().display()))?;
        let gone = self.world.place_mut(&key.namespace).pets.remove(&key.name);
        if let Some(gone) = &gone {
            self.addresses.take_back(self.store.layout(), key);
            self.stirred.insert(key.namespace.clone());
            self.owner_is_due(&key.namespace, &gone.pod.metadata);
        }
        let uid = gone.as_ref().map_or("", TrackedPet::uid);
        self.collect(key, &key.name, uid)
    }

    /// Removes a set whose pets are gone.
    ///
    /// The wanted object is removed last: waiting commands watch it, and if the supervisor dies
    /// before that, its successor finishes the deletion.
    pub(super) fn finish(&mut self, key: &ObjectRef, set: &Set) -> Result<()> {
        let orphaned = matches!(set.deletion, Some(Deletion::Orphan));
        let object = self.set(key)?.clone();
        if annotated(&object, PURGE_ANNOTATION) {
            self.purge(key, set)?;
        }
        self.collect(key, &key.name, &set.uid)?;
        let layout = self.store.layout().clone();
        let status = layout.set_status(&key.namespace, key.name.as_str());
        store::withdraw(&layout, &status)?;
        let mut own = Vec::new();
        if !orphaned {
            own = self.services_of(key, &set.uid);
            self.writer
                .remove(layout.revisions(&key.namespace, key.name.as_str()));
            self.writer.catch_up();
            self.remove_ruins(key)?;
        }
        self.store.edit("supervise", None, |edit| {
            let wanted: Option<StatefulSet> = edit.find(&key.namespace, &key.name)?;
            if wanted.is_some_and(|wanted| wanted.metadata.uid == object.metadata.uid) {
                edit.forget(&key.namespace, ObjectKind::StatefulSet, &key.name);
                let mut forget =
                    |service| edit.forget(&key.namespace, ObjectKind::Service, service);
                own.iter().for_each(&mut forget);
            }
            Ok(())
        })?;
        let place = self.world.place_mut(&key.namespace);
        place.sets.remove(&key.name);
        if !orphaned {
            place.revisions.remove(&key.name);
        }
        Ok(())
    }

    /// Returns the services that were created for a set and are deleted with it.
    fn services_of(&self, key: &ObjectRef, owner: &str) -> Vec<ObjectName> {
        let services = self
            .world
            .place(&key.namespace)
            .map(|place| &place.services);
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

    /// Removes the directories of former pets of this set, which hold only logs.
    fn remove_ruins(&self, key: &ObjectRef) -> Result<()> {
        let layout = self.store.layout();
        let prefix = format!("{}-", key.name);
        for name in store::names_in(&layout.pets_of(&key.namespace))? {
            let ordinal = name
                .strip_prefix(&prefix)
                .is_some_and(|o| o.parse::<u32>().is_ok());
            let files = layout.pet(&key.namespace, &name);
            if ordinal && !files.pod().exists() {
                store::remove_tree(files.root())?;
            }
        }
        Ok(())
    }
}

fn annotated(set: &StatefulSet, annotation: &str) -> bool {
    let annotations = set.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.get(annotation).is_some_and(|value| value == "true"))
}
