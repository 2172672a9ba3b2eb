//! Pets that are wanted: made, waited for, and given their claims.

use std::ops::ControlFlow::{self, Break, Continue};

use super::{Pass, Slot};
use crate::model::claim::{owners_to_set, wanted_owner};
use crate::model::set::Keep;
use crate::model::step::{Reason, Step};
use crate::model::{ClaimSeen, Ordinal, PetSeen, Phase, TOGETHER_ANNOTATION};

impl Pass<'_> {
    /// Brings one wanted ordinal forward; breaks off an ordered pass that has to wait for it.
    pub(super) fn fill(&mut self, ordinal: Ordinal) -> ControlFlow<()> {
        let flow = self.bring_up(ordinal);
        if self.want.options.together {
            return Continue(());
        }
        flow
    }

    /// Takes the wish to start all pets at once back when that is done.
    pub(super) fn end_together(&mut self) {
        let up = |ordinal| match self.slot(ordinal) {
            Slot::Own(pet) => !self.is_unavailable(ordinal, pet),
            Slot::Free | Slot::Foreign(_) => false,
        };
        if self.want.options.together && self.want.ordinals().all(up) {
            self.steps.push(Step::Fulfil {
                annotation: TOGETHER_ANNOTATION,
            });
        }
    }

    fn bring_up(&mut self, ordinal: Ordinal) -> ControlFlow<()> {
        let pet = match self.slot(ordinal) {
            Slot::Free => {
                self.create(ordinal);
                return self.hold();
            }
            Slot::Foreign(pet) => {
                let why = if pet.terminating {
                    "is stopping"
                } else {
                    "exists already"
                };
                let why = format!("{} {why}, and does not belong to this set", pet.name);
                self.wait(ordinal, why, false);
                return self.hold();
            }
            Slot::Own(pet) => pet,
        };
        if matches!(pet.phase, Phase::Failed | Phase::Succeeded) {
            self.replace(ordinal, pet, Reason::Ended);
            return self.hold();
        }
        if pet.phase == Phase::Pending {
            self.create_claims(ordinal);
        }
        if self.is_leaving(ordinal, pet) || !pet.is_available(self.want, self.now) {
            match self.replaced_at(ordinal, pet) {
                Some(at) if at <= self.now => {
                    self.replace(ordinal, pet, Reason::Broken);
                    return Break(());
                }
                Some(at) => {
                    self.wake_at = Some(at);
                    let name = &pet.name;
                    let why = format!(
                        "{name} is not ready: {}; it is replaced at {at:.0}",
                        pet.waiting
                    );
                    self.wait(ordinal, why, pet.stuck);
                    return Break(());
                }
                None => {}
            }
            self.wait_to_start_others(ordinal, pet);
            self.hold()?;
        }
        self.own_claims(ordinal, pet, false);
        Continue(())
    }

    fn create(&mut self, ordinal: Ordinal) {
        let pet = self.want.pet_name(ordinal);
        let claims: Vec<_> = self.claims_of(ordinal).collect();
        let in_the_way = |claim: &&ClaimSeen| claim.terminating || claim.is_stale(self.want);
        if let Some(claim) = claims
            .iter()
            .filter_map(|(_, _, claim)| *claim)
            .find(in_the_way)
        {
            let why = format!("{pet} cannot start: claim {} is being deleted", claim.name);
            return self.wait(ordinal, why, false);
        }
        self.create_claims(ordinal);
        let revision = if self.is_kept_back(ordinal) {
            &self.history.current
        } else {
            self.history
                .revision_for(self.want, ordinal, self.seen, self.rules)
        };
        let revision = revision.to_owned();
        self.steps.push(Step::CreatePet { ordinal, revision });
        if self.want.retention.when_deleted == Keep::Delete {
            let owner = self.want.owner_reference();
            for (_, name, claim) in claims {
                let claim = claim.cloned().unwrap_or_default();
                if let Some(owners) = owners_to_set(self.want, &claim, Some(&owner)) {
                    self.steps.push(Step::OwnClaim {
                        claim: name,
                        owners,
                    });
                }
            }
        }
    }

    fn create_claims(&mut self, ordinal: Ordinal) {
        let missing = self
            .claims_of(ordinal)
            .filter(|(_, _, claim)| claim.is_none());
        let steps = missing.map(|(template, claim, _)| {
            let template = template.to_owned();
            Step::CreateClaim {
                claim,
                template,
                ordinal,
            }
        });
        let steps: Vec<_> = steps.collect();
        self.steps.extend(steps);
    }

    /// Gives the claims of a pet the owner with which they shall be deleted (C23).
    pub(super) fn own_claims(&mut self, ordinal: Ordinal, pet: &PetSeen, condemned: bool) {
        let wanted = wanted_owner(self.want, pet, condemned);
        if wanted.is_none() && !self.claims_are_owned {
            return;
        }
        let claims = self.claims_of(ordinal).filter_map(|(_, _, claim)| claim);
        let steps = claims.filter_map(|claim| {
            let owners = owners_to_set(self.want, claim, wanted.as_ref())?;
            Some(Step::OwnClaim {
                claim: claim.name.clone(),
                owners,
            })
        });
        let steps: Vec<_> = steps.collect();
        self.steps.extend(steps);
    }
}
