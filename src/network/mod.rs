//! The private network of a state directory: one process that holds it.
//!
//! On the host the process listens on the pets' addresses, 127.b.x.y. A thread of it lives
//! in a network namespace of its own, with a bridge to which each pet is attached as 10.b.x.y;
//! there it answers DNS at 10.b.0.53 and offers services at 10.b.240.y and above. The process is
//! started by a pet's runner, but is no child of it. Each runner stays connected while its pet
//! lives; when the last one has gone, the process ends. Should it be killed, the runners have the
//! network's namespaces open, and the next process takes them over with every pet attached.

mod attached;
mod bridge;
mod connect;
mod door;
mod egress;
mod leftovers;
mod names;
mod namespace;
mod netfilter;
mod netlink;
mod pins;
#[cfg(test)]
mod pins_tests;
mod ports;
mod process;
mod runners;
mod trial;

pub(crate) use process::{attempt, attempt_egress, run};
