//! The API server's rules, in its words.
//!
//! Every function notes what is wrong with one part of an object at the path it is given. The
//! wording and the order are those recorded from a real API server; what petset cannot know
//! (other objects, quotas, feature gates that differ) is not checked here.

mod container;
mod cron_job;
mod endpoints;
mod failure_policy;
mod job;
mod mounts;
pub(super) mod names;
mod objects;
mod pod;
mod probe;
mod replicas;
mod resources;
mod security;
mod selector;
mod service;
mod set;
mod storage;
mod template;
mod volume;
mod workload;

pub(crate) use endpoints::{validate_endpoints, validate_slice};
pub(super) use names::label;
pub(crate) use objects::{validate_claim, validate_config_map, validate_secret};
pub(crate) use pod::validate_pod;
pub(crate) use selector::shown as shown_selector;
pub(crate) use service::validate_service;
pub(crate) use set::{validate_stateful_set, volume_origins};
pub(crate) use storage::{validate_class, validate_volume, volume_source};
pub(crate) use volume::sources as volume_sources;
pub(crate) use workload::validate_workload;

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
