//! How long a Job waits after a failure (JB14, JB15).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::model::workload::pods;

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const MOST: SignedDuration = SignedDuration::from_mins(10);

/// The failures of a Job since its last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackOffRecord {
    /// How many pods failed.
    pub failures: u32,
    /// When the last of them ended.
    pub last_failure: Option<Timestamp>,
}

impl BackOffRecord {
    /// Makes a record from all pods of a Job that have ended, where the one kept was lost.
    #[must_use]
    pub fn of(pods: &[&Pod]) -> Self {
        let with = |phase: &str| -> Vec<&Pod> {
            let pods = pods.iter().copied();
            pods.filter(|pod| pods::phase(pod) == phase).collect()
        };
        Self::default().after(&with("Succeeded"), &with("Failed"))
    }

    /// Returns the record after more pods have ended; a success clears it (JB15).
    #[must_use]
    pub(super) fn after(self, succeeded: &[&Pod], failed: &[&Pod]) -> Self {
        let mut failures: Vec<_> = failed.iter().filter_map(|pod| finished_at(pod)).collect();
        failures.sort();
        let count = |failures: &[Timestamp]| u32::try_from(failures.len()).unwrap_or(u32::MAX);
        let success = succeeded.iter().filter_map(|pod| finished_at(pod)).max();
        match success {
            None if failures.is_empty() => self,
            None => Self {
                failures: self.failures.saturating_add(count(&failures)),
                last_failure: failures.last().copied(),
            },
            Some(success) => {
                failures.retain(|at| *at > success);
                Self {
                    failures: count(&failures),
                    last_failure: failures.last().copied(),
                }
            }
        }
    }

    /// Returns until when no pod is made.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        if self.failures == 0 {
            return None;
        }
        let doublings = (self.failures - 1).min(10);
        let pause = (FIRST * (1 << doublings)).min(MOST);
        self.last_failure?.checked_add(pause).ok()
    }
}

/// Returns when a pod ended: when its containers did, else when it became unready, was deleted or
/// was made.
#[must_use]
pub fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let deleted = || pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let created = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let unready = || {
        let ready = pods::condition(pod, "Ready").filter(|ready| ready.status == "False")?;
        ready.last_transition_time.as_ref().map(|time| time.0)
    };
    by_containers(pod)
        .or_else(unready)
        .or_else(deleted)
        .or_else(created)
}

fn by_containers(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let ended = |status: &ContainerStatus| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        ended.finished_at.as_ref().map(|time| time.0)
    };
    let all: Option<Vec<_>> = status
        .container_statuses
        .iter()
        .flatten()
        .map(ended)
        .collect();
    all?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_ten_minutes() {
        // JB14
        let end: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (40, 600)] {
            let record = BackOffRecord {
                failures,
                last_failure: Some(end),
            };
            let wanted = end + SignedDuration::from_secs(seconds);
            assert_eq!(record.until(), Some(wanted), "{failures}");
        }
        assert_eq!(BackOffRecord::default().until(), None);
    }
}
