//! The status of a set: how many pets there are, and at which revision (C19, C20).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::set::{Set, Strategy};
use super::{Ordinal, PetSeen};

impl PetSeen {
    /// Returns when the pet counts as available: ready for as long as the set demands.
    ///
    /// A clock that was set back does not make a set wait for it to catch up.
    pub(super) fn available_at(&self, want: &Set, now: Timestamp) -> Option<Timestamp> {
        if !self.is_ready() {
            return None;
        }
        let since = self.ready_since.filter(|since| *since <= now);
        let wait = SignedDuration::try_from(want.min_ready).unwrap_or(SignedDuration::MAX);
        Some(match since {
            Some(since) => since.saturating_add(wait).unwrap_or(Timestamp::MAX),
            None => now,
        })
    }

    /// Returns whether the pet is available, whether or not it has been asked to stop.
    pub(super) fn is_available(&self, want: &Set, now: Timestamp) -> bool {
        self.available_at(want, now).is_some_and(|at| at <= now)
    }
}

/// Counts the pets; `leaving` says which of them have been asked to stop.
pub(super) fn count<'a>(
    want: &Set,
    pets: impl Iterator<Item = (Ordinal, &'a PetSeen)>,
    leaving: impl Fn(Ordinal, &PetSeen) -> bool,
    revisions: (&str, &str),
    now: Timestamp,
) -> StatefulSetStatus {
    let (current, update) = revisions;
    let (mut all, mut ready, mut available, mut old, mut new) = (0, 0, 0, 0, 0);
    for (ordinal, pet) in pets {
        all += 1;
        ready += i32::from(pet.is_ready());
        available += i32::from(pet.is_available(want, now));
        if !leaving(ordinal, pet) {
            old += i32::from(pet.revision == current);
            new += i32::from(pet.revision == update);
        }
    }
    StatefulSetStatus {
        observed_generation: Some(want.generation),
        replicas: all,
        ready_replicas: Some(ready),
        available_replicas: Some(available),
        current_replicas: Some(old),
        updated_replicas: Some(new),
        current_revision: Some(current.to_owned()),
        update_revision: Some(update.to_owned()),
        ..StatefulSetStatus::default()
    }
}

/// Makes the updated revision the current one, once every pet has it and is ready (C19).
pub(super) fn complete_roll(want: &Set, status: &mut StatefulSetStatus) {
    let rolling = matches!(want.strategy, Strategy::RollingUpdate(_));
    let all = Some(status.replicas);
    let complete = status.updated_replicas == all && status.ready_replicas == all;
    if rolling && complete && i64::from(status.replicas) == i64::from(want.replicas) {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
}
