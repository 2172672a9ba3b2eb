//! Bare pods, those that belong to no set: creating, changing, restarting and deleting them.

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;

use super::compare::{Applied, is_same};
use super::isolation;
use super::metadata;
use super::render;
use super::session::Session;
use super::startable::MissingArgs;
use super::waiting::{Goal, WaitArgs};
use crate::manifest;
use crate::model::bare::{is_bare, wanted_of};
use crate::model::pod::set_of;
use crate::model::{Namespace, OWN_PREFIX, ObjectName, ObjectRef};
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit};

/// Returns the pod of this name as it is wanted, if it belongs to no set. A pod that its set has
/// just orphaned counts too.
pub(crate) fn find(
    session: &Session,
    namespace: &Namespace,
    name: &ObjectName,
) -> Result<Option<Pod>> {
    let wanted = session.store.find(namespace, name);
    if let Ok(Some(pod)) = wanted {
        return Ok(Some(pod));
    }
    // One whose file is damaged is known by the pod that there is.
    let pet = existing(session, namespace, name);
    if let (Err(damaged), Ok(None) | Err(_)) = (wanted, &pet) {
        return Err(damaged);
    }
    let pet = pet?.filter(|pet| is_bare(pet) && pet.metadata.deletion_timestamp.is_none());
    Ok(pet.as_ref().map(wanted_of))
}

/// Does the same with a full name.
pub(crate) fn find_named(session: &Session, pod: &ObjectRef) -> Result<Option<Pod>> {
    find(session, &pod.namespace, &pod.name)
}

/// Returns every pod that belongs to no set and is not being deleted.
pub(crate) fn all(session: &Session) -> Result<Vec<Pod>> {
    let mut pods: Vec<Pod> = Vec::new();
    for namespace in session.store.namespaces()? {
        pods.extend(session.readable(&namespace)?);
    }
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

/// Returns the pod of this name that exists now, whether of a set or not.
fn existing(session: &Session, namespace: &Namespace, name: &ObjectName) -> Result<Option<Pod>> {
    let files = session.store.layout().pet(namespace, name.as_str());
    store::pod_record(&files).with_context(|| format!("cannot read {}", files.pod().display()))
}

/// Creates a pod. With `if_not_exists`, one that exists stays as it is.
pub(crate) fn create(
    session: &Session,
    edit: &mut Edit<'_>,
    pod: &mut Pod,
    if_not_exists: bool,
) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let found = find(session, &namespace, &name)?;
    refuse_deleted(&name, found.as_ref())?;
    let found = match found {
        Some(found) => Some(found),
        None => existing(session, &namespace, &name)?,
    };
    let Some(found) = found else {
        metadata::initialize(&mut pod.metadata)?;
        edit.put(pod)?;
        return Ok(Applied::Created);
    };
    if if_not_exists {
        *pod = found;
        return Ok(Applied::Unchanged);
    }
    let problem = Problem::new(
        Kind::Conflict,
        format!("pods {:?} already exists", name.as_str()),
    );
    let problem = match set_of(&found.metadata) {
        Some(set) => problem.hint(format!("it is a pet of the set {set}: choose another name")),
        None => problem
            .hint(format!(
                "change it with `petset apply -f`, or delete it with `petset delete pod/{name}`"
            ))
            .hint("or keep it as it is with --if-not-exists"),
    };
    Err(problem.into())
}

/// Creates a pod, or changes the fields of it that may change.
pub(crate) fn apply(
    session: &Session,
    edit: &mut Edit<'_>,
    pod: &mut Pod,
    missing: MissingArgs,
) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let Some(old) = find(session, &namespace, &name)? else {
        return create(session, edit, pod, false);
    };
    refuse_deleted(&name, Some(&old))?;
    merge(&old, pod)?;
    if is_same(&old, pod) {
        *pod = old;
        return Ok(Applied::Unchanged);
    }
    missing.check_pod(session, pod, &old)?;
    metadata::keep_identity(&old.metadata, &mut pod.metadata);
    let changed = pod.spec != old.spec;
    pod.metadata.generation = old.metadata.generation.map(|of| of + i64::from(changed));
    edit.put(pod)?;
    Ok(Applied::Configured)
}

/// Turns the pod of a file into the new version of an existing pod.
///
/// petset's own annotations stay, unless the file sets them; the isolation level always stays.
pub(crate) fn merge(old: &Pod, pod: &mut Pod) -> Result<()> {
    manifest::check_pod_update(old, pod)?;
    isolation::keep_level(&old.metadata, &mut pod.metadata);
    for (key, value) in old.metadata.annotations.iter().flatten() {
        if key.starts_with(OWN_PREFIX) {
            let notes = pod.metadata.annotations.get_or_insert_default();
            notes.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    isolation::refuse_host_paths(&pod.metadata, pod.spec.as_ref(), None)
}

fn refuse_deleted(name: &ObjectName, found: Option<&Pod>) -> Result<()> {
    if found.is_none_or(|pod| pod.metadata.deletion_timestamp.is_none()) {
        return Ok(());
    }
    let message = format!("{name} is still being deleted");
    let hint = format!("wait for its end with `petset wait pod/{name} --for delete`");
    Err(Problem::new(Kind::Conflict, message).hint(hint).into())
}

/// Marks a pod for deletion; the supervisor stops it and then removes it.
pub(crate) fn mark(
    session: &Session,
    edit: &mut Edit<'_>,
    namespace: &Namespace,
    name: &ObjectName,
    grace: Option<i64>,
) -> Result<Option<Pod>> {
    let Some(mut pod) = find(session, namespace, name)? else {
        return Ok(None);
    };
    metadata::mark_deleted(&mut pod.metadata, grace);
    edit.put(&pod)?;
    Ok(Some(pod))
}

/// Waits until the pods are gone, and prints that they are.
pub(crate) fn finish(session: &Session, pods: Vec<Pod>, wait: &WaitArgs) -> Result<()> {
    let goals: Vec<Goal> = pods.iter().cloned().map(Goal::PodGone).collect();
    session.wait(&goals, wait)?;
    for pod in &pods {
        let name = ObjectRef::of(&pod.metadata)?.name;
        render::line(&format!("pod/{name} deleted"))?;
    }
    Ok(())
}

/// Returns a new pod with the same name and spec.
pub(crate) fn renewed(pod: &Pod) -> Result<Pod> {
    let mut pod = pod.clone();
    metadata::initialize(&mut pod.metadata)?;
    Ok(pod)
}

/// Stops a pod and creates it again.
pub(crate) fn restart(session: &Session, name: &ObjectName, wait: &WaitArgs) -> Result<()> {
    let renewed = session.edit(&format!("restart {name}"), |edit| {
        let found = find(session, &session.namespace, name)?;
        refuse_deleted(name, found.as_ref())?;
        let found = found.ok_or_else(|| session.not_found("pods", name.as_str()))?;
        let pod = renewed(&found)?;
        edit.put(&pod)?;
        Ok(pod)
    });
    let pod = renewed.with_context(|| format!("cannot restart {name}"))?;
    render::line(&format!("pod/{name} restarted"))?;
    session.wait(&[Goal::PodUp(pod)], wait)
}
