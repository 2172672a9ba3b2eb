//! Performing the steps of pods that belong to no set.

use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::log::log;
use super::pets::{Runner, TrackedPet};
use super::state::Supervisor;
use crate::model::bare::{self, PodStep, reconcile_pod};
use crate::model::kind::ObjectKind;
use crate::model::pod::mark_terminating;
use crate::model::printer::STOPPED;
use crate::model::{Isolation, ObjectRef};
use crate::problem::Result;
use crate::store::journal::Severity;
use crate::store::salvage::read_if_whole;
use crate::store::{self, RunnerRequest};

/// The most steps for a pod in one turn: more are a bug, which must not become a busy loop.
const STEPS: u32 = 100;

impl Supervisor {
    pub(super) fn every_bare_pod_is_due(&mut self) {
        for (namespace, place) in &self.world.places {
            let names = place.pods_wanted.keys().chain(place.pets.keys());
            let keys = names.map(|name| ObjectRef::new(namespace.clone(), name.clone()));
            self.bare.due.extend(keys);
        }
    }

    /// Returns whether this is a pod that belongs to no set.
    pub(super) fn is_bare(&self, key: &ObjectRef) -> bool {
        let Some(place) = self.world.place(&key.namespace) else {
            return false;
        };
        match place.pets.get(&key.name) {
            Some(pet) => pet.is_bare(),
            None => place.pods_wanted.contains_key(&key.name),
        }
    }

    /// Reconciles the pods that are due.
    pub(super) fn tend_bare_pods(&mut self, now: Instant) {
        for key in self.bare.take_due(now) {
            match self.tend_bare_pod(&key) {
                Ok(()) => drop(self.bare.failed.remove(&key)),
                Err(error) => {
                    let why = format!("{error:#}");
                    log(&format!("{key}: {why}"));
                    self.pet_event(&key, Severity::Warning, "Failed", &why);
                    self.bare.retry_later(&key);
                }
            }
        }
    }

    fn tend_bare_pod(&mut self, key: &ObjectRef) -> Result<()> {
        for _ in 0..STEPS {
            let Some(step) = self.next_step_of(key) else {
                return Ok(());
            };
            if step == PodStep::Await {
                return Ok(());
            }
            self.perform_for_pod(key, step)?;
            self.stirred.insert(key.namespace.clone());
        }
        log(&format!("{key} does not come to rest"));
        Ok(())
    }

    fn next_step_of(&self, key: &ObjectRef) -> Option<PodStep> {
        let place = self.world.place(&key.namespace)?;
        let pet = place.pets.get(&key.name);
        reconcile_pod(
            place.pods_wanted.get(&key.name),
            pet.map(|pet| &*pet.pod),
            pet.is_some_and(TrackedPet::is_over),
            self.world.stopped,
        )
    }

    fn perform_for_pod(&mut self, key: &ObjectRef, step: PodStep) -> Result<()> {
        match step {
            PodStep::Create => self.create_pod(key),
            PodStep::Stop => self.stop_pod(key),
            PodStep::Remove => self.remove_pet(key),
            PodStep::Rest => self.rest_pod(key),
            PodStep::Revive => self.revive_pod(key),
            PodStep::Refresh => self.refresh_pod(key),
            PodStep::Keep => self.keep_pod(key),
            PodStep::Forget => self.forget_pod(key),
            PodStep::Await => Ok(()),
        }
    }

    fn create_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let Some(pod) = self.wanted_pod(key) else {
            return Ok(());
        };
        let asked = Isolation::asked(pod.metadata.annotations.as_ref())?;
        self.launch(pod, key, asked)
    }

    fn wanted_pod(&self, key: &ObjectRef) -> Option<Pod> {
        self.world
            .place(&key.namespace)?
            .pods_wanted
            .get(&key.name)
            .cloned()
    }

    /// Stops a pod, with the grace period of its deletion or else its own.
    fn stop_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let layout = self.store.layout().clone();
        let asked = self.world.grace_asked(key, "");
        let Some(pet) = self.world.pet_mut(key) else {
            return Ok(());
        };
        let spec = pet.pod.spec.as_ref();
        let own = spec.and_then(|spec| spec.termination_grace_period_seconds);
        let grace = asked.or(own).unwrap_or(30);
        pet.change(&layout, key, |pod| {
            mark_terminating(pod, Time(Timestamp::now()), grace);
        })
        .with_context(|| format!("cannot write the pod {}", key.name))?;
        // Services stop sending new connections to it before it is told to stop.
        self.stirred.insert(key.namespace.clone());
        self.publish_endpoints();
        if let Some(pet) = self.world.pet_mut(key).filter(|pet| !pet.is_over()) {
            pet.stop(&layout, key);
        }
        Ok(())
    }

    /// Keeps a stopped pod with its logs, until the user deletes it or starts it again.
    fn rest_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let wanted = self.wanted_pod(key).and_then(|pod| pod.metadata.generation);
        self.change_pod(key, |pod| {
            pod.metadata.deletion_timestamp = None;
            pod.metadata.deletion_grace_period_seconds = None;
            pod.metadata.generation = wanted.or(pod.metadata.generation);
        })?;
        self.note_end(key, |pod, status| {
            if !bare::has_ended_for_good(pod) {
                status.reason = Some(STOPPED.to_owned());
                status.message = Some("petset start runs it again".to_owned());
            }
        })
    }

    /// Changes the last status of a pod whose runner has ended.
    fn note_end(
        &mut self,
        key: &ObjectRef,
        change: impl FnOnce(&Pod, &mut PodStatus),
    ) -> Result<()> {
        let path = self.store.layout().pet_of(key).status();
        let wish = || format!("cannot write {}", path.display());
        let status: Option<PodStatus> = read_if_whole(&path).with_context(wish)?;
        if let (Some(mut status), Some(pet)) = (status, self.world.pet_mut(key)) {
            change(&pet.pod, &mut status);
            store::publish(self.store.layout(), &path, &status).with_context(wish)?;
            store::merge_status(&mut pet.pod, Some(status));
        }
        Ok(())
    }

    pub(super) fn change_pod(
        &mut self,
        key: &ObjectRef,
        change: impl FnOnce(&mut Pod),
    ) -> Result<()> {
        let layout = self.store.layout().clone();
        let Some(pet) = self.world.pet_mut(key) else {
            return Ok(());
        };
        pet.change(&layout, key, change)
            .with_context(|| format!("cannot write the pod {}", key.name))
    }

    /// Starts a new runner for a stopped pod, which continues from the last status.
    fn revive_pod(&mut self, key: &ObjectRef) -> Result<()> {
        self.note_end(key, |_, status| {
            status.phase = Some("Pending".to_owned());
            (status.reason, status.message) = (None, None);
        })?;
        if let Some(pet) = self.world.pet_mut(key) {
            pet.runner = Runner::Missing;
        }
        Ok(())
    }

    fn refresh_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let Some(want) = self.wanted_pod(key) else {
            return Ok(());
        };
        let place = self.world.place(&key.namespace);
        let pet = place.and_then(|place| Some((place, place.pets.get(&key.name)?)));
        let overlay = pet.and_then(|(place, pet)| place.overlay_of(&key.name, pet));
        self.change_pod(key, |pod| {
            bare::refresh(pod, &want);
            if let Some(overlay) = &overlay {
                overlay.lay_over(&mut pod.metadata);
            }
        })?;
        let files = self.store.layout().pet_of(key);
        // If this fails, the next runner reads the new pod when it starts.
        let _ = store::ask_runner(&files, &RunnerRequest::Reload {});
        Ok(())
    }

    /// Adds a pod that its set has released to the wanted objects.
    fn keep_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let Some(pet) = self.world.pet_mut(key) else {
            return Ok(());
        };
        let pod = bare::wanted_of(&pet.pod);
        let pod = self.store.edit("supervise", None, |edit| {
            // A command may have requested its deletion meanwhile. One that is damaged is replaced.
            if let Ok(Some(wanted)) = edit.find(&key.namespace, &key.name) {
                return Ok(wanted);
            }
            edit.put(&pod)?;
            Ok(pod)
        })?;
        let place = self.world.place_mut(&key.namespace);
        place.pods_wanted.insert(key.name.clone(), pod);
        Ok(())
    }

    /// Removes a pod from the wanted objects, and the files that a pod of that name has left.
    fn forget_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let known = self.wanted_pod(key).and_then(|pod| pod.metadata.uid);
        let files = self.store.layout().pet_of(key);
        let gone = !files.pod().exists();
        if gone {
            store::remove_tree(files.root())
                .with_context(|| format!("cannot remove {}", files.root().display()))?;
        }
        let store = self.store.clone();
        let there = store.edit("supervise", None, |edit| {
            let wanted: Option<Pod> = edit.find(&key.namespace, &key.name)?;
            let same = wanted.as_ref().is_none_or(|pod| pod.metadata.uid == known);
            if same {
                edit.forget(&key.namespace, ObjectKind::Pod, &key.name);
            }
            Ok(wanted.filter(|_| !same))
        })?;
        let place = self.world.place_mut(&key.namespace);
        match there {
            Some(pod) => drop(place.pods_wanted.insert(key.name.clone(), pod)),
            None => drop(place.pods_wanted.remove(&key.name)),
        }
        self.collect(key, &key.name, "")
    }
}
