//! Manifests: Kubernetes objects from text, complete and checked.
//!
//! Text is read as Kubernetes reads it (`tree`, `scalar`), decoded strictly (`decode`), old
//! forms are brought up to date (`old`), defaults filled in (`defaults`), and the result is
//! checked by the API server's rules (`validate`). What petset will not act on is named in
//! warnings. Nothing here knows the state directory.

mod decode;
mod defaults;
mod fault;
mod generate;
mod go;
mod guard;
mod guess;
mod load;
mod object;
mod old;
mod place;
mod quantity;
mod quoting;
mod scalar;
mod source;
mod surrogate;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod validate;
mod warnings;
pub(crate) mod yaml;

pub(crate) use defaults::{
    default_claim, default_pod, default_secret, default_service, default_stateful_set,
};
pub(crate) use generate::{NO_IMAGE, Wish, generate};
pub(crate) use load::{Loaded, load};
pub(crate) use object::{Object, ObjectKind};
pub(crate) use source::{Source, sources};
pub(crate) use update::{check, check_update};
