//! Withdrawing the readiness of pets whose runner is dead.

use std::io;

use k8s_openapi::api::core::v1::PodStatus;

use super::pets::Incarnation;
use crate::store::salvage::read_if_whole;
use crate::store::{self, Layout, PetLayout};

/// Withdraws the readiness of a pet until its next runner reports it again.
///
/// Only the runner writes the status while it lives; the next runner starts from the changed file.
pub(super) fn withdraw_readiness(layout: &Layout, files: &PetLayout) -> io::Result<()> {
    let Some(before) = read_if_whole::<PodStatus>(&files.status())? else {
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

/// Withdraws the readiness of a pet of an earlier supervisor, if its runner is dead.
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
