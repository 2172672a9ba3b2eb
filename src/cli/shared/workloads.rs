//! Workloads in the verbs that store objects: creating, changing, comparing and deleting them.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::compare::Applied;
use super::isolation;
use super::metadata;
use super::session::Session;
use crate::manifest;
use crate::model::daemon_set::{GENERATION_ANNOTATION, GENERATION_LABEL};
use crate::model::deployment::{REVISION_ANNOTATION, same_template};
use crate::model::job::forget_selection;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::pod::workload_of;
use crate::model::workload::pods::{annotation, label};
use crate::model::workload::{controller_of, is_controlled_by};
use crate::model::{Namespace, OWN_PREFIX, ObjectRef, RESTARTED_ANNOTATION, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::store::{Edit, Store};

/// Returns the pod spec of the template of a workload.
pub(crate) fn pod_spec(workload: &Workload) -> Option<&PodSpec> {
    workload.template()?.spec.as_ref()
}

/// Stores a new workload. With `if_not_exists`, one that exists stays as it is.
pub(crate) fn create(
    edit: &mut Edit<'_>,
    workload: &mut Workload,
    if_not_exists: bool,
) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(workload.metadata())?;
    let Some(found) = edit.find_workload(workload.kind(), &namespace, &name)? else {
        begin(workload)?;
        edit.put_workload(workload)?;
        return Ok(Applied::Created);
    };
    refuse_deleted(&found)?;
    if if_not_exists {
        *workload = found;
        return Ok(Applied::Unchanged);
    }
    let kind = ObjectKind::Workload(workload.kind());
    let message = format!("{} {:?} already exists", kind.plural(), name.as_str());
    let change = format!(
        "change it with `petset apply -f`, or delete it with `petset delete {}/{name}`",
        kind.folder()
    );
    let problem = Problem::new(Kind::Conflict, message).hint(change);
    Err(problem
        .hint("or keep it as it is with --if-not-exists")
        .into())
}

/// Gives a new workload what the API server would.
fn begin(workload: &mut Workload) -> Result<()> {
    metadata::initialize(workload.metadata_mut())?;
    let uid = workload.metadata().uid.clone().unwrap_or_default();
    manifest::complete_workload(workload, &uid);
    Ok(())
}

fn refuse_deleted(found: &Workload) -> Result<()> {
    if found.metadata().deletion_timestamp.is_none() {
        return Ok(());
    }
    let name = found.metadata().name.as_deref().unwrap_or_default();
    let kind = ObjectKind::Workload(found.kind()).folder();
    let message = format!("{name} is still being deleted");
    let hint = format!("its end shows in `petset get {kind} {name}`");
    Err(Problem::new(Kind::Conflict, message).hint(hint).into())
}

/// Creates a workload, or changes the one that exists.
pub(crate) fn apply(
    session: &Session,
    edit: &mut Edit<'_>,
    workload: &mut Workload,
) -> Result<Applied> {
    let (wanted, old) = wanted(&session.store, workload)?;
    *workload = wanted;
    let Some(old) = old else {
        begin(workload)?;
        edit.put_workload(workload)?;
        return Ok(Applied::Created);
    };
    if old == *workload {
        return Ok(Applied::Unchanged);
    }
    isolation::refuse_host_paths(workload.metadata(), pod_spec(workload), None)?;
    edit.put_workload(workload)?;
    Ok(Applied::Configured)
}

/// Returns a workload as it would be once the file is applied, and as it is now.
pub(crate) fn wanted(store: &Store, given: &Workload) -> Result<(Workload, Option<Workload>)> {
    let ObjectRef { namespace, name } = ObjectRef::of(given.metadata())?;
    let mut new = given.without_status();
    let Some(old) = store.workload(given.kind(), &namespace, &name)? else {
        return Ok((new, None));
    };
    refuse_deleted(&old)?;
    keep_restart(&old, &mut new);
    manifest::check_workload_update(&old, &mut new)?;
    keep_notes(old.metadata(), new.metadata_mut());
    keep_labels(&old, &mut new);
    isolation::keep_level(old.metadata(), new.metadata_mut());
    let (before, meta) = (old.metadata(), new.metadata_mut());
    metadata::keep_identity(before, meta);
    meta.owner_references.clone_from(&before.owner_references);
    meta.finalizers.clone_from(&before.finalizers);
    let changed = !new.has_same_spec(&old);
    let generation = old.metadata().generation;
    new.metadata_mut().generation = generation.map(|it| it + i64::from(changed));
    count_template(&old, &mut new);
    Ok((new, Some(old)))
}

/// Keeps the template's restart annotation: a file without it must not cause another roll-out.
fn keep_restart(old: &Workload, new: &mut Workload) {
    let noted = |meta: &ObjectMeta| {
        meta.annotations
            .as_ref()?
            .get(RESTARTED_ANNOTATION)
            .cloned()
    };
    let before = old
        .template()
        .and_then(|template| template.metadata.as_ref());
    let Some(noted) = before.and_then(noted) else {
        return;
    };
    if let Some(template) = new.template_mut() {
        let meta = template.metadata.get_or_insert_default();
        let annotations = meta.annotations.get_or_insert_default();
        annotations
            .entry(RESTARTED_ANNOTATION.to_owned())
            .or_insert(noted);
    }
}

/// Keeps what controllers and verbs have noted on the old one, unless the file says otherwise.
fn keep_notes(old: &ObjectMeta, new: &mut ObjectMeta) {
    let of_controllers = [REVISION_ANNOTATION, GENERATION_ANNOTATION];
    for (key, value) in old.annotations.iter().flatten() {
        if key.starts_with(OWN_PREFIX) || of_controllers.contains(&key.as_str()) {
            let notes = new.annotations.get_or_insert_default();
            notes.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// A job whose author gave it no labels has those of its pods, which name its uid, beside those
/// that were added since.
fn keep_labels(old: &Workload, new: &mut Workload) {
    if let (Workload::Job(old), Workload::Job(new)) = (old, new) {
        let labels = |job: &k8s_openapi::api::batch::v1::Job| {
            let spec = job.spec.as_ref();
            spec.and_then(|spec| spec.template.metadata.clone()?.labels)
        };
        let of_pods = labels(old).unwrap_or_default();
        let of_job = old.metadata.labels.clone().unwrap_or_default();
        if !of_pods.is_empty()
            && of_pods
                .iter()
                .all(|pair| of_job.get(pair.0) == Some(pair.1))
        {
            let own = new.metadata.labels.get_or_insert_default();
            of_pods.into_iter().for_each(|(key, value)| {
                own.entry(key).or_insert(value);
            });
        }
    }
}

/// Counts the templates of a daemon set (DS05).
pub(crate) fn count_template(old: &Workload, new: &mut Workload) {
    let (Workload::DaemonSet(_), Workload::DaemonSet(_)) = (old, &*new) else {
        return;
    };
    if old.template() == new.template() {
        return;
    }
    let notes = new.metadata_mut().annotations.get_or_insert_default();
    let number = notes.get(GENERATION_ANNOTATION);
    let number: i64 = number.and_then(|it| it.parse().ok()).unwrap_or_default();
    notes.insert(GENERATION_ANNOTATION.to_owned(), (number + 1).to_string());
}

/// Returns what would become of a workload.
pub(crate) fn foresee(store: &Store, given: &Workload) -> Result<Applied> {
    Ok(match wanted(store, given)? {
        (_, None) => Applied::Created,
        (new, Some(old)) if new == old => Applied::Unchanged,
        (_, Some(_)) => Applied::Configured,
    })
}

/// Returns a workload without what the state directory assigns, to compare it with another.
pub(crate) fn as_given(workload: &Workload) -> Object {
    let mut workload = workload.without_status();
    let meta = workload.metadata_mut();
    (meta.uid, meta.generation, meta.creation_timestamp) = (None, None, None);
    meta.owner_references = None;
    if let Workload::Job(job) = &mut workload {
        forget_selection(job);
    }
    Object::Workload(workload.into())
}

/// Marks a workload for deletion; the supervisor ends what it has made and then removes it.
pub(crate) fn mark(
    edit: &mut Edit<'_>,
    kind: WorkloadKind,
    full: &ObjectRef,
    change: impl FnOnce(&mut ObjectMeta),
) -> Result<Option<Workload>> {
    let Some(mut workload) = edit.find_workload(kind, &full.namespace, &full.name)? else {
        return Ok(None);
    };
    change(workload.metadata_mut());
    edit.put_workload(&workload)?;
    Ok(Some(workload))
}

/// Returns whether a pod of a workload has the template that is wanted now. A Deployment needs its
/// ReplicaSets for that.
pub(crate) fn has_wanted_template(pod: &Pod, owner: &Workload, sets: &[Workload]) -> bool {
    match owner {
        Workload::Deployment(_) => sets.iter().any(|set| {
            is_controlled_by(&pod.metadata, set.metadata()) && has_template_of(set, owner)
        }),
        Workload::DaemonSet(set) => {
            let number = annotation(&set.metadata, GENERATION_ANNOTATION);
            label(&pod.metadata, GENERATION_LABEL) == number
        }
        Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => true,
    }
}

/// Returns whether a ReplicaSet is that of the template which its Deployment has now.
pub(crate) fn has_template_of(set: &Workload, deployment: &Workload) -> bool {
    let templates = set.template().zip(deployment.template());
    templates.is_some_and(|(one, two)| same_template(one, two))
}

impl Session {
    /// Returns the pods that a workload controls, or that what it has made controls.
    pub(crate) fn pods_of_workload(
        &self,
        namespace: &Namespace,
        owner: &Workload,
    ) -> Result<Vec<Pod>> {
        let made_by = match owner.kind() {
            WorkloadKind::Deployment => Some(WorkloadKind::ReplicaSet),
            WorkloadKind::CronJob => Some(WorkloadKind::Job),
            WorkloadKind::ReplicaSet
            | WorkloadKind::ReplicationController
            | WorkloadKind::DaemonSet
            | WorkloadKind::Job => None,
        };
        let mut owners = vec![owner.clone()];
        if let Some(kind) = made_by {
            owners = self.workloads(kind, namespace)?;
            owners.retain(|it| is_controlled_by(it.metadata(), owner.metadata()));
        }
        let mut pods = self.pets(namespace)?;
        let is_of = |pod: &Pod, it: &Workload| is_controlled_by(&pod.metadata, it.metadata());
        pods.retain(|pod| owners.iter().any(|it| is_of(pod, it)));
        Ok(pods)
    }

    /// Returns those of them that have the template that is wanted now, and are to stay.
    pub(crate) fn current_pods_of(
        &self,
        namespace: &Namespace,
        owner: &Workload,
    ) -> Result<Vec<Pod>> {
        let mut pods = self.pods_of_workload(namespace, owner)?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        match owner {
            Workload::Deployment(_) => {
                let sets = self.workloads(WorkloadKind::ReplicaSet, namespace)?;
                pods.retain(|pod| has_wanted_template(pod, owner, &sets));
            }
            Workload::DaemonSet(_) => pods.retain(|pod| has_wanted_template(pod, owner, &[])),
            Workload::ReplicaSet(_)
            | Workload::ReplicationController(_)
            | Workload::Job(_)
            | Workload::CronJob(_) => {}
        }
        Ok(pods)
    }

    /// Returns the pods of workloads, and the workloads that no other has made, in all namespaces.
    pub(crate) fn all_of_workloads(&self) -> Result<(Vec<Workload>, Vec<Pod>)> {
        let (mut workloads, mut pods) = (Vec::new(), Vec::new());
        for namespace in self.store.namespaces()? {
            for kind in WorkloadKind::ALL {
                let own = self.workloads(kind, &namespace)?.into_iter();
                workloads.extend(own.filter(|it| {
                    let meta = it.metadata();
                    controller_of(meta).is_none() && meta.deletion_timestamp.is_none()
                }));
            }
            let own = self.pets(&namespace)?.into_iter();
            pods.extend(own.filter(|pod| workload_of(&pod.metadata).is_some()));
        }
        Ok((workloads, pods))
    }
}
