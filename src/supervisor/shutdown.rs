//! Ending when nothing is left to run, without missing an edit that is made at the same time.

use std::time::{Duration, Instant};

use super::state::Supervisor;
use crate::problem::Result;
use crate::store;

/// When to try again if the lock is busy, because a command is making an edit.
const SOON: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Returns whether to end. It decides under the state directory's lock: every earlier edit has
    /// been read, and a later one will find no supervisor and start one.
    pub(super) fn ends(&mut self) -> Result<bool> {
        if self.signals.stays || !self.is_idle() {
            return Ok(false);
        }
        self.look_again = None;
        let Ok(lock) = self.store.lock("supervise", Some(SOON)) else {
            self.look_again = Some(Instant::now() + SOON);
            return Ok(false);
        };
        // Where nothing is watched, every command that has changed something nudges.
        let nudged = self.watch.limit().is_some() && store::was_nudged(&self.socket);
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
        Ok(true)
    }

    fn is_idle(&self) -> bool {
        let at_rest = |report: &store::SetReport| report.settled;
        let sets = self.world.set_keys();
        self.due.is_empty()
            && self.alarms.is_empty()
            && self.bare.is_idle()
            && self.world.pets().all(|(_, pet)| pet.rests())
            && sets
                .iter()
                .all(|key| self.reports.get(key).is_some_and(at_rest))
    }
}
