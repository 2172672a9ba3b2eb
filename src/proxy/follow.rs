//! Following the records that the supervisor publishes, and telling what could not be done.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use jiff::Timestamp;

use super::detour::{Detour, Detours};
use super::log;
use super::plan::{self, Wishes};
use crate::model::Namespace;
use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::problem::Result;
use crate::store::journal::{self, Event, Severity};
use crate::store::{self, Layout, Noticed, Sync, Watch};

/// A service's namespace and name.
pub(super) type Key = (Namespace, String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    /// Where the supervisor says that it runs.
    Supervisor,
    Namespaces,
    Namespace(Namespace),
    Records(Namespace),
}

/// The services that have virtual addresses, as last published.
pub(super) struct Follow {
    layout: Layout,
    watch: Watch<Spot>,
    records: BTreeMap<Key, ServiceRecord>,
    /// Something changed that nobody was told yet.
    changed: bool,
    told: BTreeMap<Key, Vec<Detour>>,
    /// In whose private network this is; nothing on the host.
    inside: Option<Block>,
}

impl AsFd for Follow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl Follow {
    pub(super) fn new(layout: Layout) -> Result<Self> {
        let mut watch = Watch::new().context("cannot watch the state directory")?;
        for (dir, spot) in [
            (layout.supervisor(), Spot::Supervisor),
            (layout.seen(), Spot::Namespaces),
        ] {
            watch
                .add(&dir, spot)
                .with_context(|| format!("cannot watch {}", dir.display()))?;
        }
        let mut follow = Self {
            layout,
            watch,
            records: BTreeMap::new(),
            changed: true,
            told: BTreeMap::new(),
            inside: None,
        };
        follow.read_everything()?;
        Ok(follow)
    }

    /// From now on tells addresses as they are in a private network.
    pub(super) fn seen_inside(self, block: Block) -> Self {
        let inside = Some(block);
        Self { inside, ..self }
    }

    /// Tells whether the supervisor has ended with nothing left to run. One that was killed
    /// leaves its mark behind.
    pub(super) fn is_over(&self) -> bool {
        !self.layout.supervisor_pid().exists()
    }

    /// Returns what is to be offered now, if that may have changed since it was asked last.
    pub(super) fn news(&mut self) -> Result<Option<Wishes>> {
        for noticed in self.watch.noticed().context("cannot watch")? {
            match noticed {
                Noticed::Everything => self.read_everything()?,
                Noticed::Entry(Spot::Supervisor, _) => {}
                Noticed::Entry(Spot::Namespaces, name) => {
                    if let Ok(namespace) = name.parse() {
                        self.read_namespace(&namespace);
                    }
                }
                Noticed::Entry(Spot::Namespace(namespace), _) => self.read_namespace(&namespace),
                Noticed::Entry(Spot::Records(namespace), file) => {
                    self.read_record(&namespace, &file);
                }
            }
        }
        if !std::mem::take(&mut self.changed) {
            return Ok(None);
        }
        let mut wishes = Wishes::new();
        for record in self.records.values() {
            match self.inside {
                Some(block) => plan::add(&mut wishes, &record.clone().seen_inside(block)),
                None => plan::add(&mut wishes, record),
            }
        }
        Ok(Some(wishes))
    }

    fn read_everything(&mut self) -> Result<()> {
        for name in store::names_in(&self.layout.seen()).context("cannot list the namespaces")? {
            if let Ok(namespace) = name.parse() {
                self.read_namespace(&namespace);
            }
        }
        for (namespace, name) in self.records.keys().cloned().collect::<Vec<_>>() {
            self.read_record(&namespace, &format!("{name}.json"));
        }
        Ok(())
    }

    /// Watches a namespace and reads its services; one that has no folder is not one.
    fn read_namespace(&mut self, namespace: &Namespace) {
        let records = self.layout.endpoints(namespace);
        let above = records.parent().unwrap_or(&records).to_owned();
        let spot = Spot::Namespace(namespace.clone());
        if self.watch.add(&above, spot).is_err() {
            return;
        }
        let spot = Spot::Records(namespace.clone());
        // Read once, when it is first seen; after that each file is noticed by itself.
        if self.watch.add_new(&records, spot).unwrap_or(false) {
            for file in store::names_in(&records).unwrap_or_default() {
                self.read_record(namespace, &file);
            }
        }
    }

    fn read_record(&mut self, namespace: &Namespace, file: &str) {
        let Some(name) = file.strip_suffix(".json") else {
            return;
        };
        let path = self.layout.service_record(namespace, name);
        let record = match store::read_json::<ServiceRecord>(&path) {
            Ok(record) => record.filter(|record| !plan::addresses(record).is_empty()),
            // The last good one stays in force.
            Err(error) => return log(&error.to_string()),
        };
        let key = (namespace.clone(), name.to_owned());
        let before = match record {
            Some(record) => self.records.insert(key.clone(), record),
            None => self.records.remove(&key),
        };
        self.changed |= before.as_ref() != self.records.get(&key);
    }

    /// Writes down which ports could not be offered as they are.
    pub(super) fn publish(&mut self, detours: &BTreeMap<Key, Vec<Detour>>) {
        let keys: BTreeSet<Key> = self.told.keys().chain(detours.keys()).cloned().collect();
        for key in keys {
            if self.told.get(&key) != detours.get(&key) {
                self.publish_one(&key, detours.get(&key));
            }
        }
        self.told.clone_from(detours);
    }

    fn publish_one(&self, key: &Key, detours: Option<&Vec<Detour>>) {
        let path = self.layout.detours(&key.0, &key.1);
        let done = match detours {
            None => store::remove(&path),
            Some(ports) => {
                let ports = ports.clone();
                store::replace_json(&path, &Detours { ports }, Sync::No)
            }
        };
        if let Err(error) = done {
            log(&format!("cannot write {}: {error}", path.display()));
        }
        let before = self.told.get(key);
        for detour in detours.into_iter().flatten() {
            if !before.is_some_and(|before| before.contains(detour)) {
                self.write_event(key, detour);
            }
        }
    }

    fn write_event(&self, (namespace, service): &Key, detour: &Detour) {
        let Detour { port, protocol, .. } = detour;
        let instead = match detour.at {
            Some(at) => format!("it is offered at {at} instead"),
            None => "it is not offered".to_owned(),
        };
        let event = Event {
            time: Timestamp::now(),
            severity: Severity::Warning,
            reason: "PortNotOffered".to_owned(),
            object: format!("service/{service}"),
            message: format!("port {port}/{protocol}: {}; {instead}", detour.why),
        };
        let path = self.layout.journal(namespace, service);
        if let Err(error) = journal::append(&path, &event) {
            log(&format!("cannot write {}: {error}", path.display()));
        }
    }
}
