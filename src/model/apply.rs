//! The change that a step makes to the observed state.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;

use super::pet::{HookOutcome, ScaleDownHook};
use super::{ClaimSeen, Ordinal, PetSeen, Seen, Set, Step};

impl Seen {
    /// Changes what is seen as `step` does; `new_uid` makes the uid of a new pet.
    ///
    /// A pet or claim that is deleted is terminating at first. What a step changes of the set
    /// itself is left to the caller: [`Step::RollBack`], [`Step::Fulfil`] and [`Step::Finish`].
    pub(super) fn apply(
        &mut self,
        step: &Step,
        want: &Set,
        now: Timestamp,
        new_uid: impl FnOnce() -> String,
    ) {
        match step {
            Step::CreateRevision(revision) => self.revisions.push(revision.as_ref().clone()),
            Step::RenumberRevision { name, number } => {
                self.revision(name, |revision| revision.revision = *number);
            }
            Step::AdoptRevision { name } => {
                let owners = vec![want.owner_reference()];
                self.revision(name, |it| it.metadata.owner_references = Some(owners));
            }
            Step::ReleaseRevision { name } => {
                self.revision(name, |it| it.metadata.owner_references = None);
            }
            Step::DeleteRevision { name } => {
                let other = |it: &ControllerRevision| it.metadata.name.as_ref() != Some(name);
                self.revisions.retain(other);
            }
            Step::CreateClaim { claim, .. } => {
                let made = ClaimSeen {
                    name: claim.clone(),
                    ..ClaimSeen::default()
                };
                self.claims.insert(claim.clone(), made);
            }
            Step::OwnClaim { claim, owners } => {
                self.claim(claim, |claim| claim.owners.clone_from(owners));
            }
            Step::DeleteClaim { claim } => self.claim(claim, |claim| claim.terminating = true),
            Step::CreatePet { ordinal, revision } => {
                let pet = PetSeen::just_made(want, *ordinal, revision.clone(), new_uid(), now);
                self.pets.insert(*ordinal, pet);
            }
            Step::DeletePet { ordinal, .. } => self.pet(*ordinal, |pet| pet.terminating = true),
            Step::AdoptPet { ordinal } => {
                self.pet(*ordinal, |pet| pet.owner = Some(want.uid.clone()));
            }
            Step::ReleasePet { ordinal } => self.pet(*ordinal, |pet| pet.owner = None),
            Step::RunHook { ordinal, .. } => {
                let hook = ScaleDownHook {
                    generation: want.generation,
                    outcome: HookOutcome::Running,
                };
                self.pet(*ordinal, |pet| pet.hook = Some(hook));
            }
            Step::Await { .. } | Step::RollBack { .. } | Step::Fulfil { .. } | Step::Finish => {}
        }
    }

    /// Returns the revision of this name, to change it.
    pub(super) fn revision_mut(&mut self, name: &str) -> Option<&mut ControllerRevision> {
        let mut all = self.revisions.iter_mut();
        all.find(|one| one.metadata.name.as_deref() == Some(name))
    }

    fn revision(&mut self, name: &str, change: impl FnOnce(&mut ControllerRevision)) {
        self.revision_mut(name).map(change);
    }

    fn claim(&mut self, name: &str, change: impl FnOnce(&mut ClaimSeen)) {
        self.claims.get_mut(name).map(change);
    }

    fn pet(&mut self, ordinal: Ordinal, change: impl FnOnce(&mut PetSeen)) {
        self.pets.get_mut(&ordinal).map(change);
    }
}
