//! The DNS server: it listens, answers from a zone, and forwards the names of other zones.

mod follow;
mod forward;
#[cfg(test)]
mod forward_tests;
mod listen;
#[cfg(test)]
mod listen_tests;
mod reply;
mod sockets;
mod tcp;
mod udp;

pub(crate) use follow::ZoneFollower;
pub(crate) use forward::{Permission, upstreams, upstreams_of_pets};
pub(crate) use listen::Server;
pub(crate) use sockets::Sockets;
