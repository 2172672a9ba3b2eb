//! Where the DNS server of a state directory listens.

use std::net::SocketAddr;

use crate::model::address::Block;
use crate::problem::{Kind, Problem};
use crate::store::{self, Layout, Settings};

/// Returns the block of addresses that a state directory has, if it has one yet.
///
/// What its supervisor wrote down comes before the settings: the next supervisor takes those up.
pub(crate) fn known_block(layout: &Layout, settings: &Settings) -> Option<Block> {
    let written = store::block_of(layout).ok().flatten();
    written.or_else(|| settings.address_block.and_then(Block::new))
}

/// Returns where the DNS server of a state directory listens while its supervisor runs.
pub(crate) fn known_server(layout: &Layout, settings: &Settings) -> Option<SocketAddr> {
    let listen = settings.dns_listen;
    listen.or_else(|| known_block(layout, settings).map(|block| settings.dns_address(block)))
}

/// Returns the error for a state directory that has no DNS server yet.
pub(crate) fn no_server() -> Problem {
    let message = "no DNS server is known: no pet of this state directory ever ran";
    Problem::new(Kind::NotFound, message)
        .hint("create a set first, or name a server with --server 127.0.0.1:5353")
}
