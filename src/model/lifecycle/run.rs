//! One run of a container: that it goes on, and how it ended.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Now;
use super::stop::Stop;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Returns the code that Kubernetes shows: 128 + signal for a signal (V55).
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Its image cannot be resolved: `ErrImagePull`, then `ImagePullBackOff`.
    Image(String),
    /// Its environment cannot be made: `CreateContainerConfigError`.
    Config(String),
    /// Its process cannot be made: exit code 128, `StartError`.
    Launch(String),
}

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
    pub(super) stop: Option<Stop>,
    /// Whether somebody asked for a restart, so that the end is no failure.
    pub(super) asked: bool,
    /// Whether it is stopped since a probe or hook failed.
    pub(super) unwell: bool,
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
                signal: match exit {
                    Exit::Signal(signal) => Some(signal),
                    Exit::Code(_) => None,
                },
                started_at: Some(Time(self.since.wall)),
            },
            ran: now.mono.saturating_sub(self.since.mono),
            at: now.mono,
            asked: self.asked,
            unwell: self.unwell,
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
        reason: Some("StartError".to_owned()),
        started_at: Some(Time(Timestamp::UNIX_EPOCH)),
        ..Default::default()
    };
    Ended::before(state, now.mono)
}
