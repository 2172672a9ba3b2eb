//! What a pass has to keep, whatever the world, and where every world has to come to rest.

use super::*;
use crate::model::set::{Retention, Strategy};
use crate::model::step::Reason;

impl World {
    fn is_available(&self, ordinal: Ordinal) -> bool {
        let pet = self.seen.pets.get(&ordinal);
        pet.is_some_and(|pet| !pet.terminating && pet.is_available(&self.want, self.now))
    }

    /// Checks the promises for what a pass wants to do.
    pub(super) fn check(&self, outcome: &Outcome) {
        let ordered = ordered_now(&self.want);
        let mut stops = 0;
        for step in &outcome.steps {
            if let Step::CreatePet { ordinal, .. } = step {
                assert!(self.want.has(*ordinal) && !self.want.stopped, "{step:?}");
                let mut lower = self.want.ordinals().take_while(|lower| lower < ordinal);
                assert!(
                    !ordered || lower.all(|lower| self.is_available(lower)),
                    "{step:?}"
                );
                self.check_start(step, outcome);
            }
            if let Step::DeletePet { ordinal, why, .. } = step {
                stops += usize::from(*why != Reason::Evicted);
                self.check_stop(*ordinal, *why);
            }
            if let Step::DeleteClaim { claim } = step {
                self.check_claim(claim);
            }
        }
        let bound = match self.want.strategy {
            Strategy::RollingUpdate(Some(roll)) if self.rules.max_unavailable => roll
                .max_unavailable
                .map_or(1, |bound| bound.of(self.want.replicas)),
            Strategy::RollingUpdate(_) | Strategy::OnDelete => 1,
        };
        assert!(!ordered || stops <= bound, "{:?}", outcome.steps);
        self.check_bound(outcome, bound);
        self.check_pause(outcome);
        let settled = self.is_settled() || self.want.deletion.is_some();
        assert!(
            settled || !outcome.steps.is_empty(),
            "it waits without saying for what: {:?} {:?} {:?}",
            self.want,
            self.seen.pets,
            self.rules
        );
    }

    /// A pet below the partition comes back at the revision that the others have (C15).
    fn check_start(&self, step: &Step, outcome: &Outcome) {
        let Step::CreatePet { ordinal, revision } = step else {
            return;
        };
        assert!(!self.seen.pets.contains_key(ordinal), "{step:?}");
        if let Strategy::RollingUpdate(Some(roll)) = self.want.strategy
            && ordinal.0 - self.want.start < roll.partition
        {
            let current = self.seen.status.current_revision.as_ref();
            let names = self.seen.revisions.iter();
            let mut names = names.map(|one| one.metadata.name.as_ref());
            let known = current.is_some() && names.any(|name| name == current);
            let current = current.filter(|_| known);
            let wanted = current.or(outcome.status.update_revision.as_ref());
            assert_eq!(Some(revision), wanted);
        }
    }

    fn is_own(&self, pet: &PetSeen) -> bool {
        let matches = self.want.selector.matches(&pet.labels);
        pet.owner.as_ref() == Some(&self.want.uid) && matches
    }

    /// Of the pets that go in order, none is above the next one to go.
    fn check_top(&self, ordinal: Ordinal) {
        let mut pets = self.seen.pets.iter();
        let later = |pet: &PetSeen| match self.want.is_petset {
            true => pet.created > self.seen.pets[&ordinal].created,
            false => true,
        };
        let higher = pets.find(|(other, pet)| **other > ordinal && self.is_own(pet) && later(pet));
        assert!(!ordered_now(&self.want) || higher.is_none(), "{higher:?}");
    }

    fn check_stop(&self, ordinal: Ordinal, why: Reason) {
        match why {
            Reason::ScaledDown => {
                assert!(!self.want.has(ordinal));
                let pet = &self.seen.pets[&ordinal];
                let hook = pet.hook.as_ref();
                let done = hook.is_some_and(|hook| hook.outcome == HookOutcome::Done);
                let wished = self.want.options.pre_scale_down.is_some();
                assert!(done || !wished || pet.phase != Phase::Running, "{pet:?}");
            }
            Reason::Outdated | Reason::Broken => {
                let partition = match self.want.strategy {
                    Strategy::RollingUpdate(roll) => roll.unwrap_or_default().partition,
                    Strategy::OnDelete => panic!("a roll on delete"),
                };
                assert!(why == Reason::Broken || !self.want.options.paused);
                assert!(why == Reason::Broken || ordinal.0 - self.want.start >= partition);
            }
            Reason::Stopped => {
                assert!(self.want.stopped);
                self.check_top(ordinal);
            }
            Reason::SetDeleted => {
                assert_eq!(self.want.deletion, Some(Deletion::Drain));
                self.check_top(ordinal);
            }
            Reason::Ended => {
                let phase = self.seen.pets[&ordinal].phase;
                assert!(matches!(phase, Phase::Failed | Phase::Succeeded));
            }
            Reason::Evicted => assert!(self.seen.evict.contains(&self.seen.pets[&ordinal].uid)),
        }
    }

    /// A roll that shall pause moves no more pets than it may.
    fn check_pause(&self, outcome: &Outcome) {
        let Some(most) = self.want.options.pause_after else {
            return;
        };
        let rolled = |step: &&Step| {
            matches!(
                step,
                Step::DeletePet {
                    why: Reason::Outdated,
                    ..
                }
            )
        };
        let rolled = outcome.steps.iter().filter(rolled).count();
        let update = outcome.status.update_revision.as_ref();
        let pets = self.seen.pets.iter();
        let moved = pets.filter(|(ordinal, pet)| {
            self.want.has(**ordinal) && Some(&pet.revision) == update && self.is_own(pet)
        });
        assert!(rolled == 0 || moved.count() + rolled <= most as usize);
    }

    /// A roll takes no more available pets down than may be unavailable.
    fn check_bound(&self, outcome: &Outcome, bound: usize) {
        let rolled = |step: &&Step| {
            matches!(step, Step::DeletePet { ordinal, why: Reason::Outdated, .. }
                if self.is_available(*ordinal))
        };
        let taken = outcome.steps.iter().filter(rolled);
        let taken = taken.count();
        let down = self
            .want
            .ordinals()
            .filter(|ordinal| !self.is_available(*ordinal))
            .count();
        let counted = ordered_now(&self.want) || self.rules.max_unavailable;
        assert!(
            taken == 0 || !counted || down + taken <= bound,
            "{:?}",
            outcome.steps
        );
    }

    /// A claim goes only with a pet that is gone for good, or with its set.
    fn check_claim(&self, name: &str) {
        let claim = &self.seen.claims[name];
        if claim.terminating {
            let ordinal = self.want.ordinal_of_claim(name).expect("it is a pet's");
            return assert!(!self.seen.pets.contains_key(&ordinal), "{claim:?}");
        }
        let Retention {
            when_deleted,
            when_scaled,
        } = self.want.retention;
        if claim.is_owned_by(&self.want.uid) {
            assert!(
                self.want.deletion.is_some() && when_deleted == Keep::Delete,
                "{claim:?}"
            );
            assert!(
                self.seen
                    .pets
                    .values()
                    .all(|pet| pet.owner.as_ref() != Some(&self.want.uid))
            );
        } else {
            let owner = claim.pod_owner().expect("the claim is owned");
            assert_eq!(when_scaled, Keep::Delete, "{claim:?}");
            assert!(
                self.seen.pets.values().all(|pet| pet.uid != owner.uid),
                "{claim:?}"
            );
        }
    }

    /// Returns whether everything wanted is there; other objects without an owner do not count.
    fn is_settled(&self) -> bool {
        let own = |pet: &PetSeen| pet.owner.as_ref() == Some(&self.want.uid);
        let mut beyond = self
            .seen
            .pets
            .iter()
            .filter(|(ordinal, pet)| own(pet) && !self.want.has(**ordinal));
        let mut wanted = self.want.ordinals();
        beyond.next().is_none()
            && if self.want.stopped {
                !self.seen.pets.values().any(own)
            } else {
                wanted.all(|ordinal| self.is_available(ordinal))
            }
    }

    pub(super) fn check_goal(&self) {
        if self.want.deletion.is_some() || self.finished {
            return assert!(self.finished, "the deleted set is not finished");
        }
        if self.rules.recover_broken {
            assert!(
                self.is_settled(),
                "it rests, but not at what is wanted: {:?}",
                self.seen.pets
            );
            let update = self.seen.status.update_revision.clone().unwrap();
            let outdated = self.seen.pets.values().find(|pet| pet.revision != update);
            assert_eq!(outdated, None);
        }
    }
}
