//! The machine of one pod: what it starts next, in which order, and when it is over.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodIP, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::clock::{Now, earlier, seconds};
use super::container::{Container, ContainerRole, State};
use super::event::{Action, ContainerIndex, PodEvent, Report};
use super::run::{PodStop, Run};
use crate::model::pod::{is_true, set_of, title};
use crate::model::{BackOff, restart, sysctl};

/// The machine of one pod.
#[derive(Debug)]
pub struct PodMachine {
    /// The pod in messages: `web-0_default(uid)`.
    pub(super) title: String,
    pub(super) grace: Duration,
    pub(super) back_off: BackOff,
    pub(super) containers: Vec<Container>,
    /// How many of the containers are init containers.
    pub(super) inits: usize,
    /// The init container whose turn it is; past the last one all are done, once and for all.
    pub(super) turn: usize,
    pub(super) volumes: VolumeState,
    /// Why the volumes could not be put in place, the last time that was tried.
    pub(super) unmounted: Option<String>,
    pub(super) stop: Option<PodStop>,
    /// How many seconds the pod may be active.
    pub(super) allowed: Option<i64>,
    pub(super) active_until: Option<Duration>,
    pub(super) placing: Placing,
    /// The pod in events: `default/web-0`.
    pub(super) path: String,
    /// Whether a set made it.
    pub(super) of_set: bool,
    /// Why it has failed whatever its containers say, and what about that.
    pub(super) late: Option<(String, String)>,
    /// Whether none of its containers runs any more, or will.
    pub(super) finished: bool,
    /// Whether nothing of it is left.
    pub(super) closed: bool,
    /// Whether all of its processes are stopped, because it is paused.
    pub(super) frozen: bool,
    /// The generation that is known.
    pub(super) observed: Option<i64>,
    /// When the machine next wants a tick.
    pub(super) wake: Option<Duration>,
    pub(super) now: Now,
    pub(super) actions: Vec<Action>,
    pub(super) status: PodStatus,
    /// Its addresses, which are shown once a container of it has been begun.
    pub(super) addresses: (Option<String>, Option<Vec<PodIP>>),
    /// The conditions that somebody else has to set before it is ready.
    pub(super) readiness_gates: Vec<String>,
    /// Whether none of its containers ever runs a second time.
    pub(super) once: bool,
    /// The restart of all containers that is under way: the pause before it.
    pub(super) anew: Option<Duration>,
    /// Whether the init containers were done before all containers were restarted.
    pub(super) was_initialized: bool,
}

/// Whether the pod has its place on the one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placing {
    Unknown,
    /// A claim of it is missing.
    Unschedulable(String),
    Placed,
    /// It is for another kind of machine.
    Rejected,
}

/// Whether the pod's volumes are in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VolumeState {
    Asked,
    Missing { failures: u32, again: Duration },
    Ready,
}

impl PodMachine {
    /// Describes a pod that starts now.
    ///
    /// `previous` is the status that an earlier runner of the same pod left: restart counts and
    /// last states go on from it, while the init containers run again (I06). A pod that had
    /// ended, one that is being deleted, and one that is to run once and had begun to (I47, I48)
    /// start nothing.
    #[must_use]
    pub fn new(pod: &Pod, previous: Option<&PodStatus>, back_off: BackOff, now: Now) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let runs_once = restart::runs_once(&spec);
        let not_admitted = not_admitted(&spec);
        let policy = spec
            .restart_policy
            .as_deref()
            .unwrap_or("Always")
            .to_owned();
        let inits = spec.init_containers.unwrap_or_default();
        let role = |container: &k8s_openapi::api::core::v1::Container| {
            let restarts = container.restart_policy.as_deref() == Some("Always");
            if restarts {
                ContainerRole::Sidecar
            } else {
                ContainerRole::Init
            }
        };
        let first = inits.iter().map(|it| Container::new(it, role(it), &policy));
        let main = spec.containers.iter();
        let main = main.map(|it| Container::new(it, ContainerRole::App, &policy));
        let containers: Vec<Container> = first.chain(main).collect();
        let gates = spec.readiness_gates.into_iter().flatten();
        let mut status = pod.status.clone().unwrap_or_default();
        let addresses = (status.pod_ip.take(), status.pod_ips.take());
        let mut pet = Self {
            title: title(pod),
            grace: seconds(spec.termination_grace_period_seconds.unwrap_or(30)),
            back_off,
            inits: inits.len(),
            containers,
            turn: 0,
            volumes: VolumeState::Missing {
                failures: 0,
                again: now.mono,
            },
            unmounted: None,
            stop: None,
            allowed: spec.active_deadline_seconds,
            active_until: None,
            placing: Placing::Unknown,
            path: path(pod),
            of_set: set_of(&pod.metadata).is_some(),
            late: None,
            finished: false,
            closed: false,
            frozen: false,
            observed: None,
            wake: None,
            now,
            actions: Vec::new(),
            status,
            addresses,
            readiness_gates: gates.map(|gate| gate.condition_type).collect(),
            once: runs_once,
            anew: None,
            was_initialized: false,
        };
        pet.observe(pod.metadata.generation);
        pet.resume(previous);
        pet.active_until = pet.allowed.map(|allowed| pet.active_until(allowed));
        if let Some((reason, words)) = not_admitted {
            pet.reject(reason, words);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            pet.stop = Some(PodStop::at(now.mono));
        }
        pet.refresh_status();
        pet
    }

    /// Takes up what an earlier runner left.
    fn resume(&mut self, previous: Option<&PodStatus>) {
        self.status.start_time = Some(Time(self.now.wall));
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
                container.resume(status, (over, self.once), self.now);
            }
        }
        self.status.start_time.clone_from(&previous.start_time);
        if previous.pod_ip.is_some() {
            (self.status.pod_ip, self.status.pod_ips) = self.addresses.clone();
        }
        self.status.conditions.clone_from(&previous.conditions);
        let placed = is_true(previous, "PodScheduled");
        if placed {
            self.placing = Placing::Placed;
        }
        let apps = &self.containers[self.inits..];
        if over || apps.iter().all(Container::has_ended) {
            self.closed = over;
            let message = previous.message.clone().unwrap_or_default();
            self.late = previous.reason.clone().map(|reason| (reason, message));
            self.skip_inits();
            self.stop = Some(PodStop::at(self.now.mono));
        } else if self.once && self.containers.iter().any(Container::has_run) {
            self.lose();
        }
    }

    /// Takes note that an earlier runner of the pod began to start its containers and died before
    /// it could say so. A pod that runs once is not run again, since it may have done its work.
    pub fn note_begun(&mut self) {
        if self.once && self.stop.is_none() {
            self.lose();
            self.refresh_status();
        }
    }

    /// Takes note that an earlier runner of the pod started this container, though it may have died
    /// before its status said so: the next start is a restart.
    pub fn note_started_before(&mut self, name: &str) {
        if let Some(container) = self.containers.iter_mut().find(|it| it.name == name) {
            container.note_started_before();
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

    /// Ends a pod that is not for this machine, as the kubelet does that does not admit it.
    fn reject(&mut self, reason: &'static str, words: String) {
        self.note_scheduled();
        self.report(true, reason, words.clone());
        self.status.reason = Some(reason.to_owned());
        self.status.message = Some(format!("Pod was rejected: {words}"));
        self.placing = Placing::Rejected;
        self.stop = Some(PodStop::at(self.now.mono));
    }

    /// Takes note of the generation of the pod that is known from now on.
    pub fn observe(&mut self, generation: Option<i64>) {
        self.observed = generation;
    }

    /// Notes whether all processes of the pod are stopped.
    pub fn note_frozen(&mut self, frozen: bool, now: Now) {
        self.frozen = frozen;
        self.refresh(now);
    }

    /// Returns whether all processes of the pod are stopped.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Brings the status up to date with what was observed.
    pub fn refresh(&mut self, now: Now) {
        self.now = now;
        self.refresh_status();
    }

    /// Counts the init containers that are done by an earlier runner's word.
    fn skip_inits(&mut self) {
        let (inits, _) = self.containers.split_at(self.inits);
        self.turn = inits.iter().take_while(|it| it.succeeded()).count();
    }

    /// Takes one event into account and returns what is to be done now, in that order.
    pub fn next(&mut self, event: PodEvent, now: Now) -> Vec<Action> {
        self.now = now;
        self.wake = None;
        if !self.finished {
            self.note(event);
            self.advance();
            self.refresh_status();
        }
        std::mem::take(&mut self.actions)
    }

    /// Takes note that nothing of the pod is left, after [`Action::Finish`]: its last status.
    ///
    /// What was never started counts as lost where the pod had come so far, as a kubelet has it.
    pub fn close(&mut self, now: Now) {
        if self.closed {
            return;
        }
        self.now = now;
        self.closed = true;
        self.refresh_status();
        if let Some((reason, message)) = self.late.clone() {
            (self.status.reason, self.status.message) = (Some(reason), Some(message));
        }
        if self.placing == Placing::Placed {
            let conditions = self.status.conditions.take();
            let addresses = (self.status.pod_ip.take(), self.status.pod_ips.take());
            self.lose_unstarted();
            self.refresh_status();
            self.status.conditions = conditions;
            (self.status.pod_ip, self.status.pod_ips) = addresses;
        }
    }

    fn lose_unstarted(&mut self) {
        let now = self.now;
        let (inits, apps) = self.containers.split_at_mut(self.inits);
        let had_begun = |it: &Container| it.has_ended() || it.has_run();
        if self.turn >= inits.len() || apps.iter().any(had_begun) {
            apps.iter_mut().for_each(|it| it.lose(now));
        }
        let begun = inits.iter().rposition(had_begun).unwrap_or(0);
        inits.iter_mut().take(begun + 1).for_each(|it| it.lose(now));
    }

    /// Returns when the machine wants the next [`PodEvent::Tick`], on the monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.wake
    }

    /// Returns the pod's status as Kubernetes would show it.
    #[must_use]
    pub fn status(&self) -> &PodStatus {
        &self.status
    }

    fn advance(&mut self) {
        if let Some(deadline) = self.active_until.filter(|_| self.stop.is_none()) {
            self.check_deadline(deadline);
        }
        if self.stop.is_none() && self.volumes_ready() && self.is_anew() {
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
        let words = "Pod was active on the node longer than the specified deadline";
        self.late = Some(("DeadlineExceeded".to_owned(), words.to_owned()));
        self.report(false, "DeadlineExceeded", words.to_owned());
        self.note_stop(self.grace);
    }

    fn volumes_ready(&mut self) -> bool {
        match self.volumes {
            VolumeState::Ready => true,
            VolumeState::Asked => false,
            VolumeState::Missing { again, .. } if again > self.now.mono => {
                self.wake_at(again);
                false
            }
            VolumeState::Missing { .. } => {
                self.actions.push(Action::Prepare);
                self.volumes = VolumeState::Asked;
                false
            }
        }
    }

    /// Starts the init container whose turn it is, and keeps the sidecars before it alive.
    fn advance_inits(&mut self) {
        for index in 0..self.turn.min(self.inits) {
            match self.containers[index].role {
                ContainerRole::Sidecar => self.drive(ContainerIndex(index)),
                ContainerRole::Init | ContainerRole::App => {}
            }
        }
        while self.turn < self.inits {
            self.drive(ContainerIndex(self.turn));
            let container = &self.containers[self.turn];
            let done = match container.role {
                ContainerRole::Sidecar => container.is_started(),
                ContainerRole::Init | ContainerRole::App => container.succeeded(),
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
            self.drive(ContainerIndex(index));
            if self.containers[index].is_being_started() {
                return;
            }
        }
    }

    /// Starts a container that waits and is due.
    fn drive(&mut self, place: ContainerIndex) {
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
        let failed = |it: &Container| it.role == ContainerRole::Init && it.failed();
        let (inits, apps) = self.containers.split_at(self.inits);
        inits.iter().any(failed) || apps.iter().all(Container::has_ended)
    }

    fn advance_probes(&mut self) {
        let (now, stopping) = (self.now.mono, self.stop.is_some());
        for (index, container) in self.containers.iter_mut().enumerate() {
            let run = container.runs;
            let (due, wake) = container.due_probes(now, stopping);
            let asked = due.into_iter().map(|kind| Action::Probe {
                place: ContainerIndex(index),
                kind,
                run,
            });
            self.actions.extend(asked);
            self.wake = earlier(self.wake, wake);
        }
    }

    pub(super) fn run_mut(&mut self, place: ContainerIndex) -> Option<&mut Run> {
        match &mut self.containers.get_mut(place.0)?.state {
            State::Running(run) => Some(run),
            State::Waiting { .. } | State::Starting | State::Ended(_) => None,
        }
    }

    /// Tells of something about the pod as a whole.
    pub(super) fn report(&mut self, warning: bool, reason: &'static str, message: String) {
        self.actions.push(Action::Report(Report {
            field: None,
            warning,
            reason,
            message,
            count: 1,
        }));
    }

    /// Tells of something about one of its containers.
    pub(super) fn report_of(
        &mut self,
        place: ContainerIndex,
        warning: bool,
        reason: &'static str,
        message: String,
    ) {
        let field = Some(self.field(place));
        self.actions.push(Action::Report(Report {
            field,
            warning,
            reason,
            message,
            count: 1,
        }));
    }

    /// Returns the part of the pod that a container is, as events name it.
    pub(super) fn field(&self, place: ContainerIndex) -> String {
        let name = &self.containers[place.0].name;
        match place.0 < self.inits {
            true => format!("spec.initContainers{{{name}}}"),
            false => format!("spec.containers{{{name}}}"),
        }
    }

    pub(super) fn wake_at(&mut self, at: Duration) {
        self.wake = earlier(self.wake, Some(at));
    }
}

/// Returns why a kubelet would not admit a pod: the reason, and what it says.
fn not_admitted(spec: &PodSpec) -> Option<(&'static str, String)> {
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        let words = "Failed to admit pod as the OS field doesn't match node OS";
        return Some(("PodOSNotSupported", words.to_owned()));
    }
    Some(("SysctlForbidden", sysctl::refusal(spec)?))
}

fn path(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    format!("{namespace}/{}", meta.name.as_deref().unwrap_or_default())
}
