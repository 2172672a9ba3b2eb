//! What users want of running pods beside their templates: labels, annotations, pauses.

use anyhow::Context;

use super::log::log;
use super::pets::TrackedPet;
use super::state::Supervisor;
use super::world::{LeftOut, NamespaceState};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, ObjectRef, Overlay};
use crate::problem::Result;
use crate::sorted::SortedMap;

impl NamespaceState {
    /// Returns what is wanted of a pet beside its template.
    pub(super) fn overlay_of(&self, name: &ObjectName, pet: &TrackedPet) -> Option<Overlay> {
        let overlay = self.overlays.get(name).filter(|it| it.uid == pet.uid())?;
        // Before a pod that its owner has let go of is noted as wanted, it has to be whole.
        Some(match pet.is_bare() && self.pods_wanted.contains_key(name) {
            true => overlay.for_bare(),
            false => overlay.clone(),
        })
    }
}

impl Supervisor {
    /// Reads what is wanted of the running pods of a namespace beside their templates.
    pub(super) fn load_overlays(
        &self,
        namespace: &Namespace,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<SortedMap<ObjectName, Overlay>> {
        let mut found = SortedMap::new();
        for pod in self.store.names(namespace, ObjectKind::Overlay)? {
            match self.store.overlay(namespace, &pod) {
                Ok(Some(overlay)) => drop(found.insert(pod, overlay)),
                Ok(None) => {}
                Err(error) => left_out.push((ObjectKind::Overlay, pod, error)),
            }
        }
        Ok(found)
    }

    /// Makes the pods what is wanted of them beside their templates, and forgets what was wanted of
    /// pods that are gone.
    pub(super) fn tend_overlays(&mut self) {
        let layout = self.store.layout();
        let mut open = Vec::new();
        let mut over: Vec<(ObjectRef, Option<Overlay>)> = Vec::new();
        for (namespace, place) in &self.world.places {
            for (name, asked) in &place.overlays {
                let key = ObjectRef::new(namespace.clone(), name.clone());
                let pet = place.pets.get(name).filter(|pet| pet.uid() == asked.uid);
                let Some(pet) = pet else {
                    let others = place.pets.contains_key(name);
                    // A pod whose record is damaged is there again when that is written anew.
                    let gone = others || !layout.pet_of(&key).pod().exists();
                    over.extend(gone.then_some((key, None)));
                    continue;
                };
                let Some(overlay) = place.overlay_of(name, pet) else {
                    continue;
                };
                if overlay != *asked {
                    over.push((key.clone(), Some(overlay.clone())));
                }
                if !overlay.is_laid_over(&pet.pod.metadata) {
                    open.push((key, overlay));
                }
            }
        }
        for (key, overlay) in open {
            if let Err(error) = self.lay_over(&key, &overlay) {
                log(&format!("{key}: {error:#}"));
                self.retry_later(&key.set_by_name());
            }
        }
        for (key, rest) in over {
            if let Err(error) = self.forget_overlay(&key, rest) {
                log(&format!("cannot take back what is done: {error:#}"));
                self.retry_later(&key.set_by_name());
            }
        }
    }

    fn lay_over(&mut self, key: &ObjectRef, overlay: &Overlay) -> Result<()> {
        let layout = self.store.layout().clone();
        let Some(pet) = self.world.pet_mut(key) else {
            return Ok(());
        };
        // An owner that the pod belonged to may let it go, another one may take it.
        let before = pet.pod.metadata.clone();
        pet.change(&layout, key, |pod| overlay.lay_over(&mut pod.metadata))
            .with_context(|| format!("cannot write the pod {}", key.name))?;
        if let Some(pet) = self
            .world
            .place(&key.namespace)
            .and_then(|it| it.pets.get(&key.name))
        {
            self.reload(key, pet);
        }
        self.owner_is_due(&key.namespace, &before);
        self.set_of_pet_is_due(key);
        self.workloads_of_are_due(&key.namespace);
        Ok(())
    }

    /// Forgets what was wanted of a pod, but for the rest.
    fn forget_overlay(&mut self, key: &ObjectRef, rest: Option<Overlay>) -> Result<()> {
        let ObjectRef { namespace, name } = key;
        let known = self.overlay(namespace, name).cloned();
        let rest = rest.filter(|it| !it.annotations.is_empty());
        let store = self.store.clone();
        let there = store.edit("supervise", None, |edit| {
            // A command may have asked something meanwhile, such as of the next pod of that name.
            let there = store.overlay(namespace, name).unwrap_or_default();
            if there != known {
                return Ok(there);
            }
            match &rest {
                Some(rest) => edit.put_overlay(namespace, name, rest)?,
                None => edit.forget(namespace, ObjectKind::Overlay, name),
            }
            Ok(rest)
        })?;
        let overlays = &mut self.world.place_mut(namespace).overlays;
        match there {
            Some(there) => drop(overlays.insert(name.clone(), there)),
            None => drop(overlays.remove(name)),
        }
        Ok(())
    }

    fn overlay(&self, namespace: &Namespace, name: &ObjectName) -> Option<&Overlay> {
        self.world.place(namespace)?.overlays.get(name)
    }
}
