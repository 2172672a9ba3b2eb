//! A recording as it is written in its file.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::world::Kind;

/// What the events of a recording may say of an object.
const EVENTS: &[&str] = &[
    "created",
    "spec-changed",
    "scaled",
    "annotations",
    "labels",
    "owners",
    "finalizers",
    "terminating",
    "deleted",
    "ready",
    "unready",
    "running-notready",
    "phase",
    "renumbered",
    "claim",
    "volume",
    "class",
    "taints",
];

/// What the fake kubelet can be told.
const STEERING: &[&str] = &[
    "set-ready",
    "set-phase",
    "hold-ready",
    "unhold-ready",
    "release-ready",
    "hold-start",
    "unhold-start",
    "release-start",
    "hold-delete",
    "unhold-delete",
    "release-delete",
    "exit",
    "disrupt",
    "restarts",
];

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recording {
    pub(crate) scenario: String,
    pub(crate) ready_delay_ms: i64,
    pub(crate) delete_delay_ms: i64,
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) names: BTreeMap<String, BTreeMap<String, String>>,
}

/// What was done at a time, and what came of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    #[serde(rename = "do")]
    pub(crate) title: String,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Value>,
    pub(crate) status_history: Vec<Value>,
    #[serde(rename = "k8sEvents")]
    pub(crate) told: Vec<Value>,
    pub(crate) status: Value,
    #[serde(default)]
    pub(crate) replica_sets: Vec<Value>,
    #[serde(default)]
    pub(crate) pods: Vec<Value>,
    #[serde(default)]
    pub(crate) revisions: Vec<Value>,
    #[serde(default)]
    pub(crate) pvcs: Vec<Value>,
    #[serde(default)]
    pub(crate) pvs: Vec<Value>,
    pub(crate) api_error: Option<Value>,
    #[serde(default)]
    pub(crate) did_not_settle: bool,
}

/// A request to the API, or a nudge to the fake kubelet.
#[derive(Debug, Clone, Deserialize)]
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
    pub(crate) t: i64,
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
                let name = event["ev"].as_str().unwrap_or_default();
                let known = name.split_once('-').is_some_and(|(kind, what)| {
                    Kind::of_short(kind).is_some() && EVENTS.contains(&what)
                });
                (!known).then(|| format!("unknown event {event}"))
            });
            let all = actions.chain(events);
            faults.extend(all.map(|fault| format!("step {:?}: {fault}", step.title)));
        }
        faults
    }

    /// Returns the real name of what the recording calls by a short one.
    pub(crate) fn real_name(&self, group: &str, alias: &str) -> Option<&String> {
        self.names.get(group)?.get(alias)
    }

    /// Returns when each step begins, and when the last one ends.
    ///
    /// What was quiet is not recorded: a step ends when nothing had happened for a while. The
    /// names of the Jobs of a CronJob tell the minute in which they were made.
    pub(crate) fn starts(&self, epoch: Timestamp) -> Vec<Timestamp> {
        let mut starts = vec![epoch];
        for step in &self.steps {
            let last = starts[starts.len() - 1];
            starts.push(last + step.length());
        }
        let mut is_aligned = false;
        for (number, step) in self.steps.iter().enumerate() {
            let Some(late) = self.lateness(step, starts[number]) else {
                continue;
            };
            // The first tick moves all steps; a later one only those that come after.
            let from = if is_aligned { number } else { 0 };
            if !is_aligned || late > SignedDuration::ZERO {
                starts[from..].iter_mut().for_each(|start| *start += late);
            }
            is_aligned = true;
        }
        starts
    }

    /// Returns how much too early a step begins in which a CronJob's time came, if one did.
    fn lateness(&self, step: &Step, start: Timestamp) -> Option<SignedDuration> {
        let at = |event: &Value| start + SignedDuration::from_millis(event["t"].as_i64().unwrap());
        let delay = SignedDuration::from_millis(100);
        let mut events = step.events.iter();
        if let Some(made) = events.find(|event| event["ev"] == "job-created") {
            let name = self.real_name("jobs", made["job"].as_str().unwrap_or_default())?;
            let minute: i64 = name.rsplit_once('-')?.1.parse().ok()?;
            let due = Timestamp::from_second(60 * minute).unwrap() + delay;
            return Some(due.duration_since(at(made)));
        }
        let mut told = step.told.iter();
        let skipped = told.find(|event| event["reason"] == "JobAlreadyActive")?;
        let seconds = at(skipped).as_second();
        let due = Timestamp::from_second(seconds + 60 - seconds % 60).unwrap() + delay;
        Some(due.duration_since(at(skipped)))
    }
}

impl Step {
    /// Returns how long the step lasted, some rest at its end included.
    fn length(&self) -> SignedDuration {
        let observed = self
            .events
            .iter()
            .chain(&self.status_history)
            .chain(&self.told);
        let observed = observed.filter_map(|event| event["t"].as_i64());
        let last = observed
            .chain(self.actions.iter().map(|action| action.t))
            .max();
        let seconds = self
            .actions
            .is_empty()
            .then(|| waited(&self.title))
            .flatten();
        let rest = if self.did_not_settle { 1 } else { 1_200 };
        let least = SignedDuration::from_millis(last.unwrap_or_default() + rest);
        least.max(SignedDuration::from_secs(seconds.unwrap_or_default()))
    }

    /// Returns the times at which something of a kind was seen to happen to an object.
    pub(crate) fn times(&self, event: &str, object: &str) -> impl Iterator<Item = SignedDuration> {
        let kind = event.split('-').next().unwrap_or_default().to_owned();
        let happened = self.events.iter().filter(move |seen| seen["ev"] == event);
        let object = object.to_owned();
        let happened = happened.filter(move |seen| seen[&kind] == object.as_str());
        happened.map(|seen| SignedDuration::from_millis(seen["t"].as_i64().unwrap()))
    }
}

/// Returns how many seconds a step that does nothing waits: "wait 5 s".
fn waited(title: &str) -> Option<i64> {
    let (_, rest) = title.split_once("wait ")?;
    let (seconds, _) = rest.split_once(" s")?;
    seconds.trim().parse().ok()
}

impl Action {
    /// Says what of the action the world does not know.
    fn fault(&self) -> Option<String> {
        let mut path = self.path.split('/');
        let known = match self.api.as_str() {
            "" => STEERING.contains(&self.kubelet.as_str()),
            "POST" | "PUT" | "PATCH" | "DELETE" => {
                let kind = path.next().unwrap_or_default();
                Kind::of_path(kind).is_some() && matches!(path.nth(1), None | Some("scale"))
            }
            _ => false,
        };
        (!known).then(|| match self.api.as_str() {
            "" => format!("unknown action: the kubelet is to {:?}", self.kubelet),
            verb => format!("unknown action: {verb} {}", self.path),
        })
    }
}
