//! Running inside of a pet with its own network, where pets have other addresses than on the host.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::runner::isolation::{NETWORK_VARIABLE, move_inside};

fn block() -> Option<Block> {
    let block = std::env::var(NETWORK_VARIABLE).ok()?;
    Block::new(block.parse().ok()?)
}

/// Returns whether this program runs inside of a pet with its own network.
pub(crate) fn is_here() -> bool {
    block().is_some()
}

/// Returns a pod with its address as it is here.
pub(crate) fn pod(mut pod: Pod) -> Pod {
    if block().is_some() {
        move_inside(&mut pod);
    }
    pod
}

/// Returns a record with its addresses as they are here.
pub(crate) fn record(record: ServiceRecord) -> ServiceRecord {
    match block() {
        Some(block) => record.inside(block),
        None => record,
    }
}

/// Returns an address of the host as it is here.
pub(crate) fn ip(ip: IpAddr) -> IpAddr {
    match (block(), ip) {
        (Some(block), IpAddr::V4(ip)) => block.inside(ip).into(),
        (_, ip) => ip,
    }
}
