//! The state directory: its paths, its lock, and files that are replaced in one piece.

mod files;
pub(crate) mod journal;
mod paths;

pub(crate) use files::{
    Sync, make_dir, names_in, read, read_json, remove, remove_tree, replace, replace_json,
};
pub(crate) use paths::{Layout, PetLayout, Wanted};
