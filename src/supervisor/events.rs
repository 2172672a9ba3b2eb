//! Waiting for events, and updating the supervisor's memory by them.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use k8s_openapi::api::core::v1::PodStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::damaged::DamagedRecords;
use super::loading::load_seen;
use super::log::log;
use super::losses::PAUSE;
use super::owner::StateOwner;
use super::signals::{WatchedDir, drain};
use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use super::world::{LeftOut, load_wanted, load_workloads};
use crate::model::binder::{is_bound, is_provisioned};
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::pod::workload_of;
use crate::model::{Namespace, ObjectRef};
use crate::problem::{Result, report};
use crate::sorted::SortedMap;
use crate::store::journal::Severity;
use crate::store::reserve::with_room;
use crate::store::salvage::read_if_whole;
use crate::store::{self, Noticed, merge_status, names_in};

const KINDS: [ObjectKind; 10] = [
    ObjectKind::StatefulSet,
    ObjectKind::Service,
    ObjectKind::Endpoints,
    ObjectKind::EndpointSlice,
    ObjectKind::PersistentVolumeClaim,
    ObjectKind::Pod,
    ObjectKind::Eviction,
    ObjectKind::Overlay,
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
];

impl Supervisor {
    /// Waits until an event or the next deadline, and handles it.
    pub(super) fn wait(&mut self) -> Result<()> {
        let timeout = self
            .next_alarm()
            .map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let adopted: Vec<(ObjectRef, _)> = self.adopted();
        let watch = self.watch.as_fd();
        let mut fds = vec![
            PollFd::new(&watch, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.signals.children, PollFlags::IN),
            PollFd::new(&self.signals.end, PollFlags::IN),
        ];
        fds.extend(
            adopted
                .iter()
                .map(|(_, pidfd)| PollFd::new(pidfd, PollFlags::IN)),
        );
        let owner = self.owner.as_ref().and_then(StateOwner::process);
        fds.extend(owner.map(|it| PollFd::new(it, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
        let ended = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let gone = fds[4..].iter().zip(&adopted).filter(|(fd, _)| ended(fd));
        let gone: Vec<ObjectRef> = gone.map(|(_, (key, _))| key.clone()).collect();
        drop(fds);
        for key in gone {
            self.note_runner_ended(&key, None);
        }
        self.note()
    }

    /// Handles all events that have come.
    fn note(&mut self) -> Result<()> {
        let store::Heard { nudged, damaged } = store::told(&self.socket);
        if drain(&self.signals.end) {
            self.signals.quit = true;
        }
        // A command that waits is told of what ended even if the word of it was lost.
        if drain(&self.signals.children) || nudged {
            self.reap();
        }
        for noticed in self
            .watch
            .noticed()
            .context("cannot watch the state directory")?
        {
            match noticed {
                Noticed::Entry(spot, name) => self.note_entry(&spot, &name)?,
                Noticed::Lost(spot) => self.note_lost(&spot),
                Noticed::Everything => {
                    self.look_at_everything()?;
                    self.cover_states();
                }
            }
        }
        if nudged && let Err(error) = self.store.expect_known_layout() {
            log(&format!(
                "{error:#}; the petset that wrote it starts a supervisor of its own"
            ));
            self.signals.quit = true;
            return Ok(());
        }
        self.tell_limit();
        self.heed_owner();
        if damaged {
            self.mend();
        }
        if nudged && self.watch.limit().is_some() {
            self.look_at_everything()?;
        } else if nudged {
            // A new namespace may have got objects before it was watched.
            self.watch_wanted(false)?;
        }
        Ok(())
    }

    /// Tells once that nothing can be watched.
    fn tell_limit(&mut self) {
        if let Some(limit) = self.watch.limit().filter(|_| !self.limit_told) {
            self.limit_told = true;
            log(limit.words());
            self.own_event("watch", Severity::Warning, "NoWatch", limit.words());
        }
    }

    fn note_entry(&mut self, spot: &WatchedDir, name: &str) -> Result<()> {
        match spot {
            WatchedDir::Wanted => self.watch_wanted(false),
            WatchedDir::Kind(namespace, kind) => {
                let object = name
                    .strip_suffix(".yaml")
                    .and_then(|name| name.parse().ok());
                let Some(object) = object else { return Ok(()) };
                self.note_wanted(*kind, &ObjectRef::new(namespace.clone(), object));
                Ok(())
            }
            WatchedDir::Claims(namespace) => {
                self.note_claim(namespace, name);
                Ok(())
            }
            WatchedDir::Pet(key) if name == "status.json" => {
                self.note_status(key);
                if let Some(pet) = self.world.pet_mut(key) {
                    pet.runner_works();
                }
                Ok(())
            }
            WatchedDir::Pet(_) => Ok(()),
            WatchedDir::Observed => {
                self.note_lost(spot);
                Ok(())
            }
            WatchedDir::Registry => {
                self.cover_states();
                Ok(())
            }
        }
    }

    fn note_wanted(&mut self, kind: ObjectKind, key: &ObjectRef) {
        if let Err(error) = self.world.refresh(&self.store, kind, key) {
            // The last valid object stays in force.
            return self.tell_left_out(&key.namespace, (kind, key.name.clone(), error));
        }
        if let Err(error) = self.world.verify_shown(&self.store, kind, key) {
            log(&format!("{key}: cannot show it to pets: {error:#}"));
            self.losses.provisions = true;
            self.losses.due = Some(Instant::now() + PAUSE);
        }
        match kind {
            ObjectKind::StatefulSet => drop(self.due.insert(key.clone())),
            ObjectKind::Service => {
                self.stirred.insert(key.namespace.clone());
                self.sets_of_service_are_due(key);
            }
            ObjectKind::Endpoints | ObjectKind::EndpointSlice => {
                self.stirred.insert(key.namespace.clone());
            }
            ObjectKind::Eviction | ObjectKind::Pod => {
                self.storage.due = true;
                self.set_of_pet_is_due(key);
            }
            ObjectKind::Overlay => drop(self.due.insert(key.set_by_name())),
            ObjectKind::ConfigMap | ObjectKind::Secret => self.reload_users(kind, key),
            ObjectKind::PersistentVolumeClaim
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass => self.storage.due = true,
            ObjectKind::ControllerRevision => {}
            ObjectKind::Workload(kind) => {
                let key = key.clone();
                self.work.due.insert(WorkloadRef { kind, key });
            }
        }
    }

    /// Forgets a claim whose record a command has removed after its data, so that the next pet gets
    /// a new one. A record whose data is there was removed by somebody else.
    fn note_claim(&mut self, namespace: &Namespace, file: &str) {
        let layout = self.store.layout();
        let gone = !layout.claims(namespace).join(file).exists();
        let Some(claim) = file.strip_suffix(".json").filter(|_| gone) else {
            return;
        };
        let known = self.world.place(namespace);
        let known = known.and_then(|place| place.claims.get(claim));
        let has_volume = known.is_some_and(|it| is_bound(it) && !is_provisioned(it));
        if has_volume || layout.volume(namespace, claim).exists() {
            return self.note_lost(&WatchedDir::Observed);
        }
        self.world.place_mut(namespace).claims.remove(claim);
        self.storage.due = true;
    }

    fn forget_removed_claims(&mut self) {
        let layout = self.store.layout();
        for (namespace, place) in &mut self.world.places {
            let is_there = |claim: &str| {
                layout.claim(namespace, claim).exists() || layout.volume(namespace, claim).exists()
            };
            place.claims.retain(|claim, it| {
                // One that has a volume is removed by nobody else.
                (is_bound(it) && !is_provisioned(it)) || is_there(claim)
            });
        }
    }

    pub(super) fn note_status(&mut self, key: &ObjectRef) {
        let layout = self.store.layout().clone();
        let path = layout.pet_of(key).status();
        let Some(pet) = self.world.pet_mut(key) else {
            return;
        };
        let status = match read_if_whole::<PodStatus>(&path) {
            Ok(status) => status,
            Err(error) => return log(&format!("{key}: {error}")),
        };
        merge_status(&mut pet.pod, status);
        if pet.is_terminating() {
            // The first request may have come before the runner listened.
            pet.stop(&layout, key);
        }
        self.set_of_pet_is_due(key);
    }

    /// Marks a pet, and the set of its name, for the next turn.
    pub(super) fn set_of_pet_is_due(&mut self, key: &ObjectRef) {
        self.stirred.insert(key.namespace.clone());
        let place = self.world.place(&key.namespace);
        let pet = place.and_then(|place| place.pets.get(&key.name));
        let meta = pet.map(|pet| pet.pod.metadata.clone());
        if let Some(meta) = &meta {
            self.owner_is_due(&key.namespace, meta);
        }
        if meta.is_none_or(|meta| workload_of(&meta).is_none()) {
            self.due.insert(key.set_by_name());
            self.bare.due.insert(key.clone());
        }
    }

    /// Reads everything again: at the start, and when events were lost.
    pub(super) fn look_at_everything(&mut self) -> Result<()> {
        self.watch_wanted(true)?;
        let layout = self.store.layout().clone();
        for name in names_in(&layout.pets())? {
            if let Ok(namespace) = name.parse::<Namespace>() {
                self.world.place_mut(&namespace);
            }
        }
        let mut losses = DamagedRecords::default();
        for (namespace, place) in &mut self.world.places {
            if place.pets.is_empty() {
                load_seen(&layout, namespace, place, &mut losses)
                    .with_context(|| format!("cannot read the state of namespace {namespace}"))?;
            }
        }
        self.tell_losses(losses);
        self.forget_removed_claims();
        let pets: Vec<ObjectRef> = self.world.pets().map(|(key, _)| key).collect();
        for key in &pets {
            self.watch_pet(key);
            self.note_status(key);
        }
        self.reload_all_users();
        self.due.extend(self.world.set_keys());
        self.find_open_claims();
        self.every_bare_pod_is_due();
        self.every_workload_is_due();
        self.watch_observed();
        Ok(())
    }

    /// Marks the sets with this `serviceName` for the next turn.
    fn sets_of_service_are_due(&mut self, key: &ObjectRef) {
        let sets = self.world.place(&key.namespace).map(|place| &place.sets);
        let known_by = sets.into_iter().flatten().filter(|(_, set)| {
            let spec = set.spec.as_ref();
            spec.and_then(|spec| spec.service_name.as_deref()) == Some(key.name.as_str())
        });
        let due: Vec<ObjectRef> = known_by
            .map(|(set, _)| ObjectRef::new(key.namespace.clone(), set.clone()))
            .collect();
        self.due.extend(due);
    }

    /// Watches one pet's directory for the statuses that its runner writes.
    pub(super) fn watch_pet(&mut self, key: &ObjectRef) {
        let root = self.store.layout().pet_of(key);
        if let Err(error) = self
            .watch
            .add_replaced(root.root(), WatchedDir::Pet(key.clone()))
        {
            log(&format!("cannot watch {}: {error}", root.root().display()));
        }
    }

    /// Watches every folder of wanted objects, and reads those of new namespaces, or all.
    pub(super) fn watch_wanted(&mut self, everything: bool) -> Result<()> {
        let layout = self.store.layout().clone();
        if !layout.supervisor_lock().exists() {
            // The namespace is being removed.
            return Ok(());
        }
        let make_dir = |dir: &Path| with_room(&layout, || store::make_dir(dir));
        make_dir(&layout.wanted())?;
        self.watch.add(&layout.wanted(), WatchedDir::Wanted)?;
        let stopped = (self.store.is_stopped(), self.store.stops_together());
        if stopped != (self.world.stopped, self.world.stops_together) {
            (self.world.stopped, self.world.stops_together) = stopped;
            self.due.extend(self.world.set_keys());
            // Those of sets that cannot be read stop too.
            let sets = self.world.pets().map(|(pet, _)| pet.set_by_name());
            self.due.extend(sets);
            self.every_bare_pod_is_due();
            self.every_workload_is_due();
        }
        self.watch_cluster(everything)?;
        for namespace in self.store.namespaces()? {
            if !everything
                && self
                    .world
                    .places
                    .get(&namespace)
                    .is_some_and(|place| place.watched)
            {
                continue;
            }
            let workloads = WorkloadKind::ALL.map(ObjectKind::Workload);
            for kind in KINDS.into_iter().chain(workloads) {
                // The directory is watched before it is read, so that no change is missed.
                let dir = layout.wanted_kind(&namespace, kind);
                make_dir(&dir)?;
                self.watch
                    .add(&dir, WatchedDir::Kind(namespace.clone(), kind))?;
            }
            let claims = layout.claims(&namespace);
            make_dir(&claims)?;
            self.watch
                .add(&claims, WatchedDir::Claims(namespace.clone()))?;
            self.read_wanted(&namespace)?;
            self.world.place_mut(&namespace).watched = true;
        }
        Ok(())
    }

    fn read_wanted(&mut self, namespace: &Namespace) -> Result<()> {
        let mut left_out = Vec::new();
        let sets = load_wanted(&self.store, namespace, &mut left_out)?;
        let services = load_wanted(&self.store, namespace, &mut left_out)?;
        let endpoints = load_wanted(&self.store, namespace, &mut left_out)?;
        let slices = load_wanted(&self.store, namespace, &mut left_out)?;
        let claims_wanted = load_wanted(&self.store, namespace, &mut left_out)?;
        let pods_wanted = load_wanted(&self.store, namespace, &mut left_out)?;
        let workloads = load_workloads(&self.store, namespace, &mut left_out)?;
        let mut evictions = SortedMap::new();
        for pod in self.store.names(namespace, ObjectKind::Eviction)? {
            if let Some(eviction) = self.store.eviction(namespace, &pod) {
                evictions.insert(pod, eviction);
            }
        }
        let overlays = self.load_overlays(namespace, &mut left_out)?;
        let place = self.world.place_mut(namespace);
        place.overlays = overlays;
        (place.sets, place.services) = (sets, services);
        (place.endpoints, place.slices) = (endpoints, slices);
        (place.claims_wanted, place.evictions) = (claims_wanted, evictions);
        (place.pods_wanted, place.workloads) = (pods_wanted, workloads);
        let pods = place.pods_wanted.keys();
        let pods = pods.map(|name| ObjectRef::new(namespace.clone(), name.clone()));
        self.bare.due.extend(pods);
        let due = place
            .sets
            .keys()
            .map(|name| ObjectRef::new(namespace.clone(), name.clone()));
        self.due.extend(due);
        self.stirred.insert(namespace.clone());
        self.workloads_of_are_due(namespace);
        for fault in left_out {
            self.tell_left_out(namespace, fault);
        }
        Ok(())
    }

    /// Tells of a wanted object that cannot be read. The last one that could be stays in force.
    pub(super) fn tell_left_out(&self, namespace: &Namespace, (kind, name, error): LeftOut) {
        let why = report(&error);
        log(&format!("{namespace}/{name}: {why}"));
        let why = why
            .trim_start_matches("error: ")
            .trim_end()
            .replace('\n', "; ");
        let key = ObjectRef::new(namespace.clone(), name);
        let object = format!("{}/{}", kind.singular(), key.name);
        self.event(
            &key,
            key.name.as_str(),
            object,
            Severity::Warning,
            "Damaged",
            &why,
        );
    }
}
