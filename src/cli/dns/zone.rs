//! The zone of a state directory, before services are loaded into it.

use std::net::SocketAddr;

use crate::cli::shared::dns_server::{known_block, known_server};
use crate::cli::shared::session::Session;
use crate::dns::Zone;
use crate::model::address::Block;

/// Returns the block of addresses of the state directory, if it has one yet.
pub(super) fn block(session: &Session) -> Option<Block> {
    known_block(session.store.layout(), session.store.settings())
}

/// Returns where the supervisor's DNS server listens while it runs.
pub(super) fn server(session: &Session) -> Option<SocketAddr> {
    known_server(session.store.layout(), session.store.settings())
}

/// Returns the zone with the reverse zones of the address block, without services.
pub(super) fn empty(session: &Session) -> Zone {
    let zone = Zone::unloaded(&session.store.settings().cluster_domain);
    let reverse = block(session).map(|block| block.reverse_zones());
    let reverse = reverse.into_iter().flatten();
    reverse.fold(zone, |zone, reverse| zone.with_reverse_zone(&reverse))
}
