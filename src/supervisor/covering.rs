//! Covering in pets that run the state directories that are made meanwhile. Those that this user
//! makes are covered by then; those of others are told of by the registry alone.

use super::signals::WatchedDir;
use super::state::Supervisor;
use crate::store;
use crate::store::covers::{EnteredStates, cover_in_pets};

impl Supervisor {
    /// Watches the registry, and covers what it lists already.
    pub(super) fn watch_registry(&mut self) {
        // Where there is no registry nobody enters anything.
        let _ = self.watch.add(&store::registry(), WatchedDir::Registry);
        self.cover_states();
    }

    /// Covers the state directories that have been entered since the last look.
    pub(super) fn cover_states(&mut self) {
        let entered = EnteredStates::read();
        let new = entered.beyond(&self.entered);
        if !new.is_empty() {
            cover_in_pets(self.store.layout(), &new);
        }
        self.entered = entered;
    }
}
