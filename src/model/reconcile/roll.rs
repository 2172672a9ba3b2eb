//! How pets move to a new revision, and when waiting for one would be in vain.

use jiff::{SignedDuration, Timestamp};

use super::{Pass, Slot};
use crate::model::set::{Policy, Roll, Strategy};
use crate::model::step::Reason;
use crate::model::{Ordinal, PetSeen};
use crate::sorted::SortedSet;

/// How long an outdated pet that is not ready may take to recover, while others are down too.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

impl<'a> Pass<'a> {
    /// Moves pets to the update revision, from the highest down to the partition.
    pub(super) fn roll(&mut self) {
        let roll = match self.want.strategy {
            Strategy::OnDelete => return,
            Strategy::RollingUpdate(_) if self.want.options.paused => return,
            Strategy::RollingUpdate(roll) => roll.unwrap_or_default(),
        };
        let left = self.left_before_pause();
        let index = |ordinal: &Ordinal| ordinal.0 - self.want.start;
        let ordinals = self.want.ordinals().rev();
        let moving = ordinals
            .take_while(|ordinal| index(ordinal) >= roll.partition)
            .collect();
        if self.rules.max_unavailable {
            self.roll_several(moving, self.bound(roll), left);
        } else if left > 0 {
            self.roll_one(moving);
        }
    }

    /// Returns how many pets may be unavailable at a time.
    fn bound(&self, roll: Roll) -> usize {
        let bound = roll.max_unavailable.filter(|_| self.rules.max_unavailable);
        bound.map_or(1, |bound| bound.of(self.want.replicas))
    }

    /// Replaces the highest outdated pet, if those above it are available (C13).
    fn roll_one(&mut self, moving: Vec<Ordinal>) {
        for ordinal in moving {
            match self.slot(ordinal) {
                Slot::Own(pet) if self.is_outdated(ordinal, pet) => {
                    return self.stop(ordinal, pet, Reason::Outdated);
                }
                Slot::Own(pet) if !self.is_unavailable(ordinal, pet) => {}
                Slot::Own(_) | Slot::Free | Slot::Foreign(_) => return,
            }
        }
    }

    /// Replaces outdated pets from the highest down, so that at most `bound` pets are unavailable
    /// (C17).
    ///
    /// With `recover_broken`, those that are unavailable already are replaced first.
    fn roll_several(&mut self, moving: Vec<Ordinal>, bound: usize, left: usize) {
        let unavailable: SortedSet<_> = self.unavailable_slots().collect();
        let room = bound.saturating_sub(unavailable.len());
        let mut victims: Vec<_> = moving
            .into_iter()
            .filter_map(|o| self.outdated(o))
            .collect();
        if self.rules.recover_broken {
            let (broken, healthy): (Vec<_>, Vec<_>) = victims
                .into_iter()
                .partition(|(ordinal, _)| unavailable.contains(ordinal));
            let busy = unavailable.len() - broken.len();
            let broken = broken.into_iter().take(bound.saturating_sub(busy));
            victims = broken.chain(healthy.into_iter().take(room)).collect();
        } else {
            victims.truncate(room);
        }
        for (ordinal, pet) in victims.into_iter().take(left) {
            self.stop(ordinal, pet, Reason::Outdated);
        }
    }

    fn outdated(&self, ordinal: Ordinal) -> Option<(Ordinal, &'a PetSeen)> {
        let pet = self.slot(ordinal).own()?;
        self.is_outdated(ordinal, pet).then_some((ordinal, pet))
    }

    fn unavailable_slots(&self) -> impl Iterator<Item = Ordinal> {
        self.want
            .ordinals()
            .filter(|ordinal| match self.slot(*ordinal) {
                Slot::Own(pet) => self.is_unavailable(*ordinal, pet),
                Slot::Free | Slot::Foreign(_) => true,
            })
    }

    /// Returns whether a pet should be replaced by one at the update revision.
    fn is_outdated(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        pet.revision != self.history.update && !self.is_leaving(ordinal, pet)
    }

    /// Returns when a pet that an ordered set waits for is replaced instead, if ever: it is not
    /// ready at a revision that it should not have, so waiting may well be in vain (C16).
    ///
    /// At once, if it is one of no more than may be unavailable, if none is available anyway, or if
    /// it will never be ready as it is.
    /// Otherwise it may only have faltered because its peers are being replaced: it then gets some
    /// time to recover, and all the time that a pet at the right revision needs to come up.
    pub(super) fn replaced_at(&self, ordinal: Ordinal, pet: &PetSeen) -> Option<Timestamp> {
        let Strategy::RollingUpdate(roll) = self.want.strategy else {
            return None;
        };
        let ordered = self.want.policy == Policy::OrderedReady;
        if !(self.rules.recover_broken && ordered && self.is_stray(ordinal, pet)) {
            return None;
        }
        let bound = self.bound(roll.unwrap_or_default());
        let down = self.unavailable_slots().count();
        let in_vain = pet.stuck || self.want.options.failed.as_ref() == Some(&pet.revision);
        if in_vain || down <= bound || down == self.slots.len() {
            return Some(self.now);
        }
        let slots = self.want.ordinals().zip(&self.slots);
        let mut others = slots.filter_map(|(ordinal, slot)| Some((ordinal, slot.own()?)));
        let coming = |(ordinal, pet): (Ordinal, &PetSeen)| {
            self.is_unavailable(ordinal, pet) && !self.is_stray(ordinal, pet)
        };
        if others.any(coming) {
            return None;
        }
        let since = pet.unready_since.filter(|since| *since <= self.now);
        since.map_or(Some(self.now), |since| since.checked_add(PATIENCE).ok())
    }

    /// Returns whether a pet that is to go need not become ready first: it never will (C16).
    pub(super) fn is_hopeless(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        self.rules.recover_broken && !pet.is_ready() && self.is_outdated(ordinal, pet)
    }

    /// Returns whether a pet is not ready at a revision that it should not have.
    fn is_stray(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let wanted = if self.is_kept_back(ordinal) {
            &self.history.current
        } else {
            self.history.target(self.want, ordinal)
        };
        !self.is_leaving(ordinal, pet) && !pet.is_ready() && pet.revision != wanted
    }
}
