//! Keeping a zone as the service records are.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{PollFd, PollFlags};

use super::reply::wait;
use crate::dns::zone::Zone;
use crate::model::ObjectRef;
use crate::model::endpoints::ServiceRecord;
use crate::store::Layout;
use crate::store::endpoints::EndpointFollower;

/// Follows the service records of a state directory, and updates a zone.
#[derive(Debug)]
pub(crate) struct ZoneFollower {
    endpoints: EndpointFollower,
    zone: Arc<RwLock<Zone>>,
}

impl ZoneFollower {
    /// Begins to follow. The zone is loaded by the first [`catch_up`](Self::catch_up).
    pub(crate) fn new(layout: Layout, zone: Arc<RwLock<Zone>>) -> io::Result<Self> {
        let endpoints = EndpointFollower::new(layout)?;
        Ok(Self { endpoints, zone })
    }

    /// Waits until there may be changes.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let watched = self.endpoints.as_fd();
        wait(&mut [PollFd::new(&watched, PollFlags::IN)], None)
    }

    /// Takes in what has changed. A service whose record cannot be `read` stays as it was.
    pub(crate) fn catch_up<E>(
        &mut self,
        read: impl Fn(&ObjectRef) -> Result<Option<ServiceRecord>, E>,
    ) -> io::Result<()> {
        for service in self.endpoints.changed()? {
            let Ok(record) = read(&service) else { continue };
            let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
            match record {
                Some(record) => drop(zone.replace(record)),
                None => drop(zone.remove(service.namespace.as_str(), service.name.as_str())),
            }
        }
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        zone.load([]);
        Ok(())
    }
}
