//! Publishing the observed state: reports of sets, endpoints of services, the DNS zone.

use std::sync::PoisonError;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::log::log;
use super::pets::{Runner, TrackedPet};
use super::state::Supervisor;
use crate::model::endpoints::ServiceRecord;
use crate::model::{ObjectRef, Outcome, Set, Step};
use crate::store::{self, SetReport, Waiting, endpoints as endpoint_files};

impl Supervisor {
    /// Withdraws `settled` from reports of an earlier supervisor about sets with a pet that has no
    /// runner, so that a waiting command does not rely on them.
    pub(super) fn distrust_reports(&mut self) {
        let is_kept =
            |pet: &TrackedPet| matches!(pet.runner, Runner::Child(_) | Runner::Adopted(_));
        let abandoned = self.world.pets().filter(|(_, pet)| !is_kept(pet));
        let sets: Vec<ObjectRef> = abandoned.map(|(key, _)| key.set_by_name()).collect();
        for key in sets {
            let path = self
                .store
                .layout()
                .set_status(&key.namespace, key.name.as_str());
            let Some(report) = self.report_of(&key).filter(|report| report.settled) else {
                continue;
            };
            let mut report = report.clone();
            report.settled = false;
            let layout = self.store.layout();
            if let Err(error) = store::publish(layout, &path, &report) {
                log(&format!("cannot write {}: {error}", path.display()));
            }
            self.reports.insert(key, report);
        }
    }

    /// Publishes the report of a set, if it has changed; returns whether what is published is what
    /// there is to say.
    pub(super) fn publish_set(
        &mut self,
        key: &ObjectRef,
        set: &Set,
        outcome: &Outcome,
        failure: Option<String>,
        now: Timestamp,
    ) -> bool {
        let old = self.reports.get(key);
        let settled = failure.is_none() && outcome.steps.is_empty() && is_complete(set, outcome);
        let mut report = SetReport {
            uid: set.uid.clone(),
            status: outcome.status.clone(),
            waiting: waiting(set, outcome, failure, now),
            settled,
            stopped: set.stopped,
        };
        for waiting in &mut report.waiting {
            let before = old.into_iter().flat_map(|old| &old.waiting);
            let mut same = before.filter(|old| old.pet == waiting.pet && old.why == waiting.why);
            waiting.since = same.next().map_or(waiting.since, |old| old.since);
        }
        let path = self
            .store
            .layout()
            .set_status(&key.namespace, key.name.as_str());
        if self.published.get(key) == Some(&report) {
            return true;
        }
        if settled {
            // A settled set is reported only when its files are synced.
            self.writer.catch_up();
        }
        let layout = self.store.layout();
        let ends = set.stopped || set.deletion.is_some();
        let written = match ends {
            true => store::publish_at_any_cost(layout, &path, &report),
            false => store::publish(layout, &path, &report),
        };
        match &written {
            Ok(()) => drop(self.published.insert(key.clone(), report.clone())),
            Err(error) => log(&format!("cannot write {}: {error}", path.display())),
        }
        self.reports.insert(key.clone(), report);
        written.is_ok()
    }

    /// Publishes the endpoints of the services that may have changed.
    pub(super) fn publish_endpoints(&mut self) {
        for namespace in std::mem::take(&mut self.stirred) {
            let Some(place) = self.world.places.get(&namespace) else {
                continue;
            };
            // A pet that looks for peers watches this directory, and cannot create it.
            let _ = store::make_dir(&self.store.layout().endpoints(&namespace));
            let pods: Vec<&Pod> = place.pets.values().map(|pet| &*pet.pod).collect();
            let mut changed = Vec::new();
            for (name, service) in &place.services {
                let key = ObjectRef::new(namespace.clone(), name.clone());
                let record = place.record_of(service, &pods);
                if self.names.records.get(&key) != Some(&record) {
                    changed.push((key, record));
                }
            }
            let known = self
                .names
                .records
                .keys()
                .filter(|key| key.namespace == namespace);
            let gone = known
                .filter(|key| !place.services.contains_key(&key.name))
                .cloned()
                .collect::<Vec<_>>();
            changed
                .into_iter()
                .for_each(|(key, record)| self.publish_record(key, record));
            gone.iter().for_each(|key| self.withdraw_record(key));
        }
    }

    /// Updates the DNS server first, and then the file, which takes longer.
    fn publish_record(&mut self, key: ObjectRef, record: ServiceRecord) {
        let copy = record.clone();
        let zone = &self.names.zone;
        zone.write()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(copy);
        let layout = self.store.layout();
        if let Err(error) = endpoint_files::publish(layout, &key.namespace, &record) {
            let path = layout.service_record(&key.namespace, key.name.as_str());
            log(&format!("cannot write {}: {error}", path.display()));
            return self.unwritten.failed(&key.namespace);
        }
        self.names.records.insert(key, record);
    }

    fn withdraw_record(&mut self, key: &ObjectRef) {
        let layout = self.store.layout();
        let name = key.name.as_str();
        let withdrawn = endpoint_files::withdraw(layout, &key.namespace, name);
        let mut zone = self
            .names
            .zone
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        zone.remove(key.namespace.as_str(), key.name.as_str());
        drop(zone);
        if let Err(error) = withdrawn {
            let path = layout.service_record(&key.namespace, name);
            log(&format!("cannot remove {}: {error}", path.display()));
            return self.unwritten.failed(&key.namespace);
        }
        self.names.records.remove(key);
    }
}

/// Returns whether all pets are as the set wants them.
fn is_complete(set: &Set, outcome: &Outcome) -> bool {
    let status = &outcome.status;
    let wished = if set.stopped {
        0
    } else {
        i32::try_from(set.replicas).unwrap_or(i32::MAX)
    };
    let available = status.available_replicas.unwrap_or_default();
    set.deletion.is_none() && status.replicas == wished && available == wished
}

/// Lists what a set waits for.
fn waiting(set: &Set, outcome: &Outcome, failure: Option<String>, now: Timestamp) -> Vec<Waiting> {
    let failure = failure.map(|why| Waiting {
        pet: None,
        why,
        since: now,
        stuck: false,
    });
    let awaited = outcome.steps.iter().filter_map(|step| {
        let Step::Await {
            ordinal,
            why,
            stuck,
        } = step
        else {
            return None;
        };
        Some(Waiting {
            pet: Some(set.pet_name(*ordinal)),
            why: why.clone(),
            since: now,
            stuck: *stuck,
        })
    });
    failure.into_iter().chain(awaited).collect()
}
