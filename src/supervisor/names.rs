//! The DNS server for the names of pets and services on the host.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::dns::{Server, Zone, upstreams};
use crate::model::endpoints::ServiceRecord;
use crate::model::{BackOff, ObjectRef};
use crate::sorted::SortedMap;
use crate::store::Settings;

/// The delays between attempts to listen at an address that is in use.
const BACK_OFF: BackOff = BackOff {
    start: Duration::from_millis(100),
    cap: Duration::from_secs(10),
};

/// The served records, and the server.
#[derive(Debug)]
pub(super) struct ServedNames {
    pub(super) zone: Arc<RwLock<Zone>>,
    pub(super) records: SortedMap<ObjectRef, ServiceRecord>,
    pub(super) listen: SocketAddr,
    upstreams: Vec<SocketAddr>,
    /// The server, which stops when it is dropped; `None` while its address is in use.
    server: Option<Server>,
    /// How often it could not be started.
    pub(super) failures: u32,
    rests_until: Option<Instant>,
}

impl ServedNames {
    /// Prepares the server, which [`start`](Self::start) starts.
    pub(super) fn new(settings: &Settings, block: crate::model::address::Block) -> Self {
        let zones = block.reverse_zones();
        let zone = Zone::unloaded(&settings.cluster_domain);
        let zone = zones
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse));
        let listen = settings.dns_address(block);
        Self {
            zone: Arc::new(RwLock::new(zone.with_servers([listen.ip()]))),
            records: SortedMap::new(),
            upstreams: upstreams(settings, &[listen]),
            listen,
            server: None,
            failures: 0,
            rests_until: None,
        }
    }

    /// Starts the server. While that fails, the host resolves names only by `petset dns`, and it is
    /// to be tried again at [`rests_until`](Self::rests_until).
    pub(super) fn start(&mut self) -> io::Result<()> {
        match Server::start(&[self.listen], Arc::clone(&self.zone), &self.upstreams) {
            Ok(server) => {
                self.server = Some(server);
                self.rests_until = None;
                Ok(())
            }
            Err(error) => {
                self.rests_until = Some(Instant::now() + BACK_OFF.retry_delay(self.failures));
                self.failures += 1;
                Err(error)
            }
        }
    }

    /// Returns when to start the server again, if it is not there.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
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
