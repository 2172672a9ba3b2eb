//! The current state of a pod, from its manifest and its runner's status.
//!
//! Reading them needs neither a lock nor the supervisor. A runner that was killed leaves a stale
//! status behind, so whether the runner is alive is checked too.

use std::io;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::inside;
use super::session::Session;
use crate::model::pod::condition;
use crate::model::{Namespace, printer};
use crate::problem::Result;
use crate::store::{Layout, PetLayout, RunnerRecord, UNKNOWN, network, read_pod, read_shown_pod};

/// The status of a pet whose runner was killed and not replaced yet, and of one whose status is
/// damaged.
const LOST: &str = UNKNOWN;
const LOST_WHY: &str = "its runner is gone, and `petset start` brings it back";

/// Returns the pod of this name with its runner's status; `None` where it does not exist.
pub(crate) fn find(session: &Session, name: &str) -> Result<Option<Pod>> {
    find_in(session, &session.namespace, name)
}

/// Returns the pod of this name in a namespace, with the address that it has or is going to have.
pub(crate) fn find_in(session: &Session, namespace: &Namespace, name: &str) -> Result<Option<Pod>> {
    find_by(session, namespace, name, read_pod)
}

/// Returns the pod of this name as commands show it: without an address before it can be there.
pub(crate) fn find_shown(
    session: &Session,
    namespace: &Namespace,
    name: &str,
) -> Result<Option<Pod>> {
    find_by(session, namespace, name, read_shown_pod)
}

fn find_by(
    session: &Session,
    namespace: &Namespace,
    name: &str,
    read_pod: impl Fn(&PetLayout) -> io::Result<Option<Pod>>,
) -> Result<Option<Pod>> {
    let files = session.store.layout().pet(namespace, name);
    if !files.pod().exists() {
        return to_come(session, namespace, name);
    }
    let read = || -> io::Result<Option<Pod>> {
        let Some(mut pod) = read_pod(&files)? else {
            return Ok(None);
        };
        // Inside of an isolated pet, no process of the host is visible.
        if !inside::is_here() && !has_ended(&pod) && !is_kept(&files) {
            lost(&mut pod);
        }
        Ok(Some(inside::pod(pod)))
    };
    read().with_context(|| format!("cannot read the pet {name}"))
}

/// Returns whether all containers of the pod have ended for good.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns whether no container of the pod runs or will run: it has ended, and is not being
/// deleted.
pub(crate) fn is_at_rest(pod: &Pod) -> bool {
    has_ended(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Returns a pod that is wanted and was not started yet; one that is deleted is there no more.
fn to_come(session: &Session, namespace: &Namespace, name: &str) -> Result<Option<Pod>> {
    let Ok(name) = name.parse() else {
        return Ok(None);
    };
    let pod: Option<Pod> = session.store.find(namespace, &name)?;
    let mut pod = pod.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    if let Some(pod) = &mut pod {
        pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
    }
    Ok(pod)
}

/// Marks a pod whose runner is dead as not ready, since its status is stale.
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

/// Returns why a pet is not ready; `None` where it is.
pub(crate) fn why_not_ready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let lost = status.filter(|status| status.reason.as_deref() == Some(LOST));
    match lost.and_then(|status| status.message.clone()) {
        Some(message) => Some(message),
        None => printer::why_not_ready(pod),
    }
}

/// Adds to why a pod is not ready how long a postStart has run, if that is what it waits for.
pub(crate) fn with_age_of_hook(pod: &Pod, why: &str) -> String {
    let container = printer::culprit(pod).filter(|container| printer::runs_in_hook(pod, container));
    let ready = pod.status.as_ref().and_then(|it| condition(it, "Ready"));
    let changed = ready.and_then(|ready| ready.last_transition_time.as_ref());
    let since = changed.or(pod.metadata.creation_timestamp.as_ref());
    let (Some(container), Some(since)) = (container, since) else {
        return why.to_owned();
    };
    let words = printer::post_start_message(&container.name);
    let age = printer::age(Timestamp::now().duration_since(since.0));
    why.replacen(&words, &format!("{words} (for {age})"), 1)
}

/// Returns whether a runner keeps the pet: the last one still runs, or none has written a record
/// yet.
pub(crate) fn is_kept(files: &PetLayout) -> bool {
    let record = RunnerRecord::read(files).ok().flatten();
    record.is_none_or(|record| record.is_alive())
}

/// Lists the ports of a pet that the host reaches at another number, as `80=10080`.
pub(crate) fn moved_ports(layout: &Layout, pod: &Pod) -> Vec<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let (Ok(namespace), Some(name)) = (namespace.parse(), &pod.metadata.name) else {
        return Vec::new();
    };
    network::moved_ports(&layout.pet(&namespace, name)).unwrap_or_default()
}
