//! Which pods that belong to no set have to be looked at, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::retry;
use crate::model::ObjectRef;

/// What the supervisor keeps about bare pods beside the pets themselves.
#[derive(Debug, Default)]
pub(super) struct BarePods {
    /// Pods that have to be looked at. One that turns out to be a set's is passed over.
    pub(super) due: BTreeSet<ObjectRef>,
    /// Pods about which a step failed: when it is tried again, and how often it failed.
    pub(super) failed: BTreeMap<ObjectRef, (Instant, u32)>,
}

impl BarePods {
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty() && self.failed.is_empty()
    }

    /// Returns the next time at which something is to be tried again.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.failed.values().map(|(at, _)| *at).min()
    }

    pub(super) fn retry_later(&mut self, key: &ObjectRef) {
        let times = self.failed.get(key).map_or(0, |(_, times)| *times);
        let again = (
            Instant::now() + retry::BACK_OFF.retry_delay(times),
            times + 1,
        );
        self.failed.insert(key.clone(), again);
    }

    /// Returns the pods to look at now; one that failed has to rest first.
    pub(super) fn take_due(&mut self, now: Instant) -> BTreeSet<ObjectRef> {
        let mut due = std::mem::take(&mut self.due);
        let rested = self.failed.iter().filter(|(_, (at, _))| *at <= now);
        due.extend(rested.map(|(key, _)| key.clone()));
        due.retain(|key| self.failed.get(key).is_none_or(|(at, _)| *at <= now));
        due
    }
}
