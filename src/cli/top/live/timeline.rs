//! What pets were like over the last minutes.

use jiff::Timestamp;

use crate::cli::top::lamp::Lamp;
use crate::cli::top::snapshot::{PetRow, Snapshot};
use crate::sorted::{SortedMap, SortedSet};
use crate::store::journal::Event;

/// How many changes of a pet are remembered.
const MOST: usize = 500;

/// The changes of each pet, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    rows: SortedMap<PetKey, Vec<(Timestamp, Lamp)>>,
    /// The uids of pets that have been ready.
    proved: SortedSet<String>,
}

/// Namespace and name.
pub(super) type PetKey = (String, String);

/// Returns what tells a pet from others.
pub(super) fn key_of(pod: &PetRow) -> PetKey {
    (pod.namespace.clone(), pod.name.clone())
}

impl Timeline {
    /// Adds what a journal tells of pets before the view was opened.
    ///
    /// It tells when a container has started, not when its pet became ready: that is taken for the
    /// same, unless a probe has failed since, and corrected for a pet that is there.
    pub(super) fn recall(&mut self, namespace: &str, events: &[Event], snapshot: &Snapshot) {
        for event in events {
            let (Some(name), Some(lamp)) = (event.object.strip_prefix("pod/"), told(event)) else {
                continue;
            };
            let key = (namespace.to_owned(), name.to_owned());
            push(self.rows.entry(key).or_default(), event.time, lamp);
        }
        for pod in snapshot
            .pods
            .iter()
            .filter(|pod| pod.namespace == namespace)
        {
            let row = self.rows.entry(key_of(pod)).or_default();
            let (created, since) = (pod.created, pod.since.or(pod.created));
            for (time, lamp) in row.iter_mut() {
                let early = since.is_none_or(|since| *time < since);
                if created.is_some_and(|created| *time >= created) && *lamp == Lamp::Ready && early
                {
                    *lamp = Lamp::Starting;
                }
            }
        }
    }

    /// Adds how pets are now. A pet that was ready before, and waits to be so again, is marked so.
    pub(super) fn note(&mut self, snapshot: &mut Snapshot) {
        let now = snapshot.time;
        let mut there = SortedSet::new();
        for pod in &mut snapshot.pods {
            let uid = pod.uid.clone().unwrap_or_default();
            if pod.state == Lamp::Ready {
                self.proved.insert(uid.clone());
            } else if pod.state == Lamp::Starting && self.proved.contains(&uid) {
                pod.state = Lamp::NotReady;
            }
            let key = key_of(pod);
            there.insert(key.clone());
            let row = self.rows.entry(key).or_default();
            let began = match pod.state {
                Lamp::Starting => pod.created,
                Lamp::Ready | Lamp::NotReady => pod.since,
                Lamp::Failing | Lamp::Stopping | Lamp::Done | Lamp::Gone => None,
            };
            push(row, began.unwrap_or(now).min(now), pod.state);
        }
        let gone = self
            .rows
            .iter_mut()
            .filter(|(key, _)| !there.contains(*key));
        gone.for_each(|(_, row)| push(row, now, Lamp::Gone));
    }

    /// Returns what a pet was like in each part of the time until now; the last is how it is.
    pub(super) fn parts(
        &self,
        pet: &PetKey,
        now: Timestamp,
        seconds: f64,
        count: usize,
    ) -> Vec<Option<Lamp>> {
        let none = Vec::new();
        let row = self.rows.get(pet).unwrap_or(&none);
        let age = |time: Timestamp| now.duration_since(time).as_secs_f64();
        let part = |place: usize| {
            if place + 1 == count {
                return row.last().map(|(_, lamp)| *lamp);
            }
            let ends = seconds * (count - 1 - place) as f64;
            let begins = ends + seconds;
            let before = row.iter().rfind(|(time, _)| age(*time) >= begins);
            let within = row
                .iter()
                .filter(|(time, _)| (ends..begins).contains(&age(*time).max(0.0)));
            let all = before.into_iter().chain(within).map(|(_, lamp)| *lamp);
            all.max_by_key(|lamp| weight(*lamp))
        };
        (0..count).map(part).collect()
    }
}

/// Of several states within one part of the time, the one that tells most is shown.
const fn weight(lamp: Lamp) -> u8 {
    match lamp {
        Lamp::Ready | Lamp::Done => 0,
        Lamp::Starting => 1,
        Lamp::NotReady => 2,
        Lamp::Stopping => 3,
        Lamp::Gone => 4,
        Lamp::Failing => 5,
    }
}

fn told(event: &Event) -> Option<Lamp> {
    let field = event.field.as_deref().unwrap_or_default();
    match event.reason.as_str() {
        "Scheduled" => Some(Lamp::Starting),
        "Started" if field.starts_with("spec.containers") => Some(Lamp::Ready),
        "Unhealthy" => Some(Lamp::NotReady),
        "BackOff" | "Failed" => Some(Lamp::Failing),
        "Killing" => Some(Lamp::Stopping),
        _ => None,
    }
}

/// Adds a change; time does not go back within a row.
fn push(row: &mut Vec<(Timestamp, Lamp)>, time: Timestamp, lamp: Lamp) {
    match row.last() {
        Some((_, last)) if *last == lamp => return,
        Some((before, _)) => row.push((time.max(*before), lamp)),
        None => row.push((time, lamp)),
    }
    let surplus = row.len().saturating_sub(MOST);
    row.drain(..surplus);
}
