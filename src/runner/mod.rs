//! One pet: its volumes, processes, probes and hooks.

pub(crate) mod volumes;

