//! Making the pods of a manifest with petset, watching them, and deleting them again.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::compare;
use super::recording::{Event, Printed, Recording, event};
use super::support::Sandbox;
use super::watch::Watch;
use super::words::{self, Names};

/// How long the pods of the recordings were left alone.
const LEFT: Duration = Duration::from_secs(12);
/// When kubectl printed them.
const PRINTED: Duration = Duration::from_secs(9);
/// How long a pod must rest after it looks as recorded: what comes later is an error. One whose
/// containers restart does not rest; it is looked at as soon as it looks as recorded, for petset is
/// faster.
const REST: Duration = Duration::from_secs(1);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long the last status of a pod that goes may take to be seen.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// What petset showed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) refused: Option<String>,
    /// The distinct statuses of each pod, in the form of the recordings.
    pub(crate) lives: BTreeMap<String, Vec<Value>>,
    /// What `get -o json` showed of each pod at rest.
    pub(crate) at_rest: BTreeMap<String, Value>,
    pub(crate) names: BTreeMap<String, Names>,
    /// The events in the order in which each was seen last.
    pub(crate) events: Vec<Event>,
    /// The same in that in which each was seen first.
    pub(crate) events_by_first: Vec<Event>,
    pub(crate) printed: Printed,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pod, statuses) in &self.lives {
            for status in statuses {
                writeln!(f, "{pod} {status}")?;
            }
        }
        for event in &self.events {
            writeln!(f, "{event:?}")?;
        }
        write!(f, "{}\n{}", self.printed.table, self.printed.pages)
    }
}

/// Makes the pods of a manifest, alone, and watches them until they are gone.
pub(crate) fn observe(recording: &Recording, manifest: &Path) -> Seen {
    let sandbox = sandbox();
    let watch = Watch::begin(&sandbox.state());
    let create = ["create", "--no-wait", "-f", manifest.to_str().unwrap()];
    let output = sandbox.command_of(&create).output().unwrap();
    let begin = Instant::now();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Seen {
            refused: Some(said),
            ..Seen::default()
        };
    }
    let settled = |seen: &Seen| compare::settled(recording, seen).is_empty();
    let printed = match recording.rested_when_printed() {
        true => None,
        false => Some(print_at(&sandbox, begin + PRINTED)),
    };
    if !recording.restarts() {
        let soonest = Duration::from_millis(recording.rests_from()) + REST;
        std::thread::sleep(soonest.min(LEFT).saturating_sub(begin.elapsed()));
    }
    let rests = || {
        settled(&watch.seen()) && {
            let seen = Seen {
                events: events(&sandbox, &watch.names(), false),
                ..Seen::default()
            };
            compare::has_events_of_life(recording, &seen)
        }
    };
    look_until(rests, LEFT.saturating_sub(begin.elapsed()));
    let printed = printed.unwrap_or_else(|| print(&sandbox));
    let at_rest = at_rest(&sandbox);
    delete(&sandbox, &watch, recording);
    let names = watch.names();
    Seen {
        events: events(&sandbox, &names, false),
        events_by_first: events(&sandbox, &names, true),
        at_rest,
        printed,
        names,
        ..watch.seen()
    }
}

/// Waits until a condition holds, for so long at most. It is looked at rarely: many look at a time.
fn look_until(mut condition: impl FnMut() -> bool, limit: Duration) {
    let deadline = Instant::now() + limit;
    while !condition() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let state = sandbox.state();
    fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    // The pauses of a kubelet.
    let settings = "isolation = \"full\"\nback-off = { start = \"10s\", cap = \"300s\" }\n";
    fs::write(sandbox.file("petset.toml"), settings).unwrap();
    sandbox
}

fn print_at(sandbox: &Sandbox, at: Instant) -> Printed {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
    print(sandbox)
}

fn print(sandbox: &Sandbox) -> Printed {
    let said = |words: &str| {
        let output = sandbox.command(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    Printed {
        table: said("get pods"),
        pages: said("describe pods"),
    }
}

fn at_rest(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let output = sandbox.command("get pods -o json").output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let pods = list["items"].as_array().into_iter().flatten();
    let named = pods.map(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        (name, words::status(pod))
    });
    named.collect()
}

/// Deletes the pods with their own grace; those that the recording saw go are waited for.
fn delete(sandbox: &Sandbox, watch: &Watch, recording: &Recording) {
    let pods: Vec<String> = recording
        .lives
        .keys()
        .map(|it| format!("pod/{it}"))
        .collect();
    let mut words = vec!["delete", "--ignore-not-found", "--timeout=40s"];
    words.extend(pods.iter().map(String::as_str));
    if !recording.all_go() {
        words.push("--no-wait");
    }
    if !pods.is_empty() {
        let _ = sandbox.command_of(&words).output().unwrap();
    }
    let told = || compare::ended(recording, &watch.seen()).is_empty();
    look_until(told, LAST_LOOK);
}

/// Reads the events of the first life of each pod.
fn events(sandbox: &Sandbox, names: &BTreeMap<String, Names>, by_first: bool) -> Vec<Event> {
    let output = sandbox.command("events -o json").output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut items = list["items"].as_array().cloned().unwrap_or_default();
    if by_first {
        // The name of an event ends with the time of the first one, in hexadecimal.
        items.sort_by_cached_key(|item| {
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            let time = name.rsplit('.').next().unwrap_or_default();
            u128::from_str_radix(time, 16).unwrap_or_default()
        });
    }
    let mut events = Vec::new();
    for item in items {
        let about = &item["involvedObject"];
        let pod = about["name"].as_str().unwrap_or_default();
        let Some(names) = names.get(pod).filter(|_| about["kind"] == "Pod") else {
            continue;
        };
        if about["uid"] != names.uid.as_str() {
            continue;
        }
        let mut event = event(&item);
        event.kind = item["type"].as_str().unwrap_or_default().to_owned();
        pod.clone_into(&mut event.pod);
        about["fieldPath"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut event.field);
        event.message = words::hide(&event.message, names);
        if !events.contains(&event) {
            events.push(event);
        }
    }
    events
}
