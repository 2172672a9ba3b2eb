//! Running workloads: a pass of the controller of each that is due, until it comes to rest.

use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::log::log;
use super::pets::TrackedPet;
use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use super::workload_steps::WorkFailure;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::pod::controller_of;
use crate::model::workload::{Told, Tone, is_controlled_by};
use crate::model::{Namespace, ObjectName, ObjectRef, Workload, deployment, replica_set};
use crate::problem::Result;
use crate::store;
use crate::store::Sync;
use crate::store::journal::Severity;

/// The most passes for a workload in one turn: more are a bug, which must not become a busy loop.
const PASSES: u32 = 1000;

impl Supervisor {
    /// Looks at the workloads that are due.
    pub(super) fn tend_workloads(&mut self, now: Instant) {
        if self.world.stopped {
            self.stop_pods_of_workloads();
        }
        for at in self.work.take_due(now) {
            if let Err(error) = self.tend_workload(&at) {
                let why = format!("{error:#}");
                log(&format!("{}: {why}", at.key));
                self.workload_event(&at, &Told::warning("Failed", why));
                self.work.retry_later(&at);
            }
        }
    }

    /// Makes passes for a workload until it has to wait.
    fn tend_workload(&mut self, at: &WorkloadRef) -> Result<()> {
        self.end_strays(at)?;
        for _ in 0..PASSES {
            let Some(wanted) = self.world.workload(at).cloned() else {
                self.work.forget(at, "");
                return Ok(());
            };
            let is_deleted = wanted.metadata().deletion_timestamp.is_some();
            if self.world.stopped && !is_deleted && is_of_jobs(&wanted) {
                // Its pods have ended without being counted, and it goes on where it was.
                self.work.rests(at, None, Timestamp::now());
                return Ok(());
            }
            let now = Timestamp::now();
            let mut pass = self.pass(at, &wanted, now)?;
            if is_deleted || self.world.stopped {
                pass.steps.clear();
            }
            let done = self.perform_all_work(at, &pass.steps, now);
            let failure = done.as_ref().err().map(Box::as_ref);
            note_failure(&mut pass.status, &wanted, failure, now);
            if failure.is_none() || keeps_failure(&wanted) {
                self.name_active_jobs(at, &mut pass.status);
                self.note_workload(at, pass.status, Sync::No)?;
            }
            if is_deleted {
                return self.end_workload(at, &wanted);
            }
            match done {
                Ok(true) => {}
                Ok(false) => {
                    self.forget_evictions(&at.key);
                    let wake_at = pass.wake_at.filter(|_| !self.world.stopped);
                    self.work.rests(at, wake_at, now);
                    return Ok(());
                }
                Err(failure) => {
                    log(&format!("{}: {}", at.key, failure.why));
                    self.work.retry_later(at);
                    return Ok(());
                }
            }
        }
        log(&format!("{} does not come to rest", at.key));
        Ok(())
    }

    /// Gives the references to active Jobs the uids that those were given when they were made.
    fn name_active_jobs(&self, at: &WorkloadRef, seen: &mut Workload) {
        let (Workload::CronJob(cron), Some(place)) = (seen, self.world.place(&at.key.namespace))
        else {
            return;
        };
        let status = cron.status.as_mut();
        for active in status
            .and_then(|status| status.active.as_mut())
            .into_iter()
            .flatten()
        {
            let name = active.name.as_ref().and_then(|name| name.parse().ok());
            let job = name.and_then(|name| place.workloads.get(&(WorkloadKind::Job, name)));
            let uid = job.and_then(|job| job.metadata().uid.clone());
            active.uid = active.uid.take().or(uid);
        }
    }

    /// Keeps the status that a pass has found, and publishes it if it is another.
    pub(super) fn note_workload(
        &mut self,
        at: &WorkloadRef,
        after: Workload,
        sync: Sync,
    ) -> Result<()> {
        let status = after.status_json()?;
        let before = self.world.workload(at);
        let same = before.filter(|before| before.metadata().uid == after.metadata().uid);
        let Some(before) = same else { return Ok(()) };
        if before.status_json()? == status {
            return Ok(());
        }
        store::publish_workload_status(self.store.layout(), &after, sync)?;
        let place = self.world.place_mut(&at.key.namespace);
        if let Some(there) = place.workloads.get_mut(&(at.kind, at.key.name.clone())) {
            there.set_status(&status)?;
        }
        let owner = WorkloadRef::controller_of(&at.key.namespace, after.metadata());
        self.work.due.extend(owner);
        Ok(())
    }

    /// Marks the workload that controls a pod for the next turn, and the one that controls that. A
    /// pod that nobody controls may be adopted by any.
    pub(super) fn owner_is_due(&mut self, namespace: &Namespace, pod: &ObjectMeta) {
        let Some(owner) = WorkloadRef::controller_of(namespace, pod) else {
            if controller_of(pod).is_none() {
                self.workloads_of_are_due(namespace);
            }
            return;
        };
        let of_owner = self.world.workload(&owner);
        let its = of_owner.and_then(|it| WorkloadRef::controller_of(namespace, it.metadata()));
        self.work.due.extend(its);
        self.work.due.insert(owner);
    }

    /// Marks the workloads of a namespace for the next turn.
    pub(super) fn workloads_of_are_due(&mut self, namespace: &Namespace) {
        let keys = self.world.place(namespace).map(|place| &place.workloads);
        let keys = keys.into_iter().flat_map(|it| it.keys());
        let due = keys.map(|(kind, name)| WorkloadRef {
            kind: *kind,
            key: ObjectRef::new(namespace.clone(), name.clone()),
        });
        self.work.due.extend(due);
    }

    /// Marks all workloads for the next turn, and those that are gone and have left something.
    pub(super) fn every_workload_is_due(&mut self) {
        let namespaces: Vec<Namespace> = self.world.places.keys().cloned().collect();
        for namespace in namespaces {
            self.workloads_of_are_due(&namespace);
            let place = self.world.place_mut(&namespace);
            let pods = place.pets.values().map(|pet| &pet.pod.metadata);
            let made = pods.chain(place.workloads.values().map(Workload::metadata));
            let owners = made.filter_map(|meta| WorkloadRef::controller_of(&namespace, meta));
            self.work.due.extend(owners);
        }
    }

    /// Ends the pods of workloads because of `petset stop`. Those that have ended stay.
    fn stop_pods_of_workloads(&mut self) {
        let runs =
            |pet: &TrackedPet| pet.is_of_workload() && !pet.is_terminating() && !pet.is_over();
        let running = self.world.pets().filter(|(_, pet)| runs(pet));
        let running: Vec<ObjectRef> = running.map(|(key, _)| key).collect();
        for key in running {
            if let Err(error) = self.end_pod(&key) {
                log(&format!("{key}: {error:#}"));
                self.bare.retry_later(&key);
            }
        }
    }

    /// Returns the pods that a workload controls.
    pub(super) fn pods_of(&self, at: &WorkloadRef, owner: &Workload) -> Vec<ObjectRef> {
        let place = self.world.place(&at.key.namespace);
        let pets = place.into_iter().flat_map(|place| &place.pets);
        let own = pets.filter(|(_, pet)| is_controlled_by(&pet.pod.metadata, owner.metadata()));
        let key = |name: &ObjectName| ObjectRef::new(at.key.namespace.clone(), name.clone());
        own.map(|(name, _)| key(name)).collect()
    }

    /// Writes an event of a workload.
    pub(super) fn workload_event(&self, at: &WorkloadRef, told: &Told) {
        let severity = match told.tone {
            Tone::Normal => Severity::Normal,
            Tone::Warning => Severity::Warning,
        };
        let kind = ObjectKind::Workload(at.kind).folder();
        let object = format!("{kind}/{}", at.key.name);
        let (
            owner,
            Told {
                reason, message, ..
            },
        ) = (at.key.name.as_str(), told);
        self.event(&at.key, owner, object, severity, reason, message);
    }
}

/// Returns whether a workload counts what its pods have done.
const fn is_of_jobs(workload: &Workload) -> bool {
    match workload {
        Workload::Job(_) | Workload::CronJob(_) => true,
        Workload::Deployment(_)
        | Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::DaemonSet(_) => false,
    }
}

/// Returns whether the status of a workload tells of a failed step. That of another one is about a
/// pass whose steps have all succeeded.
const fn keeps_failure(workload: &Workload) -> bool {
    match workload {
        Workload::ReplicaSet(_) | Workload::ReplicationController(_) | Workload::Deployment(_) => {
            true
        }
        Workload::DaemonSet(_) | Workload::Job(_) | Workload::CronJob(_) => false,
    }
}

/// Notes in the status of a replica set whether a step has failed (RS15), and in that of a
/// Deployment that its ReplicaSet could not be made (DP53).
fn note_failure(
    seen: &mut Workload,
    before: &Workload,
    failure: Option<&WorkFailure>,
    now: Timestamp,
) {
    let failure = failure.map(|failure| (&failure.step, failure.why.as_str()));
    match (seen, before) {
        (Workload::ReplicaSet(seen), Workload::ReplicaSet(before)) => {
            let (status, before) = (seen.status.get_or_insert_default(), before.status.clone());
            replica_set::note_failure(status, &before.unwrap_or_default(), failure, now);
        }
        (Workload::ReplicationController(seen), Workload::ReplicationController(before)) => {
            replica_set::note_failure_of_controller(seen, before, failure, now);
        }
        (Workload::Deployment(seen), Workload::Deployment(before)) => {
            if let Some((step, why)) = failure {
                seen.status = deployment::failed_status(before, step, why, now);
            }
        }
        (_, _) => {}
    }
}
