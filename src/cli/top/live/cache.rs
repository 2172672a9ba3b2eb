//! The state directory, read again where it has changed.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::Context;

use crate::cli::shared::session::Session;

use crate::cli::top::read::{Readings, namespaces};
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::{Namespace, ObjectName};
use crate::problem::Result;
use crate::sorted::SortedSet;
use crate::store::{Noticed, Watch, names_in};

/// What a change in a directory is about.
#[derive(Debug, Clone)]
enum Mark {
    /// The directories themselves.
    Directories,
    Workloads(Namespace),
    Pets(Namespace),
    Pet(Namespace, String),
    Services(Namespace),
    Events,
    Log,
}

/// What has changed since it was read.
#[derive(Debug, Default)]
pub(super) struct Stale {
    directories: bool,
    workloads: SortedSet<Namespace>,
    pets: SortedSet<Namespace>,
    pet: SortedSet<(Namespace, String)>,
    services: SortedSet<Namespace>,
    pub(super) events: bool,
    pub(super) log: bool,
}

/// What was read, and what tells when that is out of date.
pub(super) struct Cache<'s> {
    session: &'s Session,
    all_namespaces: bool,
    pub(super) namespaces: Vec<Namespace>,
    watch: Watch<Mark>,
    pub(super) seen: Readings,
    pub(super) stale: Stale,
}

impl<'s> Cache<'s> {
    /// Watches and reads everything.
    pub(super) fn open(session: &'s Session, all_namespaces: bool) -> Result<Self> {
        let mut cache = Self {
            session,
            all_namespaces,
            namespaces: Vec::new(),
            watch: Watch::new().context("cannot watch the state directory")?,
            seen: Readings::default(),
            stale: Stale::default(),
        };
        cache.read_all()?;
        Ok(cache)
    }

    /// Watches directories and then reads them, so that no change is missed.
    pub(super) fn read_all(&mut self) -> Result<()> {
        self.namespaces = namespaces(self.session, self.all_namespaces)?;
        let layout = self.session.store.layout();
        for dir in [layout.wanted(), layout.seen(), layout.pets()] {
            self.add(&dir, Mark::Directories);
        }
        for namespace in self.namespaces.clone() {
            self.watch_namespace(&namespace)?;
        }
        self.seen = Readings::read(self.session, &self.namespaces)?;
        self.stale = Stale {
            events: true,
            log: true,
            ..Stale::default()
        };
        Ok(())
    }

    fn watch_namespace(&mut self, namespace: &Namespace) -> Result<()> {
        let layout = self.session.store.layout();
        let workloads = || Mark::Workloads(namespace.clone());
        let wanted = |kind| layout.wanted_kind(namespace, kind);
        self.add(&wanted(ObjectKind::StatefulSet), workloads());
        self.add(&layout.set_statuses(namespace), workloads());
        for kind in WorkloadKind::ALL {
            self.add(&wanted(ObjectKind::Workload(kind)), workloads());
            self.add(&layout.workload_statuses(namespace, kind), workloads());
        }
        let services = || Mark::Services(namespace.clone());
        self.add(&wanted(ObjectKind::Service), services());
        self.add(&layout.endpoints(namespace), services());
        self.add(&wanted(ObjectKind::Pod), Mark::Pets(namespace.clone()));
        self.add_growing(&layout.events(namespace), Mark::Events);
        self.watch_pets(namespace)
    }

    fn watch_pets(&mut self, namespace: &Namespace) -> Result<()> {
        let all = self.session.store.layout().pets_of(namespace);
        self.add(&all, Mark::Pets(namespace.clone()));
        let names = names_in(&all).with_context(|| format!("cannot list {}", all.display()))?;
        for name in names {
            let mark = Mark::Pet(namespace.clone(), name.clone());
            let _ = self.watch.add(&all.join(name), mark);
        }
        Ok(())
    }

    /// Watches the log of a pet, too.
    pub(super) fn watch_log(&mut self, namespace: &Namespace, pet: &str) {
        let logs = self.session.store.layout().pet(namespace, pet).logs();
        let _ = self.watch.add_growing(&logs, Mark::Log);
    }

    /// Watches a directory; where it is missing, the one in which it will appear.
    fn add(&mut self, dir: &Path, mark: Mark) {
        if self.watch.add(dir, mark).is_err() {
            self.watch_above(dir);
        }
    }

    fn add_growing(&mut self, dir: &Path, mark: Mark) {
        if self.watch.add_growing(dir, mark).is_err() {
            self.watch_above(dir);
        }
    }

    fn watch_above(&mut self, dir: &Path) {
        let mut above = dir.ancestors().skip(1);
        let _ = above.find(|above| self.watch.add(above, Mark::Directories).is_ok());
    }

    /// Notes what has changed; never waits.
    pub(super) fn notice(&mut self) -> Result<()> {
        let noticed = self.watch.noticed();
        for change in noticed.context("cannot watch the state directory")? {
            match change {
                Noticed::Entry(mark, _) => self.stale.add(mark),
                Noticed::Lost(Mark::Pet(namespace, _)) => {
                    self.stale.pets.insert(namespace);
                }
                Noticed::Lost(Mark::Log) => self.stale.log = true,
                Noticed::Lost(_) | Noticed::Everything => self.stale.directories = true,
            }
        }
        Ok(())
    }

    /// Reads again what has changed.
    pub(super) fn refresh(&mut self) -> Result<()> {
        if self.stale.directories {
            return self.read_all();
        }
        let stale = std::mem::take(&mut self.stale);
        (self.stale.events, self.stale.log) = (stale.events, stale.log);
        for namespace in stale.workloads.iter() {
            self.seen.read_workloads_again(self.session, namespace)?;
        }
        for namespace in stale.services.iter() {
            self.seen.read_services_again(self.session, namespace)?;
        }
        for namespace in stale.pets.iter() {
            self.watch_pets(namespace)?;
            self.seen.read_pods_again(self.session, namespace)?;
        }
        for (namespace, name) in stale.pet.iter() {
            if stale.pets.contains(namespace) {
                continue;
            }
            let Ok(name) = name.parse::<ObjectName>() else {
                continue;
            };
            self.seen.read_pod_again(self.session, namespace, &name)?;
        }
        Ok(())
    }
}

impl AsFd for Cache<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl Stale {
    fn add(&mut self, mark: Mark) {
        match mark {
            Mark::Directories => self.directories = true,
            Mark::Workloads(namespace) => drop(self.workloads.insert(namespace)),
            Mark::Pets(namespace) => drop(self.pets.insert(namespace)),
            Mark::Pet(namespace, name) => drop(self.pet.insert((namespace, name))),
            Mark::Services(namespace) => drop(self.services.insert(namespace)),
            Mark::Events => self.events = true,
            Mark::Log => self.log = true,
        }
    }

    /// Returns whether objects have changed.
    pub(super) fn has_objects(&self) -> bool {
        let lists = [
            self.workloads.is_empty(),
            self.pets.is_empty(),
            self.services.is_empty(),
        ];
        self.directories || !self.pet.is_empty() || lists.contains(&false)
    }
}
