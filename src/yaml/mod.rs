//! YAML and JSON as text: read with positions, as Kubernetes reads it, and written so that it
//! reads back.
//!
//! `tree` reads what people write, by YAML 1.1 as Kubernetes' own library does, or as JSON by
//! `json`; `written` writes what petset stores and shows, and reads that back, the
//! most of it by `plain`. Nothing here knows a Kubernetes type.

mod document;
mod guard;
mod json;
mod marks;
mod plain;
mod quoting;
mod scalar;
mod spaces;
mod tree;
mod value;
mod written;

pub(crate) use spaces::odd_space;
pub(crate) use tree::read;
pub(crate) use value::{MapEntry, Node, Position, Value};
pub(crate) use written::{to_json, to_string};
