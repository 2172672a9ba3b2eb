//! Random worlds for the controllers of workloads: edits, pods that fail, performers that die
//! half-way.
//!
//! After every pass the promises are checked, and once the faults end every world has to come to
//! rest at what is wanted. `PETSET_SEED=7` repeats one world, `PETSET_WORKLOAD_WORLDS` says how
//! many are tried.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step that a controller never takes stops the test"
)]

mod fronts;
mod works;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::workload::{Random, pods};

const TURNS: u32 = 40;
/// Turns after which a world without faults has to be at rest.
const PATIENCE: u32 = 400;

/// Lives through random worlds.
fn live(world: impl Fn(u64) + Sync + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("PETSET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PETSET_WORKLOAD_WORLDS").unwrap_or(100),
    };
    for seed in seeds {
        let lived = std::panic::catch_unwind(|| world(seed));
        assert!(
            lived.is_ok(),
            "the world of PETSET_SEED={seed} broke a promise"
        );
    }
}

/// The pods of a world and the chance in it.
struct Ground {
    dice: Random,
    now: Timestamp,
    uids: u64,
    pods: Vec<Pod>,
}

impl Ground {
    fn of(seed: u64) -> Self {
        Self {
            dice: Random::seeded(seed),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            uids: 0,
            pods: Vec::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice.number() % sides
    }

    fn once_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pass_time(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    /// Gives a new object what the API server gives it.
    fn admit(&mut self, meta: &mut ObjectMeta) {
        self.uids += 1;
        meta.uid = Some(format!("uid-{}", self.uids));
        meta.creation_timestamp = Some(Time(self.now));
        meta.generation = Some(1);
    }

    fn create_pod(&mut self, mut pod: Pod) {
        let taken = self
            .pods
            .iter()
            .any(|other| other.metadata.name == pod.metadata.name);
        assert!(!taken, "two pods of one name: {:?}", pod.metadata.name);
        self.admit(&mut pod.metadata);
        pod.spec.get_or_insert_default().node_name = Some("node1".to_owned());
        pod.status = Some(PodStatus {
            phase: Some("Pending".to_owned()),
            ..PodStatus::default()
        });
        self.pods.push(pod);
    }

    fn pod(&mut self, name: &str) -> &mut Pod {
        let mut pods = self.pods.iter_mut();
        let found = pods.find(|pod| pods::name_of(&pod.metadata) == name);
        found.expect("the pod is there")
    }

    fn delete_pod(&mut self, name: &str) {
        let now = self.now;
        self.pod(name)
            .metadata
            .deletion_timestamp
            .get_or_insert(Time(now));
    }

    /// Removes a pod that was to be deleted, unless a finalizer holds it.
    fn remove_deleted(&mut self) {
        self.pods.retain(|pod| {
            let is_held = pod
                .metadata
                .finalizers
                .as_ref()
                .is_some_and(|held| !held.is_empty());
            !pods::is_terminating(pod) || is_held
        });
    }
}

fn set_ready(pod: &mut Pod, ready: bool, now: Timestamp) {
    let status = pod.status.get_or_insert_default();
    status.phase = Some("Running".to_owned());
    status.conditions = Some(vec![PodCondition {
        type_: "Ready".to_owned(),
        status: if ready { "True" } else { "False" }.to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    }]);
}

fn end(pod: &mut Pod, phase: &str, now: Timestamp) {
    set_ready(pod, false, now);
    pod.status.get_or_insert_default().phase = Some(phase.to_owned());
}
