//! The names of pets and services, and the DNS server that answers for them on the host.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::log::log;
use crate::dns::{Server, Zone, upstreams};
use crate::model::ObjectRef;
use crate::model::endpoints::ServiceRecord;
use crate::store::Settings;

/// The names that are served, and the server.
#[derive(Debug)]
pub(super) struct ServedNames {
    pub(super) zone: Arc<RwLock<Zone>>,
    pub(super) records: BTreeMap<ObjectRef, ServiceRecord>,
    /// Kept as long as it shall listen.
    _server: Option<Server>,
}

impl ServedNames {
    /// Starts to listen. An address that is taken leaves the names to the files alone.
    pub(super) fn serve(settings: &Settings, block: crate::model::address::Block) -> Self {
        let zones = block.reverse_zones();
        let zone = Zone::unloaded(&settings.cluster_domain);
        let zone = zones
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse));
        let listen = settings.dns_address(block);
        let zone = Arc::new(RwLock::new(zone.with_servers([listen.ip()])));
        let upstreams = upstreams(settings, &[listen]);
        let server = Server::start(&[listen], Arc::clone(&zone), &upstreams);
        let server = server
            .map_err(|error| log(&format!("no DNS on {listen}: {error}")))
            .ok();
        Self {
            zone,
            records: BTreeMap::new(),
            _server: server,
        }
    }

    /// Returns the records of all services.
    pub(super) fn records(&self) -> impl Iterator<Item = &ServiceRecord> {
        self.records.values()
    }

    /// From now on the absence of a name means that there is no such name.
    pub(super) fn loaded(&self) {
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        zone.load([]);
    }
}
