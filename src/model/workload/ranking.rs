//! Which of several pods goes first when there are too many (RS10-RS13).

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::pods;

/// The annotation by which a user says how dear a pod is (RS12).
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod among those of which some are to go: the lesser goes first.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// How many active pods of the sets with the same controller are on its node (RS13).
    pub neighbours: usize,
}

impl Ranked<'_> {
    /// Compares two pods at a moment.
    ///
    /// Two ages within a factor of two may be alike; then the uid decides, which is arbitrary
    /// (RS11).
    #[must_use]
    pub fn compare(&self, other: &Self, now: Timestamp) -> Ordering {
        let key = |ranked: &Self| {
            let node = ranked
                .pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.as_ref());
            let place = match pods::phase(ranked.pod) {
                "Running" => 2,
                "Unknown" => 1,
                _ => 0,
            };
            let cost = deletion_cost(ranked.pod);
            let is_assigned = node.is_some_and(|node| !node.is_empty());
            (
                is_assigned,
                place,
                pods::is_ready(ranked.pod),
                cost,
                Reverse(ranked.neighbours),
            )
        };
        let by_uid = || pods::uid_of(&self.pod.metadata).cmp(pods::uid_of(&other.pod.metadata));
        let by_age = |one: Option<Timestamp>, two: Option<Timestamp>| {
            let (one, two) = (one.map(Timestamp::as_second), two.map(Timestamp::as_second));
            (one != two).then(|| {
                magnitude(one, now)
                    .cmp(&magnitude(two, now))
                    .then_with(by_uid)
            })
        };
        let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let readiness = || by_age(pods::ready_since(self.pod), pods::ready_since(other.pod));
        let restarts = || pods::restarts(other.pod).cmp(&pods::restarts(self.pod));
        key(self).cmp(&key(other)).then_with(|| {
            readiness().unwrap_or_else(|| {
                restarts().then_with(|| {
                    by_age(created(self.pod), created(other.pod)).unwrap_or_else(by_uid)
                })
            })
        })
    }
}

/// Compares two pods of a Job: the lesser goes first when there are too many (JB23).
///
/// As [`Ranked::compare`], but without costs, nodes and magnitudes.
#[must_use]
pub fn younger_first(one: &Pod, two: &Pod) -> Ordering {
    let key = |pod: &Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        let place = ["Pending", "Unknown", "Running"];
        let place = place.iter().position(|phase| *phase == pods::phase(pod));
        let since = pods::ready_since(pod).map(|at| Reverse(at.as_second()));
        let created = pod.metadata.creation_timestamp.as_ref();
        let created = created.map(|time| Reverse(time.0.as_second()));
        let is_assigned = node.is_some_and(|node| !node.is_empty());
        let restarts = Reverse(pods::restarts(pod));
        (
            is_assigned,
            place,
            pods::is_ready(pod),
            since,
            restarts,
            created,
        )
    };
    let uids = || pods::uid_of(&one.metadata).cmp(pods::uid_of(&two.metadata));
    key(one).cmp(&key(two)).then_with(uids)
}

/// Returns the binary order of magnitude of an age; what has no age yet is the youngest.
fn magnitude(since: Option<i64>, now: Timestamp) -> i64 {
    let since = since.and_then(|second| Timestamp::from_second(second).ok());
    let age = since.map_or(0, |since| now.duration_since(since).as_nanos());
    if age > 0 { i64::from(age.ilog2()) } else { -1 }
}

/// Returns the deletion cost of a pod, 0 if it has none that can be read (RS12).
#[must_use]
pub fn deletion_cost(pod: &Pod) -> i32 {
    let cost = pods::annotation(&pod.metadata, DELETION_COST).unwrap_or_default();
    cost.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T01:00:00Z";

    fn pod(uid: &str, change: Value) -> Pod {
        let mut pod = json!({"metadata": {"name": uid, "uid": uid, "annotations": {},
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "node1", "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        for (pointer, value) in change.as_object().unwrap() {
            *pod.pointer_mut(pointer).unwrap() = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn the_first_difference_decides_who_goes() {
        // RS10-RS13: each goes before those below it.
        let now: Timestamp = NOW.parse().unwrap();
        let cost = |cost: &str| json!({"/metadata/annotations": {DELETION_COST: cost}});
        let restarted =
            json!([{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3}]);
        let running = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}], "containerStatuses": restarted});
        let order = [
            pod("z9", json!({"/spec/nodeName": ""})),
            pod("z8", json!({"/status/phase": "Pending"})),
            pod("z7", json!({"/status/phase": "Unknown"})),
            pod("z6", json!({"/status/conditions/0/status": "False"})),
            pod("z5", cost("-5")),
            pod(
                "z4",
                json!({"/status/conditions/0/lastTransitionTime": "2026-01-01T00:59:00Z"}),
            ),
            pod("z3", json!({"/status": running})),
            pod(
                "z2",
                json!({"/metadata/creationTimestamp": "2026-01-01T00:59:50Z"}),
            ),
            pod("a1", json!({})),
            pod("b0", json!({})),
            pod("a0", cost("7")),
        ];
        for (place, pair) in order.windows(2).enumerate() {
            let ranked = |pod| Ranked { pod, neighbours: 1 };
            let (one, two) = (ranked(&pair[0]), ranked(&pair[1]));
            assert_eq!(one.compare(&two, now), Ordering::Less, "{place}");
            assert_eq!(two.compare(&one, now), Ordering::Greater, "{place}");
        }
        let crowded = Ranked {
            pod: &order[9],
            neighbours: 2,
        };
        let alone = Ranked {
            pod: &order[8],
            neighbours: 1,
        };
        assert_eq!(crowded.compare(&alone, now), Ordering::Less);
    }
}
