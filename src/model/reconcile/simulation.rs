//! Random worlds: sets, edits, pets that crash, performers that die half-way, a jumping clock.
//!
//! After every pass the promises are checked, and once the faults end every world has to come to
//! rest at what is wanted. A failure prints the seed that repeats it: `PETSET_SEED=7 cargo test
//! random_worlds`; `PETSET_WORLDS` says how many are tried.

use std::time::Duration;

use serde_json::json;

use super::tests::{NOW, ordered};
use super::*;
use crate::model::set::{Bound, Retention, Roll, Strategy};
use crate::model::step::Reason;

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
    for seed in seeds {
        let world = std::panic::catch_unwind(|| World::random(seed).live());
        assert!(
            world.is_ok(),
            "the world of PETSET_SEED={seed} broke a promise"
        );
    }
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
            self.kubelet(3);
            let limit = if self.dice.once_in(5) {
                self.dice.roll(4) as usize
            } else {
                usize::MAX
            };
            self.pass(limit);
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
        match dice.roll(9) {
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
    }

    fn fault(&mut self) {
        let ordinals: Vec<_> = self.seen.pets.keys().copied().collect();
        if ordinals.is_empty() {
            return;
        }
        let ordinal = ordinals[self.dice.roll(ordinals.len() as u64) as usize];
        let pet = self.seen.pets.get_mut(&ordinal).unwrap();
        match self.dice.roll(6) {
            0 => (pet.ready, pet.phase) = (false, Phase::Failed),
            1 => (pet.ready, pet.unready_since) = (false, Some(self.now)),
            2 => drop(self.seen.evict.insert(pet.uid.clone())),
            3 => pet.terminating = true,
            4 => self.now -= jiff::SignedDuration::from_secs(3600),
            _ if self.dice.once_in(4) => self.want.deletion = Some(Deletion::Drain),
            _ => pet.owner = None,
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
                }
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
    }

    fn is_available(&self, ordinal: Ordinal) -> bool {
        let pet = self.seen.pets.get(&ordinal);
        pet.is_some_and(|pet| !pet.terminating && pet.is_available(&self.want, self.now))
    }

    /// Checks the promises for what a pass wants to do.
    fn check(&self, outcome: &Outcome) {
        let ordered = self.want.policy == Policy::OrderedReady;
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
            Reason::ScaledDown => assert!(!self.want.has(ordinal)),
            Reason::Outdated | Reason::Broken => {
                let partition = match self.want.strategy {
                    Strategy::RollingUpdate(roll) => roll.unwrap_or_default().partition,
                    Strategy::OnDelete => panic!("a roll on delete"),
                };
                assert!(why == Reason::Broken || ordinal.0 - self.want.start >= partition);
            }
            Reason::Stopped => assert!(self.want.stopped),
            Reason::SetDeleted => assert!(self.want.deletion.is_some()),
            Reason::Ended | Reason::Evicted => {}
        }
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
        let counted = self.want.policy == Policy::OrderedReady || self.rules.max_unavailable;
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

fn bad_hash() -> String {
    crate::model::hash_of(&json!("bad"), 0)
}
