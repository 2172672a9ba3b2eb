//! What a pet is like, at a glance.

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use crate::model::pod::{is_hopeless, is_ready};
use crate::model::printer;
use crate::store::UNKNOWN;

/// The state of a pet in one word, and one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Lamp {
    /// It is wanted, or initializes, or has not been ready so far.
    Starting,
    Ready,
    /// It was ready before. Only the live view knows that.
    #[cfg_attr(not(feature = "live"), expect(dead_code, reason = "see above"))]
    NotReady,
    /// It crashes, cannot start, or has failed.
    Failing,
    Stopping,
    /// It has ended well.
    Done,
    /// It is there no more, or `petset stop` has ended it.
    Gone,
}

impl Lamp {
    /// All of them, the best first.
    #[cfg(feature = "live")]
    pub(super) const ALL: [Self; 7] = [
        Self::Ready,
        Self::Done,
        Self::Starting,
        Self::NotReady,
        Self::Stopping,
        Self::Failing,
        Self::Gone,
    ];

    /// Returns the lamp of a pod, as if nothing were known of what it was before.
    pub(super) fn of(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        if pod.metadata.deletion_timestamp.is_some() {
            return Self::Stopping;
        }
        let reason = status.and_then(|status| status.reason.as_deref());
        match (reason, status.and_then(|status| status.phase.as_deref())) {
            (Some(printer::STOPPED), _) => return Self::Gone,
            (Some(UNKNOWN), _) | (_, Some("Failed")) => return Self::Failing,
            (_, Some("Succeeded")) => return Self::Done,
            (_, _) => {}
        }
        if is_ready(pod) {
            return Self::Ready;
        }
        match printer::culprit(pod) {
            Some(container) if is_hopeless(container) || has_failed(pod) => Self::Failing,
            Some(_) | None => Self::Starting,
        }
    }

    /// Returns the symbol, for terminals with and without other letters than those of ASCII.
    #[cfg(feature = "live")]
    pub(super) const fn symbol(self, ascii: bool) -> &'static str {
        let (rich, plain) = match self {
            Self::Starting => ("◐", "~"),
            Self::Ready => ("●", "*"),
            Self::NotReady => ("○", "o"),
            Self::Failing => ("✖", "X"),
            Self::Stopping => ("◌", "-"),
            Self::Done => ("✔", "+"),
            Self::Gone => ("·", "."),
        };
        if ascii { plain } else { rich }
    }
}

/// Returns whether a container of the pod has crashed, or cannot be started.
fn has_failed(pod: &Pod) -> bool {
    let word = printer::pod_status_word(pod);
    let word = word.strip_prefix("Init:").unwrap_or(&word);
    let parts = [
        "Error",
        "BackOff",
        "ErrImage",
        "InvalidImage",
        "ExitCode:",
        "Signal:",
    ];
    word == "OOMKilled" || parts.iter().any(|part| word.contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lamp_shows_the_state_of_a_pod() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let waits = |reason: &str| {
            json!([{"name": "c", "ready": false, "image": "", "imageID": "", "restartCount": 0,
                    "state": {"waiting": {"reason": reason}}}])
        };
        let cases = [
            (json!({}), Lamp::Starting),
            (
                json!({"phase": "Running", "conditions": ready}),
                Lamp::Ready,
            ),
            (json!({"phase": "Succeeded"}), Lamp::Done),
            (json!({"phase": "Failed"}), Lamp::Failing),
            (json!({"reason": "Stopped", "phase": "Pending"}), Lamp::Gone),
            (
                json!({"reason": "Unknown", "phase": "Running"}),
                Lamp::Failing,
            ),
            (
                json!({"phase": "Running", "containerStatuses": waits("CrashLoopBackOff")}),
                Lamp::Failing,
            ),
            (
                json!({"phase": "Pending", "containerStatuses": waits("ErrImagePull")}),
                Lamp::Failing,
            ),
            (
                json!({"phase": "Pending", "containerStatuses": waits("ContainerCreating")}),
                Lamp::Starting,
            ),
        ];
        for (status, lamp) in cases {
            let pod = json!({"metadata": {}, "status": status});
            let mut pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(Lamp::of(&pod), lamp, "{status}");
            let time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
            pod.metadata.deletion_timestamp = Some(time);
            assert_eq!(Lamp::of(&pod), Lamp::Stopping);
        }
    }
}
