//! Claims and volumes: what the binder says is done here.
//!
//! A volume is written before its claim (PV06), under the lock and synced, so that what dies in
//! between leaves a volume that is reserved for the claim.

use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::log::log;
use super::signals::WatchedDir;
use super::state::Supervisor;
use super::storage_plan::{ClaimChange, StoragePlan, is_open};
use super::world::load_wanted;
use crate::model::binder::{CLAIM_PROTECTION, bind_to_directory, is_bound, is_provisioned};
use crate::model::kind::ObjectKind;
use crate::model::workload::{Told, Tone};
use crate::model::{Namespace, ObjectName, ObjectRef, mounts_claim};
use crate::problem::Result;
use crate::sorted::{SortedMap, SortedSet};
use crate::store;
use crate::store::journal::Severity;

/// The most passes in one turn: more are a bug, which must not become a busy loop.
const PASSES: u32 = 1_000;
/// When to try again what could not be written.
const PAUSE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Has the binder look at claims and volumes, until it asks for nothing more.
    pub(super) fn tend_storage(&mut self, now: Instant) {
        if self.storage.again.is_some_and(|at| at <= now) {
            (self.storage.due, self.storage.again) = (true, None);
        }
        for _ in 0..PASSES {
            let is_due = std::mem::take(&mut self.storage.due);
            let is_empty = self.storage.open.is_empty() && self.world.volumes.is_empty();
            if !is_due || is_empty {
                return;
            }
            let plan = self.world.plan_storage(&self.storage.open);
            if let Err(error) = self.perform_plan(plan) {
                log(&format!("cannot bind claims and volumes: {error:#}"));
                self.storage.due = false;
                self.storage.again = Some(now + PAUSE);
            }
        }
        log("claims and volumes do not come to rest");
    }

    fn perform_plan(&mut self, plan: StoragePlan) -> Result<()> {
        if !plan.volumes.is_empty() && !self.write_volumes(plan.volumes)? {
            return Ok(());
        }
        for (namespace, name, change) in plan.claims {
            self.storage.due = true;
            match change {
                ClaimChange::Provision => self.provide_directory(&namespace, &name)?,
                ClaimChange::Update(claim) => self.update_claim(&namespace, &name, *claim)?,
            }
        }
        for (namespace, object, told) in plan.told {
            self.tell_of_storage(namespace, object, told);
        }
        Ok(())
    }

    /// Writes volumes in one edit. Returns `false`, and writes none, if one has changed meanwhile.
    fn write_volumes(&mut self, volumes: SortedMap<ObjectName, PersistentVolume>) -> Result<bool> {
        self.storage.due = true;
        let (store, any) = (self.store.clone(), Namespace::default());
        let known = &self.world.volumes;
        let stale = store.edit("supervise", None, |edit| {
            let mut stale = Vec::new();
            for name in volumes.keys() {
                let found: Option<PersistentVolume> = edit.find(&any, name)?;
                if found.as_ref() != known.get(name) {
                    stale.push((name.clone(), found));
                }
            }
            if stale.is_empty() {
                for (name, volume) in &volumes {
                    match is_to_go(volume) {
                        true => edit.forget(&any, ObjectKind::PersistentVolume, name),
                        false => edit.put(volume)?,
                    }
                }
            }
            Ok(stale)
        })?;
        let is_fresh = stale.is_empty();
        let written = volumes.into_iter();
        let written = written.map(|(name, volume)| (name, Some(volume).filter(|it| !is_to_go(it))));
        let now: Vec<_> = match is_fresh {
            true => written.collect(),
            false => stale,
        };
        for (name, volume) in now {
            match volume {
                Some(volume) => self.world.volumes.insert(name, volume),
                None => self.world.volumes.remove(&name),
            };
        }
        Ok(is_fresh)
    }

    /// Makes the directory of a claim, and binds the claim to it.
    fn provide_directory(&mut self, namespace: &Namespace, name: &str) -> Result<()> {
        let dir = self.store.layout().volume(namespace, name);
        store::make_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let place = self.world.place_mut(namespace);
        let bound = place
            .claims
            .get(name)
            .and_then(|claim| bind_to_directory(claim));
        match bound {
            Some(bound) => self.update_claim(namespace, name, bound),
            None => Ok(()),
        }
    }

    /// Writes a claim that has changed; one that is to go and is not protected any more goes.
    fn update_claim(
        &mut self,
        namespace: &Namespace,
        name: &str,
        claim: PersistentVolumeClaim,
    ) -> Result<()> {
        let meta = &claim.metadata;
        let mut finalizers = meta.finalizers.iter().flatten();
        if meta.deletion_timestamp.is_some() && !finalizers.any(|it| it == CLAIM_PROTECTION) {
            let owner = super::claims::set_or_claim(meta);
            let owner = owner.with_context(|| format!("claim {name} has no name"))?;
            return self.remove_claim(&ObjectRef::new(namespace.clone(), owner), name);
        }
        self.write_claim(namespace, name, claim)?;
        self.wake_users(namespace, name);
        Ok(())
    }

    /// Has the pods that use a claim try again at once.
    fn wake_users(&self, namespace: &Namespace, claim: &str) {
        let Some(place) = self.world.place(namespace) else {
            return;
        };
        for (name, pet) in &place.pets {
            if mounts_claim(pet.pod.spec.as_ref(), claim) {
                self.reload(&ObjectRef::new(namespace.clone(), name.clone()), pet);
            }
        }
    }

    /// Tells an event of a claim or a volume, once.
    fn tell_of_storage(&mut self, namespace: Namespace, object: String, told: Told) {
        let key = (namespace.clone(), object.clone());
        if self.storage.told.get(&key) == Some(&told) {
            return;
        }
        let (_, name) = object.split_once('/').unwrap_or_default();
        if let Ok(name) = name.parse::<ObjectName>() {
            let severity = match told.tone {
                Tone::Normal => Severity::Normal,
                Tone::Warning => Severity::Warning,
            };
            let owner = name.to_string();
            let key = ObjectRef::new(namespace, name);
            self.event(&key, &owner, object, severity, &told.reason, &told.message);
        }
        self.storage.told.insert(key, told);
    }

    /// Looks for the claims at which a look can ask for anything: they were read anew.
    pub(super) fn find_open_claims(&mut self) {
        let open = self.world.places.iter().flat_map(|(namespace, place)| {
            let open = place.claims.iter().filter(|(_, claim)| is_open(claim));
            open.map(|(name, _)| (namespace.clone(), name.clone()))
        });
        self.storage.open = open.collect();
        self.storage.due = true;
    }

    /// Watches the volumes and classes, if there are any, and reads them.
    pub(super) fn watch_cluster(&mut self, everything: bool) -> Result<()> {
        let layout = self.store.layout().clone();
        let known = self.world.watches_cluster && !everything;
        if known || !layout.wanted_cluster().is_dir() {
            return Ok(());
        }
        let any = Namespace::default();
        for kind in [ObjectKind::PersistentVolume, ObjectKind::StorageClass] {
            let dir = layout.wanted_kind(&any, kind);
            store::make_dir(&dir)?;
            self.watch.add(&dir, WatchedDir::Kind(any.clone(), kind))?;
        }
        let mut left_out = Vec::new();
        self.world.volumes = load_wanted(&self.store, &any, &mut left_out)?;
        self.world.classes = load_wanted(&self.store, &any, &mut left_out)?;
        self.world.watches_cluster = true;
        self.storage.due = true;
        for fault in left_out {
            self.tell_left_out(&any, fault);
        }
        Ok(())
    }

    /// Makes the claims that users have created as objects, has them follow their objects, and lets
    /// those go that are to go.
    pub(super) fn tend_claims(&mut self) {
        let mut changed = Vec::new();
        for (namespace, place) in &self.world.places {
            for (name, wanted) in &place.claims_wanted {
                let known = place.claims.get(name.as_str());
                if known.is_none_or(|known| lags_behind(known, wanted)) {
                    changed.push((namespace.clone(), name.clone()));
                }
            }
        }
        let mut failed = SortedSet::new();
        for (namespace, name) in changed {
            if let Err(error) = self.follow_claim(&namespace, &name) {
                log(&format!("cannot make claim {namespace}/{name}: {error:#}"));
                failed.insert(namespace);
            }
        }
        for namespace in &failed {
            self.unwritten.failed(namespace);
        }
    }

    fn follow_claim(&mut self, namespace: &Namespace, name: &ObjectName) -> Result<()> {
        let place = self.world.place_mut(namespace);
        let Some(wanted) = place.claims_wanted.get(name).cloned() else {
            return Ok(());
        };
        let key = ObjectRef::new(namespace.clone(), name.clone());
        match place.claims.get(name.as_str()) {
            None if wanted.metadata.deletion_timestamp.is_some() => {
                self.remove_claim(&key, name.as_str())
            }
            None => self.store_claim(namespace, name.to_string(), wanted),
            Some(known) => {
                let mut claim = (**known).clone();
                follow(&mut claim, &wanted);
                self.storage.due = true;
                self.write_claim(namespace, name.as_str(), claim)
            }
        }
    }
}

/// Returns whether a volume is to go, and nothing holds it.
fn is_to_go(volume: &PersistentVolume) -> bool {
    let meta = &volume.metadata;
    let held = meta.finalizers.as_ref().is_some_and(|it| !it.is_empty());
    meta.deletion_timestamp.is_some() && !held
}

/// Returns whether a claim is not as its user wants it.
fn lags_behind(known: &PersistentVolumeClaim, wanted: &PersistentVolumeClaim) -> bool {
    let mut after = known.clone();
    follow(&mut after, wanted);
    after != *known
}

/// Brings a claim up to what its user wants: its size, its labels, its end, and the volume that it
/// names (PV25).
fn follow(claim: &mut PersistentVolumeClaim, wanted: &PersistentVolumeClaim) {
    let (meta, new) = (&mut claim.metadata, &wanted.metadata);
    if meta.deletion_timestamp.is_none() {
        meta.deletion_timestamp.clone_from(&new.deletion_timestamp);
    }
    if new.labels.is_some() {
        meta.labels.clone_from(&new.labels);
    }
    for (key, value) in new.annotations.iter().flatten() {
        let notes = meta.annotations.get_or_insert_default();
        notes.insert(key.clone(), value.clone());
    }
    if let (Some(spec), Some(new)) = (&mut claim.spec, &wanted.spec) {
        if new.resources.is_some() {
            spec.resources.clone_from(&new.resources);
        }
        if spec.volume_name.is_none() {
            spec.volume_name.clone_from(&new.volume_name);
        }
    }
    if is_bound(claim)
        && is_provisioned(claim)
        && let Some(grown) = bind_to_directory(claim)
    {
        *claim = grown;
    }
}
