//! Making again what somebody has removed by hand below the state directory: all that is observed
//! can be derived from memory, and folders of wanted objects only have to be watched anew.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::log::log;
use super::losses::PAUSE;
use super::signals::WatchedDir;
use super::state::Supervisor;
use crate::model::Workload;
use crate::problem::Result;
use crate::store::journal::Severity;
use crate::store::{self, Sync};

impl Supervisor {
    /// Notes that a watched directory was removed, or something in a directory of what is observed.
    pub(super) fn note_lost(&mut self, spot: &WatchedDir) {
        match spot {
            WatchedDir::Wanted => {
                let places = self.world.places.values_mut();
                places.for_each(|place| place.watched = false);
                self.world.watches_cluster = false;
            }
            WatchedDir::Kind(namespace, _) => self.world.place_mut(namespace).watched = false,
            WatchedDir::Claims(namespace) => {
                self.world.place_mut(namespace).watched = false;
                self.losses.observed = true;
            }
            WatchedDir::Observed => self.losses.observed = true,
            WatchedDir::Registry => return self.watch_registry(),
            // Its runner ends by itself.
            WatchedDir::Pet(_) => return,
        }
        self.losses.due = Some(Instant::now() + PAUSE);
    }

    /// Makes again what was removed, when it is time.
    pub(super) fn restore(&mut self, now: Instant) {
        if self.losses.due.is_none_or(|due| due > now) {
            return;
        }
        self.losses.due = None;
        let layout = self.store.layout();
        if !layout.supervisor_lock().exists() || !layout.format().exists() {
            return;
        }
        if let Err(error) = self.try_restore() {
            log(&format!("cannot make again what was removed: {error:#}"));
            self.losses.due = Some(now + PAUSE);
        }
    }

    fn try_restore(&mut self) -> Result<()> {
        if self.losses.provisions {
            store::refresh_view(&self.store).context("cannot make what pets may see")?;
            store::provide_programs(self.store.layout())?;
            self.losses.provisions = false;
        }
        if self.losses.observed {
            // Directories that were renamed are watched under their old names no more.
            let places = self.world.places.values_mut();
            places.for_each(|place| place.watched = false);
        }
        self.watch_wanted(false)?;
        if self.losses.observed && self.misses_anything() {
            self.make_again()?;
            let message = "files that petset had observed were removed; it has made them again";
            log(message);
            self.own_event("files", Severity::Warning, "Restored", message);
        }
        self.watch_observed();
        self.losses.observed = false;
        Ok(())
    }

    /// Returns whether a file of what is observed is not there, that petset has not removed itself.
    fn misses_anything(&self) -> bool {
        let layout = self.store.layout();
        let records = self.names.records.keys().map(|key| {
            let name = key.name.as_str();
            layout.service_record(&key.namespace, name)
        });
        let reports = self.published.keys();
        let reports = reports.map(|key| layout.set_status(&key.namespace, key.name.as_str()));
        let places = self.world.places.iter();
        let kept = places.flat_map(|(namespace, place)| {
            let revisions = place.revisions.keys();
            let revisions = revisions.map(|set| layout.revisions(namespace, set.as_str()));
            let daemons = place.daemon_revisions.keys();
            let daemons = daemons.map(|set| layout.daemon_revisions(namespace, set.as_str()));
            let claims = place.claims.keys();
            let seen = place.workloads.iter().filter(|(_, it)| has_status(it));
            let seen = seen.map(|((kind, name), _)| layout.workload_status(namespace, *kind, name));
            let revisions = revisions.chain(seen);
            let revisions = revisions.chain(daemons);
            revisions.chain(claims.map(|claim| layout.claim(namespace, claim)))
        });
        let own = [layout.seen(), layout.block()].into_iter();
        own.chain(self.parts_of_view())
            .chain(records)
            .chain(reports)
            .chain(kept)
            .any(|path| !path.exists())
            || self.addresses.lists().any(|list| !list.is_file())
    }

    fn make_again(&mut self) -> Result<()> {
        self.addresses.restore(&self.store)?;
        store::show_addresses(self.store.layout()).context("cannot show the addresses")?;
        self.restore_records()?;
        self.restore_view()?;
        self.write_statuses(|_, _| true);
        // Reports and endpoints are published again, by this turn.
        self.published.clear();
        self.names.records.clear();
        let namespaces = self.world.places.keys().cloned();
        self.stirred.extend(namespaces);
        self.due.extend(self.world.set_keys());
        Ok(())
    }

    fn parts_of_view(&self) -> [PathBuf; 4] {
        let view = self.store.layout().view();
        [view.wanted(), view.seen(), view.pets(), view.format()]
    }

    /// Writes the revisions and claims that are missing.
    pub(super) fn restore_records(&self) -> Result<()> {
        let layout = self.store.layout();
        for (namespace, place) in &self.world.places {
            for (set, revisions) in &place.revisions {
                write_missing(&layout.revisions(namespace, set.as_str()), revisions)?;
            }
            for (set, revisions) in &place.daemon_revisions {
                write_missing(&layout.daemon_revisions(namespace, set.as_str()), revisions)?;
            }
            for (name, claim) in &place.claims {
                write_missing(&layout.claim(namespace, name), claim)?;
            }
        }
        Ok(())
    }

    /// Makes what pets may see again, if a part of it is missing.
    fn restore_view(&self) -> Result<()> {
        if self.parts_of_view().iter().all(|part| part.exists()) {
            return Ok(());
        }
        store::forget_view(&self.store)?;
        store::refresh_view(&self.store).context("cannot make what pets may see")?;
        for (key, pet) in self.world.pets() {
            // Pets still see what was removed. One that has no runner is shown it when it starts.
            self.reload(&key, pet);
        }
        Ok(())
    }

    /// Watches the directories of what is observed for their removal.
    pub(super) fn watch_observed(&mut self) {
        let layout = self.store.layout().clone();
        let mut dirs = vec![layout.seen(), layout.view().root().to_owned()];
        for namespace in self.world.places.keys() {
            let endpoints = layout.endpoints(namespace);
            dirs.extend(endpoints.parent().map(ToOwned::to_owned));
            dirs.extend([endpoints, layout.set_statuses(namespace)]);
        }
        for dir in dirs {
            // What is not there yet is made before anything is written to it.
            let watched = store::make_dir(&dir)
                .and_then(|()| self.watch.add_losses(&dir, WatchedDir::Observed));
            if let Err(error) = watched {
                log(&format!("cannot watch {}: {error}", dir.display()));
            }
        }
    }
}

fn has_status(workload: &Workload) -> bool {
    workload.status_json().is_ok_and(|status| !status.is_null())
}

fn write_missing(path: &Path, record: &impl Serialize) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    store::replace_json(path, record, Sync::No)
        .with_context(|| format!("cannot write {}", path.display()))
}
