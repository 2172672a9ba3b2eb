//! What happens to a world: edits, faults, and the pets' own doing.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::model::set::{Bound, Retention, Roll, Strategy};
use crate::model::wish::SetOptions;
use crate::sorted::SortedMap;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl World {
    /// Changes what is wanted, as a command does: in one piece, whether or not it lives to wait.
    pub(super) fn edit(&mut self) {
        let dice = &mut self.dice;
        let want = &mut self.want;
        match dice.roll(16) {
            0 | 1 => want.replicas = dice.small(7),
            2 => want.start = dice.small(4),
            3 => want.patch = json!(format!("v{}", dice.roll(4))),
            4 => want.patch = json!("bad"),
            5 => {
                want.retention = Retention {
                    when_deleted: dice.keep(),
                    when_scaled: dice.keep(),
                }
            }
            6 => want.stopped = dice.once_in(2),
            7 => want.min_ready = Duration::from_secs(dice.roll(2) * 5),
            8 => want.options.paused = dice.once_in(2),
            9 => want.options.pause_after = Some(dice.small(4)).filter(|most| *most > 0),
            10 => {
                want.options.roll_back = dice.once_in(2);
                want.options.progress_deadline = Some(Duration::from_secs(60));
            }
            11 => {
                let hook = dice.once_in(2).then(|| "leave".to_owned());
                want.options.pre_scale_down = hook;
            }
            12 => want.options.together = dice.once_in(2),
            13 => want.history_limit = Some(dice.small(4) as usize),
            14 if want.claim_templates.len() < 3 => want.claim_templates.push("more".to_owned()),
            _ => want.strategy = strategy(dice),
        }
        want.claim_templates.dedup();
        want.generation += 1;
        if self.rules == Rules::strict() {
            want.options = SetOptions::default();
        }
    }

    pub(super) fn fault(&mut self) {
        let ordinals: Vec<_> = self.seen.pets.keys().copied().collect();
        if ordinals.is_empty() {
            return;
        }
        let ordinal = ordinals[self.dice.roll(ordinals.len() as u64) as usize];
        let pet = self.seen.pets.get_mut(&ordinal).unwrap();
        match self.dice.roll(14) {
            0 => (pet.ready, pet.phase) = (false, Phase::Failed),
            1 => (pet.ready, pet.unready_since) = (false, Some(self.now)),
            2 => drop(self.seen.evict.insert(pet.uid.clone())),
            3 => pet.terminating = true,
            4 => self.now -= HOUR,
            5 => self.now += HOUR,
            6 => self.restart_supervisor(),
            7 => pet.stuck = !pet.ready,
            8 => drop(self.seen.pets.remove(&ordinal)), // and its claims keep their owners
            9 => {
                // Its runner was killed, and another one begins from the start.
                (pet.ready, pet.phase) = (false, Phase::Pending);
                pet.unready_since = Some(self.now);
            }
            10 => pet.labels.clear(),
            11 => self.doom_claim(),
            12 if self.dice.once_in(4) => self.want.deletion = Some(self.deletion()),
            12 => pet.owner = Some("somebody else".to_owned()),
            _ => pet.owner = None,
        }
    }

    fn deletion(&mut self) -> Deletion {
        if self.dice.once_in(2) {
            Deletion::Drain
        } else {
            Deletion::Orphan
        }
    }

    /// Removes a claim as a user would; while its pet runs, it stays and terminates.
    fn doom_claim(&mut self) {
        let count = self.seen.claims.len() as u64;
        if count > 0 {
            let place = self.dice.roll(count) as usize;
            let claim = self.seen.claims.values_mut().nth(place).unwrap();
            claim.terminating = true;
        }
        self.free_claims();
    }

    /// Removes claims that are to go and whose pet is gone.
    pub(super) fn free_claims(&mut self) {
        let pets = &self.seen.pets;
        let used = |claim: &str| {
            let mut ordinals = pets.keys();
            ordinals.any(|ordinal| claim.ends_with(&format!("-web-{ordinal}")))
        };
        let claims = &mut self.seen.claims;
        claims.retain(|name, claim| !claim.terminating || used(name));
    }

    /// A supervisor that is killed knows no more than what was written down.
    fn restart_supervisor(&mut self) {
        self.seen.status = self.published.clone();
        for pet in self.seen.pets.values_mut() {
            let runs = |hook: &mut ScaleDownHook| hook.outcome == HookOutcome::Running;
            pet.hook.take_if(|hook| runs(hook));
        }
    }

    /// Makes a pass; what pets told since `heard` has not arrived.
    pub(super) fn deaf_pass(&mut self, heard: Option<SortedMap<Ordinal, PetSeen>>, limit: usize) {
        let Some(heard) = heard else {
            self.pass(limit);
            return;
        };
        let mut told = Vec::new();
        for (ordinal, pet) in &mut self.seen.pets {
            let old = heard.get(ordinal).filter(|old| old.uid == pet.uid);
            if let Some(old) = old.filter(|old| old.terminating == pet.terminating) {
                told.push((*ordinal, std::mem::replace(pet, old.clone())));
            }
        }
        self.pass(limit);
        for (ordinal, truth) in told {
            let place = self.seen.pets.get_mut(&ordinal);
            let Some(pet) = place.filter(|pet| pet.uid == truth.uid) else {
                continue;
            };
            (pet.phase, pet.ready, pet.stuck) = (truth.phase, truth.ready, truth.stuck);
            (pet.ready_since, pet.unready_since) = (truth.ready_since, truth.unready_since);
        }
    }

    /// Moves each pet on, one time in `sides`; says whether any moved.
    pub(super) fn kubelet(&mut self, sides: u64) -> bool {
        let mut moved = false;
        for ordinal in self.seen.pets.keys().copied().collect::<Vec<_>>() {
            if !self.dice.once_in(sides) {
                continue;
            }
            let pet = self.seen.pets.get_mut(&ordinal).unwrap();
            let good = !pet.revision.ends_with(&bad_hash());
            match pet.phase {
                _ if pet.terminating => {
                    self.seen.evict.remove(&pet.uid);
                    self.seen.pets.remove(&ordinal);
                    self.free_claims();
                }
                Phase::Pending if good => pet.phase = Phase::Running,
                Phase::Running if good && !pet.ready => {
                    (pet.ready, pet.ready_since) = (true, Some(self.now));
                    (pet.stuck, pet.unready_since) = (false, None);
                }
                Phase::Running if hook_runs(pet) => {
                    let well = self.mended || !self.dice.once_in(4);
                    let failed = || HookOutcome::Failed("failed".to_owned());
                    let hook = pet.hook.as_mut().unwrap();
                    hook.outcome = if well { HookOutcome::Done } else { failed() };
                }
                Phase::Pending if !good && !pet.stuck => pet.stuck = true,
                Phase::Pending | Phase::Running | Phase::Failed | Phase::Succeeded => continue,
            }
            moved = true;
        }
        moved
    }

    /// Ends all faults: what is wanted is sound, and pets become ready unless they are at a bad
    /// revision.
    pub(super) fn mend(&mut self) {
        let bound = Some(Bound::Count(1 + self.dice.small(3)));
        let roll = Roll {
            partition: 0,
            max_unavailable: bound,
        };
        let roll = if self.dice.once_in(4) {
            None
        } else {
            Some(roll)
        };
        self.want.strategy = Strategy::RollingUpdate(roll);
        self.want.patch = json!("good");
        self.want.stopped = false;
        self.want.options.paused = false;
        self.want.options.pause_after = None;
        self.want.generation += 1;
        let own = |owner: &String| owner.starts_with("set");
        let pets = &mut self.seen.pets;
        pets.retain(|_, pet| pet.owner.as_ref().is_none_or(own));
        for pet in pets.values_mut() {
            pet.labels.clone_from(&self.want.template_labels);
        }
        self.mended = true;
    }
}

fn strategy(dice: &mut Dice) -> Strategy {
    let bound = match dice.roll(2) {
        0 => Bound::Count(1 + dice.small(3)),
        _ => Bound::Percent(dice.small(101)),
    };
    let roll = Roll {
        partition: dice.small(4),
        max_unavailable: Some(bound),
    };
    match dice.roll(4) {
        0 => Strategy::OnDelete,
        1 => Strategy::RollingUpdate(None),
        _ => Strategy::RollingUpdate(Some(roll)),
    }
}
