//! Performing the steps of the controllers of workloads.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::log::log;
use super::perform::{new_uid, note_egress};
use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use crate::model::kind::WorkloadKind;
use crate::model::rollout::RolledBack;
use crate::model::workload::WorkStep;
use crate::model::{Egress, Isolation, ObjectRef, Workload, job};
use crate::problem::Result;
use crate::store::Sync;

/// A step that could not be performed, and why.
#[derive(Debug)]
pub(super) struct WorkFailure {
    pub(super) step: WorkStep,
    pub(super) why: String,
}

impl Supervisor {
    /// Performs the steps of a pass, until one fails; returns whether any changed something.
    pub(super) fn perform_all_work(
        &mut self,
        at: &WorkloadRef,
        steps: &[WorkStep],
        now: Timestamp,
    ) -> Result<bool, Box<WorkFailure>> {
        let mut changed = false;
        self.give_addresses_to_new(at, steps);
        for step in steps {
            let done = self.perform_work(at, step, now);
            let done = done.map_err(|error| format!("{error:#}"));
            let why = done.as_ref().err().map(String::as_str);
            if let Some(told) = step.told(why) {
                self.workload_event(at, &told);
            }
            match done {
                Ok(did) => changed |= did,
                Err(why) => {
                    let step = step.clone();
                    return Err(Box::new(WorkFailure { step, why }));
                }
            }
        }
        if changed {
            self.stirred.insert(at.key.namespace.clone());
        }
        Ok(changed)
    }

    /// Gives addresses to all pods of a pass at once, so that the list is synced once. Where that
    /// fails, the first of the steps tells so.
    fn give_addresses_to_new(&mut self, at: &WorkloadRef, steps: &[WorkStep]) {
        let mut names = Vec::new();
        for step in steps {
            if let WorkStep::CreatePod { pod, .. } = step {
                names.extend(pod.metadata.name.clone());
            }
        }
        if let Err(error) = self.addresses.give(&at.key.namespace, &names) {
            log(&format!("{}: {error:#}", at.key));
        }
    }

    /// Performs one step; returns whether it changed anything.
    fn perform_work(&mut self, at: &WorkloadRef, step: &WorkStep, now: Timestamp) -> Result<bool> {
        match step {
            WorkStep::CreatePod { pod, batch: _ } => self.make_pod(at, pod, now)?,
            WorkStep::DeletePod { name } => self.delete_pod_of(at, name, now)?,
            WorkStep::OwnPod { name, owner } => self.own_pet(&at.key, name, owner.clone())?,
            WorkStep::FreePod { name } => self.free_pod(&self.in_place_of(at, name)?)?,
            WorkStep::CreateSet(set) => {
                self.make_workload(at, Workload::ReplicaSet(set.as_ref().clone()), now)?;
            }
            WorkStep::CreateJob(job) => {
                self.make_workload(at, Workload::Job(job.as_ref().clone()), now)?;
            }
            WorkStep::UpdateSet(set) => {
                let name = set.metadata.name.as_deref().unwrap_or_default();
                let set_at = self.dependent(at, WorkloadKind::ReplicaSet, name)?;
                self.change_workload(&set_at, &mut |there| {
                    replace_wanted(there, &Workload::ReplicaSet(set.as_ref().clone()));
                })?;
            }
            WorkStep::DeleteSet { name } => {
                let set_at = self.dependent(at, WorkloadKind::ReplicaSet, name)?;
                self.mark_workload_deleted(&set_at, None, now)?;
            }
            WorkStep::DeleteJob { name } => {
                let job_at = self.dependent(at, WorkloadKind::Job, name)?;
                self.mark_workload_deleted(&job_at, None, now)?;
            }
            WorkStep::OwnSet { name, owner } => {
                let set_at = self.dependent(at, WorkloadKind::ReplicaSet, name)?;
                self.own_workload(&set_at, owner.as_ref())?;
            }
            WorkStep::Annotate(annotations) => {
                self.change_workload(at, &mut |there| {
                    there.metadata_mut().annotations = Some(annotations.clone());
                })?;
            }
            WorkStep::Finish => self.mark_workload_deleted(at, None, now)?,
            WorkStep::RollBack { from, to, pod, why } => {
                let note = RolledBack {
                    generation: 0,
                    from: from.clone(),
                    to: to.clone(),
                    pet: pod.clone(),
                    why: why.clone(),
                    log: Vec::new(),
                    time: now,
                };
                self.roll_back_workload(at, note)?;
            }
            WorkStep::Tell(_) => return Ok(false),
            WorkStep::Publish(status) => {
                if let Some(Workload::Job(job)) = self.world.workload(at) {
                    let (status, job) = (Some(status.as_ref().clone()), job.clone());
                    // What follows lets pods go that only this status tells of then (JB08).
                    self.note_workload(at, Workload::Job(Job { status, ..job }), Sync::Yes)?;
                }
            }
            WorkStep::CreateRevision(revision) => {
                let mut revision = revision.as_ref().clone();
                revision.metadata.uid = Some(new_uid()?);
                revision.metadata.creation_timestamp = Some(Time(now));
                self.revise_daemon(at, |all| all.push(revision))?;
            }
            WorkStep::RenumberRevision { name, number } => self.revise_daemon(at, |all| {
                let named = all
                    .iter_mut()
                    .filter(|it| it.metadata.name.as_ref() == Some(name));
                named.for_each(|revision| revision.revision = *number);
            })?,
            WorkStep::DeleteRevision { name } => self.revise_daemon(at, |all| {
                all.retain(|revision| revision.metadata.name.as_ref() != Some(name));
            })?,
            WorkStep::OwnRevision { name, owner } => self.revise_daemon(at, |all| {
                let named = all
                    .iter_mut()
                    .filter(|it| it.metadata.name.as_ref() == Some(name));
                named.for_each(|revision| {
                    revision.metadata.owner_references = owner.clone().map(|owner| vec![owner]);
                });
            })?,
        }
        Ok(true)
    }

    /// Changes the revisions of a daemon set.
    pub(super) fn revise_daemon(
        &mut self,
        at: &WorkloadRef,
        change: impl FnOnce(&mut Vec<ControllerRevision>),
    ) -> Result<()> {
        let ObjectRef { namespace, name } = &at.key;
        let path = self
            .store
            .layout()
            .daemon_revisions(namespace, name.as_str());
        let all = &mut self.world.place_mut(namespace).daemon_revisions;
        let all = all.entry(name.clone()).or_default();
        change(all);
        self.writer.replace(path, serde_json::to_vec(all)?);
        Ok(())
    }

    /// Makes a pod of a workload, and starts it.
    fn make_pod(&mut self, at: &WorkloadRef, pod: &Pod, now: Timestamp) -> Result<()> {
        let mut pod = pod.clone();
        let key = self.in_place_of(at, pod.metadata.name.as_deref().unwrap_or_default())?;
        let place = self.world.place_mut(&key.namespace);
        if place.pets.contains_key(&key.name) || place.pods_wanted.contains_key(&key.name) {
            bail!("pods {:?} already exists", key.name.as_str());
        }
        initialize(&mut pod.metadata, now)?;
        let notes = self.notes_for_pods_of(at);
        let asked = Isolation::asked(notes.as_ref())?;
        if let Some(egress) = Egress::asked(notes.as_ref())? {
            note_egress(&mut pod, egress);
        }
        self.launch(pod, &key, asked)
    }

    /// Returns the annotations that say how the pods of a workload run: its own, or where those
    /// say nothing, those of the workload that has made it.
    fn notes_for_pods_of(&self, at: &WorkloadRef) -> Option<BTreeMap<String, String>> {
        let meta = self.world.workload(at)?.metadata();
        let own = meta.annotations.clone();
        if Isolation::asked(own.as_ref()).ok().flatten().is_some() {
            return own;
        }
        match WorkloadRef::controller_of(&at.key.namespace, meta) {
            Some(owner) => self.notes_for_pods_of(&owner).or(own),
            None => own,
        }
    }

    fn delete_pod_of(&mut self, at: &WorkloadRef, name: &str, now: Timestamp) -> Result<()> {
        let key = self.in_place_of(at, name)?;
        let uid = self.world.pet_mut(&key).map(|pet| pet.uid().to_owned());
        uid.map_or(Ok(()), |uid| self.delete_pet(&at.key, name, &uid, now))
    }

    /// Ends a pod whose end nobody is to count.
    pub(super) fn end_pod(&mut self, key: &ObjectRef) -> Result<()> {
        self.free_pod(key)?;
        let uid = self.world.pet_mut(key).map(|pet| pet.uid().to_owned());
        let now = Timestamp::now();
        uid.map_or(Ok(()), |uid| {
            self.delete_pet(key, key.name.as_str(), &uid, now)
        })
    }

    /// Takes the finalizer of Jobs off a pod.
    pub(super) fn free_pod(&mut self, key: &ObjectRef) -> Result<()> {
        if !self.world.pet_mut(key).is_some_and(|pet| pet.is_held()) {
            return Ok(());
        }
        self.change_pod(key, |pod| {
            let finalizers = pod.metadata.finalizers.get_or_insert_default();
            finalizers.retain(|finalizer| finalizer != job::FINALIZER);
            pod.metadata.finalizers.take_if(|left| left.is_empty());
        })?;
        // One that has ended can go now.
        self.set_of_pet_is_due(key);
        Ok(())
    }

    fn in_place_of(&self, at: &WorkloadRef, name: &str) -> Result<ObjectRef> {
        Ok(ObjectRef::new(at.key.namespace.clone(), name.parse()?))
    }

    fn dependent(&self, at: &WorkloadRef, kind: WorkloadKind, name: &str) -> Result<WorkloadRef> {
        let key = self.in_place_of(at, name)?;
        Ok(WorkloadRef { kind, key })
    }

    /// Adds a workload that a controller has made to the wanted objects.
    fn make_workload(
        &mut self,
        at: &WorkloadRef,
        mut made: Workload,
        now: Timestamp,
    ) -> Result<()> {
        let name = made.metadata().name.clone().unwrap_or_default();
        let made_at = self.dependent(at, made.kind(), &name)?;
        initialize(made.metadata_mut(), now)?;
        if let Workload::Job(job) = &mut made {
            let uid = job.metadata.uid.clone().unwrap_or_default();
            job::complete(job, &uid);
        }
        let ObjectRef { namespace, name } = &made_at.key;
        self.store.edit("supervise", None, |edit| {
            if edit.find_workload(made.kind(), namespace, name)?.is_some() {
                bail!("{} {:?} already exists", made_at.resource(), name.as_str());
            }
            edit.put_workload(&made)
        })?;
        let place = self.world.place_mut(namespace);
        place.workloads.insert((made.kind(), name.clone()), made);
        self.work.due.insert(made_at);
        Ok(())
    }

    /// Changes a wanted workload. One that a command has changed or removed meanwhile is only read
    /// again: the next pass decides anew.
    pub(super) fn change_workload(
        &mut self,
        at: &WorkloadRef,
        change: &mut dyn FnMut(&mut Workload),
    ) -> Result<()> {
        let Some(known) = self.world.workload(at).cloned() else {
            return Ok(());
        };
        let ObjectRef { namespace, name } = &at.key;
        let there = self.store.edit("supervise", None, |edit| {
            edit.at_any_cost();
            let there = edit.find_workload(at.kind, namespace, name)?;
            let there = match there {
                Some(there) if there == known.without_status() => there,
                changed => return Ok(changed),
            };
            let mut changed = there.clone();
            change(&mut changed);
            if !changed.has_same_spec(&there) {
                let generation = &mut changed.metadata_mut().generation;
                *generation = generation.map(|generation| generation + 1);
            }
            if changed != there {
                edit.put_workload(&changed)?;
            }
            Ok(Some(changed))
        })?;
        let place = self.world.place_mut(namespace);
        match there {
            Some(mut there) => {
                if there.metadata().uid == known.metadata().uid {
                    there.set_status(&known.status_json()?)?;
                }
                place.workloads.insert((at.kind, name.clone()), there);
            }
            None => drop(place.workloads.remove(&(at.kind, name.clone()))),
        }
        if self.world.workload(at) != Some(&known) {
            self.work.due.insert(at.clone());
        }
        Ok(())
    }

    /// Marks a workload as being deleted, with the grace period of its pods if one was asked for.
    pub(super) fn mark_workload_deleted(
        &mut self,
        at: &WorkloadRef,
        grace: Option<i64>,
        now: Timestamp,
    ) -> Result<()> {
        self.change_workload(at, &mut |there| {
            let meta = there.metadata_mut();
            meta.deletion_timestamp.get_or_insert(Time(now));
            let given = meta.deletion_grace_period_seconds;
            meta.deletion_grace_period_seconds = given.into_iter().chain(grace).min();
        })
    }

    /// Gives a workload a controller, or none.
    pub(super) fn own_workload(
        &mut self,
        at: &WorkloadRef,
        owner: Option<&OwnerReference>,
    ) -> Result<()> {
        self.change_workload(at, &mut |there| {
            there.metadata_mut().owner_references = owner.map(|owner| vec![owner.clone()]);
        })
        .with_context(|| format!("cannot write {}", at.key.name))
    }
}

/// Gives an object that a controller has made what the API server would.
fn initialize(meta: &mut ObjectMeta, now: Timestamp) -> Result<()> {
    meta.uid = Some(new_uid()?);
    meta.generation = Some(1);
    meta.creation_timestamp = Some(Time(now));
    Ok(())
}

/// Replaces the metadata that a controller may change, and the spec.
fn replace_wanted(there: &mut Workload, new: &Workload) {
    let meta = new.metadata();
    let (labels, annotations) = (meta.labels.clone(), meta.annotations.clone());
    there.metadata_mut().labels = labels;
    there.metadata_mut().annotations = annotations;
    there.take_spec_of(new);
}
