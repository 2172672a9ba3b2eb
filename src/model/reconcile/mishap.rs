//! The rules for trouble: pauses, rollbacks, deadlocks.

use jiff::{SignedDuration, Timestamp};

use super::{Pass, Slot};
use crate::model::pet::{HookOutcome, ScaleDownHook};
use crate::model::set::{Policy, Strategy};
use crate::model::step::Step;
use crate::model::{Ordinal, PetSeen, Phase};

/// A pet that needs its peers is told from one that is merely slow after this time.
const DEADLOCK: SignedDuration = SignedDuration::from_secs(10);

impl<'a> Pass<'a> {
    /// Says how many more pets may be moved before the roll pauses (`upgrade --pause-after`).
    ///
    /// A pet that is being replaced counts: it comes back at the update revision.
    pub(super) fn left_before_pause(&self) -> usize {
        let Some(most) = self.want.options.pause_after else {
            return usize::MAX;
        };
        let slots = self.want.ordinals().zip(&self.slots);
        let moved = slots.filter(|(ordinal, slot)| match slot {
            Slot::Own(pet) => pet.revision == self.history.update || self.is_leaving(*ordinal, pet),
            Slot::Free => true,
            Slot::Foreign(_) => false,
        });
        usize::try_from(most)
            .unwrap_or(usize::MAX)
            .saturating_sub(moved.count())
    }

    /// Returns whether a pause has stopped a roll before it reached this ordinal: a pet that has to
    /// be made again there comes back at the revision it had.
    ///
    /// A roll goes down from the top, so it has come as far as the lowest pet that it has moved.
    pub(super) fn is_kept_back(&self, ordinal: Ordinal) -> bool {
        let options = &self.want.options;
        let rolling = self.history.current != self.history.update;
        if !(rolling && (options.paused || options.pause_after.is_some())) {
            return false;
        }
        let slots = self.want.ordinals().zip(&self.slots);
        let moved = slots.filter(|(_, slot)| {
            slot.own()
                .is_some_and(|pet| pet.revision == self.history.update)
        });
        let moved: Vec<_> = moved.map(|(ordinal, _)| ordinal).collect();
        let reached = options
            .pause_after
            .is_some_and(|most| moved.len() >= most as usize);
        (options.paused || reached) && moved.first().is_none_or(|lowest| *lowest > ordinal)
    }

    /// Gives an upgrade up whose pet failed, if that is wished for; says whether it does.
    ///
    /// There has to be a revision at which every pet was ready: the current one (C19).
    pub(super) fn roll_back(&mut self) -> bool {
        let history = &self.history;
        let known = history.names().any(|name| name == history.current);
        let rolling = matches!(self.want.strategy, Strategy::RollingUpdate(_));
        if !(self.want.options.roll_back && rolling && known && history.current != history.update) {
            return false;
        }
        let own = self.want.ordinals().zip(&self.slots);
        let mut own = own.filter_map(|(ordinal, slot)| Some((ordinal, slot.own()?)));
        let failed = own.find(|(ordinal, pet)| {
            let new = self.is_unavailable(*ordinal, pet) && self.is_of_upgrade(*ordinal, pet);
            new && (pet.stuck || self.is_overdue(*ordinal, pet))
        });
        let Some((ordinal, pet)) = failed else {
            return false;
        };
        let step = Step::RollBack {
            to: self.history.current.clone(),
            ordinal,
            why: format!("{} is not ready: {}", pet.name, pet.waiting),
        };
        self.steps.push(step);
        true
    }

    fn is_of_upgrade(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let history = &self.history;
        let moved = pet.revision == history.update && history.current != history.update;
        moved && !self.is_leaving(ordinal, pet)
    }

    /// Returns whether a pet of an upgrade takes longer to become ready than it may.
    pub(super) fn is_overdue(&self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let at = self.overdue_at(ordinal, pet);
        at.is_some_and(|at| at <= self.now)
    }

    /// Returns when a pet of an upgrade will have taken too long to become ready.
    pub(super) fn overdue_at(&self, ordinal: Ordinal, pet: &PetSeen) -> Option<Timestamp> {
        let deadline = self.want.options.progress_deadline?;
        if pet.is_ready() || !self.is_of_upgrade(ordinal, pet) {
            return None;
        }
        // After the clock was set back the time that has passed is unknown.
        let since = pet.unready_since.filter(|since| *since <= self.now)?;
        since
            .checked_add(SignedDuration::try_from(deadline).ok()?)
            .ok()
    }

    /// Returns whether a pet that is to go for good may go: what was to run in it before has run.
    ///
    /// A pet whose processes never started has nothing to hand over.
    pub(super) fn may_leave(&mut self, ordinal: Ordinal, pet: &PetSeen) -> bool {
        let wished = self.want.options.pre_scale_down.is_some();
        if !wished || pet.phase != Phase::Running {
            return true;
        }
        let hook = pet.hook.as_ref();
        let current = hook.filter(|hook| hook.generation == self.want.generation);
        match current.map(|ScaleDownHook { outcome, .. }| outcome) {
            Some(HookOutcome::Done) => return true,
            Some(HookOutcome::Running) => {
                let why = format!("{} hands over before it leaves", pet.name);
                self.wait(ordinal, why, false);
            }
            Some(HookOutcome::Failed(why)) => {
                let why = format!("{} may not leave: its pre-scale-down hook {why}", pet.name);
                self.wait(ordinal, why, true);
            }
            None => self.steps.push(Step::RunHook {
                ordinal,
                uid: pet.uid.clone(),
            }),
        }
        false
    }

    /// Waits for a pet before others are started; says so if it may be waiting for just those.
    ///
    /// A member of a quorum that ran before becomes ready when enough of the others run, and an
    /// ordered set starts those when it is ready: after a stop of all of them, neither happens.
    pub(super) fn wait_to_start_others(&mut self, ordinal: Ordinal, pet: &'a PetSeen) {
        self.wait_for(ordinal, pet);
        let Some(at) = self.deadlock_at(ordinal, pet) else {
            return;
        };
        if at > self.now {
            self.wake_at = self.wake_at.into_iter().chain([at]).min();
            return;
        }
        let missing: Vec<_> = self.missing_veterans(ordinal).collect();
        let names = missing.iter().map(|ordinal| self.want.pet_name(*ordinal));
        let names = names.collect::<Vec<_>>().join(", ");
        let set = &self.want.name;
        if let Some(Step::Await { why, .. }) = self.steps.last_mut() {
            why.push_str(&format!(
                "; if it waits for {names}, which ran before and start only when it is ready, \
                 start them all at once with `petset restart {set} --parallel`"
            ));
            if let Some(service) = &self.seen.hiding_service {
                why.push_str(&format!(
                    "; service {service} names only pets that are ready: with \
                     publishNotReadyAddresses: true they find each other before"
                ));
            }
        }
    }

    /// Returns since when a pet may be waiting for peers that are not started.
    fn deadlock_at(&self, ordinal: Ordinal, pet: &PetSeen) -> Option<Timestamp> {
        let ordered = self.want.policy == Policy::OrderedReady && !self.want.options.together;
        let runs = pet.phase == Phase::Running || pet.in_hook;
        let waits = runs && !pet.is_ready() && !pet.terminating;
        if !(ordered && waits) || self.missing_veterans(ordinal).next().is_none() {
            return None;
        }
        let ran_before = self.claims_of(ordinal).all(|(_, _, claim)| claim.is_some());
        let since = pet.unready_since.filter(|since| *since <= self.now);
        let since = since.filter(|_| ran_before)?;
        since.checked_add(DEADLOCK).ok()
    }

    /// Lists the pets above an ordinal that do not run, but did: their claims are there.
    fn missing_veterans(&self, above: Ordinal) -> impl Iterator<Item = Ordinal> {
        let slots = self.want.ordinals().zip(&self.slots);
        let free =
            slots.filter(move |(ordinal, slot)| *ordinal > above && matches!(slot, Slot::Free));
        free.map(|(ordinal, _)| ordinal).filter(|ordinal| {
            let mut claims = self.claims_of(*ordinal).peekable();
            claims.peek().is_some() && claims.all(|(_, _, claim)| claim.is_some())
        })
    }
}
