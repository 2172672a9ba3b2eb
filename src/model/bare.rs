//! Bare pods: those that belong to no set, whether a user asked for them (`kind: Pod`) or their
//! set let go of them (`--cascade=orphan`).
//!
//! The specification is the comment of [`reconcile_pod`]. How a pod's containers are run, and run
//! again, is the runner's affair ([`super::lifecycle`]).

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pet::HOOK_ANNOTATION;
use super::pod::{NODE_NAME, controller_of};
use super::{EGRESS_ANNOTATION, FROZEN_ANNOTATION, ISOLATION_ANNOTATION, Phase, restart};

pub use plan::plan_pod;

/// The annotations that say how much of the machine is kept from a pet.
const FIXED: [&str; 2] = [ISOLATION_ANNOTATION, EGRESS_ANNOTATION];
/// The annotations that the supervisor notes on a pet.
const KEPT: [&str; 4] = [FIXED[0], FIXED[1], HOOK_ANNOTATION, FROZEN_ANNOTATION];

/// One thing to do about a bare pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodStep {
    /// Make the pet that was asked for, and start it.
    Create,
    /// Ask the pet to stop.
    Stop,
    /// Remove what the pet leaves: it has stopped.
    Remove,
    /// Keep what the pet leaves: it has stopped, and is still wanted.
    Rest,
    /// Run a pet again that has ended, but not for good.
    Revive,
    /// Tell the pet what has changed of what is wanted.
    Refresh,
    /// Note a pet without an owner among the wanted objects.
    Keep,
    /// Take the pod off what is wanted.
    Forget,
    /// Nothing but wait: a pet of that name belongs to a set.
    Await,
}

/// Returns the next step for a pod; `None` if it is as wanted.
///
/// `want` is the pod as it was asked for, `pet` what there is of that name, its runner's status
/// filled in. `over` says that its runner has ended all of it, `stopped` that everything is
/// (`petset stop`).
///
/// A pod that is asked for is made, under its own uid: another uid means another pod, and the one
/// before has to go first. One that is to be deleted is asked to stop, removed, and only then
/// forgotten. A pod that has ended stays, with its logs and exit codes, until it is deleted.
///
/// **Stopping everything** ends the processes and keeps the rest: afterwards, a pod whose restart
/// policy asks for it runs again, and one that is to run once (`Never`) does not.
///
/// **Sets.** A pet without an owner is a bare pod: what a set lets go of is noted as wanted, and
/// what a set adopts (C37, E02) is not wanted by itself any more. A set that was there first keeps
/// the name: the pod waits.
#[must_use]
pub fn reconcile_pod(
    want: Option<&Pod>,
    pet: Option<&Pod>,
    over: bool,
    stopped: bool,
) -> Option<PodStep> {
    let deleting = want.is_some_and(|want| want.metadata.deletion_timestamp.is_some());
    let Some(pet) = pet else {
        return match want {
            Some(_) if deleting => Some(PodStep::Forget),
            Some(_) if !stopped => Some(PodStep::Create),
            Some(_) | None => None,
        };
    };
    let same = want.is_some_and(|want| want.metadata.uid == pet.metadata.uid);
    if !is_bare(pet) {
        want?;
        let gone = same || deleting;
        return Some(if gone {
            PodStep::Forget
        } else {
            PodStep::Await
        });
    }
    if pet.metadata.deletion_timestamp.is_some() {
        let stays = same && !deleting;
        let done = if stays {
            PodStep::Rest
        } else {
            PodStep::Remove
        };
        return over.then_some(done);
    }
    let Some(want) = want else {
        return Some(PodStep::Keep);
    };
    if deleting || !same || (stopped && !over) {
        return Some(PodStep::Stop);
    }
    if stopped {
        return None;
    }
    if over && !has_ended_for_good(pet) {
        return Some(PodStep::Revive);
    }
    differs(want, pet).then_some(PodStep::Refresh)
}

/// Returns whether no owner controls a pod.
#[must_use]
pub fn is_bare(pod: &Pod) -> bool {
    controller_of(&pod.metadata).is_none()
}

/// Returns whether a pod has ended and is not to run again: what it ended with counts, and whether
/// its restart policy would have let it end like that. A pod that restarts always ends only when
/// something from outside ends it, such as the end of the machine.
#[must_use]
pub fn has_ended_for_good(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = Phase::of(status.and_then(|status| status.phase.as_deref()));
    let reason = status.and_then(|status| status.reason.as_deref());
    match phase {
        Phase::Pending | Phase::Running => false,
        Phase::Succeeded | Phase::Failed => {
            matches!(
                reason,
                Some("DeadlineExceeded" | "Evicted" | "PodOSNotSupported" | "SysctlForbidden")
            ) || pod.spec.as_ref().is_some_and(restart::runs_once)
                || !restart::is_to_run_again(pod)
        }
    }
}

/// Returns whether a pet runs something else than what is wanted now.
#[must_use]
pub fn differs(want: &Pod, pet: &Pod) -> bool {
    let (asked, there) = (&want.metadata, &pet.metadata);
    want.spec != asked_of(pet)
        || words(asked.labels.as_ref()) != words(there.labels.as_ref())
        || notes(asked) != notes(there)
}

/// Returns the spec of a pet without the node that it was given.
fn asked_of(pet: &Pod) -> Option<PodSpec> {
    let mut spec = pet.spec.clone();
    if let Some(spec) = &mut spec {
        spec.node_name.take_if(|node| node == NODE_NAME);
    }
    spec
}

fn words(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<&str, &str> {
    let labels = labels.into_iter().flatten();
    labels
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// Returns the annotations without those that the supervisor notes on a pet.
fn notes(meta: &ObjectMeta) -> BTreeMap<&str, &str> {
    let mut notes = words(meta.annotations.as_ref());
    notes.retain(|key, _| !KEPT.contains(key));
    notes
}

/// Returns the wanted pod for a pet that has lost its owner.
#[must_use]
pub fn wanted_of(pet: &Pod) -> Pod {
    let mut pod = pet.clone();
    pod.status = None;
    pod.spec = asked_of(pet);
    let meta = &mut pod.metadata;
    meta.owner_references = None;
    meta.generate_name = None;
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    if let Some(notes) = &mut meta.annotations {
        notes.remove(HOOK_ANNOTATION);
        notes.remove(FROZEN_ANNOTATION);
    }
    pod
}

/// Puts what is wanted of a pod into its pet; how much that is kept apart cannot change any more.
pub fn refresh(pet: &mut Pod, want: &Pod) {
    let keep = |key: &str| {
        Some((
            key.to_owned(),
            pet.metadata.annotations.as_ref()?.get(key)?.clone(),
        ))
    };
    let kept: Vec<_> = KEPT.into_iter().filter_map(keep).collect();
    let mut annotations = want.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !FIXED.contains(&key.as_str()));
    annotations.extend(kept);
    pet.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    pet.metadata.labels.clone_from(&want.metadata.labels);
    pet.metadata.generation = want.metadata.generation.or(pet.metadata.generation);
    let node = pet.spec.take().and_then(|spec| spec.node_name);
    pet.spec.clone_from(&want.spec);
    if let Some(spec) = &mut pet.spec {
        spec.node_name = spec.node_name.take().or(node);
    }
}
