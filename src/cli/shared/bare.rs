//! Pods that belong to no set, as the changing verbs deal with them.

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::isolation;
use super::merge::is_same;
use super::preview::Preview;
use super::render;
use super::session::Session;
use super::waiting::{Goal, WaitArgs};
use crate::cli::create::establish;
use crate::cli::delete::shorten;
use crate::manifest::{self, Object};
use crate::model::bare::{is_bare, plan_pod, wanted_of};
use crate::model::{Namespace, OWN_PREFIX, ObjectName, ObjectRef};
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit};

impl Session {
    /// Returns the pod of this name as it is wanted, if it belongs to no set: also one that its set
    /// has only just let go.
    pub(crate) fn bare_pod(&self, namespace: &Namespace, name: &ObjectName) -> Result<Option<Pod>> {
        if let Some(pod) = self.store.find(namespace, name)? {
            return Ok(Some(pod));
        }
        let pet = self.in_the_way(namespace, name)?;
        let pet = pet.filter(|pet| is_bare(pet) && pet.metadata.deletion_timestamp.is_none());
        Ok(pet.as_ref().map(wanted_of))
    }

    /// Returns every pod that belongs to no set and is not being deleted.
    pub(crate) fn every_bare_pod(&self) -> Result<Vec<Pod>> {
        let mut pods: Vec<Pod> = Vec::new();
        for namespace in self.store.namespaces()? {
            pods.extend(self.store.all(&namespace)?);
        }
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// Plans what would become of a pod if it were wanted like this.
    pub(crate) fn plan_pod(&self, want: Pod, stopped: bool) -> Result<Preview> {
        let ObjectRef { namespace, name } = ObjectRef::of(&want.metadata)?;
        let there = self.store.layout().pet(&namespace, name.as_str()).pod();
        let pet = if there.exists() {
            self.pet(&namespace, &name)?
        } else {
            None
        };
        let plan = plan_pod(&want, pet.as_ref(), stopped);
        let object = Object::Pod(Box::new(want));
        Ok(Preview { plan, object })
    }

    /// Returns the pod that is there in the way of a new one of its name.
    fn in_the_way(&self, namespace: &Namespace, name: &ObjectName) -> Result<Option<Pod>> {
        let path = self.store.layout().pet(namespace, name.as_str()).pod();
        store::read_json(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Puts a new pod in place; says whether it is there now or was there already.
pub(crate) fn create(
    session: &Session,
    edit: &mut Edit<'_>,
    pod: &mut Pod,
    if_not_exists: bool,
) -> Result<&'static str> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let found = session.bare_pod(&namespace, &name)?;
    refuse_deleted(&name, found.as_ref())?;
    let found = match found {
        Some(found) => Some(found),
        None => session.in_the_way(&namespace, &name)?,
    };
    let Some(found) = found else {
        establish(&mut pod.metadata)?;
        edit.put(pod)?;
        return Ok("created");
    };
    if if_not_exists {
        *pod = found;
        return Ok("unchanged");
    }
    let problem = Problem::new(
        Kind::Conflict,
        format!("pods {:?} already exists", name.as_str()),
    );
    let problem = match super::objects::owner(&found.metadata) {
        Some(set) => problem.hint(format!("it is a pet of the set {set}: choose another name")),
        None => problem
            .hint(format!(
                "change it with `petset apply -f`, or take it away with `petset delete pod/{name}`"
            ))
            .hint("or keep it as it is with --if-not-exists"),
    };
    Err(problem.into())
}

/// Puts a pod in place, new or changed as far as a pod may change; says what that meant.
pub(crate) fn apply(session: &Session, edit: &mut Edit<'_>, pod: &mut Pod) -> Result<&'static str> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let Some(old) = session.bare_pod(&namespace, &name)? else {
        return create(session, edit, pod, false);
    };
    refuse_deleted(&name, Some(&old))?;
    merge(&old, pod)?;
    if is_same(&old, pod)? {
        *pod = old;
        return Ok("unchanged");
    }
    let (meta, before) = (&mut pod.metadata, &old.metadata);
    meta.uid.clone_from(&before.uid);
    meta.creation_timestamp
        .clone_from(&before.creation_timestamp);
    let changed = pod.spec != old.spec;
    pod.metadata.generation = before.generation.map(|of| of + i64::from(changed));
    edit.put(pod)?;
    Ok("configured")
}

/// Makes a pod that a file asks for the one that is there already, as far as a pod may change.
///
/// What was noted of petset's own stays, unless the file speaks of it; how much a pod is kept apart
/// stays in any case.
pub(crate) fn merge(old: &Pod, pod: &mut Pod) -> Result<()> {
    manifest::check_pod_update(old, pod)?;
    isolation::keep(&old.metadata, &mut pod.metadata);
    for (key, value) in old.metadata.annotations.iter().flatten() {
        if key.starts_with(OWN_PREFIX) {
            let notes = pod.metadata.annotations.get_or_insert_default();
            notes.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    isolation::spare_host(&pod.metadata, pod.spec.as_ref(), None)
}

fn refuse_deleted(name: &ObjectName, found: Option<&Pod>) -> Result<()> {
    if found.is_none_or(|pod| pod.metadata.deletion_timestamp.is_none()) {
        return Ok(());
    }
    let message = format!("{name} is still being deleted");
    let hint = format!("wait for its end with `petset wait pod/{name} --for delete`");
    Err(Problem::new(Kind::Conflict, message).hint(hint).into())
}

/// Writes on a pod that it is to go.
pub(crate) fn doom(pod: &mut Pod, grace: Option<i64>) {
    shorten(&mut pod.metadata, grace);
    let now = || Time(Timestamp::now());
    pod.metadata.deletion_timestamp.get_or_insert_with(now);
}

/// Marks a pod for deletion; the supervisor stops it and then removes it.
pub(crate) fn mark(
    session: &Session,
    edit: &mut Edit<'_>,
    namespace: &Namespace,
    name: &ObjectName,
    grace: Option<i64>,
) -> Result<Option<Pod>> {
    let Some(mut pod) = session.bare_pod(namespace, name)? else {
        return Ok(None);
    };
    doom(&mut pod, grace);
    edit.put(&pod)?;
    Ok(Some(pod))
}

/// Deletes pods, and waits until they are gone.
pub(crate) fn delete(
    session: &Session,
    names: &[ObjectName],
    grace: Option<i64>,
    wait: &WaitArgs,
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let marked = session.edit("delete", |edit| {
        let marked = names
            .iter()
            .map(|name| mark(session, edit, &session.namespace, name, grace));
        marked
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>>>()
    });
    finish(
        session,
        marked.context("cannot delete what was named")?,
        wait,
    )
}

/// Waits for the pods' end, and says so.
pub(crate) fn finish(session: &Session, pods: Vec<Pod>, wait: &WaitArgs) -> Result<()> {
    let goals: Vec<Goal> = pods.iter().cloned().map(Goal::PodGone).collect();
    session.wait(&goals, wait)?;
    for pod in &pods {
        let name = ObjectRef::of(&pod.metadata)?.name;
        render::line(&format!("pod/{name} deleted"))?;
    }
    Ok(())
}

/// Returns a pod as another one of the same name: it is made anew, and runs from the beginning.
pub(crate) fn renewed(pod: &Pod) -> Result<Pod> {
    let mut pod = pod.clone();
    establish(&mut pod.metadata)?;
    Ok(pod)
}

/// Stops a pod and makes it anew.
pub(crate) fn restart(session: &Session, name: &ObjectName, wait: &WaitArgs) -> Result<()> {
    let renewed = session.edit(&format!("restart {name}"), |edit| {
        let found = session.bare_pod(&session.namespace, name)?;
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
