//! The life of one pod, as its runner drives it: init containers in order, main containers,
//! sidecars, probes, hooks, restarts with back-off, and the stop.
//!
//! [`PodMachine`] is a pure machine: an [`PodEvent`] and the time go in, [`Action`]s come out, and
//! [`PodMachine::status`] is what Kubernetes would show. It leaves to the runner how a process is
//! started, probed and ended; a clock that jumps does no harm, for every delay is counted on a
//! monotonic clock and only what is shown is wall time.
//!
//! The rules are the kubelet's (I01-I24, I40-I56, V40-V55 in docs/rules.md) with two deliberate
//! differences: the delays are settings, and a probe that has never succeeded is *eager*: it is
//! repeated quickly at first, so that a server which comes up in 20 ms is ready in 30 ms.
//!
//! # States and events
//!
//! Each container is in one state; an event changes it, and after each event the machine starts
//! and stops what is due. "Stopping" is a running container with a stop under way.
//!
//! | state | event | next state | actions |
//! | --- | --- | --- | --- |
//! | waiting, its turn and due | any | starting | `Start` |
//! | waiting for an image or its configuration | `Reload` | waiting, due now | |
//! | waiting | `Restart` | waiting, due now, without back-off | |
//! | waiting | `Stop` | ended as its last run did; still waiting if it never ran | |
//! | starting | `Started` | running | `Hook` (postStart) if it has one; `Report` |
//! | starting | `StartFailed`: image, configuration | waiting, with back-off | `Report` |
//! | starting | `StartFailed`: launch | as after `Gone`, with exit code 128 | `Report` |
//! | starting | `Stop` | starting; once `Started`, stopping | |
//! | running | `Hooked`: postStart succeeded | running, probes begin | |
//! | running | `Hooked`: postStart failed | stopping | `Report` |
//! | running | a probe is due | running | `Probe` |
//! | running | `Probed` | running, readiness may change | `Report` if it is news |
//! | running | `Probed`: liveness or startup has failed | stopping | `Report` |
//! | running | `Restart`, or `Redefined` with another image | stopping, no back-off | `Report` |
//! | running | `Stop` | stopping | `Report` |
//! | running | `Ended` | running, its end noted | `Kill`, for the rest of its tree |
//! | stopping begins, no grace | | kill | `Kill` |
//! | stopping begins, it has a preStop hook | | preStop | `Hook` (preStop) |
//! | stopping begins, otherwise | | its turn | |
//! | stopping: preStop | `Hooked`: preStop, or the grace is over | its turn | `Report` if failed |
//! | stopping: its turn | those before it have ended, or the grace is over | term | `Terminate` |
//! | stopping: term | the grace is over | kill | `Kill` |
//! | stopping: preStop | `Ended` | its end noted | |
//! | stopping: its turn, term | `Ended` | its end noted | `Terminate`, for the rest of its tree |
//! | stopping: kill | `Ended` | its end noted | `Kill`, for the rest of its tree |
//! | end noted | `Gone`, and it runs again | waiting, with back-off | `Report` |
//! | end noted | `Gone`, and it does not | ended | |
//! | end noted | `Gone`, and a rule restarts all | ended; those that run: killed | `Kill` each |
//! | all ended after that | any | waiting, with back-off, from the first init container on | |
//! | ended | `Restart` while the pod does not stop | waiting, due now | |
//!
//! The volumes come first: `Prepare` is asked for, and after `Prepared` with an error again after
//! a back-off. The pod stops by `Stop`, by its deadline, when an init container has failed for
//! good, or when all main containers have ended. Once it stops and nothing runs or starts, the
//! machine says `Finish`, and no event changes it any more.

mod anew;
mod clock;
mod container;
mod event;
mod machine;
mod notes;
mod probe;
mod run;
mod status;
mod stop;
#[cfg(test)]
mod tests;

pub use clock::Now;
pub use event::{Action, ContainerIndex, Exit, Failure, HookKind, HookSuccess, PodEvent, Report};
pub use machine::PodMachine;
pub use probe::{ProbeKind, ProbeOutcome};
