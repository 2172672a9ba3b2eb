//! The names of a private network: the services' records, with the addresses that hold inside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};

use super::attached::Attached;
use crate::dns::{Permission, Server, Sockets, Zone, ZoneFollower, upstreams_of_pets};
use crate::model::address::Block;
use crate::store::{Layout, Settings, Store, endpoints};

/// The port of DNS.
pub(super) const PORT: u16 = 53;

/// The names of a network.
#[derive(Debug)]
pub(super) struct NetworkNames {
    layout: Layout,
    block: Block,
    zone: Arc<RwLock<Zone>>,
    follower: ZoneFollower,
}

impl NetworkNames {
    /// Reads the names of a network.
    pub(super) fn read(store: &Store, block: Block) -> io::Result<Self> {
        let zone = Zone::unloaded(&store.settings().cluster_domain);
        let reverse = block.reverse_zones();
        let zone = reverse
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse));
        let zone = zone.with_servers([IpAddr::from(block.name_server())]);
        let zone = zone.with_host(IpAddr::from(block.host()));
        let zone = Arc::new(RwLock::new(zone));
        let layout = store.layout().clone();
        let follower = ZoneFollower::new(layout.clone(), Arc::clone(&zone))?;
        let mut names = Self {
            layout,
            block,
            zone,
            follower,
        };
        names.catch_up()?;
        Ok(names)
    }

    /// Answers by sockets of the private network. Queries for other zones go to the resolvers
    /// that this thread reaches, for pets that may leave the network.
    pub(super) fn serve(
        &self,
        sockets: Sockets,
        settings: &Settings,
        attached: &Arc<Attached>,
    ) -> io::Result<Server> {
        let own = SocketAddr::from((self.block.reserved(53), PORT));
        let upstreams = upstreams_of_pets(settings, own);
        let attached = Arc::clone(attached);
        let permission: Permission = Arc::new(move |ip| match ip {
            IpAddr::V4(ip) => attached.may_leave(ip),
            IpAddr::V6(_) => false,
        });
        Server::start_private(sockets, Arc::clone(&self.zone), &upstreams, permission)
    }

    /// Keeps the names as the records are, as long as the process lives.
    pub(super) fn follow(mut self) {
        loop {
            let _ = self.follower.wait();
            let _ = self.catch_up();
        }
    }

    fn catch_up(&mut self) -> io::Result<()> {
        let (layout, block) = (&self.layout, self.block);
        self.follower.catch_up(|service| {
            let record = endpoints::read(layout, &service.namespace, service.name.as_str());
            record.map(|record| record.map(|record| record.inside(block)))
        })
    }
}
