//! Running within a pet that has a network of its own: there, pets have other addresses than
//! those by which the host finds them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::runner::isolation::{NETWORK_VARIABLE, move_inside};

fn block() -> Option<Block> {
    let block = std::env::var(NETWORK_VARIABLE).ok()?;
    Block::new(block.parse().ok()?)
}

/// Tells whether this is such a pet.
pub(crate) fn is_here() -> bool {
    block().is_some()
}

/// Returns a pod with the address that holds here.
pub(crate) fn pod(mut pod: Pod) -> Pod {
    if block().is_some() {
        move_inside(&mut pod);
    }
    pod
}

/// Returns a record with the addresses that hold here.
pub(crate) fn record(record: ServiceRecord) -> ServiceRecord {
    match block() {
        Some(block) => record.seen_inside(block),
        None => record,
    }
}

/// Returns the address that holds here for one on the host.
pub(crate) fn ip(ip: IpAddr) -> IpAddr {
    match (block(), ip) {
        (Some(block), IpAddr::V4(ip)) => block.internal(ip).into(),
        (_, ip) => ip,
    }
}
