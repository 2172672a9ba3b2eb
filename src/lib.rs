//! petset runs Kubernetes PetSets and StatefulSets as plain local processes.
//!
//! The verbs (`cli`) write the wanted objects, the `supervisor` creates and deletes pods, a
//! `runner` runs the containers of one pod, and only the [`model`] decides. `store` is the state
//! directory that they share, `manifest` and `yaml` read Kubernetes' objects, `dns` resolves names,
//! `proxy` serves virtual addresses, and `network` connects isolated pets. docs/ARCHITECTURE.md
//! shows how they work together.
//!
//! Comments and tests cite rules by codes such as C23, which docs/rules.md explains.

mod cli;
mod dns;
mod hello;
#[cfg(test)]
mod mangling;
mod manifest;
pub mod model;
mod network;
mod problem;
mod proxy;
mod relay;
mod role;
mod runner;
mod sorted;
mod store;
mod supervisor;
mod sys;
mod yaml;

pub use manifest::{
    check_claim_update, check_class_update, check_volume_update, check_workload_update,
    complete_set, complete_workload,
};
pub use problem::{Kind, Problem, Result, kind_of, report};

use std::ffi::OsString;
use std::process::ExitCode;

use role::Role;

/// Runs the program: one command, or the role that its first argument names.
///
/// A role that petset starts by itself is recognized before the command line is parsed, because
/// parsing would delay the start of every pet.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let arguments: Vec<OsString> = words.collect();
    let (role, arguments) = Role::of(&program, &arguments);
    match role {
        Role::Command => cli::run(),
        Role::PeerFinder => cli::run_peer_finder(arguments),
        Role::Supervisor => supervisor::run_in_background(arguments),
        Role::Nursery => runner::run_nursery(arguments),
        Role::Runner => runner::run(arguments),
        Role::Network => network::run(arguments),
        Role::Proxy => proxy::run(arguments),
        Role::Hello => hello::run(arguments),
        Role::UsernsHelper => runner::run_inside(arguments),
    }
}

pub use cli::command;
