//! The API server's rules, in its words.
//!
//! Every function notes what is wrong with one part of an object at the path it is given. The
//! wording and the order are those recorded from a real API server; what petset cannot know
//! (other objects, quotas, feature gates that differ) is not checked here.

mod container;
mod mounts;
mod names;
mod objects;
mod pod;
mod probe;
mod resources;
mod selector;
mod service;
mod set;
mod volume;

pub(crate) use objects::{validate_claim, validate_config_map, validate_secret};
pub(crate) use pod::validate_pod;
pub(crate) use service::validate_service;
pub(crate) use set::{validate_stateful_set, volume_origins};
pub(crate) use volume::sources as volume_sources;

use super::fault::Faults;

/// Notes a number below zero.
fn at_least_zero(faults: &mut Faults, path: &str, number: Option<i64>) {
    if let Some(number) = number.filter(|number| *number < 0) {
        faults.invalid(path, number, "must be greater than or equal to 0");
    }
}

/// Notes text that is none of `allowed`; missing text is noted as such.
fn one_of(faults: &mut Faults, path: &str, text: Option<&str>, allowed: &[&str]) {
    match text.unwrap_or_default() {
        "" => faults.required(path, ""),
        text if allowed.contains(&text) => {}
        text => faults.unsupported(path, text, allowed),
    }
}
