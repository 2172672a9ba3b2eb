//! Ending when nothing is left to run, without missing an edit that is made at the same time; and
//! with the command that owns the state directory, after which nothing is left.

use std::time::{Duration, Instant};

use super::log::log;
use super::owner::{self, StateOwner};
use super::state::Supervisor;
use crate::model::endpoints::{Endpoint, ServiceRecord};
use crate::problem::Result;
use crate::store::registry::Blocks;
use crate::store::{self, OwnerFile};

/// When to try again if the lock is busy, because a command is making an edit.
const SOON: Duration = Duration::from_millis(20);
/// How long the removal of a state directory is tried.
const END: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Returns whether to end. It decides under the state directory's lock: every earlier edit has
    /// been read, and a later one will find no supervisor and start one.
    pub(super) fn ends(&mut self) -> Result<bool> {
        if self.signals.stays || self.is_owned() || !self.is_idle() {
            return Ok(false);
        }
        self.look_again = None;
        let Ok(lock) = self.store.lock("supervise", Some(SOON)) else {
            self.look_again = Some(Instant::now() + SOON);
            return Ok(false);
        };
        // Where nothing is watched, every command that has changed something nudges.
        let nudged = self.watch.limit().is_some() && store::told(&self.socket).nudged;
        let news = nudged || !self.watch.noticed()?.is_empty();
        if news {
            drop(lock);
            self.look_at_everything()?;
            self.look_again = Some(Instant::now());
            return Ok(false);
        }
        store::remove(&self.store.layout().supervisor_socket())?;
        store::PidFile::of_supervisor(self.store.layout()).remove()?;
        drop(lock);
        self.leave_nothing();
        Ok(true)
    }

    /// Returns whether a service leads where its user says: its name and its address are served
    /// as long as nobody says `petset stop`.
    fn serves_by_hand(&self) -> bool {
        let by_hand = |record: &ServiceRecord| record.endpoints.iter().any(Endpoint::is_by_hand);
        !self.world.stopped && self.names.records().any(by_hand)
    }

    fn is_idle(&self) -> bool {
        let at_rest = |report: &store::SetReport| report.settled;
        let sets = self.world.set_keys();
        self.due.is_empty()
            && self.alarms.is_empty()
            && !self.serves_by_hand()
            && self.unwritten.next().is_none()
            && self.bare.is_idle()
            && self.work.is_idle()
            && !self.storage.due
            && self.storage.again.is_none()
            && self.world.pets().all(|(_, pet)| pet.rests())
            && sets
                .iter()
                .all(|key| self.reports.get(key).is_some_and(at_rest))
    }

    /// Stops everything if the owner has ended.
    pub(super) fn heed_owner(&mut self) {
        if !self.owner.as_mut().is_some_and(StateOwner::has_ended) {
            return;
        }
        if OwnerFile::of(self.store.layout()).read().is_none() {
            // It let the directory go before it ended.
            self.owner = None;
            return;
        }
        if self.store.stops_together() {
            return;
        }
        let stop = |edit: &mut store::Edit<'_>| {
            edit.stop_together();
            Ok(())
        };
        if self.store.edit("with", Some(SOON), stop).is_err() {
            self.look_again = Some(Instant::now() + SOON);
        }
    }

    /// Returns whether there is an owner that has not ended.
    pub(super) fn is_owned(&self) -> bool {
        let owner = self.owner.as_ref();
        owner.is_some_and(|owner| owner.process().is_some())
    }

    /// Removes the state directory, if it is there for the length of a command.
    pub(super) fn leave_nothing(&self) {
        if self.owner.is_none() {
            return;
        }
        owner::begin_to_leave();
        let root = self.store.layout().root();
        if let Err(error) = store::remove_tree_in_use(root, END) {
            log(&format!("cannot remove {}: {error}", root.display()));
        }
        Blocks::of_this_machine().release(root);
    }
}
