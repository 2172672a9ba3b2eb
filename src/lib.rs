//! petset runs Kubernetes PetSets and StatefulSets as plain local processes.
//!
//! The verbs (`cli`) write what is wanted, the `supervisor` makes it so, a `runner` keeps one
//! pet, and only the [`model`] decides. `store` is the state directory that they share,
//! `manifest` reads Kubernetes YAML, `net` gives pets their addresses and names.
//!
//! Comments and tests cite rules by codes such as C23; docs/rules.md says what each one means.

mod cli;
mod dns;
mod hello;
mod manifest;
pub mod model;
mod network;
mod problem;
mod proxy;
mod relay;
mod role;
mod runner;
mod store;
mod supervisor;
mod sys;
mod yaml;

pub use manifest::complete_set;
pub use problem::{Kind, Problem, Result, kind_of, report};

use std::ffi::OsString;
use std::process::ExitCode;

use role::Role;

/// Runs the program: one command, or the role that its first argument names.
///
/// The roles that petset starts by itself come before the command line is parsed, because each
/// millisecond of theirs is one of every pet's.
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
        Role::Runner => runner::run(arguments),
        Role::Network => network::run(arguments),
        Role::Proxy => proxy::run(arguments),
        Role::Hello => hello::run(arguments),
        Role::UsernsHelper => runner::run_inside(arguments),
    }
}

pub use cli::command;
