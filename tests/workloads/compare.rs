//! What of a recording has to come out the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recording::Step;
use crate::world::{self, Kind, World};

/// How exactly a step is compared.
///
/// Readiness events close together may be seen together or one after the other, which splits or
/// merges scalings: a recording of the same scenario is not always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Every scaling, in its place.
    Exact,
    /// From where to where each ReplicaSet was scaled, not in how many steps.
    Merged,
}

/// Conditions that a controller writes in the midst of a pass: the end of that pass may replace
/// them before anyone looks.
const MOMENTARY: [&str; 3] = [
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "DeploymentResumed",
];

/// From so many events on, the recorder of a controller may be too busy to tell all.
const BUSY: usize = 5;

/// Compares a step as it was recorded with what happened here; lists what differs.
pub(crate) fn differences(step: &Step, world: &World, level: Level) -> Vec<String> {
    let mut found = objects(step, world);
    found.extend(events(step, world, level));
    found.extend(told(step, world, level));
    found.extend(histories(step, world, level));
    found
}

type Lanes = BTreeMap<String, Vec<String>>;

/// Compares what was observed of each object, in its order, and the order in which ReplicaSets were
/// scaled.
///
/// How the events of several objects interleave is a matter of speed: controllers run side by side,
/// and several pods are handled in parallel.
fn events(step: &Step, world: &World, level: Level) -> Vec<String> {
    let (recorded, happened) = (lanes(&step.events, level), lanes(&world.events, level));
    compared("events", &recorded, &happened)
}

fn lanes(events: &[Value], level: Level) -> Lanes {
    let mut lanes = Lanes::new();
    let merged = merged(events);
    let events = if level == Level::Merged {
        &merged
    } else {
        events
    };
    for event in events {
        let name = event["ev"].as_str().unwrap();
        let (kind, what) = name.split_once('-').unwrap();
        let object = event[kind].as_str().unwrap();
        let words = words(event);
        lanes
            .entry(format!("{kind} {object}"))
            .or_default()
            .push(words.clone());
        let scaling = what == "scaled" || (kind == "rs" && what == "created");
        if scaling && level == Level::Exact {
            lanes.entry("scalings".to_owned()).or_default().push(words);
        }
    }
    lanes
}

/// Joins the scalings of each ReplicaSet that go on in the same direction.
fn merged(events: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for event in events {
        let rises = |event: &Value| event["to"].as_i64() > event["from"].as_i64();
        let mut before = merged.iter_mut().rev();
        let before = before.find(|before| event["rs"].is_string() && before["rs"] == event["rs"]);
        match before.filter(|_| event["ev"] == "rs-scaled") {
            Some(before) if before["ev"] == "rs-scaled" && rises(before) == rises(event) => {
                before["to"] = event["to"].clone();
            }
            Some(before) if before["ev"] == "rs-created" && rises(event) => {
                before["replicas"] = event["to"].clone();
            }
            _ => merged.push(event.clone()),
        }
    }
    merged
}

fn words(event: &Value) -> String {
    let mut event = event.clone();
    event.as_object_mut().unwrap().remove("t");
    event.to_string()
}

/// Compares what the controllers told, each event once: a busy recorder combines them, or tells
/// only some of many.
fn told(step: &Step, world: &World, level: Level) -> Vec<String> {
    let (recorded, mut happened) = (
        told_lanes(&step.told, level),
        told_lanes(&world.told, level),
    );
    for (object, lane) in &mut happened {
        let known = recorded.get(object).cloned().unwrap_or_default();
        let is_untold = |said: &String| said.contains(" Successful") && !known.contains(said);
        if known.len() >= BUSY {
            lane.retain(|said| !is_untold(said));
        }
    }
    compared("told", &recorded, &happened)
}

fn told_lanes(events: &[Value], level: Level) -> Lanes {
    let mut lanes = Lanes::new();
    for event in events {
        let message = event["message"].as_str().unwrap();
        let message = message
            .strip_prefix("(combined from similar events): ")
            .unwrap_or(message);
        let text = |key: &str| event[key].as_str().unwrap();
        if text("reason") == "TaintManagerEviction" {
            continue; // of another controller
        }
        if text("reason") == "JobAlreadyActive" && event["count"].as_i64() > Some(1) {
            continue; // told at each look, and how many there are nobody knows
        }
        if text("reason") == "ScalingReplicaSet" && level == Level::Merged {
            continue;
        }
        let said = format!("{} {} {}", text("type"), text("reason"), unnamed(message));
        let lane = lanes.entry(text("obj").to_owned()).or_default();
        if !lane.contains(&said) {
            lane.push(said);
        }
    }
    lanes.values_mut().for_each(|lane| lane.sort());
    lanes
}

/// Leaves out the name of a pod that was refused, which nobody knows.
fn unnamed(message: &str) -> String {
    match (
        message.split_once("pods \""),
        message.split_once("\" is forbidden"),
    ) {
        (Some((before, _)), Some((_, after))) => {
            format!("{before}pods \"...\" is forbidden{after}")
        }
        _ => message.to_owned(),
    }
}

/// Compares how the statuses came about: of Jobs, CronJobs and DaemonSets every one; of Deployments
/// the conditions, as their numbers depend on which changes are seen together.
fn histories(step: &Step, world: &World, level: Level) -> Vec<String> {
    let mut recorded = history(&step.status_history);
    let mut happened = history(&world.history);
    if level == Level::Merged {
        for lanes in [&mut recorded, &mut happened] {
            lanes.retain(|object, _| !object.starts_with("deploy/"));
        }
    }
    compared("statuses", &recorded, &happened)
}

fn history(statuses: &[Value]) -> Lanes {
    let mut lanes = Lanes::new();
    let mut conditions: BTreeMap<String, Value> = BTreeMap::new();
    for status in statuses {
        let mut status = status.clone();
        let fields = status.as_object_mut().unwrap();
        fields.remove("t");
        let object = fields.remove("obj").unwrap().as_str().unwrap().to_owned();
        // Conditions are left out where they are those of the status before.
        match fields.get("conditions") {
            Some(known) => drop(conditions.insert(object.clone(), known.clone())),
            None => {
                if let Some(known) = conditions.get(&object) {
                    fields.insert("conditions".to_owned(), known.clone());
                }
            }
        }
        let (kind, _) = object.split_once('/').unwrap();
        let shown = match kind {
            "job" | "cronjob" => vec![(object.clone(), status.to_string())],
            "deploy" => {
                let all = status["conditions"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default();
                let each = all.into_iter().filter(|(_, state)| {
                    !MOMENTARY.contains(&state[1].as_str().unwrap_or_default())
                });
                let shown = |(kind, state): (String, Value)| {
                    (format!("{object} {kind}"), unnamed_in(&state).to_string())
                };
                each.map(shown).collect()
            }
            _ => Vec::new(),
        };
        for (lane, text) in shown {
            let lane = lanes.entry(lane).or_default();
            if lane.last() != Some(&text) {
                lane.push(text);
            }
        }
    }
    lanes
}

fn compared(part: &str, recorded: &Lanes, happened: &Lanes) -> Vec<String> {
    let mut lanes: Vec<_> = recorded.keys().chain(happened.keys()).collect();
    lanes.sort();
    lanes.dedup();
    let different = lanes
        .into_iter()
        .filter(|lane| recorded.get(*lane) != happened.get(*lane));
    let shown = different.map(|lane| {
        let show = |lines: Option<&Vec<String>>| {
            lines
                .map(|lines| lines.join("\n      "))
                .unwrap_or_default()
        };
        let (one, two) = (show(recorded.get(lane)), show(happened.get(lane)));
        format!("{part} of {lane}:\n    recorded\n      {one}\n    happened\n      {two}")
    });
    shown.collect()
}

/// Compares the objects that are left when the step has settled.
fn objects(step: &Step, world: &World) -> Vec<String> {
    let parts = [
        ("status", statuses(world), unnamed_in(&step.status)),
        (
            "replica sets",
            sets(world),
            sorted(&step.replica_sets, "rs"),
        ),
        ("pods", pods(world), sorted(&step.pods, "pod")),
        (
            "revisions",
            revisions(world),
            sorted(&step.revisions, "rev"),
        ),
        (
            "claims",
            storage(world, Kind::Claim),
            sorted(&step.pvcs, "pvc"),
        ),
        (
            "volumes",
            storage(world, Kind::Volume),
            sorted(&step.pvs, "pv"),
        ),
    ];
    let different = parts
        .into_iter()
        .filter(|(_, happened, recorded)| happened != recorded);
    let shown = different.map(|(part, happened, recorded)| {
        format!("{part}:\n    recorded {recorded}\n    happened {happened}")
    });
    shown.collect()
}

fn unnamed_in(value: &Value) -> Value {
    match value {
        Value::String(text) => unnamed(text).into(),
        Value::Array(list) => list.iter().map(unnamed_in).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), unnamed_in(value)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn sorted(list: &[Value], key: &str) -> Value {
    let mut list: Vec<_> = list
        .iter()
        .map(unobserved)
        .map(|item| unnamed_in(&item))
        .collect();
    list.sort_by_key(|item| item[key].as_str().unwrap_or_default().to_owned());
    Value::Array(list)
}

/// Leaves out how often a ReplicaSet was scaled, which depends on what is seen together.
fn unobserved(item: &Value) -> Value {
    let mut item = item.clone();
    if item["rs"].is_string() && item["owner"] != "" {
        item.as_object_mut().unwrap().remove("observedGeneration");
    }
    item
}

fn statuses(world: &World) -> Value {
    let kinds = [
        Kind::Deployment,
        Kind::DaemonSet,
        Kind::StatefulSet,
        Kind::Job,
        Kind::CronJob,
    ];
    let mut all = json!({});
    for kind in kinds.into_iter().chain([Kind::ReplicationController]) {
        for (name, object) in world.all(kind) {
            let mut shown = world.status_words(object);
            shown["generation"] = object["metadata"]["generation"].clone();
            if object["spec"]["replicas"].is_number() {
                shown["specReplicas"] = object["spec"]["replicas"].clone();
            }
            if object["metadata"]["annotations"].is_object() {
                shown["annotations"] = object["metadata"]["annotations"].clone();
            }
            let key = format!("{}/{}", kind.short(), world.alias(kind, name));
            all[key] = unnamed_in(&shown);
        }
    }
    all
}

fn sets(world: &World) -> Value {
    let shown = world.all(Kind::ReplicaSet).map(|(name, set)| {
        let mut shown = world.status_words(set);
        shown["rs"] = world.alias(Kind::ReplicaSet, name).into();
        shown["specReplicas"] = set["spec"]["replicas"].clone();
        shown["image"] = set["spec"]["template"]["spec"]["containers"][0]["image"].clone();
        shown["owner"] = world.owner_words(set).into();
        if set["metadata"]["annotations"].is_object() {
            shown["annotations"] = set["metadata"]["annotations"].clone();
        }
        shown
    });
    sorted(&shown.collect::<Vec<_>>(), "rs")
}

fn pods(world: &World) -> Value {
    let shown = world.all(Kind::Pod).map(|(name, pod)| {
        let conditions = pod["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let ready = conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let mut shown = json!({"pod": world.alias(Kind::Pod, name), "owner": world.owner_words(pod),
            "image": pod["spec"]["containers"][0]["image"], "phase": pod["status"]["phase"], "ready": ready});
        let index = &pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"];
        if let Some(index) = index.as_str() {
            shown["index"] = index.parse::<i64>().unwrap().into();
        }
        if pod["metadata"]["finalizers"].is_array() {
            shown["finalizers"] = pod["metadata"]["finalizers"].clone();
        }
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            shown["terminating"] = true.into();
        }
        shown
    });
    sorted(&shown.collect::<Vec<_>>(), "pod")
}

fn revisions(world: &World) -> Value {
    let shown = world.all(Kind::Revision).map(|(name, revision)| {
        let name = world.alias(Kind::Revision, name);
        let mut shown = json!({"rev": name, "revision": revision["revision"]});
        if world.owner_words(revision).is_empty() {
            shown["orphan"] = true.into();
        }
        shown
    });
    sorted(&shown.collect::<Vec<_>>(), "rev")
}

fn storage(world: &World, kind: Kind) -> Value {
    let shown = world.all(kind).map(|(name, object)| {
        let mut shown = world::storage::words(kind, object);
        shown[kind.short()] = name.clone().into();
        if kind == Kind::Volume && object["spec"]["claimRef"]["name"].is_string() {
            shown["claim"] = object["spec"]["claimRef"]["name"].clone();
        }
        shown
    });
    sorted(&shown.collect::<Vec<_>>(), kind.short())
}
