//! `runner.json`: who runs, so that a successor can end what is left over.

use std::io;

use serde::{Deserialize, Serialize};

use super::brand;
use super::tree::{self, Identity};
use crate::store::{self, PetLayout, Sync};

/// What a runner says about itself and the sessions that it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) runner: Identity,
    pub(crate) boot_id: String,
    /// Whether it ended in peace: nothing can be left of it.
    pub(crate) clean: bool,
    pub(crate) containers: Vec<Main>,
    /// What its processes have in common, see [`brand`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) brand: Option<u64>,
    /// Whether it, or one before it, began to start containers; only kept where they run once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) begun: bool,
}

/// The main process of a container, which leads a session of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Main {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) process: Identity,
    pub(crate) pgid: u32,
}

impl Record {
    /// Describes this process, which has started nothing yet, and brands it.
    pub(crate) fn own() -> io::Result<Self> {
        Ok(Self {
            runner: tree::identity_of(std::process::id())?,
            boot_id: boot_id(),
            clean: false,
            containers: Vec::new(),
            brand: brand::apply(),
            begun: false,
        })
    }

    /// Returns the record of a runner that may have left processes behind.
    pub(crate) fn of_predecessor(pet: &PetLayout) -> Option<Self> {
        // A record that cannot be read is no reason not to run: the marker still finds all.
        let record: Self = store::read_json(&pet.runner()).ok()??;
        (!record.clean && record.boot_id == boot_id()).then_some(record)
    }

    /// Tells whether an earlier runner of the pet began to start its containers.
    pub(crate) fn has_begun(pet: &PetLayout) -> bool {
        let record: Option<Self> = store::read_json(&pet.runner()).ok().flatten();
        record.is_some_and(|record| record.begun)
    }

    pub(crate) fn write(&self, pet: &PetLayout) -> io::Result<()> {
        store::replace_json(&pet.runner(), self, Sync::No)
    }
}

/// Returns what tells this boot of the machine from all others.
pub(crate) fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}
