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
mod runner;
mod store;
mod supervisor;
mod sys;
mod yaml;

pub use manifest::complete_set;
pub use problem::{Kind, Problem, Result, kind_of, report};

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the program: one command, or the role that its first argument names.
///
/// The roles that petset starts by itself come before the command line is parsed, because each
/// millisecond of theirs is one of every pet's.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let arguments: Vec<OsString> = words.collect();
    if Path::new(&program).file_name() == Some(cli::PEER_FINDER.as_ref()) {
        return cli::run_peer_finder(&arguments);
    }
    match arguments.split_first() {
        Some((role, [root])) if role == supervisor::SUPERVISOR_ARGUMENT => {
            supervisor::run_in_background(Path::new(root))
        }
        Some((role, [root])) if role == proxy::PROXY_ARGUMENT => proxy::run(Path::new(root)),
        Some((role, rest)) if role == hello::HELLO_ARGUMENT => hello::run(rest),
        Some((role, rest)) if role == runner::VERB => runner::run(rest),
        Some((role, rest)) if role == sys::users::VERB => runner::run_inside(rest),
        Some((role, rest)) if role == network::VERB => network::run(rest),
        Some(_) | None => cli::run(),
    }
}

pub use cli::command;
