//! Facts about a pod: the set that controls it, and whether it is ready.

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::kind::WorkloadKind;

/// A container that was restarted so often in vain will not mend itself (31 s with the default
/// back-off).
const HOPELESS_RESTARTS: i32 = 6;

/// The reason of a run whose program could not even be started.
pub(crate) const START_ERROR: &str = "StartError";
/// The name of the one node: this machine.
pub(crate) const NODE_NAME: &str = "localhost";

/// Says that a pod, `default/web-0`, has its place.
pub(crate) fn scheduled(pod: &str) -> String {
    format!("Successfully assigned {pod} to {NODE_NAME}")
}

/// Returns a pod's name in the kubelet's messages: `web-0_default(uid)`.
pub(crate) fn title(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    let uid = meta.uid.as_deref().unwrap_or_default();
    format!("{name}_{namespace}({uid})")
}

/// Returns the owner that controls an object, if there is one.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Returns the name of the set that controls an object, if there is one.
pub(crate) fn set_of(meta: &ObjectMeta) -> Option<&str> {
    let set = controller_of(meta).filter(|owner| owner.kind == "StatefulSet")?;
    Some(&set.name)
}

/// Returns the workload that controls an object, if one does: its kind, and the reference to it.
pub(crate) fn workload_of(meta: &ObjectMeta) -> Option<(WorkloadKind, &OwnerReference)> {
    let owner = controller_of(meta)?;
    Some((WorkloadKind::of_reference(owner)?, owner))
}

/// Returns under whose name the events of a pod are kept: its controller's, or its own.
pub(crate) fn journal_owner<'m>(meta: &'m ObjectMeta, name: &'m str) -> &'m str {
    controller_of(meta).map_or(name, |owner| &owner.name)
}

/// Names the condition in which a runner keeps that all processes of a pod are stopped.
pub(crate) const fn paused_condition() -> &'static str {
    "petset.dev/paused"
}

/// Returns whether all processes of a pod are stopped, because it is paused.
pub(crate) fn is_paused(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| is_true(status, paused_condition()))
}

/// Returns whether the pod's condition Ready is true, also while the pod is terminating.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .is_some_and(|status| is_true(status, "Ready"))
}

/// Notes that a pod is to end: as every change of what is wanted, that is a generation of its own.
/// One that has ended, or has no place yet, needs no grace.
pub(crate) fn mark_terminating(pod: &mut Pod, now: Time, grace: i64) {
    let status = pod.status.as_ref();
    let ended = status.is_some_and(|status| {
        let phase = status.phase.as_deref();
        let unplaced = condition(status, "PodScheduled").is_some_and(|it| it.status == "False");
        matches!(phase, Some("Succeeded" | "Failed")) || unplaced
    });
    let meta = &mut pod.metadata;
    meta.deletion_timestamp = Some(now);
    meta.deletion_grace_period_seconds = Some(if ended { 0 } else { grace });
    meta.generation = meta.generation.map(|generation| generation + 1);
}

/// Returns the claim that a volume of a pod is: one that it names, or the pod's own (V60).
pub(crate) fn claim_of(pod: &str, volume: &Volume) -> Option<String> {
    if volume.ephemeral.is_some() {
        return Some(format!("{pod}-{}", volume.name));
    }
    let named = volume.persistent_volume_claim.as_ref();
    named.map(|claim| claim.claim_name.clone())
}

/// Returns the claims that a pod uses, in the order of its volumes.
pub(crate) fn claims_of(pod: &Pod) -> impl Iterator<Item = String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let volumes = volumes.into_iter().flatten();
    volumes.filter_map(move |volume| claim_of(name, volume))
}

/// Returns the condition of this type, such as `Ready`.
pub(crate) fn condition<'s>(status: &'s PodStatus, of: &str) -> Option<&'s PodCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == of)
}

/// Returns whether the condition of this type is true.
pub(crate) fn is_true(status: &PodStatus, of: &str) -> bool {
    condition(status, of).is_some_and(|condition| condition.status == "True")
}

/// Returns whether a container will not become ready without a change by the user.
pub(crate) fn is_hopeless(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("CrashLoopBackOff") => {
            container.restart_count >= HOPELESS_RESTARTS || cannot_start(container)
        }
        Some("RunContainerError") => cannot_start(container),
        Some(
            "ErrImagePull"
            | "ErrImageNeverPull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "CreateContainerConfigError"
            | "CreateContainerError",
        ) => true,
        _ => false,
    }
}

/// Returns whether a container could not be started, and not at the second try either: the first
/// may have come too early, or when the machine was short of something.
fn cannot_start(container: &ContainerStatus) -> bool {
    let last = container.last_state.as_ref();
    let last = last.and_then(|state| state.terminated.as_ref());
    last.is_some_and(is_start_error) && container.restart_count > 0
}

/// Returns whether a program was not even there to run, so that its exit code says nothing.
pub(crate) fn is_start_error(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some(START_ERROR)
}
