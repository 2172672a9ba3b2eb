//! A recording as its two files have it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::words::{is_binding, is_foreign};

/// How long a status must have lasted to be expected of petset too, in milliseconds.
const LONG: u64 = 1000;
/// When kubectl printed the pods, in milliseconds.
const PRINTED: u64 = 9000;

/// What a kubelet showed of the pods of one manifest.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Why the API server refused it, if it did.
    pub(crate) refused: Option<String>,
    /// The life of each pod; of one that a set made again, the first.
    pub(crate) lives: BTreeMap<String, Life>,
    /// The events of these lives.
    pub(crate) events: Vec<Event>,
    /// What kubectl printed of them.
    pub(crate) printed: Printed,
}

/// The statuses of one pod.
#[derive(Debug, Default, Clone)]
pub(crate) struct Life {
    /// Each with the time since it was created, in milliseconds.
    pub(crate) statuses: Vec<(u64, Value)>,
    /// Whether it was seen to go.
    pub(crate) gone: bool,
}

/// An event of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pod: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
    /// The part of the pod that it is about, such as `spec.containers{c}`.
    pub(crate) field: String,
    pub(crate) message: String,
}

/// What a client printed.
#[derive(Debug, Default)]
pub(crate) struct Printed {
    /// `get pods`.
    pub(crate) table: String,
    /// `describe pods`.
    pub(crate) pages: String,
}

impl Life {
    /// Returns how many statuses there were before the pod was deleted.
    fn alive(&self) -> usize {
        let is_deleting = |(_, status): &(u64, Value)| status["deleting"] == true;
        let first = self.statuses.iter().position(is_deleting);
        first.unwrap_or(self.statuses.len())
    }

    /// Returns the last status before the pod was deleted, and since when it was shown.
    pub(crate) fn settled(&self) -> Option<&(u64, Value)> {
        self.statuses[..self.alive()].last()
    }

    /// Returns the last status of all.
    pub(crate) fn last(&self) -> Option<&Value> {
        Some(&self.statuses.last()?.1)
    }

    /// Lists the statuses that lasted.
    pub(crate) fn long(&self) -> impl Iterator<Item = &Value> {
        let ends = self.statuses.iter().skip(1).map(|(at, _)| *at);
        let lasted = |((from, _), to): &(&(u64, Value), u64)| to - from >= LONG;
        let binding = |status: &Value| {
            let placed = status["conditions"]["PodScheduled"].as_str();
            placed.is_some_and(is_binding)
        };
        let long = self.statuses.iter().zip(ends).filter(lasted);
        let long = long.filter(move |((_, status), _)| !binding(status));
        long.map(|((_, status), _)| status)
    }
}

impl Recording {
    pub(crate) fn read(folder: &Path, name: &str) -> Self {
        let text = |ending| fs::read_to_string(folder.join(format!("{name}.{ending}"))).unwrap();
        let file: Value = serde_json::from_str(&text("json")).unwrap();
        let pods = file["pods"].as_object().cloned().unwrap_or_default();
        let lives = pods.into_iter().map(|(pod, list)| (pod, life(&list)));
        let events = file["events"].as_array().cloned().unwrap_or_default();
        Self {
            refused: file["refused"].as_str().map(str::to_owned),
            lives: lives.collect(),
            events: once(first_lives(events.iter().map(event))),
            printed: Printed::of(&text("txt")),
        }
    }

    /// Returns when the pods came to rest, in milliseconds.
    pub(crate) fn rests_from(&self) -> u64 {
        let settled = self.lives.values().filter_map(|life| life.settled());
        settled.map(|(since, _)| *since).max().unwrap_or(0)
    }

    /// Returns whether a container is restarted again and again.
    pub(crate) fn restarts(&self) -> bool {
        let settled = self.lives.values().filter_map(|life| life.settled());
        let mut all = settled.flat_map(|(_, status)| {
            let lists = ["init", "containers"].map(|list| status[list].as_array());
            lists.into_iter().flatten().flatten()
        });
        all.any(|it| it["restarts"].as_u64() > Some(1) || it["last"].is_object())
    }

    /// Returns whether the pods looked to kubectl as they did when they were deleted.
    pub(crate) fn rested_when_printed(&self) -> bool {
        self.rests_from() < PRINTED - 1500
    }

    /// Returns whether all pods went.
    pub(crate) fn all_go(&self) -> bool {
        self.lives.values().all(|life| life.gone)
    }
}

impl Printed {
    fn of(text: &str) -> Self {
        let part = |command: &str| {
            let rest = text.split(&format!("$ kubectl {command}\n")).nth(1);
            let own = rest.unwrap_or_default().split("\n$ kubectl ").next();
            own.unwrap_or_default().to_owned()
        };
        Self {
            table: part("get pods"),
            pages: part("describe pods"),
        }
    }
}

fn life(list: &Value) -> Life {
    let mut life = Life::default();
    for status in list.as_array().unwrap() {
        if status["gone"] == true {
            life.gone = true;
            break;
        }
        let mut status = status.clone();
        let at = status.as_object_mut().unwrap().remove("t").unwrap();
        life.statuses.push((at.as_u64().unwrap(), status));
    }
    life
}

pub(crate) fn event(of: &Value) -> Event {
    let text = |name: &str| of[name].as_str().unwrap_or_default().to_owned();
    Event {
        pod: text("pod"),
        kind: text("type"),
        reason: text("reason"),
        field: text("field"),
        message: text("message"),
    }
}

/// Leaves out what says the same as an event before it in words of the kubelet's that are never the
/// same, such as names of directories with a time in them.
fn once(all: Vec<Event>) -> Vec<Event> {
    let mut kept: Vec<Event> = Vec::new();
    for event in all {
        let same = |it: &Event| {
            let sort = |it: &Event| (it.pod.clone(), it.field.clone(), it.reason.clone());
            sort(it) == sort(&event)
                && [&it.message, &event.message]
                    .iter()
                    .all(|it| is_foreign(it))
        };
        if !kept.iter().any(same) {
            kept.push(event);
        }
    }
    kept
}

/// Leaves out the events of pods that a set has made again.
fn first_lives(events: impl Iterator<Item = Event>) -> Vec<Event> {
    let mut killed: Vec<String> = Vec::new();
    let mut again: Vec<String> = Vec::new();
    let mut kept = Vec::new();
    for event in events {
        if event.reason == "Killing" {
            killed.push(event.pod.clone());
        }
        if event.reason == "Scheduled" && killed.contains(&event.pod) {
            again.push(event.pod.clone());
        }
        if !again.contains(&event.pod) {
            kept.push(event);
        }
    }
    kept
}
