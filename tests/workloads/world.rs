//! A simulated cluster: an API that keeps objects, the fake kubelet of the recordings, the garbage
//! collector, and the controllers under test.
//!
//! What is observed is derived from the objects as the recorder did it: by comparing each with what
//! it was before. What is not the controllers' doing happens when it happened in the recording.

mod api;
mod controllers;
mod defaults;
mod garbage;
mod kinds;
mod kubelet;
pub(crate) mod storage;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use petset::model::daemon_set::FailedPods;
use petset::model::job::BackOffRecord;
use petset::model::workload::Random;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::recording::{Recording, Step};
pub(crate) use kinds::Kind;

/// Things that happen in one step after which its world is taken to be restless.
const MAX_TURNS: usize = 20_000;

/// Everything there is.
#[derive(Clone)]
pub(crate) struct World {
    recording: Rc<Recording>,
    step: usize,
    start: Timestamp,
    pub(crate) now: Timestamp,
    /// How long a controller takes to look at a change.
    lag: SignedDuration,
    /// How long the garbage collector takes.
    collecting: SignedDuration,
    objects: BTreeMap<(Kind, String), Value>,
    queue: BTreeMap<(Timestamp, u64), Due>,
    order: u64,
    uids: u64,
    random: Random,
    /// Short names of pods that a pod of this world has taken.
    taken: BTreeSet<String>,
    holds: BTreeSet<(String, String)>,
    /// How often in a row a controller's pass over an object failed.
    failures: BTreeMap<(Kind, String), u32>,
    /// The generation of each Job that was looked at.
    generations: BTreeMap<(Kind, String), Value>,
    /// What the Job controller remembers, by the uid of the Job.
    back_offs: BTreeMap<String, BackOffRecord>,
    /// What the DaemonSet controller remembers, by the uid of the DaemonSet.
    failed_pods: BTreeMap<String, FailedPods>,
    /// Pods that have stopped and are held by a finalizer.
    stopped: BTreeSet<String>,
    pub(crate) events: Vec<Value>,
    pub(crate) told: Vec<Value>,
    pub(crate) history: Vec<Value>,
}

/// Something that is due.
#[derive(Clone, PartialEq)]
enum Due {
    /// An action of the step.
    Act(usize),
    /// A controller looks at an object.
    Look(Kind, String),
    /// The garbage collector looks.
    Collect,
    /// The fake kubelet starts a pod.
    Start(String),
    /// A program ends.
    Exit(String),
    /// A container that failed runs again.
    Restart(String),
    /// A pod has stopped.
    Stopped(String),
}

impl World {
    pub(crate) fn of(recording: &Rc<Recording>) -> Self {
        let epoch = "2026-01-01T00:00:00.493Z".parse().unwrap();
        let start = recording.starts(epoch)[0];
        let mut world = Self {
            recording: Rc::clone(recording),
            step: 0,
            start,
            now: start,
            lag: SignedDuration::ZERO,
            collecting: SignedDuration::ZERO,
            objects: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            uids: 0,
            random: Random::seeded(1),
            taken: BTreeSet::new(),
            holds: BTreeSet::new(),
            failures: BTreeMap::new(),
            generations: BTreeMap::new(),
            back_offs: BTreeMap::new(),
            failed_pods: BTreeMap::new(),
            stopped: BTreeSet::new(),
            events: Vec::new(),
            told: Vec::new(),
            history: Vec::new(),
        };
        let node = json!({"metadata": {"name": "node1", "uid": "node1", "labels":
            {"kubernetes.io/hostname": "node1", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        world.objects.insert((Kind::Node, "node1".to_owned()), node);
        world
    }

    /// Plays a step until the next one begins; a controller takes so many milliseconds to look at a
    /// change, the garbage collector others.
    pub(crate) fn play(&mut self, number: usize, (lag, collecting): (i64, i64)) {
        let epoch = "2026-01-01T00:00:00.493Z".parse().unwrap();
        let starts = self.recording.starts(epoch);
        self.step = number;
        self.lag = SignedDuration::from_millis(lag);
        self.collecting = SignedDuration::from_millis(collecting);
        (self.start, self.now) = (starts[number], self.now.max(starts[number]));
        self.events.clear();
        self.told.clear();
        self.history.clear();
        let recording = Rc::clone(&self.recording);
        let step = &recording.steps[number];
        if step.api_error.is_none() {
            for (place, action) in step.actions.iter().enumerate() {
                self.plan(SignedDuration::from_millis(action.t), Due::Act(place));
            }
        }
        self.retry(step);
        self.plan_binder(step);
        for _ in 0..MAX_TURNS {
            let Some(entry) = self.queue.first_entry() else {
                break;
            };
            if entry.key().0 >= starts[number + 1] {
                break;
            }
            let ((at, _), due) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(due, step);
        }
        self.now = self.now.max(starts[number + 1]);
    }

    /// Lets controllers whose last pass failed try again when they did in the recording: how far
    /// apart attempts are by then depends on every one before (RS16).
    fn retry(&mut self, step: &Step) {
        let keys: Vec<_> = self.failures.keys().cloned().collect();
        for (kind, name) in keys {
            let owner = format!("{}/{}", kind.name(), self.alias(kind, &name));
            let mut made = step
                .events
                .iter()
                .filter(|event| event["owner"] == owner.as_str());
            if let Some(t) = made.find_map(|event| event["t"].as_i64()) {
                self.plan(SignedDuration::from_millis(t), Due::Look(kind, name));
            }
        }
    }

    fn happen(&mut self, due: Due, step: &Step) {
        match due {
            Due::Act(place) => self.act(&step.actions[place]),
            Due::Look(kind, name) => self.look(kind, &name),
            Due::Collect => self.collect(),
            Due::Start(uid) => self.start_pod(&uid),
            Due::Exit(uid) => self.exit_pod(&uid, None),
            Due::Restart(uid) => self.restart_container(&uid),
            Due::Stopped(uid) => self.stopped(&uid),
        }
    }

    /// Plans something for a time after the beginning of the step.
    fn plan(&mut self, after: SignedDuration, due: Due) {
        let at = (self.start + after).max(self.now);
        self.plan_at(at, due);
    }

    /// Plans something, unless it is planned for that time or earlier already.
    fn plan_at(&mut self, at: Timestamp, due: Due) {
        let known = self.queue.iter().find(|(_, other)| **other == due);
        if let Some((key, _)) = known {
            if key.0 <= at {
                return;
            }
            let key = *key;
            self.queue.remove(&key);
        }
        self.order += 1;
        self.queue.insert((at, self.order), due);
    }

    fn plan_in(&mut self, milliseconds: i64, due: Due) {
        self.plan_at(self.now + SignedDuration::from_millis(milliseconds), due);
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, name.to_owned()))
    }

    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = (&String, &Value)> {
        let all = self.objects.iter();
        all.filter(move |((other, _), _)| *other == kind)
            .map(|((_, name), object)| (name, object))
    }

    fn typed<T: DeserializeOwned>(&self, kind: Kind) -> Vec<T> {
        self.all(kind).map(|(_, object)| read(object)).collect()
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{:05}", self.uids)
    }

    /// Writes a text as the recording does: with short names for those that were made up.
    pub(crate) fn shorten(&self, text: &str) -> String {
        let names = self.recording.names.values().flatten();
        let mut names: Vec<_> = names.collect();
        names.sort_by_key(|(_, real)| std::cmp::Reverse(real.len()));
        let mut text = text.to_owned();
        for (alias, real) in names {
            text = text.replace(real.as_str(), alias);
        }
        text
    }

    /// Returns what the recording calls an object of a kind.
    pub(crate) fn alias(&self, kind: Kind, name: &str) -> String {
        let names = self.recording.names.get(kind.names());
        let known = names.and_then(|names| names.iter().find(|(_, real)| *real == name));
        known.map_or_else(|| name.to_owned(), |(alias, _)| alias.clone())
    }

    /// Returns the name that something has which the recording may call by a short one.
    fn real(&self, kind: Kind, name: &str) -> String {
        let real = self.recording.real_name(kind.names(), name);
        real.cloned().unwrap_or_else(|| name.to_owned())
    }
}

pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("an object of its kind")
}

pub(crate) fn write<T: Serialize>(object: &T) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    value
}
