//! YAML and JSON as text: read with positions, as Kubernetes reads it, and written so that it
//! reads back.
//!
//! `tree` reads what people write, by YAML 1.1 as Kubernetes' own library does; `written` writes
//! what petset stores and shows, and reads that back. Nothing here knows a Kubernetes type.

mod guard;
mod quoting;
mod scalar;
mod surrogate;
mod tree;
mod value;
mod written;

pub(crate) use tree::read;
pub(crate) use value::{MapEntry, Node, Position, Value};
pub(crate) use written::{from_str, to_string};
