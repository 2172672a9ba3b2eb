//! The names of a zone, the records that answer a question, and both in wire format: values in,
//! values out.
//!
//! [`Zone`] knows the names; `message` and `query` are the server's and the client's side of the
//! wire format, and with `wire` and `forwarded` the only users of simple-dns; [`lookup`] answers
//! one question from as few records as possible; `text` renders records for people and programs.

mod answer;
mod arpa;
mod find;
pub(super) mod forwarded;
mod index;
#[cfg(test)]
mod index_tests;
mod lookup;
#[cfg(test)]
mod mangled;
pub(super) mod message;
#[cfg(test)]
mod message_tests;
mod query;
pub(super) mod quick;
mod rows;
mod service;
mod text;
mod wire;

pub(crate) use answer::{DnsRecord, Question, RecordData, RecordType};
pub(crate) use index::Zone;
pub(crate) use lookup::{Dependency, Lookup, lookup, questions, search_path};
pub(crate) use query::{ServerReply, query, read_reply};
pub(crate) use text::{TABLE_HEAD, hosts, rows, short, zone_file};
