//! Grace periods: a later deletion may shorten that of a pet, never extend it.

use super::log::log;
use super::state::Supervisor;
use super::world::{ClusterState, NamespaceState};
use crate::model::{ObjectName, ObjectRef, Workload};

impl ClusterState {
    /// Returns the grace period that was requested with the deletion of a pet or of its set.
    pub(super) fn grace_asked(&self, key: &ObjectRef, uid: &str) -> Option<i64> {
        asked(
            self.place(&key.namespace)?,
            &key.set_by_name().name,
            &key.name,
            uid,
        )
    }
}

fn asked(place: &NamespaceState, set: &ObjectName, pod: &ObjectName, uid: &str) -> Option<i64> {
    let eviction = place.evictions.get(pod).filter(|it| it.uid == uid);
    let set = place.sets.get(set).map(|set| &set.metadata);
    let wanted = place.pods_wanted.get(pod).map(|pod| &pod.metadata);
    let workload = place
        .pets
        .get(pod)
        .and_then(|pet| place.maker_of(&pet.pod.metadata));
    let deleted = set.into_iter().chain(wanted);
    let deleted = deleted.chain(workload.map(Workload::metadata));
    let deleted = deleted.filter(|meta| meta.deletion_timestamp.is_some());
    let deleted = deleted.filter_map(|meta| meta.deletion_grace_period_seconds);
    deleted.chain(eviction.and_then(|it| it.grace)).min()
}

impl Supervisor {
    /// Shortens the grace period of pets that are terminating already.
    pub(super) fn hasten(&mut self) {
        let mut hastened: Vec<(ObjectRef, i64)> = Vec::new();
        for (namespace, place) in &self.world.places {
            for (name, pet) in &place.pets {
                if !pet.is_terminating() || pet.is_over() {
                    continue;
                }
                let key = ObjectRef::new(namespace.clone(), name.clone());
                let left = pet.pod.metadata.deletion_grace_period_seconds;
                let grace = asked(place, &key.set_by_name().name, name, pet.uid());
                hastened.extend(grace.filter(|it| Some(*it) < left).map(|it| (key, it)));
            }
        }
        let layout = self.store.layout().clone();
        for (key, grace) in hastened {
            let Some(pet) = self.world.pet_mut(&key) else {
                continue;
            };
            pet.pod.metadata.deletion_grace_period_seconds = Some(grace);
            if let Err(error) = pet.write(&layout, &key) {
                log(&format!("{key}: {error}"));
            }
            pet.stop(&layout, &key);
        }
    }
}
