//! The names of a private network: the services' files, with the addresses that hold inside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{PollFd, PollFlags, poll};

use crate::model::Namespace;
use crate::net::address::Block;
use crate::net::dns::{Server, Zone};
use crate::net::record::ServiceRecord;
use crate::store::{self, Layout, Noticed, Store, Watch};

const PORT: u16 = 53;

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    Namespaces,
    Namespace(Namespace),
    Services(Namespace),
}

/// The names, and the server that tells them.
#[derive(Debug)]
pub(super) struct Names {
    layout: Layout,
    block: Block,
    zone: Arc<RwLock<Zone>>,
    watch: Watch<Spot>,
    _server: Server,
}

impl Names {
    /// Answers at an address of this thread's network.
    pub(super) fn serve(store: &Store, block: Block, server: Ipv4Addr) -> io::Result<Self> {
        let zones = block.reverse_zones();
        let zone = Zone::unloaded(&store.settings().cluster_domain);
        let zone = zones
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse));
        let zone = zone.with_servers([IpAddr::from(server)]);
        let zone = Arc::new(RwLock::new(zone));
        let at = SocketAddr::from((server, PORT));
        let mut names = Self {
            _server: Server::start_private(&[at], Arc::clone(&zone))?,
            layout: store.layout().clone(),
            block,
            zone,
            watch: Watch::new()?,
        };
        names.watch.add(&names.layout.seen(), Spot::Namespaces)?;
        names.read_everything();
        Ok(names)
    }

    /// Keeps the names as the files are.
    pub(super) fn keep(mut self) {
        loop {
            let watched = self.watch.as_fd();
            let _ = poll(&mut [PollFd::new(&watched, PollFlags::IN)], None);
            let Ok(noticed) = self.watch.noticed() else {
                continue;
            };
            noticed.into_iter().for_each(|noticed| self.note(noticed));
        }
    }

    fn note(&mut self, noticed: Noticed<Spot>) {
        match noticed {
            Noticed::Everything => self.read_everything(),
            Noticed::Entry(Spot::Namespaces, name) => {
                if let Ok(namespace) = name.parse() {
                    self.read_namespace(&namespace);
                }
            }
            Noticed::Entry(Spot::Namespace(namespace), _) => self.read_namespace(&namespace),
            Noticed::Entry(Spot::Services(namespace), file) => {
                if let Some(name) = file.strip_suffix(".json") {
                    self.read_service(&namespace, name);
                }
            }
        }
    }

    fn read_everything(&mut self) {
        for name in store::names_in(&self.layout.seen()).unwrap_or_default() {
            if let Ok(namespace) = name.parse() {
                self.read_namespace(&namespace);
            }
        }
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        zone.load([]);
    }

    fn read_namespace(&mut self, namespace: &Namespace) {
        let endpoints = self.layout.endpoints(namespace);
        let above = endpoints.parent().unwrap_or(&endpoints);
        let _ = self.watch.add(above, Spot::Namespace(namespace.clone()));
        let _ = self
            .watch
            .add_new(&endpoints, Spot::Services(namespace.clone()));
        for file in store::names_in(&endpoints).unwrap_or_default() {
            if let Some(name) = file.strip_suffix(".json") {
                self.read_service(namespace, name);
            }
        }
    }

    fn read_service(&self, namespace: &Namespace, name: &str) {
        let path = self.layout.service_record(namespace, name);
        let found: io::Result<Option<ServiceRecord>> = store::read_json(&path);
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Some(record)) => drop(zone.replace(record.seen_inside(self.block))),
            Ok(None) => drop(zone.remove(namespace.as_str(), name)),
            Err(_) => {}
        }
    }
}
