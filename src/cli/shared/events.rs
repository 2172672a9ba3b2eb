//! The events of sets and pets, for the verbs that show them.

mod scope;
mod series;
mod show;

pub(crate) use scope::Scope;
pub(crate) use series::aggregate;
pub(crate) use show::{EventArgs, show};
