//! Warnings about fields of a manifest that petset does not act on.
//!
//! Every typed object is taken apart without `..`, so that a field which a new version of the
//! API adds does not compile until someone has decided about it. Only fields that were given
//! are named, fields with one reason share a line, and the same field of several containers is
//! named once: real manifests carry many of these.

mod ignored;
mod other_processes;
mod others;
mod pods;
mod security;
mod workloads;

pub(super) use others::{of_claim, of_service, of_slice};
pub(super) use pods::{of_pod, of_set};
pub(super) use workloads::of_workload;
