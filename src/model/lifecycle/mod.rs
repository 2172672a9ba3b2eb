//! The life of one pod, as its runner drives it: init containers in order, main containers,
//! sidecars, probes, hooks, restarts with back-off, and the stop.
//!
//! [`Pet`] is a pure machine: an [`Event`] and the time go in, [`Action`]s come out, and
//! [`Pet::status`] is what Kubernetes would show. It leaves to the runner how a process is
//! started, probed and ended; a clock that jumps does no harm, for every delay is counted on a
//! monotonic clock and only what is shown is wall time.
//!
//! The rules are the kubelet's (catalogue I01-I24, I40-I56, V40-V55) with two deliberate
//! differences: the delays are settings, and a probe that has never succeeded is *eager*: it is
//! repeated quickly at first, so that a server which comes up in 20 ms is ready in 30 ms.

mod container;
mod probe;
mod status;
mod stop;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use container::{Container, Role, Run, State, Wait};
pub use container::{Exit, Failure};
pub use probe::{Kind as ProbeKind, Outcome};
use stop::PodStop;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed instant; it never jumps, so delays are counted on it.
    pub mono: Duration,
    /// The time of day, which is only ever shown.
    pub wall: Timestamp,
}

/// How restarts are spaced: at once, then `start`, doubling up to `cap` (I09).
///
/// ```
/// use std::time::Duration;
/// use petset::model::lifecycle::BackOff;
/// let seconds = |failures| BackOff::default().delay(failures).as_secs();
/// assert_eq!([0, 1, 2, 3, 7, 40].map(seconds), [0, 1, 2, 4, 60, 60]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The delay before the second restart.
    pub start: Duration,
    /// The longest delay; a run of twice this length forgets the failures before it.
    pub cap: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        }
    }
}

impl BackOff {
    /// Returns the delay before a restart that follows `failures` earlier ones.
    #[must_use]
    pub fn delay(self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            _ => self.doubled(failures - 1),
        }
    }

    /// Returns `start` doubled `times` times, at most `cap`.
    fn doubled(self, times: u32) -> Duration {
        self.start.saturating_mul(1 << times.min(20)).min(self.cap)
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The machine of one pod.
#[derive(Debug)]
pub struct Pet {
    /// What is said in the pod's name: `web-0_default(uid)`.
    title: String,
    policy: String,
    grace: Duration,
    back_off: BackOff,
    containers: Vec<Container>,
    /// How many of the containers are init containers.
    inits: usize,
    /// The init container whose turn it is; past the last one all are done, once and for all.
    turn: usize,
    volumes: Volumes,
    stop: Option<PodStop>,
    active_until: Option<Duration>,
    finished: bool,
    /// When the machine next wants a tick.
    wake: Option<Duration>,
    now: Now,
    actions: Vec<Action>,
    status: PodStatus,
    readiness_gates: bool,
}

/// Whether the pod's volumes are in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Volumes {
    Asked,
    Missing { failures: u32, again: Duration },
    Ready,
}

impl Pet {
    /// Describes a pod that starts now.
    ///
    /// `previous` is the status that an earlier runner of the same pod left: restart counts and
    /// last states go on from it, while the init containers run again (I06). A pod that had
    /// ended, or that is being deleted, starts nothing.
    #[must_use]
    pub fn new(pod: &Pod, previous: Option<&PodStatus>, back_off: BackOff, now: Now) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = spec
            .restart_policy
            .as_deref()
            .unwrap_or("Always")
            .to_owned();
        let inits = spec.init_containers.unwrap_or_default();
        let role = |container: &k8s_openapi::api::core::v1::Container| {
            let restarts = container.restart_policy.as_deref() == Some("Always");
            if restarts { Role::Sidecar } else { Role::Init }
        };
        let first = inits.iter().map(|it| Container::new(it, role(it), &policy));
        let main = spec.containers.iter();
        let main = main.map(|it| Container::new(it, Role::App, &policy));
        let containers: Vec<Container> = first.chain(main).collect();
        let mut pet = Self {
            title: title(pod),
            policy,
            grace: seconds(spec.termination_grace_period_seconds.unwrap_or(30)),
            back_off,
            inits: inits.len(),
            containers,
            turn: 0,
            volumes: Volumes::Missing {
                failures: 0,
                again: now.mono,
            },
            stop: None,
            active_until: spec
                .active_deadline_seconds
                .map(|allowed| now.mono + seconds(allowed)),
            finished: false,
            wake: None,
            now,
            actions: Vec::new(),
            status: pod.status.clone().unwrap_or_default(),
            readiness_gates: spec.readiness_gates.is_some_and(|gates| !gates.is_empty()),
        };
        pet.resume(previous);
        if pod.metadata.deletion_timestamp.is_some() {
            pet.stop = Some(PodStop::at(now.mono));
        }
        pet.refresh_status();
        pet
    }

    /// Takes up what an earlier runner left.
    fn resume(&mut self, previous: Option<&PodStatus>) {
        self.status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            self.now.wall,
        ));
        let Some(previous) = previous else {
            return;
        };
        let of = |list: &Option<Vec<_>>| list.clone().unwrap_or_default();
        let mut statuses = of(&previous.init_container_statuses);
        statuses.extend(of(&previous.container_statuses));
        let over = matches!(previous.phase.as_deref(), Some("Succeeded" | "Failed"));
        for container in &mut self.containers {
            let status = statuses.iter().find(|it| it.name == container.name);
            if let Some(status) = status {
                container.resume(status, over, self.now);
            }
        }
        self.status.start_time.clone_from(&previous.start_time);
        self.status.conditions.clone_from(&previous.conditions);
        if over {
            self.stop = Some(PodStop::at(self.now.mono));
        }
    }

    /// Takes one event into account and returns what is to be done now, in that order.
    pub fn next(&mut self, event: Event, now: Now) -> Vec<Action> {
        self.now = now;
        self.wake = None;
        if !self.finished {
            self.note(event);
            self.advance();
            self.refresh_status();
        }
        std::mem::take(&mut self.actions)
    }

    /// Returns when the machine wants the next [`Event::Tick`], on the monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.wake
    }

    /// Returns the pod's status as Kubernetes would show it.
    #[must_use]
    pub fn status(&self) -> &PodStatus {
        &self.status
    }

    /// Returns whether the pod's end has been reached.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns whether the pod has been told to stop, or stops since nothing is left to run.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Prepared(outcome) => self.note_prepared(outcome),
            Event::Started { place, pid } => self.note_started(place, pid),
            Event::StartFailed { place, failure } => self.note_start_failed(place, failure),
            Event::Ended {
                place,
                exit,
                message,
            } => self.note_ended(place, exit, message),
            Event::Gone(place) => self.note_gone(place),
            Event::Hooked {
                place,
                hook,
                outcome,
            } => self.note_hooked(place, hook, outcome),
            Event::Probed {
                place,
                kind,
                run,
                outcome,
            } => self.note_probed(place, kind, run, outcome),
            Event::Stop { grace } => self.note_stop(grace),
            Event::Restart(place) => self.restart(place),
            Event::Reload => self.retry_now(),
        }
    }

    fn note_prepared(&mut self, outcome: Result<(), String>) {
        let failures = match self.volumes {
            Volumes::Missing { failures, .. } => failures,
            Volumes::Asked | Volumes::Ready => 0,
        };
        self.volumes = match outcome {
            Ok(()) => Volumes::Ready,
            Err(message) => {
                self.report(true, "FailedMount", message);
                Volumes::Missing {
                    failures: failures + 1,
                    again: self.now.mono + self.back_off.doubled(failures),
                }
            }
        };
    }

    fn note_started(&mut self, place: Place, pid: u32) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        container.begin_run();
        container.state = State::Running(Run::new(now, pid, container.post_start));
        let name = container.name.clone();
        if container.post_start {
            let hook = Hook::PostStart;
            self.actions.push(Action::Hook { place, hook });
        } else {
            container.begin_probing(now.mono);
        }
        self.report(false, "Started", format!("Started container {name}"));
    }

    fn note_start_failed(&mut self, place: Place, failure: Failure) {
        let now = self.now;
        let back_off = self.back_off;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        let ended = container.start_failed(&failure, back_off, now);
        let message = container.failure_words(&failure);
        if let Some(ended) = ended {
            self.conclude(place, ended);
        }
        self.report(true, "Failed", message);
    }

    fn note_ended(&mut self, place: Place, exit: Exit, message: Option<String>) {
        let now = self.now;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        let ended = run.ended(exit, message, now);
        run.ended = Some(ended);
        let due = match &run.stop {
            None => Some(Action::Kill(place)),
            Some(stop) => stop.after_end(place),
        };
        self.actions.extend(due);
    }

    fn note_gone(&mut self, place: Place) {
        let ended = self.run_mut(place).and_then(|run| run.ended.take());
        if let Some(ended) = ended {
            self.conclude(place, ended);
        }
    }

    /// Decides what becomes of a container whose run is over.
    fn conclude(&mut self, place: Place, ended: container::Ended) {
        let now = self.now;
        let (back_off, stopping) = (self.back_off, self.stop.is_some());
        let container = &mut self.containers[place.0];
        let delay = container.conclude(ended, stopping, back_off);
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            let words = format!(
                "Back-off restarting failed container {} in pod {}",
                container.name, self.title
            );
            self.report(true, "BackOff", words);
            self.wake_at(now.mono + delay);
        }
    }

    fn note_hooked(&mut self, place: Place, hook: Hook, outcome: Result<(), String>) {
        match hook {
            Hook::PostStart => self.note_post_start(place, outcome),
            Hook::PreStop => self.note_pre_stop(place, outcome),
        }
    }

    fn note_post_start(&mut self, place: Place, outcome: Result<(), String>) {
        let now = self.now;
        let Some(run) = self.run_mut(place) else {
            return;
        };
        if !run.hook_pending || run.stop.is_some() || run.ended.is_some() {
            return;
        }
        match outcome {
            Ok(()) => {
                run.hook_pending = false;
                self.containers[place.0].begin_probing(now.mono);
            }
            Err(message) => {
                let words = format!("PostStartHook failed: {message}");
                self.report(true, "FailedPostStartHook", words);
                self.stop_unwell(place, self.grace);
            }
        }
    }

    fn note_probed(&mut self, place: Place, kind: ProbeKind, run: u32, outcome: Outcome) {
        let now = self.now.mono;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        let current = container.runs == run;
        let Some(probe) = container.probe_mut(kind).filter(|_| current) else {
            return;
        };
        let verdict = probe.note(&outcome, now);
        let grace = probe.grace;
        let name = container.name.clone();
        if verdict.worth_telling {
            self.report(true, "Unhealthy", outcome.words(kind));
        }
        let fatal = match kind {
            ProbeKind::Readiness => false,
            ProbeKind::Liveness | ProbeKind::Startup => verdict.turned == Some(false),
        };
        if fatal && self.run_mut(place).is_some_and(|run| run.stop.is_none()) {
            let words = format!(
                "Container {name} failed {} probe, will be restarted",
                kind.word()
            );
            self.report(false, "Killing", words);
            self.stop_unwell(place, grace.unwrap_or(self.grace));
        }
    }

    /// Restarts one container: ends it with grace where it runs, and starts it without back-off.
    fn restart(&mut self, place: Place) {
        let now = self.now.mono;
        let grace = self.grace;
        let Some(container) = self.containers.get_mut(place.0) else {
            return;
        };
        if self.stop.is_some() {
            return;
        }
        container.failures = 0;
        match &mut container.state {
            State::Waiting { until, .. } => *until = now,
            State::Starting => {}
            State::Running(run) => {
                run.asked = true;
                let name = container.name.clone();
                self.report(false, "Killing", format!("Stopping container {name}"));
                self.begin_stop(place, grace);
            }
            State::Ended(_) => container.wait_for_restart(now),
        }
    }

    /// Tries at once what waits for the world to change.
    fn retry_now(&mut self) {
        let now = self.now.mono;
        for container in &mut self.containers {
            if let State::Waiting { why, until, .. } = &mut container.state {
                match why {
                    Wait::Image { .. } | Wait::Config { .. } => *until = now,
                    Wait::Turn | Wait::CrashLoop { .. } => {}
                }
            }
        }
        if let Volumes::Missing { again, .. } = &mut self.volumes {
            *again = now;
        }
    }

    fn advance(&mut self) {
        if let Some(deadline) = self.active_until.filter(|_| self.stop.is_none()) {
            self.check_deadline(deadline);
        }
        if self.stop.is_none() && self.volumes_ready() {
            self.advance_inits();
            self.advance_apps();
            if self.is_over() {
                self.note_stop(self.grace);
            }
        }
        self.advance_stops();
        self.advance_probes();
    }

    fn check_deadline(&mut self, deadline: Duration) {
        if self.now.mono < deadline {
            return self.wake_at(deadline);
        }
        self.status.reason = Some("DeadlineExceeded".to_owned());
        let words = "Pod was active on the node longer than the specified deadline";
        self.status.message = Some(words.to_owned());
        self.report(false, "DeadlineExceeded", words.to_owned());
        self.note_stop(self.grace);
    }

    fn volumes_ready(&mut self) -> bool {
        match self.volumes {
            Volumes::Ready => true,
            Volumes::Asked => false,
            Volumes::Missing { again, .. } if again > self.now.mono => {
                self.wake_at(again);
                false
            }
            Volumes::Missing { .. } => {
                self.actions.push(Action::Prepare);
                self.volumes = Volumes::Asked;
                false
            }
        }
    }

    /// Starts the init container whose turn it is, and keeps the sidecars before it alive.
    fn advance_inits(&mut self) {
        for index in 0..self.turn.min(self.inits) {
            match self.containers[index].role {
                Role::Sidecar => self.drive(Place(index)),
                Role::Init | Role::App => {}
            }
        }
        while self.turn < self.inits {
            self.drive(Place(self.turn));
            let container = &self.containers[self.turn];
            let done = match container.role {
                Role::Sidecar => container.is_started(),
                Role::Init | Role::App => container.succeeded(),
            };
            if !done {
                return;
            }
            self.turn += 1;
        }
    }

    /// Starts the main containers, each when the one before has started.
    fn advance_apps(&mut self) {
        if self.turn < self.inits {
            return;
        }
        for index in self.inits..self.containers.len() {
            self.drive(Place(index));
            if self.containers[index].is_being_started() {
                return;
            }
        }
    }

    /// Starts a container that waits and is due.
    fn drive(&mut self, place: Place) {
        let now = self.now.mono;
        let container = &mut self.containers[place.0];
        let State::Waiting { until, .. } = container.state else {
            return;
        };
        if until <= now {
            container.state = State::Starting;
            self.actions.push(Action::Start(place));
        } else {
            let turn = container.next_turn(now);
            self.wake_at(turn.min(until));
        }
    }

    /// Returns whether nothing is left to run by itself: an init container failed for good, or
    /// every main container ended for good (I02, I24, I55).
    fn is_over(&self) -> bool {
        let failed = |it: &Container| it.role == Role::Init && it.failed();
        let (inits, apps) = self.containers.split_at(self.inits);
        inits.iter().any(failed) || apps.iter().all(Container::has_ended)
    }

    fn advance_probes(&mut self) {
        let (now, stopping) = (self.now.mono, self.stop.is_some());
        for (index, container) in self.containers.iter_mut().enumerate() {
            let run = container.runs;
            let (due, wake) = container.due_probes(now, stopping);
            let asked = due.into_iter().map(|kind| Action::Probe {
                place: Place(index),
                kind,
                run,
            });
            self.actions.extend(asked);
            self.wake = earlier(self.wake, wake);
        }
    }

    fn run_mut(&mut self, place: Place) -> Option<&mut Run> {
        match &mut self.containers.get_mut(place.0)?.state {
            State::Running(run) => Some(run),
            State::Waiting { .. } | State::Starting | State::Ended(_) => None,
        }
    }

    fn report(&mut self, warning: bool, reason: &'static str, message: String) {
        self.actions.push(Action::Report(Report {
            warning,
            reason,
            message,
        }));
    }

    fn wake_at(&mut self, at: Duration) {
        self.wake = earlier(self.wake, Some(at));
    }
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}

fn title(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let or = |text: &Option<String>, other: &str| text.as_deref().unwrap_or(other).to_owned();
    format!(
        "{}_{}({})",
        or(&meta.name, ""),
        or(&meta.namespace, "default"),
        or(&meta.uid, "")
    )
}
