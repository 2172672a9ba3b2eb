//! One run of a container: since when it goes on, how it is stopped, and how it ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::clock::Now;
use super::event::{Action, ContainerIndex, Exit};
use crate::model::pod::START_ERROR;

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) state: core::ContainerStateTerminated,
    /// How long it ran.
    pub(super) ran: Duration,
    pub(super) at: Duration,
    pub(super) asked: bool,
    /// Whether it was killed for a failed probe or hook, whatever its exit code says (I56).
    pub(super) unwell: bool,
    /// Whether it was killed for a failed probe.
    pub(super) probed: bool,
}

impl Ended {
    /// Takes over the end of a run that this machine did not see.
    pub(super) fn before(state: core::ContainerStateTerminated, at: Duration) -> Self {
        Self {
            state,
            ran: Duration::ZERO,
            at,
            asked: false,
            unwell: false,
            probed: false,
        }
    }

    pub(super) fn succeeded(&self) -> bool {
        self.state.exit_code == 0
    }
}

/// A run of the main process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) since: Now,
    pub(super) pid: u32,
    /// Whether postStart has not ended yet.
    pub(super) hook_pending: bool,
    /// How the main process ended, while others of its tree remain.
    pub(super) ended: Option<Ended>,
    pub(super) stop: Option<ContainerStop>,
    /// Whether a restart was requested, so that the end is no failure.
    pub(super) asked: bool,
    /// Whether it is stopped since a probe or hook failed.
    pub(super) unwell: bool,
    /// Whether it is stopped since a probe failed.
    pub(super) probed: bool,
}

impl Run {
    pub(super) fn new(since: Now, pid: u32, hook_pending: bool) -> Self {
        Self {
            since,
            pid,
            hook_pending,
            ended: None,
            stop: None,
            asked: false,
            unwell: false,
            probed: false,
        }
    }

    /// Describes the end of this run.
    pub(super) fn ended(&self, exit: Exit, message: Option<String>, now: Now) -> Ended {
        let reason = if exit.code() == 0 {
            "Completed"
        } else {
            "Error"
        };
        Ended {
            state: core::ContainerStateTerminated {
                container_id: Some(container_id(self.pid)),
                exit_code: exit.code(),
                finished_at: Some(Time(now.wall)),
                message,
                reason: Some(reason.to_owned()),
                started_at: Some(Time(self.since.wall)),
                ..Default::default()
            },
            ran: now.mono.saturating_sub(self.since.mono),
            at: now.mono,
            asked: self.asked,
            unwell: self.unwell,
            probed: self.probed,
        }
    }
}

pub(super) fn container_id(pid: u32) -> String {
    format!("petset://{pid}")
}

/// Describes a run that ended before it began.
pub(super) fn start_error(message: &str, now: Now) -> Ended {
    let state = core::ContainerStateTerminated {
        exit_code: 128,
        finished_at: Some(Time(now.wall)),
        message: Some(message.to_owned()),
        reason: Some(START_ERROR.to_owned()),
        started_at: Some(Time(Timestamp::UNIX_EPOCH)),
        ..Default::default()
    };
    Ended::before(state, now.mono)
}

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
pub(super) enum StopStage {
    PreStop,
    /// Waiting until those that stop before it have ended.
    Turn,
    Term,
    Kill,
}

/// The stop of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContainerStop {
    pub(super) stage: StopStage,
    pub(super) deadline: Duration,
    /// Whether it waited for something, so that the rest of the grace may be short.
    pub(super) waited: bool,
}

impl ContainerStop {
    /// Returns the action for the rest of the process tree when the main process has ended.
    pub(super) fn after_end(&self, place: ContainerIndex) -> Option<Action> {
        match self.stage {
            StopStage::PreStop => None,
            StopStage::Turn | StopStage::Term => Some(Action::Terminate(place)),
            StopStage::Kill => Some(Action::Kill(place)),
        }
    }
}
