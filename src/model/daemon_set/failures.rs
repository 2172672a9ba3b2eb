//! How long a failed pod of a DaemonSet is left alone (DS07).

use jiff::{SignedDuration, Timestamp};

use crate::sorted::SortedMap;

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const MOST: SignedDuration = SignedDuration::from_mins(15);

/// The pods that failed on each node, of one generation of a DaemonSet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedPods {
    generation: Option<i64>,
    nodes: SortedMap<String, (Timestamp, SignedDuration)>,
}

impl FailedPods {
    /// Returns the record for a generation; another one begins anew.
    pub(super) fn of_generation(self, generation: Option<i64>) -> Self {
        if self.generation == generation {
            return self;
        }
        Self {
            generation,
            nodes: SortedMap::new(),
        }
    }

    /// Returns until when a failed pod on a node is left, if it is.
    pub(super) fn until(&self, node: &str, now: Timestamp) -> Option<Timestamp> {
        let (at, pause) = self.nodes.get(node)?;
        at.checked_add(*pause).ok().filter(|until| *until > now)
    }

    /// Notes that a failed pod is replaced; the pause doubles each time.
    pub(super) fn note(&mut self, node: &str, now: Timestamp) {
        let last = self.nodes.get(node);
        let fresh = last.filter(|(at, _)| now.duration_since(*at) <= MOST * 2);
        let pause = fresh.map_or(FIRST, |(_, pause)| (*pause * 2).min(MOST));
        self.nodes.insert(node.to_owned(), (now, pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_begins_with_the_second_failure_and_doubles() {
        // DS07
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut failed = FailedPods::default();
        for seconds in [1, 2, 4, 8] {
            assert_eq!(failed.until("n", now), None);
            failed.note("n", now);
            let until = now + SignedDuration::from_secs(seconds);
            assert_eq!(failed.until("n", now), Some(until));
            assert_eq!(failed.until("other", now), None);
            now = until;
        }
    }
}
