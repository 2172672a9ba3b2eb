//! A recording as it is written in its file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// The events that a recording may hold.
const EVENTS: &[&str] = &[
    "sts-created",
    "sts-spec-changed",
    "sts-terminating",
    "sts-deleted",
    "pod-created",
    "pod-ready",
    "pod-unready",
    "pod-running-notready",
    "pod-phase",
    "pod-terminating",
    "pod-deleted",
    "pod-owners",
    "pod-labels",
    "pvc-created",
    "pvc-owners",
    "pvc-terminating",
    "pvc-deleted",
    "rev-created",
    "rev-renumbered",
    "rev-owners",
    "rev-deleted",
];

/// What the fake kubelet can be told.
const STEERING: &[&str] = &[
    "set-ready",
    "set-phase",
    "hold-ready",
    "unhold-ready",
    "hold-start",
    "unhold-start",
    "release-start",
    "hold-delete",
    "unhold-delete",
    "release-delete",
];

/// The objects that requests are about.
const KINDS: &[&str] = &[
    "statefulsets",
    "pods",
    "persistentvolumeclaims",
    "controllerrevisions",
];

/// One scenario.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recording {
    pub(crate) scenario: String,
    pub(crate) feature_gates: String,
    pub(crate) ready_delay_ms: i64,
    pub(crate) delete_delay_ms: i64,
    pub(crate) steps: Vec<Step>,
    pub(crate) revision_names: BTreeMap<String, String>,
}

/// What was done at a time, and what came of it.
#[derive(Deserialize)]
pub(crate) struct Step {
    #[serde(rename = "do")]
    pub(crate) title: String,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Value>,
    #[serde(rename = "k8sEvents")]
    pub(crate) told: Vec<Value>,
    pub(crate) status: Value,
    pub(crate) pods: Vec<Value>,
    pub(crate) pvcs: Vec<Value>,
    pub(crate) revisions: Vec<Value>,
    #[serde(rename = "apiError")]
    pub(crate) api_error: Option<Value>,
}

/// A request to the API, or a nudge to the fake kubelet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Action {
    #[serde(default)]
    pub(crate) api: String,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) patch_type: String,
    #[serde(default)]
    pub(crate) body: Value,
    #[serde(default)]
    pub(crate) kubelet: String,
    #[serde(default)]
    pub(crate) pod: String,
    #[serde(default)]
    pub(crate) value: Value,
    #[serde(default)]
    pub(crate) after_events: usize,
}

impl Recording {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a recording can be read");
        serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
    }

    /// Names every action and event that the world or the comparison would not know.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for step in &self.steps {
            let actions = step.actions.iter().filter_map(Action::fault);
            let events = step.events.iter().filter_map(|event| {
                let kind = event["ev"].as_str().unwrap_or_default();
                (!EVENTS.contains(&kind)).then(|| format!("unknown event {event}"))
            });
            let all = actions.chain(events);
            faults.extend(all.map(|fault| format!("step {:?}: {fault}", step.title)));
        }
        faults
    }

    pub(crate) fn gate(&self) -> bool {
        self.feature_gates
            .contains("MaxUnavailableStatefulSet=true")
    }
}

impl Action {
    /// Says what of the action the world does not know.
    fn fault(&self) -> Option<String> {
        let mut path = self.path.split('/');
        let known = match self.api.as_str() {
            "" => STEERING.contains(&self.kubelet.as_str()),
            "POST" | "PUT" | "PATCH" | "DELETE" => {
                let kind = path.next().unwrap_or_default();
                KINDS.contains(&kind) && matches!(path.nth(1), None | Some("scale"))
            }
            _ => false,
        };
        (!known).then(|| match self.api.as_str() {
            "" => format!("unknown action: the kubelet is to {:?}", self.kubelet),
            verb => format!("unknown action: {verb} {}", self.path),
        })
    }
}
