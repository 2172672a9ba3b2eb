//! Names for pets and services, to the Kubernetes DNS specification 1.1.0.
//!
//! `zone` is what is known and what is said about it, without any I/O. `server` listens, and
//! forwards the names of other zones.

#[cfg(test)]
mod fixture;
mod server;
mod zone;

pub(crate) use server::{Permission, Server, Sockets, ZoneFollower, upstreams, upstreams_of_pets};
pub(crate) use zone::{
    Dependency, DnsRecord, Lookup, Question, RecordData, RecordType, ServerReply, TABLE_HEAD, Zone,
    hosts, lookup, query, questions, read_reply, rows, search_path, short, zone_file,
};
