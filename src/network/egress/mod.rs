//! The way out of a private network: what pets send to other addresses goes on from the host.
//!
//! A pet's connection begins when the other end has accepted, and not before: the pet's SYN is
//! seen on the bridge and dropped, the host connects, and then the SYN is let in, or the pet is
//! told why not. So a pet learns of a closed port as it would from a kernel. Thereafter bytes are
//! carried both ways, one buffer at a time.
//!
//! The sockets in the private network are [`TproxySockets`]; those to the world are made by
//! [`EgressRelay`], in a thread that has stayed in the host's network.

mod diversion;
mod packet;
mod relay;
mod tproxy;

pub(super) use relay::EgressRelay;
pub(super) use tproxy::TproxySockets;
