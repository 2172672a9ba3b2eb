//! Deletion by owner: what a workload has made goes before it does, or is let go.

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::workload::{controller_of, is_controlled_by};
use crate::model::{Namespace, ORPHAN_FINALIZER, ObjectName, ObjectRef, Workload};
use crate::problem::Result;
use crate::store;

impl Supervisor {
    /// Ends what a workload that is being deleted has made, or lets go of it, and removes the
    /// workload when nothing of it is left.
    pub(super) fn end_workload(&mut self, at: &WorkloadRef, owner: &Workload) -> Result<()> {
        let orphans = is_orphaned(owner);
        for pod in self.pods_of(at, owner) {
            match orphans {
                true => {
                    self.free_pod(&pod)?;
                    self.own_pet(&at.key, pod.name.as_str(), None)?;
                }
                false => self.end_pod(&pod)?,
            }
        }
        for made in self.workloads_made_by(at, owner) {
            match orphans {
                true => self.own_workload(&made, None)?,
                false => self.end_made(&made, owner.metadata())?,
            }
        }
        let left = self.pods_of(at, owner).len() + self.workloads_made_by(at, owner).len();
        match left {
            0 => self.remove_workload(at, owner),
            _ => Ok(()),
        }
    }

    /// Marks what a workload has made as being deleted.
    fn end_made(&mut self, made: &WorkloadRef, of: &ObjectMeta) -> Result<()> {
        let grace = of.deletion_grace_period_seconds;
        let known = self.world.workload(made).map(Workload::metadata);
        let is_known = known.is_none_or(|meta| {
            let given = meta.deletion_grace_period_seconds;
            meta.deletion_timestamp.is_some() && (grace.is_none() || given <= grace)
        });
        if is_known {
            return Ok(());
        }
        self.mark_workload_deleted(made, grace, Timestamp::now())
    }

    fn workloads_made_by(&self, at: &WorkloadRef, owner: &Workload) -> Vec<WorkloadRef> {
        let namespace = &at.key.namespace;
        let place = self.world.place(namespace);
        let all = place.into_iter().flat_map(|place| &place.workloads);
        let own = all.filter(|(_, it)| is_controlled_by(it.metadata(), owner.metadata()));
        own.map(|((kind, name), _)| reference(namespace, (*kind, name)))
            .collect()
    }

    /// Removes a workload that has made nothing which is left. The wanted object goes last:
    /// waiting commands watch it.
    fn remove_workload(&mut self, at: &WorkloadRef, owner: &Workload) -> Result<()> {
        let layout = self.store.layout().clone();
        let ObjectRef { namespace, name } = &at.key;
        let made_by = WorkloadRef::controller_of(namespace, owner.metadata());
        let mut files = vec![layout.workload_status(namespace, at.kind, name)];
        // Nobody asks for the events of what one controller has made after the other.
        files.extend(
            made_by
                .is_some()
                .then(|| layout.journal(namespace, name.as_str())),
        );
        for path in files {
            store::remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        if at.kind == WorkloadKind::DaemonSet {
            match is_orphaned(owner) {
                true => self.revise_daemon(at, |all| {
                    all.iter_mut()
                        .for_each(|it| it.metadata.owner_references = None);
                })?,
                false => {
                    let revisions = layout.daemon_revisions(namespace, name.as_str());
                    self.writer.remove(revisions);
                    self.world
                        .place_mut(namespace)
                        .daemon_revisions
                        .remove(name);
                }
            }
            self.writer.catch_up();
        }
        self.store.edit("supervise", None, |edit| {
            edit.at_any_cost();
            let there = edit.find_workload(at.kind, namespace, name)?;
            if there.is_some_and(|there| there.metadata().uid == owner.metadata().uid) {
                edit.forget(namespace, ObjectKind::Workload(at.kind), name);
            }
            Ok(())
        })?;
        let place = self.world.place_mut(namespace);
        place.workloads.remove(&(at.kind, name.clone()));
        self.work
            .forget(at, owner.metadata().uid.as_deref().unwrap_or_default());
        self.work.due.extend(made_by);
        Ok(())
    }

    /// Ends what a former workload of this name has made: its file was removed by hand, or another
    /// one was made in its place. What is made by one whose file cannot be read stays.
    pub(super) fn end_strays(&mut self, at: &WorkloadRef) -> Result<()> {
        let ObjectRef { namespace, name } = &at.key;
        let uid = self.world.workload(at).map(|it| it.metadata().uid.clone());
        let path =
            self.store
                .layout()
                .wanted_object(namespace, ObjectKind::Workload(at.kind), name);
        if uid.is_none() && !self.world.stopped && !matches!(path.try_exists(), Ok(false)) {
            return Ok(());
        }
        let Some(place) = self.world.place(namespace) else {
            return Ok(());
        };
        let uid = uid.flatten();
        let is_stray = |meta: &ObjectMeta| {
            let of = WorkloadRef::controller_of(namespace, meta);
            let owner = controller_of(meta).map(|owner| &owner.uid);
            let is_new = meta.deletion_timestamp.is_none();
            is_new && of.as_ref() == Some(at) && owner != uid.as_ref()
        };
        let pods = place
            .pets
            .iter()
            .filter(|(_, pet)| is_stray(&pet.pod.metadata));
        let pods: Vec<ObjectRef> = pods
            .map(|(name, _)| ObjectRef::new(namespace.clone(), name.clone()))
            .collect();
        let made = place
            .workloads
            .iter()
            .filter(|(_, it)| is_stray(it.metadata()));
        let made: Vec<WorkloadRef> = made
            .map(|((kind, name), _)| reference(namespace, (*kind, name)))
            .collect();
        pods.iter().try_for_each(|pod| self.end_pod(pod))?;
        let grace = ObjectMeta::default();
        made.iter().try_for_each(|made| self.end_made(made, &grace))
    }
}

/// Returns whether what a workload has made outlives it.
fn is_orphaned(owner: &Workload) -> bool {
    let mut finalizers = owner.metadata().finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == ORPHAN_FINALIZER)
}

fn reference(namespace: &Namespace, (kind, name): (WorkloadKind, &ObjectName)) -> WorkloadRef {
    let key = ObjectRef::new(namespace.clone(), name.clone());
    WorkloadRef { kind, key }
}
