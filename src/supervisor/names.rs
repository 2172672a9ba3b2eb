//! The DNS server for the names of pets and services on the host.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::log::log;
use crate::dns::{Server, Zone, upstreams};
use crate::model::ObjectRef;
use crate::model::endpoints::ServiceRecord;
use crate::store::Settings;

/// The served records, and the server.
#[derive(Debug)]
pub(super) struct ServedNames {
    pub(super) zone: Arc<RwLock<Zone>>,
    pub(super) records: BTreeMap<ObjectRef, ServiceRecord>,
    /// The server, which stops when it is dropped.
    _server: Option<Server>,
}

impl ServedNames {
    /// Starts the server. If its address is in use, the host resolves names only by `petset dns`.
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

    /// Notes that all records are loaded: from now on an unknown name does not exist.
    pub(super) fn loaded(&self) {
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        zone.load([]);
    }
}
