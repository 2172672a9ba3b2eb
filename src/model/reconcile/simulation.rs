//! Random worlds: sets, edits, pets that crash, performers that die half-way, a jumping clock.
//!
//! After every pass the promises are checked, and once the faults end every world has to come to
//! rest at what is wanted. A failure prints the seed that repeats it: `PETSET_SEED=7 cargo test
//! random_worlds`; `PETSET_WORLDS` says how many are tried.

mod faults;
mod performing;
mod promises;

use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::time::Instant;

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use serde_json::json;

use super::tests::{NOW, ordered};
use super::*;
use crate::model::pet::{HookOutcome, ScaleDownHook};
use crate::model::{Phase, TOGETHER_ANNOTATION};

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
    let started = Instant::now();
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
    let (worlds, time) = (seeds.end - seeds.start, started.elapsed());
    println!("{worlds} worlds in {time:.1?} on {threads} threads");
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

    fn rules(&mut self) -> Rules {
        match self.roll(4) {
            0 => Rules::strict(),
            1 => Rules {
                max_unavailable: true,
                ..Rules::strict()
            },
            _ => Rules::default(),
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
    /// When the last pass asked to be made again.
    wake_at: Option<Timestamp>,
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
            is_petset: dice.once_in(8),
            ..ordered(dice.small(6))
        };
        Self {
            rules: dice.rules(),
            dice,
            want,
            seen: Seen::default(),
            now: NOW,
            made: 0,
            finished: false,
            published: StatefulSetStatus::default(),
            mended: false,
            wake_at: None,
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
        for _ in 0..PATIENCE {
            if self.finished {
                return self.check_goal();
            }
            if self.kubelet(1) | self.pass(usize::MAX) {
                continue;
            }
            // Nothing moves by itself: a set that needs another look has to have asked for it.
            match self.wake_at.filter(|at| *at > self.now) {
                Some(at) => self.now = at,
                None => return self.check_goal(),
            }
        }
        panic!("it does not come to rest: {:?}", self.seen);
    }
}

fn ordered_now(want: &Set) -> bool {
    want.policy == Policy::OrderedReady && !want.options.together
}

fn hook_runs(pet: &PetSeen) -> bool {
    let hook = pet.hook.as_ref();
    hook.is_some_and(|hook| hook.outcome == HookOutcome::Running)
}

fn bad_hash() -> String {
    crate::model::hash_of(&json!("bad"), 0)
}
