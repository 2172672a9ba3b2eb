//! What may happen to a pet, and what is to be done about it.

use std::time::Duration;

use k8s_openapi::api::core::v1::PodSpec;

use super::probe::{Kind as ProbeKind, Outcome};
use super::run::{Exit, Failure};

/// Where a container stands in its pod: the init containers first, then the main ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub usize);

/// A lifecycle hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Runs beside the main process; the container is not running before it ends.
    PostStart,
    /// Runs before the main process is told to end.
    PreStop,
}

/// What happened to the pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Nothing: a deadline may have passed.
    Tick,
    /// The pod's volumes are in place, or why not.
    Prepared(Result<(), String>),
    /// The container's main process runs.
    Started {
        /// The container.
        place: Place,
        /// Its main process.
        pid: u32,
    },
    /// The container's main process could not be started.
    StartFailed {
        /// The container.
        place: Place,
        /// Why.
        failure: Failure,
    },
    /// The container's main process ended; others of its tree may remain.
    Ended {
        /// The container.
        place: Place,
        /// How it ended.
        exit: Exit,
        /// What it said last (V53).
        message: Option<String>,
    },
    /// Nothing remains of the container's tree: always after `Ended`.
    Gone(Place),
    /// A hook ended.
    Hooked {
        /// The container.
        place: Place,
        /// Which hook.
        hook: Hook,
        /// Whether it succeeded.
        outcome: Result<(), String>,
    },
    /// A probe ended.
    Probed {
        /// The container.
        place: Place,
        /// Which probe.
        kind: ProbeKind,
        /// The run it was asked for in [`Action::Probe`]: a late answer is ignored.
        run: u32,
        /// What it said.
        outcome: Outcome,
    },
    /// The pod is to stop; a repetition may only shorten the grace.
    Stop {
        /// The time it has to stop by itself; zero kills at once.
        grace: Duration,
    },
    /// One container is to be restarted, without back-off.
    Restart(Place),
    /// What is waited for may have changed: try again now.
    Reload,
    /// The pod has changed as far as a pod may: images, deadlines.
    Redefined(Box<PodSpec>),
}

/// What the runner is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put the pod's volumes in place; answered by [`Event::Prepared`].
    Prepare,
    /// Start the container; answered by [`Event::Started`] or [`Event::StartFailed`].
    Start(Place),
    /// Send the stop signal to the main process, or, where it has ended, to all that is left.
    Terminate(Place),
    /// Kill the container's whole tree, and go on until it is gone.
    Kill(Place),
    /// Run a hook; answered by [`Event::Hooked`].
    Hook {
        /// The container.
        place: Place,
        /// Which hook.
        hook: Hook,
    },
    /// Run a probe once; answered by [`Event::Probed`].
    Probe {
        /// The container.
        place: Place,
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
    /// Whether it wants attention.
    pub warning: bool,
    /// One word, such as `Killing`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}
