//! The StatefulSet controller, as a function of the wanted and the observed state.
//!
//! The specification is the comment of [`reconcile`]. Performing the steps, and trying again what
//! failed, is left to the caller.

mod fill;
mod leave;
mod mishap;
mod roll;
#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(super) mod tests;

use std::ops::ControlFlow::{self, Break, Continue};

use jiff::Timestamp;

use super::history::History;
use super::name::claim_name;
use super::pet::stopping;
use super::set::{Deletion, Keep, Policy, Set};
use super::step::{Outcome, Reason, Rules, Seen, Step};
use super::{ClaimSeen, Ordinal, PetSeen, status};
use crate::sorted::SortedSet;

/// Lists the steps that bring what is seen closer to what is wanted, most urgent first.
///
/// **What is the set's own.** Pods and revisions without an owner that the selector matches are
/// adopted; a pod that it owns but no longer matches is released (C37). A pod that belongs to
/// another owner's pet holds its ordinal until it is gone.
///
/// **Revisions.** The template is recorded as the update revision. A template seen before keeps its
/// revision and its name, and gets the next number (C24-C27). Once every pet has it and is ready,
/// the update revision becomes the current one (C19). A new pet below the partition gets the
/// current revision, any other the update revision (C14, C15).
///
/// **Then, in this order** (C08, C11):
/// 1. Pets to be evicted are asked to stop at once, whatever the order.
/// 2. Claims that were handed to a pet that is gone are deleted, if the policy still says so. One
///    that another set has too stays; one that another pod uses is marked, and goes with that pod.
/// 3. *Fill*, from the lowest ordinal up: what has ended is removed, what is missing gets its
///    claims and is made (C09). A claim that is being deleted holds its pet back (C22).
/// 4. *Drain*, from the highest ordinal down, the pets that are beyond the wanted ordinals, their
///    claims having been handed to them where they are to go with them (C10, C23).
/// 5. *Roll*, from the highest ordinal down to the partition, pets that are not at the update
///    revision (C13), each when those above it are available; or several at a time (C17).
/// 6. Unused revisions are forgotten, the oldest first, beyond the limit (C28).
///
/// An `OrderedReady` set takes one step of fill, drain and roll at a time, and waits for each pet:
/// to be available when going up, to be gone when going down. A pet that is not ready holds up a
/// drain unless it is the lowest such pet and itself to go (R04). A `Parallel` set does all of fill
/// and drain at once, and then rolls like the other (R21).
///
/// **Going away.** A set that is stopped, and one that is being deleted, asks its pets to stop
/// from the highest ordinal down, each when the one before is gone, ready or not (all at once with
/// `stop --parallel`). A deleted set then deletes the claims that are its own and that the policy
/// does not keep, and is finished; with `--cascade=orphan` it lets go of everything instead. The
/// real controller does not care for order here (C36); petset does (U16). A PetSet goes by age,
/// the youngest pet first (C84).
///
/// **Improvements**, see [`Rules`]: where the real controller waits for ever for a pet that is not
/// ready at a revision that is no longer wanted (C16), that pet is replaced: at once if that takes
/// no more pets down than are allowed to be down, else when it has had time to recover. If it is to
/// go anyway, it goes. And a pet whose claim was just deleted is made at once (R23), because
/// nothing is remembered between passes.
#[must_use]
pub fn reconcile(want: &Set, seen: &Seen, rules: Rules, now: Timestamp) -> Outcome {
    let mut pass = Pass::new(want, seen, rules, now);
    pass.evict();
    pass.collect_claims();
    match want.deletion {
        Some(Deletion::Orphan) => pass.let_go(),
        Some(Deletion::Drain) => pass.leave(),
        None if want.stopped => {
            let _ = pass.empty(Reason::Stopped);
        }
        None if pass.roll_back() => {}
        None => {
            // How far it came does not matter: the steps say it.
            let _ = pass.keep();
        }
    }
    pass.outcome()
}

/// One pass: what it looks at, and the steps it has found so far.
struct Pass<'a> {
    want: &'a Set,
    seen: &'a Seen,
    rules: Rules,
    now: Timestamp,
    history: History,
    /// The holder of each wanted ordinal, by index.
    slots: Vec<Slot<'a>>,
    /// Pets beyond the wanted ordinals, highest first.
    condemned: Vec<(Ordinal, &'a PetSeen)>,
    /// Pets that this pass asks to stop.
    leaving: SortedSet<Ordinal>,
    /// Whether any claim has owners; if not, there is nothing to take away from one.
    claims_are_owned: bool,
    steps: Vec<Step>,
    /// When a pet will have been waited for long enough.
    wake_at: Option<Timestamp>,
}

/// The holder of an ordinal.
#[derive(Debug, Clone, Copy)]
enum Slot<'a> {
    Free,
    Own(&'a PetSeen),
    Foreign(&'a PetSeen),
}

impl<'a> Slot<'a> {
    fn own(self) -> Option<&'a PetSeen> {
        match self {
            Self::Own(pet) => Some(pet),
            Self::Free | Self::Foreign(_) => None,
        }
    }
}

impl<'a> Pass<'a> {
    fn new(want: &'a Set, seen: &'a Seen, rules: Rules, now: Timestamp) -> Self {
        let mut steps = Vec::new();
        let history = History::of(want, seen, &mut steps);
        let mut pass = Self {
            want,
            seen,
            rules,
            now,
            history,
            slots: vec![Slot::Free; want.replicas as usize],
            condemned: Vec::new(),
            leaving: SortedSet::new(),
            claims_are_owned: seen.claims.values().any(|claim| !claim.owners.is_empty()),
            steps,
            wake_at: None,
        };
        for (&ordinal, pet) in &seen.pets {
            let slot = pass.claim_pet(ordinal, pet);
            if want.has(ordinal) {
                pass.slots[(ordinal.0 - want.start) as usize] = slot;
            } else if let Slot::Own(pet) = slot {
                pass.condemned.push((ordinal, pet));
            }
        }
        let condemned = std::mem::take(&mut pass.condemned);
        pass.condemned = pass.last_first(condemned);
        pass
    }

    /// Puts the pets that are to go in the order in which they go: from the highest ordinal down;
    /// of a PetSet the youngest first, which is the same until one was made anew (C84).
    fn last_first<'p>(&self, mut pets: Vec<(Ordinal, &'p PetSeen)>) -> Vec<(Ordinal, &'p PetSeen)> {
        let by_age = self.want.is_petset;
        pets.sort_unstable_by_key(|(ordinal, pet)| {
            std::cmp::Reverse((pet.created.filter(|_| by_age), *ordinal))
        });
        pets
    }

    /// Says whose a pet is; adopts and releases (C37).
    fn claim_pet(&mut self, ordinal: Ordinal, pet: &'a PetSeen) -> Slot<'a> {
        let matches = self.want.selector.matches(&pet.labels);
        match &pet.owner {
            Some(owner) if *owner == self.want.uid => {
                if matches || self.want.deletion.is_some() {
                    return Slot::Own(pet);
                }
                self.steps.push(Step::ReleasePet { ordinal });
                Slot::Foreign(pet)
            }
            None if matches && !pet.terminating && self.want.deletion.is_none() => {
                self.steps.push(Step::AdoptPet { ordinal });
                Slot::Own(pet)
            }
            Some(_) | None => Slot::Foreign(pet),
        }
    }

    fn evict(&mut self) {
        if self.seen.evict.is_empty() {
            return;
        }
        let all: Vec<_> = self.own_pets().collect();
        for (ordinal, pet) in all {
            if self.seen.evict.contains(&pet.uid) && !pet.terminating {
                self.stop(ordinal, pet, Reason::Evicted);
            }
        }
    }

    /// Deletes claims that belong to a pet that is gone (C23), or takes them back if the policy
    /// has changed meanwhile. What was marked for removal goes, whoever was killed on the way.
    fn collect_claims(&mut self) {
        for claim in self.seen.claims.values() {
            if claim.terminating {
                self.finish_claim(claim);
                continue;
            }
            let Some(owner) = claim.pod_owner() else {
                continue;
            };
            let Some(ordinal) = self.want.ordinal_of(&owner.name) else {
                continue;
            };
            let lives = |pet: &PetSeen| pet.uid == owner.uid;
            if self.seen.pets.get(&ordinal).is_some_and(lives) {
                continue;
            }
            let step = match self.want.retention.when_scaled {
                Keep::Delete if !claim.shared => Step::DeleteClaim {
                    claim: claim.name.clone(),
                },
                Keep::Delete | Keep::Retain => Step::OwnClaim {
                    claim: claim.name.clone(),
                    owners: Vec::new(),
                },
            };
            self.steps.push(step);
        }
    }

    fn finish_claim(&mut self, claim: &ClaimSeen) {
        let ordinal = self.want.ordinal_of_claim(&claim.name);
        let ordinal = ordinal.filter(|_| !claim.in_use);
        if ordinal.is_some_and(|ordinal| !self.seen.pets.contains_key(&ordinal)) {
            self.steps.push(Step::DeleteClaim {
                claim: claim.name.clone(),
            });
        }
    }

    fn keep(&mut self) -> ControlFlow<()> {
        for ordinal in self.want.ordinals() {
            self.fill(ordinal)?;
        }
        self.end_together();
        let condemned = self.condemned.clone();
        for (ordinal, pet) in &condemned {
            self.own_claims(*ordinal, pet, true);
        }
        for (ordinal, pet) in &condemned {
            self.drain(*ordinal, pet)?;
        }
        self.roll();
        Continue(())
    }

    /// Brings one condemned pet forward; breaks off an ordered pass.
    fn drain(&mut self, ordinal: Ordinal, pet: &PetSeen) -> ControlFlow<()> {
        if self.is_leaving(ordinal, pet) {
            self.wait_for(ordinal, pet);
            return self.hold();
        }
        let ordered = self.want.policy == Policy::OrderedReady;
        let patient = ordered && !self.is_hopeless(ordinal, pet);
        if patient
            && !pet.is_available(self.want, self.now)
            && let Some((lowest, other)) = self.first_unavailable()
            && lowest != ordinal
        {
            self.wait_for(lowest, other);
            return Break(());
        }
        if self.may_leave(ordinal, pet) {
            self.stop(ordinal, pet, Reason::ScaledDown);
        }
        self.hold()
    }

    /// Finds the lowest pet that is not available, looking at those that shall stay first.
    fn first_unavailable(&self) -> Option<(Ordinal, &'a PetSeen)> {
        let slots = self.want.ordinals().zip(&self.slots);
        let staying = slots.filter_map(|(ordinal, slot)| Some((ordinal, slot.own()?)));
        let mut leaving = self.condemned.clone();
        leaving.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let mut all = staying.chain(leaving);
        all.find(|(ordinal, pet)| self.is_unavailable(*ordinal, pet))
    }

    fn outcome(mut self) -> Outcome {
        let names = (self.history.current.as_str(), self.history.update.as_str());
        let leaving = |ordinal, pet: &PetSeen| self.is_leaving(ordinal, pet);
        let mut status = status::count(self.want, self.own_pets(), leaving, names, self.now);
        status.collision_count = Some(self.history.collisions);
        status.conditions.clone_from(&self.seen.status.conditions);
        if self.want.deletion.is_none() {
            status::complete_roll(self.want, &mut status);
            let current = status.current_revision.as_deref().unwrap_or_default();
            let pets = self.own_pets().map(|(_, pet)| pet.revision.as_str());
            let forgotten = self.history.forgotten(self.want, current, pets);
            self.steps.extend(forgotten);
        }
        let available = self
            .own_pets()
            .filter_map(|(_, pet)| pet.available_at(self.want, self.now));
        let wake_at = available
            .chain(
                self.own_pets()
                    .filter_map(|(o, pet)| self.overdue_at(o, pet)),
            )
            .filter(|at| *at > self.now)
            .chain(self.wake_at)
            .min();
        Outcome {
            status,
            steps: self.steps,
            wake_at,
        }
    }
}

/// Questions that the rules share, and the steps that they share.
impl<'a> Pass<'a> {
    fn slot(&self, ordinal: Ordinal) -> Slot<'a> {
        self.slots[(ordinal.0 - self.want.start) as usize]
    }

    /// Lists the pets that are the set's own: those that shall stay upwards, then the condemned
    /// ones downwards.
    fn own_pets(&self) -> impl Iterator<Item = (Ordinal, &'a PetSeen)> {
        let slots = self.want.ordinals().zip(&self.slots);
        let staying = slots.filter_map(|(ordinal, slot)| Some((ordinal, slot.own()?)));
        staying.chain(self.condemned.iter().copied())
    }

    fn is_leaving(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        pet.terminating || self.leaving.contains(&ordinal)
    }

    fn is_unavailable(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        self.is_leaving(ordinal, pet) || !pet.is_available(self.want, self.now)
    }

    /// Lists the claims of an ordinal: template, name, and the claim if there is one.
    fn claims_of(
        &self,
        ordinal: Ordinal,
    ) -> impl Iterator<Item = (&'a str, String, Option<&'a ClaimSeen>)> {
        let (want, seen) = (self.want, self.seen);
        want.claim_templates.iter().map(move |template| {
            let name = claim_name(template, want.name.as_str(), ordinal);
            let claim = seen.claims.get(&name);
            (template.as_str(), name, claim)
        })
    }

    /// Breaks off the pass of an ordered set.
    fn hold(&self) -> ControlFlow<()> {
        match self.want.policy {
            Policy::OrderedReady => Break(()),
            Policy::Parallel => Continue(()),
        }
    }

    /// Asks a pet to stop, or waits for it if it has been asked already.
    fn replace(&mut self, ordinal: Ordinal, pet: &PetSeen, why: Reason) {
        if self.is_leaving(ordinal, pet) {
            self.wait_for(ordinal, pet);
        } else {
            self.stop(ordinal, pet, why);
        }
    }

    fn stop(&mut self, ordinal: Ordinal, pet: &PetSeen, why: Reason) {
        self.leaving.insert(ordinal);
        self.steps.push(Step::DeletePet {
            ordinal,
            uid: pet.uid.clone(),
            why,
        });
    }

    fn wait(&mut self, ordinal: Ordinal, why: String, stuck: bool) {
        self.steps.push(Step::Await {
            ordinal,
            why,
            stuck,
        });
    }

    /// Notes that a pet is waited for, and why.
    fn wait_for(&mut self, ordinal: Ordinal, pet: &PetSeen) {
        if self.leaving.contains(&ordinal) && !pet.terminating {
            return; // it was asked to stop in this very pass, which says enough
        }
        let name = &pet.name;
        let why = match pet.available_at(self.want, self.now) {
            _ if pet.terminating => stopping(name, pet.grace),
            None => format!("{name} is not ready: {}", pet.waiting),
            Some(at) => format!("{name} is ready, and available at {at:.0} (minReadySeconds)"),
        };
        let stuck = !pet.terminating && (pet.stuck || self.is_overdue(ordinal, pet));
        self.wait(ordinal, why, stuck);
    }
}
