//! `--slow`: each step that was seen is shown for a second, in the order in which they happened.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli::top::snapshot::{PetRow, Snapshot};
use crate::sorted::sort_by_key;

/// How long a step is shown.
const STEP: Duration = Duration::from_secs(1);

/// Steps that are still to be shown.
#[derive(Debug, Default)]
pub(super) struct Replay {
    waiting: VecDeque<Snapshot>,
    last: Option<Snapshot>,
    next: Option<Instant>,
}

impl Replay {
    /// Begins with what is shown now.
    pub(super) fn starting_at(snapshot: &Snapshot) -> Self {
        Self {
            last: Some(snapshot.clone()),
            ..Self::default()
        }
    }

    /// Takes the state that was read last, as the steps that lead to it.
    pub(super) fn add(&mut self, snapshot: Snapshot) {
        if let Some(last) = &self.last {
            self.waiting.extend(between(last, &snapshot));
        } else {
            self.waiting.push_back(snapshot.clone());
        }
        self.last = Some(snapshot);
    }

    /// Returns the next step, when its time has come.
    pub(super) fn next(&mut self, now: Instant) -> Option<Snapshot> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let snapshot = self.waiting.pop_front()?;
        self.next = Some(now + STEP);
        Some(snapshot)
    }

    /// Returns when there is something to show.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = self.next.unwrap_or_else(Instant::now);
        (!self.waiting.is_empty()).then_some(next)
    }

    /// Returns how many steps wait.
    pub(super) fn behind(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the last state, where not all of it was shown.
    pub(super) fn skip(&mut self) -> Option<Snapshot> {
        self.waiting.drain(..).next_back()
    }
}

/// Returns the states from one to another, with one pet changed at each step; the last is the other
/// itself. A change of figures alone is no step.
fn between(from: &Snapshot, to: &Snapshot) -> Vec<Snapshot> {
    let place = |all: &[PetRow], pod: &PetRow| {
        let same = |it: &PetRow| (&it.namespace, &it.name) == (&pod.namespace, &pod.name);
        all.iter().position(same)
    };
    let mut changes: Vec<(Timestamp, PetRow)> = Vec::new();
    let (mut shown, mut steps) = (from.clone(), Vec::new());
    shown.time = to.time;
    for pod in &from.pods {
        let now = place(&to.pods, pod).map(|at| &to.pods[at]);
        if now.is_none_or(|now| now.uid != pod.uid) {
            shown
                .pods
                .retain(|it| it.uid != pod.uid || it.name != pod.name);
            steps.push(shown.clone());
        }
    }
    for pod in &to.pods {
        let before = place(&from.pods, pod).map(|at| &from.pods[at]);
        if before.is_none_or(|before| looks(before) != looks(pod)) {
            let time = pod.since.max(pod.created).unwrap_or(to.time);
            changes.push((time, pod.clone()));
        }
    }
    sort_by_key(&mut changes, |(time, _)| *time);
    for (_, pod) in changes {
        match place(&shown.pods, &pod) {
            Some(at) => shown.pods[at] = pod,
            None => {
                // It takes the place that it has at the end.
                let order = |it: &PetRow| place(&to.pods, it);
                let at = shown.pods.iter().position(|it| order(it) > order(&pod));
                shown.pods.insert(at.unwrap_or(shown.pods.len()), pod);
            }
        }
        steps.push(shown.clone());
    }
    match steps.last_mut() {
        Some(last) => *last = to.clone(),
        None if from.workloads != to.workloads || from.services != to.services => {
            steps.push(to.clone());
        }
        None => {}
    }
    steps
}

/// Returns what is no figure of a pet.
fn looks(pod: &PetRow) -> PetRow {
    PetRow {
        usage: None,
        why: None,
        ..pod.clone()
    }
}
