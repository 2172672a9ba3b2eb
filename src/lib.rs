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

pub mod model;
mod problem;
mod runner;
mod store;
mod sys;

pub use problem::{Kind, Problem, Result, kind_of, report};

/// Runs as a runner where the arguments say so, which is looked at before anything else so that
/// a pet starts quickly. For `main` only.
#[doc(hidden)]
pub fn runner() -> Option<std::process::ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let asked = args.next().is_some_and(|verb| verb == runner::VERB);
    asked.then(|| runner::run(&args.collect::<Vec<_>>()))
}
