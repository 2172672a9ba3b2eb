//! Publishing which ports could not be offered as they are.

use jiff::Timestamp;

use super::log::log;
use crate::model::ObjectRef;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::Layout;
use crate::store::detours::{self, Detour};
use crate::store::journal::{self, Event, Severity};

/// The detours that were published last.
pub(super) struct DetourReport {
    layout: Layout,
    published: SortedMap<ObjectRef, Vec<Detour>>,
}

impl DetourReport {
    /// Begins with nothing published.
    pub(super) const fn new(layout: Layout) -> Self {
        Self {
            layout,
            published: SortedMap::new(),
        }
    }

    /// Publishes what has changed, with an event for each new detour.
    pub(super) fn publish(&mut self, detours: &SortedMap<ObjectRef, Vec<Detour>>) {
        let before = self.published.keys();
        let keys: SortedSet<&ObjectRef> = before.chain(detours.keys()).collect();
        for key in keys {
            if self.published.get(key) != detours.get(key) {
                self.publish_one(key, detours.get(key));
            }
        }
        self.published.clone_from(detours);
    }

    fn publish_one(&self, service: &ObjectRef, detours: Option<&Vec<Detour>>) {
        let ports = detours.map(Vec::as_slice).unwrap_or_default();
        if let Err(error) = detours::publish(&self.layout, service, ports) {
            let path = self
                .layout
                .detours(&service.namespace, service.name.as_str());
            log(&format!("cannot write {}: {error}", path.display()));
        }
        let before = self.published.get(service);
        for detour in ports {
            if !before.is_some_and(|before| before.contains(detour)) {
                self.write_event(service, detour);
            }
        }
    }

    fn write_event(&self, service: &ObjectRef, detour: &Detour) {
        let Detour { port, protocol, .. } = detour;
        let instead = match detour.at {
            Some(at) => format!("it is offered at {at} instead"),
            None => "it is not offered".to_owned(),
        };
        let event = Event {
            time: Timestamp::now(),
            severity: Severity::Warning,
            reason: "PortNotOffered".to_owned(),
            object: format!("service/{}", service.name),
            uid: None,
            field: None,
            message: format!("port {port}/{protocol}: {}; {instead}", detour.why),
            count: 1,
        };
        let path = self
            .layout
            .journal(&service.namespace, service.name.as_str());
        if let Err(error) = journal::append(&path, &event) {
            log(&format!("cannot write {}: {error}", path.display()));
        }
    }
}
