//! petset runs Kubernetes PetSets and StatefulSets as plain local processes.
//!
//! The verbs (`cli`) write what is wanted, the `supervisor` makes it so, a `runner` keeps one
//! pet, and only the [`model`] decides. `store` is the state directory that they share,
//! `manifest` reads Kubernetes YAML, `net` gives pets their addresses and names.

#![allow(
    dead_code,
    unused_imports,
    reason = "modules are written ahead of the verbs that use them"
)]

mod manifest;
pub mod model;
mod net;
mod problem;
mod runner;
mod store;

pub use problem::{Kind, Problem, Result, kind_of, report};
