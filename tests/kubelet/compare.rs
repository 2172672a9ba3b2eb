//! Holding what was seen against a recording.

use std::fmt::Write;

use serde_json::{Value, json};

use super::observe::Seen;
use super::page;
use super::recording::{Event, Life, Recording};
use super::words::{is_clusters, pass_over_foreign, says_the_same};

/// What can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aspect {
    /// Whether the manifest is taken.
    Refusal,
    /// The statuses that last, and their order.
    Statuses,
    /// The last status before the pod is deleted.
    Rest,
    /// The last status of all.
    End,
    Events,
    /// The STATUS column.
    Word,
    /// What both descriptions say.
    Page,
}

/// One difference, and both sides of it.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) aspect: Aspect,
    pub(crate) words: String,
}

impl Aspect {
    pub(crate) const ALL: [Self; 7] = [
        Self::Refusal,
        Self::Statuses,
        Self::Rest,
        Self::End,
        Self::Events,
        Self::Word,
        Self::Page,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Statuses => "statuses",
            Self::Rest => "last status before it was deleted",
            Self::End => "last status of all",
            Self::Events => "events",
            Self::Word => "STATUS column",
            Self::Page => "description",
        }
    }
}

/// Lists all differences.
pub(crate) fn differences(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    if recording.refused.is_some() || seen.refused.is_some() {
        return refusals(recording, seen);
    }
    let mut all = settled(recording, seen);
    if all.is_empty() {
        all.extend(at_rest(recording, seen));
    }
    all.extend(ended(recording, seen));
    all.extend(order(recording, seen));
    all.extend(events(recording, seen));
    all.extend(page::words(recording, seen));
    all.extend(page::pages(recording, seen));
    all
}

fn refusals(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    if recording.refused.is_some() == seen.refused.is_some() {
        return Vec::new();
    }
    let words = match &seen.refused {
        Some(said) => format!("it is refused:\n{said}"),
        None => format!("it is taken, not refused:\n{:?}", recording.refused),
    };
    let aspect = Aspect::Refusal;
    vec![Difference { aspect, words }]
}

/// Compares the last statuses before the pods were deleted.
pub(crate) fn settled(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    each(recording, seen, Aspect::Rest, |_, life, ours| {
        let theirs = life.settled()?.1.clone();
        let mut alive = ours.iter().filter(|it| it["deleting"] != true);
        unequal(theirs, alive.next_back().cloned())
    })
}

/// Compares them as `petset get` shows them.
fn at_rest(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    each(recording, seen, Aspect::Rest, |pod, life, _| {
        let theirs = life.settled()?.1.clone();
        unequal(theirs, seen.at_rest.get(pod).cloned())
    })
}

/// Compares the last statuses of all.
///
/// The grace of a pod that only waits to be removed is 0 for an instant: that is passed over.
pub(crate) fn ended(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    let bare = |mut status: Value| {
        status.as_object_mut().unwrap().remove("grace");
        status
    };
    each(recording, seen, Aspect::End, |_, life, ours| {
        let ours = ours.last().cloned().map(bare);
        // What has ended, or has no place, is gone in the instant in which it is marked.
        let at_once = life.last()?["grace"].is_null() && is_over(&life.settled()?.1);
        if at_once && unequal(bare(life.settled()?.1.clone()), ours.clone()).is_none() {
            return None;
        }
        unequal(bare(life.last()?.clone()), ours)
    })
}

/// Looks for the statuses that lasted among those that were seen, in their order.
fn order(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    each(recording, seen, Aspect::Statuses, |_, life, ours| {
        let mut rest = ours.iter();
        for wanted in life.long() {
            let from = rest.clone();
            let is_it = |it: &Value| {
                let shown = |wanted: Value| unequal(wanted, Some(it.clone())).is_none();
                shown(wanted.clone()) || as_run(wanted).is_some_and(shown)
            };
            if rest.any(is_it) {
                continue;
            }
            let nearest = from.min_by_key(|it| lines(wanted, it).lines().count());
            let words = match nearest {
                Some(nearest) => lines(wanted, nearest),
                None => "nothing comes any more".to_owned(),
            };
            return Some(format!("{} is not shown: {words}", brief(wanted)));
        }
        None
    })
}

/// Returns whether a pod has ended, or has no place.
fn is_over(status: &Value) -> bool {
    let unplaced = status["conditions"]["PodScheduled"].as_str();
    let unplaced = unplaced.is_some_and(|it| it.starts_with("False"));
    unplaced || matches!(status["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// Returns a status as it is where somebody has seen the containers run before they ended: a
/// kubelet may be too slow for that, and then never calls the pod Running.
fn as_run(status: &Value) -> Option<Value> {
    let containers = status["containers"].as_array()?;
    let ran = |it: &Value| {
        let end = &it["state"]["terminated"];
        end.is_object() && end["reason"] != "StartError"
    };
    (status["phase"] == "Pending" && containers.iter().all(ran)).then(|| {
        let mut status = status.clone();
        status["phase"] = json!("Running");
        status
    })
}

fn each(
    recording: &Recording,
    seen: &Seen,
    aspect: Aspect,
    compare: impl Fn(&str, &Life, &[Value]) -> Option<String>,
) -> Vec<Difference> {
    let mut all = Vec::new();
    for (pod, life) in &recording.lives {
        let ours = seen.lives.get(pod).map(Vec::as_slice).unwrap_or_default();
        if let Some(words) = compare(pod, life, ours) {
            let words = format!("{pod}: {words}");
            all.push(Difference { aspect, words });
        }
    }
    all
}

fn unequal(mut theirs: Value, ours: Option<Value>) -> Option<String> {
    let mut ours = ours.unwrap_or_else(|| json!({}));
    pass_over_foreign(&mut theirs, &mut ours);
    (theirs != ours).then(|| lines(&theirs, &ours))
}

fn brief(status: &Value) -> String {
    let states = status["containers"].as_array().into_iter().flatten();
    let states: Vec<String> = states.map(|it| it["state"].to_string()).collect();
    let deleting = status["deleting"] == true;
    let ready = &status["conditions"]["Ready"];
    format!("{} {states:?} {ready} deleting={deleting}", status["phase"])
}

/// Lists where two values differ, a line each.
fn lines(theirs: &Value, ours: &Value) -> String {
    let mut out = String::new();
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    pass_over_foreign(&mut theirs, &mut ours);
    write_lines("", &theirs, &ours, &mut out);
    out
}

fn write_lines(place: &str, theirs: &Value, ours: &Value, out: &mut String) {
    if theirs == ours {
        return;
    }
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a
                .keys()
                .chain(b.keys().filter(|name| !a.contains_key(*name)))
            {
                let (theirs, ours) = (&theirs[name], &ours[name]);
                write_lines(&format!("{place}.{name}"), theirs, ours, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (theirs, ours)) in a.iter().zip(b).enumerate() {
                write_lines(&format!("{place}[{at}]"), theirs, ours, out);
            }
        }
        _ => writeln!(out, "{place}: {theirs}, here {ours}").unwrap(),
    }
}

/// Returns whether the events of the pods' lives are there, all but those of their ends.
pub(crate) fn has_events_of_life(recording: &Recording, seen: &Seen) -> bool {
    let before = |event: &&Event| event.reason != "Killing";
    let mut wanted = recording.events.iter().filter(before);
    wanted.all(|wanted| {
        let mut ours = seen.events.iter();
        ours.any(|it| sort(it) == sort(wanted))
    })
}

fn sort(event: &Event) -> (&str, &str, &str) {
    (&event.pod, &event.field, &event.reason)
}

/// Compares events: for each container the same, in the same order, and for each pod all but those
/// of stops, which happen side by side, in the same order among themselves.
fn events(recording: &Recording, seen: &Seen) -> Vec<Difference> {
    let of_pods = |all: &[Event]| -> Vec<String> {
        let mut all: Vec<&Event> = all.iter().filter(|it| it.reason != "Killing").collect();
        all.sort_by_key(|event| event.pod.clone());
        all.into_iter().map(line).collect()
    };
    let of_containers = |all: &[Event]| -> Vec<String> {
        let mut all: Vec<&Event> = all.iter().collect();
        all.sort_by_key(|event| (event.pod.clone(), event.field.clone()));
        all.into_iter().map(line).collect()
    };
    let theirs: Vec<Event> = recording
        .events
        .iter()
        .filter(|it| !is_clusters(it))
        .cloned()
        .collect();
    let ours = in_their_words(&theirs, &seen.events);
    let by_first = in_their_words(&theirs, &seen.events_by_first);
    // A kubelet's are in the one order or the other, as the API server happened to count them.
    let equal = |of: &[Event]| {
        of_pods(&theirs) == of_pods(of) && of_containers(&theirs) == of_containers(of)
    };
    let words = if equal(&by_first) {
        return Vec::new();
    } else if of_pods(&theirs) != of_pods(&ours) {
        side_by_side(&of_pods(&theirs), &of_pods(&ours))
    } else if of_containers(&theirs) != of_containers(&ours) {
        side_by_side(&of_containers(&theirs), &of_containers(&ours))
    } else {
        return Vec::new();
    };
    let aspect = Aspect::Events;
    vec![Difference { aspect, words }]
}

/// Takes over the recorded message of each event of the same sort whose words are the kubelet's
/// own.
fn in_their_words(theirs: &[Event], ours: &[Event]) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in ours {
        let mut event = event.clone();
        let mut same = theirs.iter().filter(|it| sort(it) == sort(&event));
        if theirs.contains(&event) {
            out.push(event);
            continue;
        }
        if let Some(theirs) = same.find(|it| says_the_same(&it.message, &event.message)) {
            event.message.clone_from(&theirs.message);
        }
        if out.last() != Some(&event) {
            out.push(event);
        }
    }
    out
}

fn line(event: &Event) -> String {
    let Event {
        pod,
        kind,
        reason,
        field,
        message,
    } = event;
    format!("{pod} {kind} {reason} {field} {message}")
}

/// Shows which lines only one side has, in their order.
pub(crate) fn side_by_side(theirs: &[String], ours: &[String]) -> String {
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let diff = similar::TextDiff::from_slices(&theirs, &ours);
    let changes = diff.iter_all_changes();
    let shown = changes.filter(|it| it.tag() != similar::ChangeTag::Equal);
    shown
        .map(|it| format!("{}{}\n", it.tag(), it.value()))
        .collect()
}
