//! Following the service records: what the proxy has to offer now.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;

use super::lifeline::Lifeline;
use super::log::log;
use super::plan::{self, Desired};
use crate::model::ObjectRef;
use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::problem::Result;
use crate::sorted::SortedMap;
use crate::store::endpoints::{self, EndpointFollower};
use crate::store::{Layout, PidFile};

/// The services that have virtual addresses, as last published.
pub(super) struct ServiceFollower {
    layout: Layout,
    endpoints: EndpointFollower,
    records: SortedMap<ObjectRef, ServiceRecord>,
    /// Whether this is the first call of [`news`](Self::news).
    first: bool,
    /// Whether any service had a pet at the last call of it.
    serves: bool,
    /// The block of the private network that is served; `None` on the host.
    inside: Option<Block>,
}

impl AsFd for ServiceFollower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoints.as_fd()
    }
}

impl ServiceFollower {
    /// Follows the records of a state directory, with the addresses on the host.
    pub(super) fn new(layout: Layout) -> Result<Self> {
        let follow = || -> std::io::Result<EndpointFollower> {
            let mut endpoints = EndpointFollower::new(layout.clone())?;
            // When the supervisor ends, its pid file goes, which `is_over` looks for.
            endpoints.wake_for(&layout.supervisor())?;
            Ok(endpoints)
        };
        let endpoints = follow().context("cannot watch the state directory")?;
        Ok(Self {
            layout,
            endpoints,
            records: SortedMap::new(),
            first: true,
            serves: false,
            inside: None,
        })
    }

    /// Returns addresses as they are in a private network from now on.
    pub(super) fn inside(self, block: Block) -> Self {
        let inside = Some(block);
        Self { inside, ..self }
    }

    /// Returns whether any service has a pet.
    pub(super) const fn serves(&self) -> bool {
        self.serves
    }

    /// Returns whether the supervisor has ended with nothing left to run: it has removed its pid
    /// file, or was killed when no service had a pet any more.
    pub(super) fn is_over(&self, supervisor: &Lifeline) -> bool {
        !PidFile::of_supervisor(&self.layout).exists() || !self.serves && supervisor.has_ended()
    }

    /// Returns what is to be offered now, if that may have changed since the last call.
    pub(super) fn news(&mut self) -> Result<Option<Desired>> {
        let mut changed = std::mem::take(&mut self.first);
        for service in self.endpoints.changed().context("cannot watch")? {
            changed |= self.read(&service);
        }
        if !changed {
            return Ok(None);
        }
        let mut desired = Desired::new();
        for (service, record) in &self.records {
            match self.inside {
                Some(block) => plan::add(&mut desired, service, &record.clone().inside(block)),
                None => plan::add(&mut desired, service, record),
            }
        }
        self.serves = desired.values().any(|backends| !backends.pets.is_empty());
        Ok(Some(desired))
    }

    /// Reads a record again; returns whether it has changed.
    fn read(&mut self, service: &ObjectRef) -> bool {
        let record = match endpoints::read(&self.layout, &service.namespace, service.name.as_str())
        {
            Ok(record) => record.filter(|record| !plan::addresses(record).is_empty()),
            Err(error) => {
                // The last good one stays in force.
                log(&error.to_string());
                return false;
            }
        };
        let before = match record {
            Some(record) => self.records.insert(service.clone(), record),
            None => self.records.remove(service),
        };
        before.as_ref() != self.records.get(service)
    }
}
