//! The events that a pod machine takes, and the actions that it asks for.

use crate::problem::Problem;
use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;

use super::probe::{ProbeKind, ProbeOutcome};

/// Which container of its pod: the init containers come first, then the main ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerIndex(pub usize);

/// A lifecycle hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Runs beside the main process; the container is not running before it ends.
    PostStart,
    /// Runs before the main process is told to end.
    PreStop,
}

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
    /// Its image's name is none: `InvalidImageName`.
    ImageName(String),
    /// Its image is missing, and its pull policy is Never: `ErrImageNeverPull`.
    ImageNever(String),
    /// Its environment cannot be made: `CreateContainerConfigError`.
    Config(String),
    /// What confines it cannot be made: `CreateContainerError`.
    Create(String),
    /// Its process cannot be made: exit code 128, `StartError`.
    Launch(String),
}

/// An event in the life of a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum PodEvent {
    /// Nothing: a deadline may have passed.
    Tick,
    /// The pod's volumes are in place, or why not.
    Prepared(Result<(), Problem>),
    /// The container's main process runs.
    Started {
        /// The container.
        place: ContainerIndex,
        /// Its main process.
        pid: u32,
    },
    /// The container's main process could not be started.
    StartFailed {
        /// The container.
        place: ContainerIndex,
        /// Why.
        failure: Failure,
    },
    /// The container's main process ended; others of its tree may remain.
    Ended {
        /// The container.
        place: ContainerIndex,
        /// How it ended.
        exit: Exit,
        /// Its termination message (V53).
        message: Option<String>,
    },
    /// Nothing remains of the container's tree: always after `Ended`.
    Gone(ContainerIndex),
    /// A hook ended.
    Hooked {
        /// The container.
        place: ContainerIndex,
        /// Which hook.
        hook: HookKind,
        /// Whether it succeeded.
        outcome: Result<HookSuccess, Problem>,
    },
    /// A probe ended.
    Probed {
        /// The container.
        place: ContainerIndex,
        /// Which probe.
        kind: ProbeKind,
        /// The run it was asked for in [`Action::Probe`]: a late answer is ignored.
        run: u32,
        /// Its answer.
        outcome: ProbeOutcome,
    },
    /// The pod is to stop; a repetition may only shorten the grace.
    Stop {
        /// The time it has to stop by itself; zero kills at once.
        grace: Duration,
    },
    /// One container is to be restarted, without back-off.
    Restart(ContainerIndex),
    /// Something that is waited for may have changed: try again now.
    Reload,
    /// The pod uses more than it may, and this says of what: it is to end (V61).
    Evicted(String),
    /// The pod has changed as far as a pod may: images, deadlines.
    Redefined(Box<PodSpec>),
}

/// How a hook succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookSuccess {
    /// As it was asked for.
    Plain,
    /// By HTTP instead of HTTPS, from the server at this host and port.
    FellBack(String),
}

/// A task for the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put the pod's volumes in place; answered by [`PodEvent::Prepared`].
    Prepare,
    /// Start the container; answered by [`PodEvent::Started`] or [`PodEvent::StartFailed`].
    Start(ContainerIndex),
    /// Send the stop signal to the main process, or, where it has ended, to all that is left.
    Terminate(ContainerIndex),
    /// Kill the container's whole tree, and go on until it is gone.
    Kill(ContainerIndex),
    /// Run a hook; answered by [`PodEvent::Hooked`].
    Hook {
        /// The container.
        place: ContainerIndex,
        /// Which hook.
        hook: HookKind,
    },
    /// Run a probe once; answered by [`PodEvent::Probed`].
    Probe {
        /// The container.
        place: ContainerIndex,
        /// Which probe.
        kind: ProbeKind,
        /// To be handed back in the answer.
        run: u32,
    },
    /// Write an event into the journal.
    Report(Report),
    /// All is over: kill whatever is left, and end.
    Finish,
}

/// An event for the journal, in the kubelet's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The part of the pod that it is about, such as `spec.containers{c}`; `None` for all of it.
    pub field: Option<String>,
    /// Whether it is a warning.
    pub warning: bool,
    /// One word, such as `Killing`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// How often it happened since the last report that says the same.
    pub count: u32,
}
