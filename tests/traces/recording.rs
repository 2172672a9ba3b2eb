//! A recording as it is written in its file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

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

    pub(crate) fn gate(&self) -> bool {
        self.feature_gates
            .contains("MaxUnavailableStatefulSet=true")
    }
}
