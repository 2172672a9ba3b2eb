//! How containers are stopped: preStop, their turn, SIGTERM, the grace, SIGKILL; main containers
//! together, then sidecars from the last to the first, all within one grace (I23, V51, V52).

use crate::problem::Problem;
use std::time::Duration;

use super::container::{Container, ContainerRole, State};
use super::event::{Action, ContainerIndex, HookKind};
use super::machine::PodMachine;
use super::run::{ContainerStop, PodStop, StopStage};

/// The grace after the stop signal when a hook has used up the grace period, as the kubelet gives.
const AT_LEAST: Duration = Duration::from_secs(2);

impl PodMachine {
    /// Begins the stop of the pod, or shortens the one that is under way.
    pub(super) fn note_stop(&mut self, grace: Duration) {
        let deadline = self.now.mono + grace;
        let earlier = self
            .stop
            .map_or(deadline, |stop| stop.deadline.min(deadline));
        self.stop = Some(PodStop::at(earlier));
        for index in 0..self.containers.len() {
            let place = ContainerIndex(index);
            let stopping = self.run_mut(place).map(|run| run.stop.is_some());
            match stopping {
                Some(true) => self.shorten(place, deadline, grace.is_zero()),
                Some(false) => {
                    let name = &self.containers[index].name;
                    let words = format!("Stopping container {name}");
                    self.report_of(place, false, "Killing", words);
                    self.begin_stop(place, grace);
                }
                None => self.containers[index].give_up(self.now.mono),
            }
        }
    }

    fn shorten(&mut self, place: ContainerIndex, deadline: Duration, at_once: bool) {
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        stop.deadline = stop.deadline.min(deadline);
        if at_once {
            stop.stage = StopStage::Kill;
            self.actions.push(Action::Kill(place));
        }
    }

    /// Stops a container that a probe or hook found unwell, to be started again.
    pub(super) fn stop_unwell(&mut self, place: ContainerIndex, grace: Duration) {
        if let Some(run) = self.run_mut(place) {
            run.unwell = true;
        }
        self.begin_stop(place, grace);
    }

    /// Begins the stop of one container that runs.
    pub(super) fn begin_stop(&mut self, place: ContainerIndex, grace: Duration) {
        let deadline = self.now.mono + grace;
        let pre_stop = self.containers[place.0].pre_stop;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        let alive = run.ended.is_none();
        let stage = match (grace.is_zero(), pre_stop && alive) {
            (true, _) => StopStage::Kill,
            (false, true) => StopStage::PreStop,
            (false, false) => StopStage::Turn,
        };
        run.stop = Some(ContainerStop {
            stage,
            deadline,
            waited: false,
        });
        match stage {
            StopStage::Kill => self.actions.push(Action::Kill(place)),
            StopStage::PreStop => self.actions.push(Action::Hook {
                place,
                hook: HookKind::PreStop,
            }),
            StopStage::Turn | StopStage::Term => {}
        }
    }

    pub(super) fn note_pre_stop(&mut self, place: ContainerIndex, outcome: Result<(), Problem>) {
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        if stop.stage != StopStage::PreStop {
            return;
        }
        stop.stage = StopStage::Turn;
        stop.waited = true;
        if let Err(problem) = outcome {
            let words = format!("PreStopHook failed: {problem}");
            self.report_of(place, true, "FailedPreStopHook", words);
        }
    }

    /// Moves every stop on, and ends the pod when nothing runs any more.
    pub(super) fn advance_stops(&mut self) {
        for index in (0..self.containers.len()).rev() {
            self.advance_stop(ContainerIndex(index));
        }
        let idle = |it: &Container| !it.is_running() && it.state != State::Starting;
        if self.stop.is_some() && self.containers.iter().all(idle) {
            self.finished = true;
            self.actions.push(Action::Finish);
        }
    }

    fn advance_stop(&mut self, place: ContainerIndex) {
        let now = self.now.mono;
        let turn = self.is_turn(place);
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            if self.stop.is_some() && self.run_mut(place).is_some() {
                self.begin_late_stop(place);
            }
            return;
        };
        if stop.stage == StopStage::PreStop && now >= stop.deadline {
            let outcome = Err(Problem::failed(
                "it did not end within the grace period".to_owned(),
            ));
            return self.give_up_pre_stop(place, outcome);
        }
        if stop.stage == StopStage::Turn && (turn || now >= stop.deadline) {
            if stop.waited {
                stop.deadline = stop.deadline.max(now + AT_LEAST);
            }
            stop.stage = StopStage::Term;
            self.actions.push(Action::Terminate(place));
        }
        self.enforce(place);
    }

    fn give_up_pre_stop(&mut self, place: ContainerIndex, outcome: Result<(), Problem>) {
        self.note_pre_stop(place, outcome);
        self.advance_stop(place);
    }

    /// Stops what came to run although the pod stops already.
    fn begin_late_stop(&mut self, place: ContainerIndex) {
        let deadline = self.stop.map_or(Duration::ZERO, |stop| stop.deadline);
        let grace = deadline.saturating_sub(self.now.mono);
        self.begin_stop(place, grace);
        self.advance_stop(place);
    }

    /// Kills a container whose grace is over, or asks to be woken then.
    fn enforce(&mut self, place: ContainerIndex) {
        let now = self.now.mono;
        let Some(stop) = self.run_mut(place).and_then(|run| run.stop.as_mut()) else {
            return;
        };
        let deadline = stop.deadline;
        match stop.stage {
            StopStage::Kill => {}
            StopStage::Term if now >= deadline => {
                stop.stage = StopStage::Kill;
                self.actions.push(Action::Kill(place));
            }
            StopStage::Turn => {
                stop.waited = true;
                self.wake_at(deadline);
            }
            StopStage::PreStop | StopStage::Term => self.wake_at(deadline),
        }
    }

    /// Returns whether all that stop before this container have ended (I23).
    fn is_turn(&self, place: ContainerIndex) -> bool {
        let Some(container) = self.containers.get(place.0) else {
            return true;
        };
        if container.role != ContainerRole::Sidecar || self.stop.is_none() {
            return true;
        }
        let first = |(index, other): (usize, &Container)| match other.role {
            ContainerRole::Sidecar => index > place.0 && other.is_running(),
            ContainerRole::Init | ContainerRole::App => other.is_running(),
        };
        !self.containers.iter().enumerate().any(first)
    }
}
