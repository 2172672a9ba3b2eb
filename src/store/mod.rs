//! The state directory: its paths, its lock, and files that are replaced in one piece.
//!
//! Whoever reads takes no lock. Whoever changes what is wanted does it through [`Store::edit`],
//! which holds the lock for the edit and never for a wait.

mod addresses;
mod control;
pub(crate) mod detours;
mod directory;
mod edit;
pub(crate) mod endpoints;
mod eviction;
mod files;
mod images;
pub(crate) mod journal;
mod kept;
mod launch;
mod lock;
pub(crate) mod network;
mod paths;
mod pid;
mod pods;
mod read;
mod record;
mod redact;
pub(crate) mod registry;
mod report;
mod settings;
mod socket;
pub(crate) mod userns;
mod view;
mod watch;
mod words;

pub(crate) use addresses::{Given, addresses_given, give_addresses};
pub(crate) use control::{
    RunnerRequest, ask_runner, bind_runner, bind_supervisor, nudge_supervisor, requests, was_nudged,
};
pub(crate) use directory::{Store, absolute, default_root};
pub(crate) use edit::Edit;
pub(crate) use eviction::Eviction;
pub(crate) use files::{
    Sync, make_dir, measure, names_in, read, read_json, remove, remove_tree, replace, replace_json,
    size_of,
};
pub(crate) use images::{catalogue, image_files, with_disk};
pub(crate) use kept::{Kept, PURGE_ANNOTATION, SET_ANNOTATION};
pub(crate) use launch::{Launch, Mount, User};
pub(crate) use lock::{Attempt, Lock};
pub(crate) use paths::{Layout, PetLayout, REGISTRY_OVERRIDE, registry};
pub(crate) use pid::PidFile;
pub(crate) use pods::{merge_status, publish_pod, read_pod, withdraw_pod};
pub(crate) use record::{MainProcess, RunnerRecord};
pub(crate) use report::{SetReport, Waiting};
pub(crate) use settings::{DnsForward, Settings};
pub(crate) use socket::{connect_to, wait_at};
pub(crate) use view::{publish, refresh as refresh_view, show_addresses, withdraw};
pub(crate) use watch::{Noticed, Watch, when_removed};
pub(crate) use words::last_words;
