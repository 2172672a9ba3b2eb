//! One turn: reconcile the sets that are due, perform the steps, and report.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::log::log;
use super::pets::TrackedPet;
use super::retry;
use super::state::Supervisor;
use crate::model::kind::ObjectKind;
use crate::model::{
    ClaimSeen, ObjectName, ObjectRef, Ordinal, Outcome, PetSeen, Rules, Seen, Set, Step, reconcile,
};
use crate::problem::Result;
use crate::store::journal::Severity;
use crate::store::{self, Eviction, SetReport};

/// The most passes for a set in one turn: more are a bug, which must not become a busy loop.
const PASSES: u32 = 50_000;
/// How many future pets get their addresses in advance.
const AHEAD: usize = 64;

impl Supervisor {
    /// Reconciles all sets and pods that are due, and publishes the observed state.
    pub(super) fn turn(&mut self) {
        let begun = Instant::now();
        self.restore(begun);
        let tried = self.unwritten.due(begun);
        self.stirred.extend(tried.iter().cloned());
        self.give_services_addresses();
        // The names of ready pets resolve before the pets that depend on them are started.
        self.publish_endpoints();
        loop {
            let now = Instant::now();
            let rung = self
                .alarms
                .extract(|_, at| *at <= now)
                .into_iter()
                .map(|(key, _)| key);
            self.due.extend(rung);
            self.tend_claims();
            self.tend_storage(now);
            self.tend_overlays();
            self.evict_orphans();
            self.hasten();
            self.tend_bare_pods(now);
            self.tend_pets(now);
            self.tend_workloads(now);
            let is_done = self.due.is_empty()
                && self.bare.due.is_empty()
                && self.work.due.is_empty()
                && !self.storage.due;
            if is_done {
                break;
            }
            for key in std::mem::take(&mut self.due) {
                self.tend_set(&key);
            }
        }
        self.publish_endpoints();
        self.unwritten.forget_done(&tried, begun);
        self.tend_names(Instant::now());
        self.tend_proxy();
    }

    /// Starts the runners that are due, and removes the pets that have ended.
    fn tend_pets(&mut self, now: Instant) {
        let over = |pet: &TrackedPet| {
            pet.is_terminating() && pet.is_over() && !pet.is_bare() && !pet.is_held()
        };
        let due = |pet: &TrackedPet| pet.is_due(now);
        let work: Vec<(ObjectRef, bool)> = self
            .world
            .pets()
            .filter(|(_, pet)| over(pet) || due(pet))
            .map(|(key, pet)| (key, over(pet)))
            .collect();
        let layout = self.store.layout().clone();
        for (key, over) in work {
            let done = if over {
                self.remove_pet(&key)
            } else if let Some(pet) = self.world.pet_mut(&key) {
                pet.start(&layout, &mut self.nursery, &key)
                    .map_err(Into::into)
            } else {
                Ok(())
            };
            match done {
                Ok(()) => self.set_of_pet_is_due(&key),
                Err(error) => {
                    let why = format!("{error:#}");
                    log(&format!("{key}: {why}"));
                    self.pet_event(&key, Severity::Warning, "FailedStart", &why);
                    self.retry_later(&key.set_by_name());
                }
            }
        }
    }

    /// Stops the pets that are to be replaced but have no set to do it.
    fn evict_orphans(&mut self) {
        let mut doomed = Vec::new();
        for (namespace, place) in &self.world.places {
            for (pod, Eviction { uid, .. }) in &place.evictions {
                let key = ObjectRef::new(namespace.clone(), pod.clone());
                let set = key.set_by_name().name;
                let pet = place
                    .pets
                    .get(pod)
                    .filter(|pet| pet.uid() == uid && !pet.is_terminating() && !pet.is_bare());
                let has_set =
                    |pet: &TrackedPet| !pet.is_of_workload() && place.sets.contains_key(&set);
                if pet.is_some_and(|pet| !has_set(pet)) {
                    doomed.push((key, uid.clone()));
                }
            }
        }
        for (key, uid) in doomed {
            let (set, now) = (key.set_by_name(), Timestamp::now());
            let asked = self.delete_pet(&set, key.name.as_str(), &uid, now);
            if let Err(error) = asked {
                log(&format!("{key}: {error:#}"));
                self.retry_later(&set);
            }
        }
    }

    /// Stops the pets of a set that is not wanted any more: its files were removed by hand. Of a
    /// set whose file cannot be read, the pets stay until all are stopped.
    fn stop_pets_of_no_set(&mut self, key: &ObjectRef) {
        let Some(place) = self.world.place(&key.namespace) else {
            return;
        };
        let is_left = |name: &ObjectName, pet: &TrackedPet| {
            let pet_of = |set: &ObjectName| name.as_str().starts_with(set.as_str());
            let is_pet = !pet.is_bare() && !pet.is_of_workload();
            pet_of(&key.name) && !pet.is_terminating() && is_pet
        };
        let left = place.pets.iter().filter(|(name, pet)| is_left(name, pet));
        let left: Vec<(ObjectRef, String)> = left
            .map(|(name, pet)| {
                let pet_key = ObjectRef::new(key.namespace.clone(), name.clone());
                (pet_key, pet.uid().to_owned())
            })
            .filter(|(pet, _)| pet.set_by_name() == *key)
            .collect();
        let layout = self.store.layout();
        let wanted = layout.wanted_object(&key.namespace, ObjectKind::StatefulSet, &key.name);
        let stays = !self.world.stopped && !matches!(wanted.try_exists(), Ok(false));
        if left.is_empty() || stays {
            return;
        }
        for (pet, uid) in left {
            // Its directory may be gone too.
            let made = store::make_dir(self.store.layout().pet_of(&pet).root());
            let now = Timestamp::now();
            let asked = made
                .map_err(Into::into)
                .and_then(|()| self.delete_pet(key, pet.name.as_str(), &uid, now));
            if let Err(error) = asked {
                log(&format!("{pet}: {error:#}"));
                self.retry_later(key);
            }
        }
    }

    /// Reconciles one set until it has to wait.
    fn tend_set(&mut self, key: &ObjectRef) {
        let Some(object) = self
            .world
            .place(&key.namespace)
            .and_then(|place| place.sets.get(&key.name))
        else {
            self.forget_set(key);
            return self.stop_pets_of_no_set(key);
        };
        let mut set = match Set::of(object) {
            Ok(set) => set,
            Err(problem) => return log(&format!("{key}: {problem}")),
        };
        self.note_missing_service(key);
        set.stopped = self.world.stopped;
        set.stops_together = self.world.stops_together;
        let rules = Rules::for_set(&mut set, self.store.settings().strict);
        for _ in 0..PASSES {
            let now = Timestamp::now();
            let seen = self.seen(key, &set);
            let outcome = reconcile(&set, &seen, rules, now);
            let changes_set = outcome.steps.iter().any(Step::changes_set);
            match self.perform_all(key, &set, &outcome, now) {
                Ok(true) if changes_set => return,
                Ok(true)
                    if self
                        .world
                        .place(&key.namespace)
                        .is_some_and(|p| p.sets.contains_key(&key.name)) =>
                {
                    self.remember_status(key, &outcome);
                }
                Ok(true) => return self.forget_evictions(key),
                Ok(false) => {
                    self.set_alarm(key, outcome.wake_at, now);
                    match self.publish_set(key, &set, &outcome, None, now) {
                        true if self.failures.remove(key).is_some() => {
                            self.writer.provide_reserve(self.store.layout());
                        }
                        true => {}
                        false => self.retry_later(key),
                    }
                    return self.forget_evictions(key);
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    log(&format!("{key}: {why}"));
                    self.retry_later(key);
                    self.publish_set(key, &set, &outcome, Some(why), now);
                    return;
                }
            }
        }
        log(&format!("{key} does not come to rest"));
    }

    fn perform_all(
        &mut self,
        key: &ObjectRef,
        set: &Set,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<bool> {
        self.give_addresses(key, set, outcome)?;
        let mut changed = false;
        for step in &outcome.steps {
            let done = self.perform(key, set, step, now);
            if let Err(error) = &done
                && let Some((reason, message)) = step.failure(set, &format!("{error:#}"))
            {
                self.set_event(key, Severity::Warning, reason, &message);
            }
            changed |= done?;
        }
        if changed {
            self.stirred.insert(key.namespace.clone());
        }
        Ok(changed)
    }

    /// Gives addresses to the next pets in advance, so that the list is synced once and not for
    /// each of them.
    fn give_addresses(&mut self, key: &ObjectRef, set: &Set, outcome: &Outcome) -> Result<()> {
        let made = outcome.steps.iter().filter_map(|step| {
            let Step::CreatePet { ordinal, .. } = step else {
                return None;
            };
            Some(*ordinal)
        });
        let made: Vec<Ordinal> = made.collect();
        let Some(first) = made.first() else {
            return Ok(());
        };
        let soon = set.ordinals().filter(|ordinal| ordinal > first);
        let pets = made.iter().copied().chain(soon.take(AHEAD));
        let pets: Vec<String> = pets.map(|ordinal| set.pet_name(ordinal)).collect();
        self.addresses.give(&key.namespace, &pets)
    }

    /// Gathers the observed state of a set.
    fn seen(&mut self, key: &ObjectRef, set: &Set) -> Seen {
        let status = self.report_of(key).filter(|report| report.uid == set.uid);
        let status = status
            .map(|report| report.status.clone())
            .unwrap_or_default();
        let Some(place) = self.world.place(&key.namespace) else {
            return Seen::default();
        };
        let mut seen = Seen {
            status,
            ..Seen::default()
        };
        seen.revisions = place.revisions.get(&key.name).cloned().unwrap_or_default();
        seen.hiding_service = place.hiding_service_of(&key.name);
        let prefix = format!("{}-", key.name);
        for (name, pet) in place.pets.starting_at(prefix.as_str()) {
            if !name.as_str().starts_with(&prefix) {
                break;
            }
            let Some(ordinal) = set.ordinal_of(name.as_str()) else {
                continue;
            };
            let mut pet_seen = PetSeen::of(&pet.pod);
            self.forget_lost_hook(&mut pet_seen);
            seen.pets.insert(ordinal, pet_seen);
            if place
                .evictions
                .get(name)
                .is_some_and(|eviction| eviction.uid == pet.uid())
            {
                seen.evict.insert(pet.uid().to_owned());
            }
        }
        for template in &set.claim_templates {
            let prefix = format!("{template}-{}-", key.name);
            let claims = place.claims.starting_at(&prefix);
            for (name, claim) in claims.take_while(|(name, _)| name.starts_with(&prefix)) {
                seen.claims.insert(name.clone(), ClaimSeen::of(claim));
            }
        }
        if seen.claims.values().any(ClaimSeen::may_go) {
            let users = place.claim_users(&key.name, &set.uid);
            users.note(&mut seen.claims);
        }
        seen
    }

    /// Returns the last report of a set, which may be that of an earlier supervisor.
    pub(super) fn report_of(&mut self, key: &ObjectRef) -> Option<&SetReport> {
        if !self.reports.contains_key(key) {
            let path = self
                .store
                .layout()
                .set_status(&key.namespace, key.name.as_str());
            if let Ok(Some(report)) = store::read_json(&path) {
                self.reports.insert(key.clone(), report);
            }
        }
        self.reports.get(key)
    }

    /// Keeps the status of a pass for the next pass; it is published at the end of the turn.
    fn remember_status(&mut self, key: &ObjectRef, outcome: &Outcome) {
        if let Some(report) = self.reports.get_mut(key) {
            report.status = outcome.status.clone();
        }
    }

    fn set_alarm(&mut self, key: &ObjectRef, wake_at: Option<Timestamp>, now: Timestamp) {
        let Some(wake_at) = wake_at else { return };
        let left = Duration::try_from(wake_at.duration_since(now)).unwrap_or_default();
        self.alarms.insert(key.clone(), Instant::now() + left);
    }

    pub(super) fn retry_later(&mut self, key: &ObjectRef) {
        let failures = self.failures.entry(key.clone()).or_default();
        let rest = retry::BACK_OFF.retry_delay(*failures);
        *failures += 1;
        self.alarms.insert(key.clone(), Instant::now() + rest);
    }

    /// Forgets a set whose wanted object is gone.
    fn forget_set(&mut self, key: &ObjectRef) {
        self.reports.remove(key);
        self.published.remove(key);
        self.alarms.remove(key);
        self.failures.remove(key);
    }

    /// Removes the requests to replace pets that have been replaced.
    pub(super) fn forget_evictions(&mut self, key: &ObjectRef) {
        let Some(place) = self.world.place(&key.namespace) else {
            return;
        };
        let fulfilled = place.evictions.iter().filter(|(pod, eviction)| {
            place
                .pets
                .get(*pod)
                .is_none_or(|pet| pet.uid() != eviction.uid)
        });
        let fulfilled: Vec<_> = fulfilled
            .map(|(pod, eviction)| (pod.clone(), eviction.clone()))
            .collect();
        if fulfilled.is_empty() {
            return;
        }
        let store = self.store.clone();
        let done = store.edit("supervise", None, |edit| {
            for (pod, eviction) in &fulfilled {
                if store.eviction(&key.namespace, pod).as_ref() == Some(eviction) {
                    edit.forget(&key.namespace, ObjectKind::Eviction, pod);
                }
            }
            Ok(())
        });
        match done {
            Ok(()) => {
                let place = self.world.place_mut(&key.namespace);
                fulfilled
                    .iter()
                    .for_each(|(pod, _)| drop(place.evictions.remove(pod)));
            }
            Err(error) => {
                log(&format!("cannot take back what is done: {error:#}"));
                self.retry_later(key);
            }
        }
    }

    /// Returns the next time at which a turn is due.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        let runners = self
            .world
            .pets()
            .filter_map(|(_, pet)| pet.rests_until())
            .min();
        let alarms = self.alarms.values().min().copied();
        alarms
            .into_iter()
            .chain(runners)
            .chain(self.look_again)
            .chain(self.losses.due)
            .chain(self.unwritten.next())
            .chain(self.bare.next_alarm())
            .chain(self.work.next_alarm())
            .chain(self.storage.again)
            .chain(self.proxy.rests_until())
            .chain(self.names.rests_until())
            .min()
    }
}
