//! The queue of workloads that have to be looked at, and what their controllers remember.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::retry;
use crate::model::daemon_set::FailedPods;
use crate::model::job::BackOffRecord;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::pod::workload_of;
use crate::model::workload::Random;
use crate::model::{Namespace, ObjectRef};
use crate::sorted::{SortedMap, SortedSet};

/// The kind and the name of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkloadRef {
    pub(super) kind: WorkloadKind,
    pub(super) key: ObjectRef,
}

impl WorkloadRef {
    /// Returns the workload that controls an object, whether it exists or not.
    pub(super) fn controller_of(namespace: &Namespace, meta: &ObjectMeta) -> Option<Self> {
        let (kind, owner) = workload_of(meta)?;
        let key = ObjectRef::new(namespace.clone(), owner.name.parse().ok()?);
        Some(Self { kind, key })
    }

    /// Returns the name of its resource, such as `replicasets.apps`.
    pub(super) const fn resource(&self) -> &'static str {
        ObjectKind::Workload(self.kind).plural()
    }
}

/// Which workloads have to be looked at, and when.
#[derive(Debug)]
pub(super) struct WorkQueue {
    /// Those to look at in the next turn.
    pub(super) due: SortedSet<WorkloadRef>,
    /// Those to look at at a certain time.
    alarms: SortedMap<WorkloadRef, Instant>,
    /// How many passes in a row have failed.
    failures: SortedMap<WorkloadRef, u32>,
    /// The failures of each Job, by its uid.
    pub(super) back_offs: SortedMap<String, BackOffRecord>,
    /// The pods that failed of each daemon set, by its uid.
    pub(super) failed_pods: SortedMap<String, FailedPods>,
    /// Where made-up names come from.
    pub(super) random: Random,
}

impl WorkQueue {
    /// Makes an empty queue; the seed is random.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            due: SortedSet::new(),
            alarms: SortedMap::new(),
            failures: SortedMap::new(),
            back_offs: SortedMap::new(),
            failed_pods: SortedMap::new(),
            random: Random::seeded(seed),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty() && self.alarms.is_empty()
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.values().min().copied()
    }

    /// Returns the workloads to look at now.
    pub(super) fn take_due(&mut self, now: Instant) -> SortedSet<WorkloadRef> {
        let rung = self.alarms.extract(|_, at| *at <= now);
        self.due.extend(rung.into_iter().map(|(at, _)| at));
        std::mem::take(&mut self.due)
    }

    /// Notes that a pass came to rest, and when the next one is due by time alone.
    pub(super) fn rests(&mut self, at: &WorkloadRef, wake_at: Option<Timestamp>, now: Timestamp) {
        self.failures.remove(at);
        self.alarms.remove(at);
        if let Some(wake_at) = wake_at {
            let left = Duration::try_from(wake_at.duration_since(now)).unwrap_or_default();
            self.alarms.insert(at.clone(), Instant::now() + left);
        }
    }

    /// Notes that a pass has failed: it is tried again after delays that double (RS16).
    pub(super) fn retry_later(&mut self, at: &WorkloadRef) {
        let failures = self.failures.entry(at.clone()).or_default();
        let rest = retry::BACK_OFF.retry_delay(*failures);
        *failures += 1;
        self.alarms.insert(at.clone(), Instant::now() + rest);
    }

    /// Forgets a workload that is gone.
    pub(super) fn forget(&mut self, at: &WorkloadRef, uid: &str) {
        self.back_offs.remove(uid);
        self.failed_pods.remove(uid);
        self.alarms.remove(at);
        self.failures.remove(at);
    }
}
