//! One pod as it is now, read from its own two files.
//!
//! Reading them needs nobody: no lock, no supervisor. That its runner lives is part of the answer,
//! because the status of a runner that was killed says for ever what was true last.

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;

use super::inside;
use super::session::Session;
use crate::model::{Namespace, printer};
use crate::problem::Result;
use crate::store::{Layout, PetLayout, RunnerRecord, merge_status, read_json};

/// The status word of a pet whose runner was killed and has no successor yet.
const LOST: &str = "Unknown";
const LOST_WHY: &str = "its runner is gone, and `petset start` brings it back";

/// Returns the pod of this name with its runner's status in it; nothing where it does not run.
pub(crate) fn find(session: &Session, name: &str) -> Result<Option<Pod>> {
    find_in(session, &session.namespace, name)
}

/// Returns the pod of this name in any namespace.
pub(crate) fn find_in(session: &Session, namespace: &Namespace, name: &str) -> Result<Option<Pod>> {
    let files = session.store.layout().pet(namespace, name);
    if !files.pod().exists() {
        return to_come(session, namespace, name);
    }
    let read = || -> std::io::Result<Option<Pod>> {
        let Some(mut pod) = read_json::<Pod>(&files.pod())? else {
            return Ok(None);
        };
        merge_status(&mut pod, read_json(&files.status())?);
        // From within a pet, no process of the host is seen.
        if !inside::is_here() && !has_ended(&pod) && !is_kept(&files) {
            lost(&mut pod);
        }
        Ok(Some(inside::pod(pod)))
    };
    read().with_context(|| format!("cannot read the pet {name}"))
}

/// Tells whether all of the pod has ended for good.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Tells whether nothing of the pod runs, and nothing is about to: it has ended and its runner, if
/// it still is there, has said so last of all.
pub(crate) fn is_at_rest(pod: &Pod) -> bool {
    has_ended(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Returns a pod that was asked for and has not been made yet.
fn to_come(session: &Session, namespace: &Namespace, name: &str) -> Result<Option<Pod>> {
    let Ok(name) = name.parse() else {
        return Ok(None);
    };
    let mut pod: Option<Pod> = session.store.find(namespace, &name)?;
    if let Some(pod) = &mut pod {
        pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
    }
    Ok(pod)
}

/// Marks what nobody keeps: whatever was seen last, nothing of it is known any more.
fn lost(pod: &mut Pod) {
    let status = pod.status.get_or_insert_default();
    status.reason = Some(LOST.to_owned());
    status.message = Some(LOST_WHY.to_owned());
    for condition in status.conditions.iter_mut().flatten() {
        if matches!(condition.type_.as_str(), "Ready" | "ContainersReady") {
            condition.status = "False".to_owned();
        }
    }
    let init = status.init_container_statuses.iter_mut().flatten();
    let all = init.chain(status.container_statuses.iter_mut().flatten());
    all.for_each(|container| container.ready = false);
}

/// Says in one sentence why a pet is not ready; nothing where it is.
pub(crate) fn why_not_ready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let lost = status.filter(|status| status.reason.as_deref() == Some(LOST));
    match lost.and_then(|status| status.message.clone()) {
        Some(message) => Some(message),
        None => printer::why_not_ready(pod),
    }
}

/// Returns whether a runner keeps the pet: the last one still runs, or none has written a record
/// yet.
pub(crate) fn is_kept(files: &PetLayout) -> bool {
    let record = RunnerRecord::read(files).ok().flatten();
    record.is_none_or(|record| record.is_alive())
}

/// Lists the ports of a pet that the host finds elsewhere, as `80=10080`.
pub(crate) fn moved_ports(layout: &Layout, pod: &Pod) -> Vec<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let (Ok(namespace), Some(name)) = (namespace.parse(), &pod.metadata.name) else {
        return Vec::new();
    };
    let moved = read_json(&layout.pet(&namespace, name).doors());
    moved.ok().flatten().unwrap_or_default()
}
