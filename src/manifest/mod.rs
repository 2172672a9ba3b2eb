//! Manifests: Kubernetes objects from text, complete and checked.
//!
//! Text is read as Kubernetes reads it (`yaml`), decoded strictly (`decode`), old
//! forms are brought up to date (`old`), defaults filled in (`defaults`), and the result is
//! checked by the API server's rules (`validate`). What petset will not act on is named in
//! warnings. Nothing here knows the state directory.

mod decode;
mod defaults;
mod draft;
mod fault;
mod foreign;
mod generate;
mod go;
mod guess;
mod immutable;
mod internal;
mod load;
mod old;
mod place;
mod remark;
mod source;
#[cfg(test)]
mod tests;
mod update;
mod usable;
mod validate;
mod warnings;
mod zone;

#[cfg(test)]
use load::LoadedObjects;

pub(crate) use crate::model::nearest;
pub use defaults::{complete_set, complete_workload};
pub(crate) use generate::{
    CreateOptions, PodOptions, check_generated, cron_job, deployment, generate, job,
    job_of_cron_job,
};
pub(crate) use immutable::{check_config_map, check_notes, check_secret, check_slice};
pub(crate) use load::load;
pub(crate) use remark::Warning;
pub(crate) use source::{Source, sources};
pub(crate) use update::{check, check_pod_update, check_update};
pub use update::{
    check_claim_update, check_class_update, check_volume_update, check_workload_update,
};
