//! `seen/isolation.json`: whether this machine can isolate pets, as the last trial found.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Layout, Sync, read_json, replace_json};

/// The result of trying to isolate a pet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ability {
    /// The boot, user and kernel settings of the trial: the result holds for no others.
    pub(crate) circumstances: String,
    /// Why pets cannot be isolated; `None` where they can.
    pub(crate) lack: Option<String>,
}

impl Ability {
    /// Reads the result of the last trial; `None` when no process has tried.
    pub(crate) fn read(layout: &Layout) -> io::Result<Option<Self>> {
        read_json(&layout.isolation())
    }

    /// Writes the result for later commands.
    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        replace_json(&layout.isolation(), self, Sync::No)
    }
}
