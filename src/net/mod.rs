//! What a pet is called and where it is found: addresses, endpoints of services, and DNS.
//!
//! [`address`], [`record`] and most of [`dns`] are pure; [`block`] keeps two state directories of
//! one machine apart, [`dns::Server`] is what listens, [`hub`] holds a private network, and
//! [`proxy`] is a process of its own.

pub(crate) mod address;
pub(crate) mod block;
pub(crate) mod dns;
pub(crate) mod hub;
mod netfilter;
mod netlink;
pub(crate) mod proxy;
mod record;
#[cfg(test)]
mod record_tests;

pub(crate) use record::{Endpoint, ServiceKind, ServiceRecord, endpoints};
