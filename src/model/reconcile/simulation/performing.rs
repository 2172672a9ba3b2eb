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
        self.check_step(&step);
        let made = &mut self.made;
        self.seen.apply(&step, &self.want, self.now, || {
            *made += 1;
            format!("uid-{made}")
        });
        match step {
            Step::DeleteClaim { .. } => self.free_claims(),
            Step::RollBack { to, .. } => {
                let revision = self.seen.revision_mut(&to).unwrap().data.clone().unwrap();
                assert_ne!(self.want.patch, revision.0, "it is what is wanted");
                self.want.patch = revision.0;
                self.want.generation += 1;
                self.want.options.roll_back = false;
                self.want.options.paused = false;
                self.want.options.pause_after = None;
            }
            Step::Fulfil { annotation } => {
                assert_eq!(annotation, TOGETHER_ANNOTATION);
                self.want.options.together = false;
            }
            Step::Finish if self.want.deletion == Some(Deletion::Orphan) => self.create_again(),
            Step::Finish => self.finished = true,
            Step::CreateRevision(_)
            | Step::RenumberRevision { .. }
            | Step::AdoptRevision { .. }
            | Step::ReleaseRevision { .. }
            | Step::DeleteRevision { .. }
            | Step::CreateClaim { .. }
            | Step::OwnClaim { .. }
            | Step::CreatePet { .. }
            | Step::DeletePet { .. }
            | Step::AdoptPet { .. }
            | Step::ReleasePet { .. }
            | Step::Await { .. }
            | Step::RunHook { .. } => {}
        }
    }

    /// Checks that what a step names is there, and is not there yet where the step makes it.
    fn check_step(&mut self, step: &Step) {
        match step {
            Step::RenumberRevision { name, .. }
            | Step::AdoptRevision { name }
            | Step::ReleaseRevision { name } => assert!(self.seen.revision_mut(name).is_some()),
            Step::CreateClaim { claim, .. } => {
                assert!(
                    !self.seen.claims.contains_key(claim),
                    "a claim was replaced"
                );
            }
            Step::CreatePet { ordinal, .. } => {
                let there = self.seen.pets.contains_key(ordinal);
                assert!(!there, "two pets of one identity");
            }
            Step::DeletePet { ordinal, uid, .. } | Step::RunHook { ordinal, uid } => {
                let pet = &self.seen.pets[ordinal];
                assert_eq!((&pet.uid, pet.terminating), (uid, false));
            }
            Step::AdoptPet { ordinal } | Step::ReleasePet { ordinal } => {
                assert!(self.seen.pets.contains_key(ordinal));
            }
            Step::CreateRevision(_)
            | Step::DeleteRevision { .. }
            | Step::OwnClaim { .. }
            | Step::DeleteClaim { .. }
            | Step::Await { .. }
            | Step::RollBack { .. }
            | Step::Fulfil { .. }
            | Step::Finish => {}
        }
    }

    /// Creates a set again after its pets were released: it has to adopt them.
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
}
