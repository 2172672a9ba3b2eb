//! Manifests: Kubernetes objects from text, complete and checked.
//!
//! Text is read as Kubernetes reads it (`yaml`), decoded strictly (`decode`), old
//! forms are brought up to date (`old`), defaults filled in (`defaults`), and the result is
//! checked by the API server's rules (`validate`). What petset will not act on is named in
//! warnings. Nothing here knows the state directory.

mod decode;
mod defaults;
mod fault;
mod foreign;
mod generate;
mod go;
mod guess;
mod immutable;
mod load;
mod old;
mod place;
mod remark;
mod source;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod warnings;

#[cfg(test)]
use {load::LoadedObjects, source::Source};

pub use defaults::complete_set;
pub(crate) use generate::{CreateOptions, generate};
pub(crate) use immutable::{check_config_map, check_secret};
pub(crate) use load::load;
pub(crate) use remark::Warning;
pub(crate) use source::sources;
pub(crate) use update::{check, check_pod_update, check_update};
