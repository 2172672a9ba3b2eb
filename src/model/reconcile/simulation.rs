//! Random worlds: sets, edits, pets that crash, performers that die half-way, a jumping clock.
//!
//! After every pass the promises are checked, and once the faults end every world has to come to
//! rest at what is wanted. A failure prints the seed that repeats it: `PETSET_SEED=7 cargo test
//! random_worlds`; `PETSET_WORLDS` says how many are tried, best with `--profile simulation`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use serde_json::json;

use super::tests::{NOW, ordered};
use super::*;
use crate::model::pet::{Hook, HookOutcome};
use crate::model::set::{Bound, Retention, Roll, Strategy};
use crate::model::step::Reason;
use crate::model::wish::Wishes;

const TURNS: u32 = 60;
/// Turns after which a world without faults has to be at rest.
const PATIENCE: u32 = 600;

#[test]
fn random_worlds_keep_the_promises_and_come_to_rest() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
    };
    let seeds = match number("PETSET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PETSET_WORLDS").unwrap_or(2_000),
    };
    let next = AtomicU64::new(seeds.start);
    let live = || {
        loop {
            let seed = next.fetch_add(1, Memory::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let world = std::panic::catch_unwind(|| World::random(seed).live());
            assert!(
                world.is_ok(),
                "the world of PETSET_SEED={seed} broke a promise"
            );
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(live)));
    });
}

/// Numbers that look random and repeat (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % sides
    }

    fn small(&mut self, sides: u32) -> u32 {
        u32::try_from(self.roll(sides.into())).unwrap()
    }

    fn once_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn keep(&mut self) -> Keep {
        if self.once_in(2) {
            Keep::Retain
        } else {
            Keep::Delete
        }
    }
}

struct World {
    dice: Dice,
    want: Set,
    seen: Seen,
    rules: Rules,
    now: Timestamp,
    made: u32,
    finished: bool,
    /// The status as it was last published: what a supervisor that starts anew reads.
    published: StatefulSetStatus,
    /// The faults have ended.
    mended: bool,
}

impl World {
    fn random(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let policy = if dice.once_in(3) {
            Policy::Parallel
        } else {
            Policy::OrderedReady
        };
        let templates = ["data", "logs"].into_iter().take(dice.small(3) as usize);
        let want = Set {
            policy,
            claim_templates: templates.map(str::to_owned).collect(),
            history_limit: Some(dice.small(4) as usize),
            start: dice.small(3),
            patch: json!("v0"),
            ..ordered(dice.small(6))
        };
        let rules = match dice.roll(4) {
            0 => Rules::strict(),
            1 => Rules {
                max_unavailable: true,
                ..Rules::strict()
            },
            _ => Rules::default(),
        };
        let (seen, now) = (Seen::default(), NOW);
        Self {
            dice,
            want,
            seen,
            rules,
            now,
            made: 0,
            finished: false,
            published: StatefulSetStatus::default(),
            mended: false,
        }
    }

    fn live(mut self) {
        for _ in 0..TURNS {
            if self.dice.once_in(4) {
                self.edit();
            }
            if self.dice.once_in(4) {
                self.fault();
            }
            let heard = self.dice.once_in(8).then(|| self.seen.pets.clone());
            self.kubelet(3);
            let limit = if self.dice.once_in(5) {
                self.dice.roll(4) as usize
            } else {
                usize::MAX
            };
            self.deaf_pass(heard, limit);
        }
        self.mend();
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            let active = self.kubelet(1) | self.pass(usize::MAX);
            self.now += jiff::SignedDuration::from_secs(1);
            quiet = if active { 0 } else { quiet + 1 };
            if quiet > 45 || self.finished {
                return self.check_goal();
            }
        }
        panic!("it does not come to rest: {:?}", self.seen);
    }

    fn edit(&mut self) {
        let dice = &mut self.dice;
        let want = &mut self.want;
        match dice.roll(13) {
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
            8 => want.wishes.paused = dice.once_in(2),
            9 => want.wishes.pause_after = Some(dice.small(4)).filter(|most| *most > 0),
            10 => {
                want.wishes.roll_back = dice.once_in(2);
                want.wishes.progress_deadline = Some(Duration::from_secs(60));
            }
            11 => {
                let hook = dice.once_in(2).then(|| "leave".to_owned());
                want.wishes.pre_scale_down = hook;
            }
            12 => want.wishes.together = dice.once_in(2),
            _ => {
                let bound = Bound::Count(1 + dice.small(3));
                let roll = Roll {
                    partition: dice.small(4),
                    max_unavailable: Some(bound),
                };
                want.strategy = match dice.roll(4) {
                    0 => Strategy::OnDelete,
                    1 => Strategy::RollingUpdate(None),
                    _ => Strategy::RollingUpdate(Some(roll)),
                };
            }
        }
        want.generation += 1;
        if self.rules == Rules::strict() {
            want.wishes = Wishes::default();
        }
    }

    fn fault(&mut self) {
        let ordinals: Vec<_> = self.seen.pets.keys().copied().collect();
        if ordinals.is_empty() {
            return;
        }
        let ordinal = ordinals[self.dice.roll(ordinals.len() as u64) as usize];
        let pet = self.seen.pets.get_mut(&ordinal).unwrap();
        match self.dice.roll(9) {
            0 => (pet.ready, pet.phase) = (false, Phase::Failed),
            1 => (pet.ready, pet.unready_since) = (false, Some(self.now)),
            2 => drop(self.seen.evict.insert(pet.uid.clone())),
            3 => pet.terminating = true,
            4 => self.now -= jiff::SignedDuration::from_secs(3600),
            5 => self.now += jiff::SignedDuration::from_secs(3600),
            6 => self.restart_supervisor(),
            7 => pet.stuck = !pet.ready,
            _ if self.dice.once_in(4) => self.want.deletion = Some(Deletion::Drain),
            _ => pet.owner = None,
        }
    }

    /// A supervisor that is killed knows no more than what was written down.
    fn restart_supervisor(&mut self) {
        self.seen.status = self.published.clone();
        for pet in self.seen.pets.values_mut() {
            let runs = |hook: &mut Hook| hook.outcome == HookOutcome::Running;
            pet.hook.take_if(|hook| runs(hook));
        }
    }

    /// Makes a pass; what pets told since `heard` has not arrived.
    fn deaf_pass(&mut self, heard: Option<BTreeMap<Ordinal, PetSeen>>, limit: usize) {
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
    fn kubelet(&mut self, sides: u64) -> bool {
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

    /// Makes one pass, of which only the first `limit` steps are performed.
    fn pass(&mut self, limit: usize) -> bool {
        if self.finished {
            return false;
        }
        let outcome = reconcile(&self.want, &self.seen, self.rules, self.now);
        self.check(&outcome);
        let mut active = self.seen.status != outcome.status;
        for step in outcome.steps.into_iter().take(limit) {
            active |= !matches!(step, Step::Await { .. });
            self.perform(step);
        }
        if limit == usize::MAX {
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
            Step::AdoptRevision { .. } | Step::ReleaseRevision { .. } => unreachable!(),
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
                self.seen.claims.get_mut(&claim).unwrap().owners = owners;
            }
            Step::DeleteClaim { claim } => drop(self.seen.claims.remove(&claim)),
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
            Step::Finish => self.finished = true,
        }
    }

    fn revision(&mut self, name: &str) -> &mut k8s_openapi::api::apps::v1::ControllerRevision {
        let mut all = self.seen.revisions.iter_mut();
        all.find(|one| one.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    fn create(&mut self, ordinal: Ordinal, revision: String) {
        self.made += 1;
        let pet = PetSeen {
            name: self.want.pet_name(ordinal),
            uid: format!("uid-{}", self.made),
            labels: self.want.template_labels.clone(),
            owner: Some(self.want.uid.clone()),
            revision,
            unready_since: Some(self.now),
            ..PetSeen::default()
        };
        assert!(
            self.seen.pets.insert(ordinal, pet).is_none(),
            "two pets of one identity"
        );
    }

    /// Ends all faults: what is wanted is sound, and pets become ready unless they are at a bad
    /// revision.
    fn mend(&mut self) {
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
        self.want.wishes.paused = false;
        self.want.wishes.pause_after = None;
        self.want.generation += 1;
        self.mended = true;
    }

    fn is_available(&self, ordinal: Ordinal) -> bool {
        let pet = self.seen.pets.get(&ordinal);
        pet.is_some_and(|pet| !pet.terminating && pet.is_available(&self.want, self.now))
    }

    /// Checks the promises for what a pass wants to do.
    fn check(&self, outcome: &Outcome) {
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

    fn check_stop(&self, ordinal: Ordinal, why: Reason) {
        match why {
            Reason::ScaledDown => {
                assert!(!self.want.has(ordinal));
                let pet = &self.seen.pets[&ordinal];
                let hook = pet.hook.as_ref();
                let done = hook.is_some_and(|hook| hook.outcome == HookOutcome::Done);
                let wished = self.want.wishes.pre_scale_down.is_some();
                assert!(done || !wished || pet.phase != Phase::Running, "{pet:?}");
            }
            Reason::Outdated | Reason::Broken => {
                let partition = match self.want.strategy {
                    Strategy::RollingUpdate(roll) => roll.unwrap_or_default().partition,
                    Strategy::OnDelete => panic!("a roll on delete"),
                };
                assert!(why == Reason::Broken || !self.want.wishes.paused);
                assert!(why == Reason::Broken || ordinal.0 - self.want.start >= partition);
            }
            Reason::Stopped => assert!(self.want.stopped),
            Reason::SetDeleted => assert!(self.want.deletion.is_some()),
            Reason::Ended | Reason::Evicted => {}
        }
    }

    /// A roll that shall pause moves no more pets than it may.
    fn check_pause(&self, outcome: &Outcome) {
        let Some(most) = self.want.wishes.pause_after else {
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
            self.want.has(**ordinal) && Some(&pet.revision) == update && pet.owner.is_some()
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

    /// Says whether there is what is wanted; what is beyond that and nobody owns does not count.
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

    fn check_goal(&self) {
        if self.want.deletion.is_some() {
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

fn ordered_now(want: &Set) -> bool {
    want.policy == Policy::OrderedReady && !want.wishes.together
}

fn hook_runs(pet: &PetSeen) -> bool {
    let hook = pet.hook.as_ref();
    hook.is_some_and(|hook| hook.outcome == HookOutcome::Running)
}

fn bad_hash() -> String {
    crate::model::hash_of(&json!("bad"), 0)
}
