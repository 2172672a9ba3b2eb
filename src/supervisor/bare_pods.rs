//! The queue of pods without a set that have to be reconciled.

use std::time::Instant;

use super::retry;
use crate::model::ObjectRef;
use crate::sorted::{SortedMap, SortedSet};

/// Which bare pods have to be reconciled, and when.
#[derive(Debug, Default)]
pub(super) struct BarePods {
    /// Pods to reconcile in the next turn. A pod that belongs to a set is skipped.
    pub(super) due: SortedSet<ObjectRef>,
    /// Pods with a failed step: the time of the next attempt, and the number of failures.
    pub(super) failed: SortedMap<ObjectRef, (Instant, u32)>,
}

impl BarePods {
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty() && self.failed.is_empty()
    }

    /// Returns the time of the next attempt of a failed step.
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

    /// Returns the pods to reconcile now, without those that wait for their next attempt.
    pub(super) fn take_due(&mut self, now: Instant) -> SortedSet<ObjectRef> {
        let mut due = std::mem::take(&mut self.due);
        let rested = self.failed.iter().filter(|(_, (at, _))| *at <= now);
        due.extend(rested.map(|(key, _)| key.clone()));
        due.retain(|key| self.failed.get(key).is_none_or(|(at, _)| *at <= now));
        due
    }
}
