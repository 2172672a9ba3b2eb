//! Copied state directories: their pets have the addresses of the original, which may be in use.
//! Pets of sets are recreated, and bare pods get new addresses.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::log::log;
use super::pets::{Runner, TrackedPet};
use super::state::Supervisor;
use crate::model::ObjectRef;
use crate::problem::Result;
use crate::store;

impl Supervisor {
    /// Recreates the pets with addresses of another state directory's block.
    pub(super) fn leave_foreign_pets(&mut self) {
        let block = self.addresses.block();
        let foreign = |pet: &TrackedPet| {
            let ip = pet
                .pod
                .status
                .as_ref()
                .and_then(|status| status.pod_ip.as_ref());
            let ip = ip.and_then(|ip| ip.parse().ok());
            ip.is_some_and(|ip| !block.holds(ip)) && !matches!(pet.runner, Runner::Adopted(_))
        };
        self.move_bare_pods(&foreign);
        let pets = self.world.places.values_mut();
        for pet in pets.flat_map(|place| place.pets.values_mut()) {
            if foreign(pet) {
                pet.pod
                    .metadata
                    .deletion_timestamp
                    .get_or_insert(Time(Timestamp::now()));
                pet.runner = Runner::Done;
            }
        }
    }

    /// Gives bare pods addresses of this state directory's block. They are not recreated, because
    /// pods that run once have run in the original.
    fn move_bare_pods(&mut self, is_foreign: &dyn Fn(&TrackedPet) -> bool) {
        let pets = self.world.pets();
        let foreign = pets.filter(|(_, pet)| pet.is_bare() && is_foreign(pet));
        let keys: Vec<ObjectRef> = foreign.map(|(key, _)| key).collect();
        for key in keys {
            if let Err(error) = self.move_bare_pod(&key) {
                log(&format!("{key}: {error:#}"));
            }
        }
    }

    fn move_bare_pod(&mut self, key: &ObjectRef) -> Result<()> {
        let Some(pet) = self.world.pet_mut(key) else {
            return Ok(());
        };
        let status = pet.pod.status.clone();
        let mut pod = pet.pod.clone();
        self.locate(&mut pod, key)?;
        store::merge_status(&mut pod, status);
        // The record names processes of the original.
        store::remove(&self.store.layout().pet_of(key).runner())?;
        self.change_pod(key, |there| *there = *pod)
    }
}
