//! What the supervisor remembers of claims and volumes between turns.

use std::time::Instant;

use crate::model::Namespace;
use crate::model::workload::Told;
use crate::sorted::{SortedMap, SortedSet};

/// What is to be done about claims and volumes.
#[derive(Debug, Default)]
pub(super) struct StorageQueue {
    /// Whether a volume, a class, a claim, or who uses one may have changed.
    pub(super) due: bool,
    /// The claims at which a look can ask for anything.
    pub(super) open: SortedSet<(Namespace, String)>,
    /// When to try again what could not be written.
    pub(super) again: Option<Instant>,
    /// What was told last of each claim or volume: it is told again only when it changes.
    pub(super) told: SortedMap<(Namespace, String), Told>,
}

impl StorageQueue {
    /// Forgets a claim that is gone: its volume has to be looked at.
    pub(super) fn forget(&mut self, namespace: &Namespace, claim: &str) {
        self.due = true;
        self.open.remove(&(namespace.clone(), claim.to_owned()));
        let told = format!("persistentvolumeclaim/{claim}");
        self.told.remove(&(namespace.clone(), told));
    }
}
