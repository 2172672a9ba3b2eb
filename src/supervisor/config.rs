//! Config maps and secrets: their changes are told to the runners of the pods that use them.

use super::pets::TrackedPet;
use super::state::Supervisor;
use crate::model::ObjectRef;
use crate::model::environment::references;
use crate::model::kind::ObjectKind;
use crate::store::{RunnerRequest, ask_runner};

impl Supervisor {
    /// Has the pods that use an object bring their volumes up to date.
    pub(super) fn reload_users(&self, kind: ObjectKind, key: &ObjectRef) {
        let Some(place) = self.world.place(&key.namespace) else {
            return;
        };
        for (name, pet) in &place.pets {
            if references(&pet.pod).has(kind, key.name.as_str()) {
                self.reload(&ObjectRef::new(key.namespace.clone(), name.clone()), pet);
            }
        }
    }

    /// Has every pod do so that uses any such object: changes may have been missed.
    pub(super) fn reload_all_users(&self) {
        for (key, pet) in self.world.pets() {
            let used = references(&pet.pod);
            if !used.config_maps.is_empty() || !used.secrets.is_empty() {
                self.reload(&key, pet);
            }
        }
    }

    /// Has the runner of a pod bring its volumes and its view of the state directory up to date.
    pub(super) fn reload(&self, key: &ObjectRef, pet: &TrackedPet) {
        if !pet.is_over() {
            let files = self.store.layout().pet_of(key);
            // A runner that does not listen yet reads the objects when it does.
            let _ = ask_runner(&files, &RunnerRequest::Reload {});
        }
    }
}
