//! Writing records again that were damaged, from the supervisor's memory.

use std::io;
use std::net::Ipv4Addr;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodStatus};

use super::damaged::{DamagedRecords, LostRecord, has_damaged_files};
use super::log::log;
use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use crate::model::kind::WorkloadKind;
use crate::model::workload::Told;
use crate::model::{ObjectRef, Workload};
use crate::store::journal::Severity;
use crate::store::salvage::salvage;
use crate::store::{
    PidFile, RunnerRecord, RunnerRequest, SetReport, Store, Sync, ask_runner, endpoints,
    is_damaged_status, is_socket, is_whole_pod, publish, publish_workload_status, read_json,
};

impl Supervisor {
    /// Tells of damaged records, and has runners write their files again.
    pub(super) fn tell_losses(&mut self, losses: DamagedRecords) {
        for (record, damaged) in losses.records {
            let words = damaged.words();
            log(&words);
            self.tell_loss(&record, &words);
        }
        for key in losses.unreadable {
            let files = self.store.layout().pet_of(&key);
            if self.write_ended(&key) {
                continue;
            }
            if !is_socket(&files.control()) {
                if let Some(pet) = self.world.pet_mut(&key) {
                    pet.hang_up();
                }
                continue;
            }
            // A runner that is dead is followed by one that writes them.
            let _ = ask_runner(&files, &RunnerRequest::Reload {});
        }
    }

    /// Writes the files again that the runner of a pet has left; returns whether it has ended. What
    /// came of the pod is in memory, or in its own record.
    fn write_ended(&self, key: &ObjectRef) -> bool {
        let place = self.world.places.get(&key.namespace);
        let pet = place.and_then(|place| place.pets.get(&key.name));
        let Some(pet) = pet.filter(|pet| pet.has_no_runner_left()) else {
            return false;
        };
        let layout = self.store.layout();
        let files = layout.pet_of(key);
        let mut written = Ok(());
        if let (Err(_), Some(status)) = (read_json::<PodStatus>(&files.status()), &pet.pod.status) {
            written = publish(layout, &files.status(), status);
        }
        if RunnerRecord::read(&files).is_err() {
            written = written.and(RunnerRecord::ended().write(&files));
        }
        if let Err(error) = written {
            log(&format!("{key}: {error}"));
        }
        true
    }

    /// Looks for damaged records, and writes them again from memory.
    pub(super) fn mend(&mut self) {
        let mut losses = DamagedRecords::default();
        if let Err(error) = self.find_damage(&mut losses) {
            log(&format!("cannot look for damaged files: {error}"));
        }
        if let Err(error) = self.restore_records() {
            log(&format!("cannot write what was damaged: {error:#}"));
        }
        for (record, _) in &losses.records {
            if let LostRecord::Pod(key) = record
                && let Some(pet) = self.world.places.get(&key.namespace)
                && let Some(pet) = pet.pets.get(&key.name)
                && let Err(error) = pet.write(self.store.layout(), key)
            {
                log(&format!("{key}: {error}"));
            }
        }
        self.mend_reports();
        self.write_statuses(|store, workload| {
            let read = store.fill_in_status(&mut workload.without_status());
            read.is_err_and(|error| is_damaged_status(&error))
        });
        self.tell_losses(losses);
        let own = PidFile::of_supervisor(self.store.layout());
        if own.read() != Some(std::process::id())
            && let Err(error) = own.write(self.store.layout())
        {
            log(&format!("cannot write the supervisor's pid: {error}"));
        }
    }

    fn find_damage(&self, losses: &mut DamagedRecords) -> io::Result<()> {
        let layout = self.store.layout();
        for (namespace, place) in &self.world.places {
            for name in place.claims.keys() {
                let mut lost = Vec::new();
                let path = layout.claim(namespace, name);
                salvage(&path, &mut lost, |_: &PersistentVolumeClaim| true)?;
                losses.note(lost, || LostRecord::Claim(name.clone()));
            }
            for set in place.revisions.keys() {
                let mut lost = Vec::new();
                let path = layout.revisions(namespace, set.as_str());
                salvage(&path, &mut lost, |_: &Vec<ControllerRevision>| true)?;
                let key = ObjectRef::new(namespace.clone(), set.clone());
                losses.note(lost, || LostRecord::Revisions(key));
            }
            for set in place.daemon_revisions.keys() {
                let mut lost = Vec::new();
                let path = layout.daemon_revisions(namespace, set.as_str());
                salvage(&path, &mut lost, |_: &Vec<ControllerRevision>| true)?;
                let key = ObjectRef::new(namespace.clone(), set.clone());
                losses.note(lost, || LostRecord::DaemonRevisions(key));
            }
            for name in place.pets.keys() {
                let key = ObjectRef::new(namespace.clone(), name.clone());
                let files = layout.pet_of(&key);
                let mut lost = Vec::new();
                salvage(&files.pod(), &mut lost, |pod| is_whole_pod(&files, pod))?;
                losses.note(lost, || LostRecord::Pod(key.clone()));
                if has_damaged_files(&files) {
                    losses.unreadable.push(key);
                }
            }
        }
        Ok(())
    }

    /// Lets reports and endpoints be published again whose files are damaged.
    fn mend_reports(&mut self) {
        let layout = self.store.layout();
        let is_damaged = |key: &ObjectRef| {
            let path = layout.set_status(&key.namespace, key.name.as_str());
            read_json::<SetReport>(&path).is_err()
        };
        let sets = self.published.keys().filter(|key| is_damaged(key));
        let sets: Vec<ObjectRef> = sets.cloned().collect();
        let is_damaged =
            |key: &ObjectRef| endpoints::read(layout, &key.namespace, key.name.as_str()).is_err();
        let services = self.names.records.keys().filter(|key| is_damaged(key));
        let services: Vec<ObjectRef> = services.cloned().collect();
        for key in sets {
            self.published.remove(&key);
            self.due.insert(key);
        }
        for key in services {
            self.names.records.remove(&key);
            self.stirred.insert(key.namespace);
        }
    }

    /// Writes the statuses of those workloads again that are lost.
    pub(super) fn write_statuses(&self, is_lost: impl Fn(&Store, &Workload) -> bool) {
        let places = self.world.places.values();
        let all = places.flat_map(|place| place.workloads.values());
        for workload in all.filter(|workload| is_lost(&self.store, workload)) {
            if let Err(error) = publish_workload_status(self.store.layout(), workload, Sync::No) {
                log(&format!("{error:#}"));
            }
        }
    }

    fn tell_loss(&self, record: &LostRecord, words: &str) {
        const REASON: &str = "Damaged";
        match record {
            LostRecord::Claim(claim) => {
                let words = format!("{words}; its data stays, and its record is made again");
                self.own_event(&format!("claim-{claim}"), Severity::Warning, REASON, &words);
            }
            LostRecord::Revisions(set) => {
                let place = self.world.places.get(&set.namespace);
                let known = place.and_then(|place| place.revisions.get(&set.name));
                let words = format!("{words}; {}", end_of_history(set, known));
                self.set_event(set, Severity::Warning, REASON, &words);
            }
            LostRecord::DaemonRevisions(set) => {
                let place = self.world.places.get(&set.namespace);
                let known = place.and_then(|place| place.daemon_revisions.get(&set.name));
                let words = format!("{words}; {}", end_of_history(set, known));
                let at = WorkloadRef {
                    kind: WorkloadKind::DaemonSet,
                    key: set.clone(),
                };
                self.workload_event(&at, &Told::warning(REASON, words));
            }
            LostRecord::Pod(pet) => {
                let there = self.world.places.get(&pet.namespace);
                let pet_is = there.and_then(|place| place.pets.get(&pet.name));
                let end = match pet_is.is_some_and(|pet| !pet.is_terminating()) {
                    true => "it was written again, and the pod goes on",
                    false => "the pod is stopped and made again",
                };
                self.pet_event(pet, Severity::Warning, REASON, &format!("{words}; {end}"));
            }
        }
    }

    /// Notes the addresses that pods have and the list of addresses has lost.
    pub(super) fn relearn_addresses(&mut self) {
        let pets = self.world.pets().filter_map(|(key, pet)| {
            let ip: Ipv4Addr = pet.pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
            Some((key, ip))
        });
        let pets: Vec<(ObjectRef, Ipv4Addr)> = pets.collect();
        if let Err(error) = self.addresses.relearn(&pets) {
            log(&format!("{error:#}"));
        }
    }
}

/// Tells what has become of a history that was damaged.
fn end_of_history(set: &ObjectRef, known: Option<&Vec<ControllerRevision>>) -> String {
    match known.is_some_and(|known| !known.is_empty()) {
        true => "it was written again".to_owned(),
        false => format!("the history of {} begins anew", set.name),
    }
}
