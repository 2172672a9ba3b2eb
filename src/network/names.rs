//! The names of a private network: the services' files, with the addresses that hold inside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{PollFd, PollFlags, poll};

use super::guests::Guests;
use crate::dns::{Permission, Server, Sockets, Zone, upstreams_of_pets};
use crate::model::Namespace;
use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::store::{self, Layout, Noticed, Settings, Store, Watch};

pub(super) const PORT: u16 = 53;

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    Namespaces,
    Namespace(Namespace),
    Services(Namespace),
}

/// The names of a network.
#[derive(Debug)]
pub(super) struct Names {
    layout: Layout,
    block: Block,
    zone: Arc<RwLock<Zone>>,
    watch: Watch<Spot>,
}

impl Names {
    /// Reads the names of a network in which a server has this address.
    pub(super) fn read(store: &Store, block: Block, server: Ipv4Addr) -> io::Result<Self> {
        let zones = block.reverse_zones();
        let zone = Zone::unloaded(&store.settings().cluster_domain);
        let zone = zones
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse));
        let zone = zone.with_servers([IpAddr::from(server)]);
        let zone = zone.with_host(IpAddr::from(super::host(block)));
        let mut names = Self {
            layout: store.layout().clone(),
            block,
            zone: Arc::new(RwLock::new(zone)),
            watch: Watch::new()?,
        };
        names.watch.add(&names.layout.seen(), Spot::Namespaces)?;
        names.read_everything();
        Ok(names)
    }

    /// Answers by sockets of the network; names of other zones are asked of the resolvers that
    /// this thread reaches, for guests that may leave.
    pub(super) fn serve(
        &self,
        sockets: Sockets,
        settings: &Settings,
        guests: &Arc<Guests>,
    ) -> io::Result<Server> {
        let own = SocketAddr::from((self.block.reserved(53), PORT));
        let upstreams = upstreams_of_pets(settings, own);
        let guests = Arc::clone(guests);
        let permission: Permission = Arc::new(move |ip| match ip {
            IpAddr::V4(ip) => guests.may_leave(ip),
            IpAddr::V6(_) => false,
        });
        Server::start_private(sockets, Arc::clone(&self.zone), &upstreams, permission)
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
