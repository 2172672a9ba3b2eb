//! Pets whose runner is dead: what was last seen of them is not true any more.

use std::io;

use k8s_openapi::api::core::v1::PodStatus;

use super::pets::{Incarnation, Pet, Runner};
use super::{Supervisor, log};
use crate::model::ObjectRef;
use crate::store::{self, Layout, PetLayout};

/// Takes back that a pet is ready: nobody vouches for it until its next runner does.
///
/// The status is its runner's file, but that runner is dead, and the next one starts with it.
pub(super) fn withdraw_readiness(layout: &Layout, files: &PetLayout) -> io::Result<()> {
    let Some(before) = store::read_json::<PodStatus>(&files.status())? else {
        return Ok(());
    };
    let mut status = before.clone();
    let conditions = status.conditions.iter_mut().flatten();
    let of_readiness = conditions.filter(|it| ["Ready", "ContainersReady"].contains(&&*it.type_));
    of_readiness.for_each(|condition| condition.status = "False".to_owned());
    let containers = status.container_statuses.iter_mut().flatten();
    containers.for_each(|container| container.ready = false);
    if status == before {
        return Ok(());
    }
    store::publish(layout, &files.status(), &status)
}

/// Does so for a pet of an earlier supervisor, if its runner is dead.
pub(super) fn withdraw_if_dead(
    layout: &Layout,
    files: &PetLayout,
    found: &Incarnation,
) -> io::Result<()> {
    match found {
        Incarnation::Alive(_) | Incarnation::Done => Ok(()),
        Incarnation::Died | Incarnation::OfAnotherBoot => withdraw_readiness(layout, files),
    }
}

impl Supervisor {
    /// Takes back that sets are settled some of whose pets nobody runs: a command that waits must
    /// not take an earlier supervisor's word for it.
    pub(super) fn distrust_reports(&mut self) {
        let is_kept = |pet: &Pet| matches!(pet.runner, Runner::Child(_) | Runner::Adopted(_));
        let abandoned = self.world.pets().filter(|(_, pet)| !is_kept(pet));
        let sets: Vec<ObjectRef> = abandoned.map(|(key, _)| key.set_by_name()).collect();
        for key in sets {
            let path = self
                .store
                .layout()
                .set_status(&key.namespace, key.name.as_str());
            let Some(report) = self.report_of(&key).filter(|report| report.settled) else {
                continue;
            };
            let mut report = report.clone();
            report.settled = false;
            let layout = self.store.layout();
            if let Err(error) = store::publish(layout, &path, &report) {
                log(&format!("cannot write {}: {error}", path.display()));
            }
            self.reports.insert(key, report);
        }
    }
}
