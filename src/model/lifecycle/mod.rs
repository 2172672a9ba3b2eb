//! The life of one pod, as its runner drives it: init containers in order, main containers,
//! sidecars, probes, hooks, restarts with back-off, and the stop.
//!
//! [`Pet`] is a pure machine: an [`Event`] and the time go in, [`Action`]s come out, and
//! [`Pet::status`] is what Kubernetes would show. It leaves to the runner how a process is
//! started, probed and ended; a clock that jumps does no harm, for every delay is counted on a
//! monotonic clock and only what is shown is wall time.
//!
//! The rules are the kubelet's (I01-I24, I40-I56, V40-V55 in docs/rules.md) with two deliberate
//! differences: the delays are settings, and a probe that has never succeeded is *eager*: it is
//! repeated quickly at first, so that a server which comes up in 20 ms is ready in 30 ms.

mod container;
mod event;
mod notes;
mod probe;
mod run;
mod status;
mod stop;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::BackOff;
use container::{Container, Role, State};
pub use event::{Action, Event, Hook, Place, Report};
pub use probe::{Kind as ProbeKind, Outcome};
use run::Run;
pub use run::{Exit, Failure};
use stop::PodStop;

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed instant; it never jumps, so delays are counted on it.
    pub mono: Duration,
    /// The time of day, which is only ever shown.
    pub wall: Timestamp,
}

/// The machine of one pod.
#[derive(Debug)]
pub struct Pet {
    /// What is said in the pod's name: `web-0_default(uid)`.
    title: String,
    grace: Duration,
    back_off: BackOff,
    containers: Vec<Container>,
    /// How many of the containers are init containers.
    inits: usize,
    /// The init container whose turn it is; past the last one all are done, once and for all.
    turn: usize,
    volumes: Volumes,
    /// Why the volumes could not be put in place, the last time that was tried.
    unmounted: Option<String>,
    stop: Option<PodStop>,
    active_until: Option<Duration>,
    finished: bool,
    /// When the machine next wants a tick.
    wake: Option<Duration>,
    now: Now,
    actions: Vec<Action>,
    status: PodStatus,
    readiness_gates: bool,
    /// Whether its containers run once (`restartPolicy: Never`).
    once: bool,
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
    /// ended, one that is being deleted, and one that is to run once and had begun to (I47, I48)
    /// start nothing.
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
            grace: seconds(spec.termination_grace_period_seconds.unwrap_or(30)),
            back_off,
            inits: inits.len(),
            containers,
            turn: 0,
            volumes: Volumes::Missing {
                failures: 0,
                again: now.mono,
            },
            unmounted: None,
            stop: None,
            active_until: None,
            finished: false,
            wake: None,
            now,
            actions: Vec::new(),
            status: pod.status.clone().unwrap_or_default(),
            readiness_gates: spec.readiness_gates.is_some_and(|gates| !gates.is_empty()),
            once: policy == "Never",
        };
        pet.resume(previous);
        let allowed = spec.active_deadline_seconds;
        pet.active_until = allowed.map(|allowed| pet.active_until(allowed));
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
        let apps = &self.containers[self.inits..];
        if over || apps.iter().all(Container::has_ended) {
            self.skip_inits();
            self.stop = Some(PodStop::at(self.now.mono));
        } else if self.once && self.containers.iter().any(Container::has_run) {
            self.lose();
        }
    }

    /// Takes note that an earlier runner of the pod began to start its containers and died before
    /// it could say so. What is to run once is not run again: nobody knows how far it came.
    pub fn note_begun(&mut self) {
        if self.once && self.stop.is_none() {
            self.lose();
            self.refresh_status();
        }
    }

    /// Ends a pod whose containers were lost, as the kubelet ends one whose sandbox is gone.
    fn lose(&mut self) {
        let now = self.now;
        self.containers
            .iter_mut()
            .for_each(|it| it.give_up(now.mono));
        self.skip_inits();
        let from = self.turn;
        let to = if from < self.inits {
            from + 1
        } else {
            self.containers.len()
        };
        for container in &mut self.containers[from..to] {
            container.lose(now);
        }
        let words = "The containers of this pod were lost with its runner; it is not run again, \
                     because its restart policy is Never";
        self.report(true, "Lost", words.to_owned());
        self.stop = Some(PodStop::at(now.mono));
    }

    /// Counts the init containers that are done by an earlier runner's word.
    fn skip_inits(&mut self) {
        let (inits, _) = self.containers.split_at(self.inits);
        self.turn = inits.iter().take_while(|it| it.succeeded()).count();
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
