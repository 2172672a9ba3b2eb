//! A pass of the controller, and its steps performed on values.

use super::*;

impl World {
    /// Makes one pass, of which only the first `limit` steps are performed.
    pub(super) fn pass(&mut self, limit: usize) -> bool {
        if self.finished {
            return false;
        }
        let outcome = reconcile(&self.want, &self.seen, self.rules, self.now);
        self.check(&outcome);
        self.wake_at = outcome.wake_at;
        let mut active = self.seen.status != outcome.status;
        let uid = self.want.uid.clone();
        for step in outcome.steps.into_iter().take(limit) {
            active |= !matches!(step, Step::Await { .. });
            self.perform(step);
        }
        if limit == usize::MAX && self.want.uid == uid {
            self.seen.status = outcome.status;
        }
        if !active {
            self.published = self.seen.status.clone();
        }
        active
    }

    fn perform(&mut self, step: Step) {
        let uid = self.want.uid.clone();
        match step {
            Step::CreateRevision(revision) => self.seen.revisions.push(*revision),
            Step::RenumberRevision { name, number } => self.revision(&name).revision = number,
            Step::AdoptRevision { name } => {
                let owner = self.want.owner_reference();
                self.revision(&name).metadata.owner_references = Some(vec![owner]);
            }
            Step::ReleaseRevision { name } => {
                self.revision(&name).metadata.owner_references = None;
            }
            Step::DeleteRevision { name } => {
                self.seen
                    .revisions
                    .retain(|one| one.metadata.name.as_ref() != Some(&name));
            }
            Step::CreateClaim { claim, .. } => {
                let made = ClaimSeen {
                    name: claim.clone(),
                    ..ClaimSeen::default()
                };
                assert!(
                    self.seen.claims.insert(claim, made).is_none(),
                    "a claim was replaced"
                );
            }
            Step::OwnClaim { claim, owners } => {
                // It may have gone in this very pass.
                if let Some(claim) = self.seen.claims.get_mut(&claim) {
                    claim.owners = owners;
                }
            }
            Step::DeleteClaim { claim } => {
                if let Some(claim) = self.seen.claims.get_mut(&claim) {
                    claim.terminating = true;
                }
                self.free_claims();
            }
            Step::CreatePet { ordinal, revision } => self.create(ordinal, revision),
            Step::DeletePet { ordinal, uid, .. } => {
                let pet = self.seen.pets.get_mut(&ordinal).unwrap();
                assert_eq!((&pet.uid, pet.terminating), (&uid, false));
                pet.terminating = true;
            }
            Step::AdoptPet { ordinal } => {
                self.seen.pets.get_mut(&ordinal).unwrap().owner = Some(uid);
            }
            Step::ReleasePet { ordinal } => self.seen.pets.get_mut(&ordinal).unwrap().owner = None,
            Step::Await { .. } => {}
            Step::RunHook { ordinal, uid } => {
                let pet = self.seen.pets.get_mut(&ordinal).unwrap();
                assert_eq!((&pet.uid, pet.terminating), (&uid, false));
                pet.hook = Some(Hook {
                    generation: self.want.generation,
                    outcome: HookOutcome::Running,
                });
            }
            Step::RollBack { to, .. } => {
                let revision = self.revision(&to).data.clone().unwrap();
                assert_ne!(self.want.patch, revision.0, "it is what is wanted");
                self.want.patch = revision.0;
                self.want.generation += 1;
                self.want.wishes.roll_back = false;
                self.want.wishes.paused = false;
                self.want.wishes.pause_after = None;
            }
            Step::Fulfil { annotation } => {
                assert_eq!(annotation, TOGETHER_ANNOTATION);
                self.want.wishes.together = false;
            }
            Step::Finish if self.want.deletion == Some(Deletion::Orphan) => self.create_again(),
            Step::Finish => self.finished = true,
        }
    }

    /// Somebody makes the set again whose pets were let go: it has to adopt them.
    fn create_again(&mut self) {
        let own = |pet: &PetSeen| pet.owner.as_ref() == Some(&self.want.uid);
        assert!(!self.seen.pets.values().any(own), "a pet was not let go");
        self.made += 1;
        self.want.uid = format!("set-{}", self.made);
        self.want.deletion = None;
        self.want.generation = 1;
        self.seen.status = StatefulSetStatus::default();
        self.published = StatefulSetStatus::default();
    }

    fn revision(&mut self, name: &str) -> &mut k8s_openapi::api::apps::v1::ControllerRevision {
        let mut all = self.seen.revisions.iter_mut();
        all.find(|one| one.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    fn create(&mut self, ordinal: Ordinal, revision: String) {
        self.made += 1;
        let uid = format!("uid-{}", self.made);
        let pet = PetSeen::just_made(&self.want, ordinal, revision, uid, self.now);
        assert!(
            self.seen.pets.insert(ordinal, pet).is_none(),
            "two pets of one identity"
        );
    }
}
