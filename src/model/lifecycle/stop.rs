//! How containers are stopped: preStop, their turn, SIGTERM, the grace, SIGKILL; main containers
//! together, then sidecars from the last to the first, all within one grace (I23, V51, V52).

use std::time::Duration;

use super::container::{Role, State};
use super::{Action, Hook, Pet, Place};

/// What a container gets after its stop signal even when hooks used the grace up.
const AT_LEAST: Duration = Duration::from_secs(2);

/// The stop of the whole pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PodStop {
    pub(super) deadline: Duration,
}

impl PodStop {
    pub(super) fn at(deadline: Duration) -> Self {
        Self { deadline }
    }
}

/// How far the stop of one container has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    PreStop,
    /// Waiting until those that stop before it have ended.
    Turn,
    Term,
    Kill,
}

/// The stop of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) stage: Stage,
    pub(super) deadline: Duration,
    /// Whether it waited for something, so that the rest of the grace may be short.
    waited: bool,
}

impl Stop {
    /// Returns what is due to the rest of the tree when the main process ends.
    pub(super) fn after_end(&self, place: Place) -> Option<Action> {
        match self.stage {
            Stage::PreStop => None,
            Stage::Turn | Stage::Term => Some(Action::Terminate(place)),
            Stage::Kill => Some(Action::Kill(place)),
        }
    }
}

impl Pet {
    /// Begins the stop of the pod, or shortens the one that is under way.
    pub(super) fn note_stop(&mut self, grace: Duration) {
        let deadline = self.now.mono + grace;
        let earlier = self
            .stop
            .map_or(deadline, |stop| stop.deadline.min(deadline));
        self.stop = Some(PodStop::at(earlier));
        for index in 0..self.containers.len() {
            let place = Place(index);
            let stopping = self.run_mut(place).map(|run| run.stop.is_some());
            match stopping {
                Some(true) => self.shorten(place, deadline, grace.is_zero()),
                Some(false) => {
                    let name = &self.containers[index].name;
                    let words = format!("Stopping container {name}");
                    self.report(false, "Killing", words);
                    self.begin_stop(place, grace);
                }
                None => self.containers[index].give_up(self.now.mono),
            }
        }
    }

    fn shorten(&mut self, place: Place, deadline: Duration, at_once: bool) {
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        stop.deadline = stop.deadline.min(deadline);
        if at_once {
            stop.stage = Stage::Kill;
            self.actions.push(Action::Kill(place));
        }
    }

    /// Stops a container that a probe or hook found unwell, to be started again.
    pub(super) fn stop_unwell(&mut self, place: Place, grace: Duration) {
        if let Some(run) = self.run_mut(place) {
            run.unwell = true;
        }
        self.begin_stop(place, grace);
    }

    /// Begins the stop of one container that runs.
    pub(super) fn begin_stop(&mut self, place: Place, grace: Duration) {
        let deadline = self.now.mono + grace;
        let pre_stop = self.containers[place.0].pre_stop;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        let alive = run.ended.is_none();
        let stage = match (grace.is_zero(), pre_stop && alive) {
            (true, _) => Stage::Kill,
            (false, true) => Stage::PreStop,
            (false, false) => Stage::Turn,
        };
        run.stop = Some(Stop {
            stage,
            deadline,
            waited: false,
        });
        match stage {
            Stage::Kill => self.actions.push(Action::Kill(place)),
            Stage::PreStop => self.actions.push(Action::Hook {
                place,
                hook: Hook::PreStop,
            }),
            Stage::Turn | Stage::Term => {}
        }
    }

    pub(super) fn note_pre_stop(&mut self, place: Place, outcome: Result<(), String>) {
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        if stop.stage != Stage::PreStop {
            return;
        }
        stop.stage = Stage::Turn;
        stop.waited = true;
        if let Err(message) = outcome {
            let words = format!("PreStopHook failed: {message}");
            self.report(true, "FailedPreStopHook", words);
        }
    }

    /// Moves every stop on, and ends the pod when nothing runs any more.
    pub(super) fn advance_stops(&mut self) {
        for index in (0..self.containers.len()).rev() {
            self.advance_stop(Place(index));
        }
        let idle = |it: &super::Container| !it.is_running() && it.state != State::Starting;
        if self.stop.is_some() && self.containers.iter().all(idle) {
            self.finished = true;
            self.actions.push(Action::Finish);
        }
    }

    fn advance_stop(&mut self, place: Place) {
        let now = self.now.mono;
        let turn = self.is_turn(place);
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            if self.stop.is_some() && self.run_mut(place).is_some() {
                self.begin_late_stop(place);
            }
            return;
        };
        if stop.stage == Stage::PreStop && now >= stop.deadline {
            let outcome = Err("it did not end within the grace period".to_owned());
            return self.give_up_pre_stop(place, outcome);
        }
        if stop.stage == Stage::Turn && (turn || now >= stop.deadline) {
            if stop.waited {
                stop.deadline = stop.deadline.max(now + AT_LEAST);
            }
            stop.stage = Stage::Term;
            self.actions.push(Action::Terminate(place));
        }
        self.enforce(place);
    }

    fn give_up_pre_stop(&mut self, place: Place, outcome: Result<(), String>) {
        self.note_pre_stop(place, outcome);
        self.advance_stop(place);
    }

    /// Stops what came to run although the pod stops already.
    fn begin_late_stop(&mut self, place: Place) {
        let deadline = self.stop.map_or(Duration::ZERO, |stop| stop.deadline);
        let grace = deadline.saturating_sub(self.now.mono);
        self.begin_stop(place, grace);
        self.advance_stop(place);
    }

    /// Kills a container whose grace is over, or asks to be woken then.
    fn enforce(&mut self, place: Place) {
        let now = self.now.mono;
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        let deadline = stop.deadline;
        match stop.stage {
            Stage::Kill => {}
            Stage::Term if now >= deadline => {
                stop.stage = Stage::Kill;
                self.actions.push(Action::Kill(place));
            }
            Stage::Turn => {
                stop.waited = true;
                self.wake_at(deadline);
            }
            Stage::PreStop | Stage::Term => self.wake_at(deadline),
        }
    }

    /// Returns whether all that stop before this container have ended (I23).
    fn is_turn(&self, place: Place) -> bool {
        let Some(container) = self.containers.get(place.0) else {
            return true;
        };
        if container.role != Role::Sidecar || self.stop.is_none() {
            return true;
        }
        let first = |(index, other): (usize, &super::Container)| match other.role {
            Role::Sidecar => index > place.0 && other.is_running(),
            Role::Init | Role::App => other.is_running(),
        };
        !self.containers.iter().enumerate().any(first)
    }
}
