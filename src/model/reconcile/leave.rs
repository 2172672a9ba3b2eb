//! How a set goes away, for a while or for good.

use std::ops::ControlFlow::{self, Continue};

use super::Pass;
use crate::model::set::Keep;
use crate::model::step::{Reason, Step};

impl Pass<'_> {
    /// Asks every pet to stop, from the highest ordinal down (U16).
    pub(super) fn empty(&mut self, reason: Reason) -> ControlFlow<()> {
        let all = self.own_pets().collect();
        for (ordinal, pet) in self.last_first(all) {
            self.replace(ordinal, pet, reason);
            if !(self.want.stopped && self.want.stops_together) {
                self.hold()?;
            }
        }
        Continue(())
    }

    /// Takes a set that is being deleted down (C36, D05).
    pub(super) fn leave(&mut self) {
        let _ = self.empty(Reason::SetDeleted);
        if self.own_pets().next().is_some() {
            return;
        }
        if self.want.retention.when_deleted == Keep::Delete {
            let claims = self.seen.claims.values();
            let own =
                claims.filter(|claim| claim.is_owned_by(&self.want.uid) && !claim.terminating);
            self.steps.extend(own.map(|claim| match claim.shared {
                false => Step::DeleteClaim {
                    claim: claim.name.clone(),
                },
                true => Step::OwnClaim {
                    claim: claim.name.clone(),
                    owners: claim.owners_but(&self.want.uid),
                },
            }));
        }
        self.steps.push(Step::Finish);
    }

    /// Lets go of everything that a set owns, and is finished (`--cascade=orphan`, R16).
    pub(super) fn let_go(&mut self) {
        let pets: Vec<_> = self.own_pets().collect();
        self.steps.extend(
            pets.into_iter()
                .map(|(ordinal, _)| Step::ReleasePet { ordinal }),
        );
        let revisions = self.history.names();
        self.steps
            .extend(revisions.map(|name| Step::ReleaseRevision {
                name: name.to_owned(),
            }));
        for claim in self
            .seen
            .claims
            .values()
            .filter(|claim| claim.is_owned_by(&self.want.uid))
        {
            self.steps.push(Step::OwnClaim {
                claim: claim.name.clone(),
                owners: claim.owners_but(&self.want.uid),
            });
        }
        self.steps.push(Step::Finish);
    }
}
