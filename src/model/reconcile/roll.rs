//! How pets move to a new revision, and when waiting for one would be in vain.

use std::collections::BTreeSet;

use super::{Pass, Slot};
use crate::model::set::{Policy, Strategy};
use crate::model::step::Reason;
use crate::model::{Ordinal, PetSeen};

impl<'a> Pass<'a> {
    /// Moves pets to the update revision, from the highest down to the partition.
    pub(super) fn roll(&mut self) {
        let roll = match self.want.strategy {
            Strategy::OnDelete => return,
            Strategy::RollingUpdate(roll) => roll.unwrap_or_default(),
        };
        let index = |ordinal: &Ordinal| ordinal.0 - self.want.start;
        let ordinals = self.want.ordinals().rev();
        let moving = ordinals
            .take_while(|ordinal| index(ordinal) >= roll.partition)
            .collect();
        if self.rules.max_unavailable {
            let bound = roll.max_unavailable;
            self.roll_several(
                moving,
                bound.map_or(1, |bound| bound.of(self.want.replicas)),
            );
        } else {
            self.roll_one(moving);
        }
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
    fn roll_several(&mut self, moving: Vec<Ordinal>, bound: usize) {
        let unavailable: BTreeSet<_> = self.unavailable_slots().collect();
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
        for (ordinal, pet) in victims {
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

    /// Says whether a pet should be replaced by one at the update revision.
    fn is_outdated(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        pet.revision != self.history.update && !self.is_leaving(ordinal, pet)
    }

    /// Says whether waiting for a pet would be in vain: it is not ready, nobody wants its revision
    /// any more, and no other pet is on its way (C16).
    pub(super) fn is_trapped(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let rolls = matches!(self.want.strategy, Strategy::RollingUpdate(_));
        let ordered = self.want.policy == Policy::OrderedReady;
        if !(self.rules.recover_broken && rolls && ordered && self.is_stray(ordinal, pet)) {
            return false;
        }
        let slots = self.want.ordinals().zip(&self.slots);
        let mut others = slots.filter_map(|(ordinal, slot)| Some((ordinal, slot.own()?)));
        others
            .all(|(ordinal, pet)| !self.is_unavailable(ordinal, pet) || self.is_stray(ordinal, pet))
    }

    /// Says whether a pet that is to go need not become ready first: it never will (C16).
    pub(super) fn is_hopeless(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        self.rules.recover_broken && !pet.is_ready() && self.is_outdated(ordinal, pet)
    }

    /// Says whether a pet is not ready at a revision that it should not have.
    fn is_stray(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let wanted = self.history.target(self.want, ordinal);
        !self.is_leaving(ordinal, pet) && !pet.is_ready() && pet.revision != wanted
    }
}
