//! The meaning of image references on this machine: the catalogue that `images.toml` extends
//! (X01).
//!
//! A local process has no image. A reference is looked up in the state directory's `images.toml`,
//! then in the user's, then in the built-in catalogue; the first entry found counts, entries are
//! not merged. Whether files exist is asked through [`Disk`], so that this stays pure.

mod catalogue;
mod entries;
mod explain;
mod fill;
mod launch;
mod reference;

pub use catalogue::Catalogue;
pub use explain::{Explained, KnownImage, Looked};
pub use launch::{Disk, ImageLaunch};
pub use reference::{Reference, reference_fault};

#[cfg(test)]
mod tests;
