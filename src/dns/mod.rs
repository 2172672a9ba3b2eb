//! Names for pets and services, to the Kubernetes DNS specification 1.1.0.
//!
//! [`Zone`] knows the names, [`message`] and [`query`] speak the wire format and are the
//! sole users of simple-dns, [`Server`] listens, [`lookup`] answers one question from the files of a state
//! directory, and [`text`] shows records to people and programs.

mod answer;
mod arpa;
mod asked;
mod elsewhere;
mod find;
#[cfg(test)]
mod fixture;
mod forward;
#[cfg(test)]
mod forward_tests;
mod lookup;
mod message;
#[cfg(test)]
mod message_tests;
mod node;
mod query;
mod quick;
mod server;
#[cfg(test)]
mod server_tests;
mod tcp;
mod text;
mod zone;
#[cfg(test)]
mod zone_tests;

pub(crate) use answer::{Kind, Question, Record, Value};
pub(crate) use forward::{Permission, upstreams, upstreams_of_pets};
pub(crate) use lookup::{Lookup, Need, lookup, questions, search_path};
pub(crate) use query::{Reply, query, read_reply};
pub(crate) use server::{Server, Sockets};
pub(crate) use text::{TABLE_HEAD, hosts, rows, short, zone_file};
pub(crate) use zone::Zone;

/// How long an answer may be kept, in seconds (N15).
const TTL: u32 = 5;
