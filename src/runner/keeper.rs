//! The loop of a runner: wait, hand events to the state machine, perform its actions, publish.
//!
//! Nothing in the loop can fail: an error of a container is an event about it.

mod freeze;
mod launch;
mod limits;
mod network;
mod pod;
mod process;
mod publish;
mod rejoining;
mod removal;
mod signals;
mod visits;
mod watch;

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use limits::SizeLimits;
use pod::{pod_context, read_pod};
use process::Process;
use rejoining::Rejoining;
use removal::RemovalSignal;
use signals::{ToldBySignal, announce};

use super::container::Supplies;
use super::isolation::{ContainerSpace, PodSandbox, is_full};
use super::listener::OwnPorts;
use super::logs::Outlet;
use super::{rlimit_mark, streams, tree};
use crate::model::Namespace;
use crate::model::lifecycle::{Action, ContainerIndex, Now, PodEvent, PodMachine, Report};
use crate::model::pod::journal_owner;
use crate::problem::Problem;
use crate::store::{self, Launch, Layout, PetLayout, PidFile, RunnerRecord, RunnerRequest, Store};
use crate::sys;
use crate::sys::proc::{ProcessId, add_descendants};

/// How often a tree is looked at whose end no signal tells of.
const SWEEP: Duration = Duration::from_millis(50);
/// The pause before a write that failed, such as on a full disk, is tried again.
const REWRITE: Duration = Duration::from_secs(1);

/// How long the last status but one is there at least: those who follow the pod get to see that
/// it is told to stop, or how its containers have ended, before nothing is left of it.
const SHOWN: Duration = Duration::from_millis(20);

/// An event that a container's run waits for, and the number of that run.
#[derive(Debug)]
struct Completion {
    place: ContainerIndex,
    start: u32,
    event: PodEvent,
}

/// The runner's state of a container.
#[derive(Debug, Default)]
struct ContainerState {
    spec: Container,
    launch: Option<Launch>,
    /// The namespaces of its processes; `None` without isolation.
    space: Option<ContainerSpace>,
    outlet: Option<Outlet>,
    /// The end of its stdin that is held open.
    input: Option<PipeWriter>,
    /// The sessions that its processes lead.
    sessions: Vec<u32>,
    /// Counts its starts: an answer that was asked for in an earlier one is thrown away.
    starts: u32,
    /// The ports at which its present run is known to listen.
    own_ports: OwnPorts,
    /// Whether its main process has ended and the rest of its tree is waited for.
    ending: bool,
    /// Whether its tree is being killed.
    killing: bool,
    /// Whether `petset exec` may have left a process, and those that it said it started.
    visited: bool,
    visitors: Vec<ProcessId>,
}

/// Keeps one pet.
pub(super) struct Keeper {
    layout: Layout,
    supplies: Supplies,
    isolation: PodSandbox,
    pet: PetLayout,
    name: String,
    journal: std::path::PathBuf,
    pod: Pod,
    ip: String,
    containers: Vec<ContainerState>,
    machine: PodMachine,
    born: Instant,
    processes: Vec<Process>,
    sleeps: Vec<(Duration, Completion)>,
    queue: VecDeque<PodEvent>,
    record: RunnerRecord,
    recorded: bool,
    written: Option<PodStatus>,
    /// When that was.
    published: Duration,
    /// When a write that failed is tried again.
    rewrite: Option<Duration>,
    limits: SizeLimits,
    /// When the private network may be joined again.
    rejoining: Rejoining,
    /// When a pod that is to be paused is looked at again, because something of it still ran.
    look_again: Option<Duration>,
    control: UnixDatagram,
    wake: PipeReader,
    waker: Arc<OwnedFd>,
    signals: ToldBySignal,
    /// Whether the pod was asked to stop: how its containers end is told when nothing is left.
    asked_to_stop: bool,
    removal: RemovalSignal,
    answers: Receiver<Completion>,
    answer: Sender<Completion>,
    done: bool,
}

impl Keeper {
    /// Reads the pod, kills what a dead predecessor left, and listens for signals and requests.
    pub(super) fn new(
        store: Store,
        namespace: Namespace,
        name: &str,
    ) -> crate::problem::Result<Self> {
        let layout = store.layout().clone();
        let pet = layout.pet(&namespace, name);
        let pod = read_pod(&pet)?;
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        // A record that cannot be read is no reason not to run: the marker still finds all.
        let before = RunnerRecord::read(&pet).unwrap_or_else(|_| Some(RunnerRecord::unknown()));
        let begun = before.as_ref().is_some_and(|record| record.begun);
        let died = before.as_ref().filter(|record| !record.clean);
        let started: Vec<String> = died.into_iter().flat_map(RunnerRecord::started).collect();
        if let Some(record) = before.filter(|it| !it.clean && it.is_of_this_boot()) {
            let spared = supervisor(&layout);
            tree::kill_leftovers(&record, &uid, spared, (layout.root(), pet.root()));
        }
        let (wake, waker) = streams::pipe()?;
        rustix::io::ioctl_fionbio(&waker, true)?;
        let waker: Arc<OwnedFd> = Arc::new(waker.into());
        // The record of a runner says that it may be sent these signals.
        let signals = ToldBySignal::listen(&waker)?;
        let mut record = RunnerRecord::of_this_process(rlimit_mark::apply())?;
        record.begun = begun;
        let control = announce(&record, &layout, &pet, &pod)?;
        let previous: Option<PodStatus> = store::read_json(&pet.status()).unwrap_or_default();
        let born = Instant::now();
        let now = now_since(born);
        let back_off = store.settings().back_off;
        let mut machine = PodMachine::new(&pod, previous.as_ref(), back_off, now);
        if record.begun {
            machine.note_begun();
        }
        for name in &started {
            machine.note_started_before(name);
        }
        let (answer, answers) = channel();
        let status = pod.status.as_ref();
        let ip = status.and_then(|status| status.pod_ip.clone());
        let journal = layout.journal(&namespace, journal_owner(&pod.metadata, name));
        Ok(Self {
            containers: containers(&pod),
            ip: ip.unwrap_or_else(|| "127.0.0.1".to_owned()),
            name: name.to_owned(),
            journal,
            isolation: PodSandbox::of(&pod),
            supplies: Supplies::new(store, namespace, is_full(&pod)),
            limits: SizeLimits::of(&pod, &pet),
            layout,
            pet,
            pod,
            machine,
            born,
            processes: Vec::new(),
            sleeps: Vec::new(),
            queue: VecDeque::from([PodEvent::Tick]),
            record,
            recorded: true,
            written: previous,
            published: Duration::ZERO,
            rewrite: None,
            rejoining: Rejoining::default(),
            look_again: None,
            control,
            wake,
            waker,
            signals,
            asked_to_stop: false,
            removal: RemovalSignal::default(),
            answers,
            answer,
            done: false,
        })
    }

    /// Runs until the pet has ended.
    pub(super) fn run(mut self) {
        loop {
            self.digest();
            self.hold();
            self.publish();
            if self.done {
                break;
            }
            self.wait();
            if self.removal.has_come() {
                self.end_all_visits();
                return self.kill_everything();
            }
            self.collect();
        }
        self.end();
    }

    fn now(&self) -> Now {
        now_since(self.born)
    }

    /// Hands all events to the machine, and performs its actions, until neither has more.
    fn digest(&mut self) {
        loop {
            while let Some(event) = self.queue.pop_front() {
                self.note(&event);
                let now = self.now();
                for action in self.machine.next(event, now) {
                    self.perform(action);
                }
            }
            self.sweep();
            if self.queue.is_empty() {
                return self.supplies.forget();
            }
        }
    }

    /// Keeps track of what an event means to the processes.
    fn note(&mut self, event: &PodEvent) {
        if let PodEvent::Ended { place, .. } = event {
            self.containers[place.0].ending = true;
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Prepare => {
                self.publish(); // as before a start
                let outcome = self.prepare();
                self.queue.push_back(PodEvent::Prepared(outcome));
            }
            Action::Start(place) => {
                // What was is told before anything is prepared, which may take long.
                self.publish();
                self.start(place);
                // To read what it is made of takes a deep stack; what follows takes long.
                sys::give_back_stack();
            }
            Action::Terminate(place) => self.terminate(place),
            Action::Kill(place) => {
                self.containers[place.0].killing = true;
                tree::signal_all(&self.tree_of(place), Signal::KILL);
            }
            Action::Hook { place, hook } => self.begin_hook(place, hook),
            Action::Probe { place, kind, run } => self.begin_probe(place, kind, run),
            Action::Report(report) => self.report(report),
            Action::Finish => self.done = true,
        }
    }

    fn prepare(&mut self) -> Result<(), Problem> {
        self.provide_program()?;
        let context = pod_context(&self.pod, &self.ip, &self.pet, &self.supplies);
        self.isolation.prepare(&context)?;
        self.supplies.set_userns(self.isolation.userns());
        self.supplies.set_memory(self.isolation.memory_roots());
        let warnings = self.supplies.prepare(&self.pod)?;
        self.warn(warnings);
        Ok(())
    }

    /// Brings the volumes up to date that are made from objects; one that cannot be stays as it is.
    fn refresh(&mut self) {
        for problem in self.supplies.refresh(&self.pod) {
            self.report(Report {
                field: None,
                warning: true,
                reason: "FailedMount",
                message: problem.message,
                count: 1,
            });
        }
    }

    /// Waits until something happens or is due.
    fn wait(&mut self) {
        let timeout = self.due().map(|at| {
            let left = at.saturating_sub(self.now().mono);
            Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let outlets = self
            .containers
            .iter()
            .filter_map(|it| it.outlet.as_ref()?.pipe());
        let outputs = self.processes.iter().filter_map(|it| it.output.as_ref());
        let own = [self.wake.as_fd(), self.control.as_fd()];
        let all = own.into_iter().chain(self.lifeline());
        let all = all.chain(outlets.map(AsFd::as_fd));
        let all = all.chain(outputs.map(AsFd::as_fd));
        let mut all: Vec<PollFd<'_>> = all
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // Interrupted is as good as woken.
        let _ = poll(&mut all, timeout.as_ref());
    }

    /// Returns when something is due by itself.
    fn due(&self) -> Option<Duration> {
        let hidden = self.isolation.shared_init().is_some();
        let unseen = |it: &ContainerState| it.ending && (it.killing || it.visited || hidden);
        let sweep = self
            .containers
            .iter()
            .any(unseen)
            .then(|| self.now().mono + SWEEP);
        let deadlines = self.processes.iter().filter_map(|it| it.deadline);
        let sleeps = self.sleeps.iter().map(|(at, _)| *at);
        let own = sweep
            .into_iter()
            .chain(self.rewrite)
            .chain(self.look_again)
            .chain(self.limits.due())
            .chain(self.rejoining.resting_until(self.now().mono));
        let all = deadlines.chain(sleeps).chain(own);
        all.chain(self.machine.deadline()).min()
    }

    /// Collects everything that has happened.
    fn collect(&mut self) {
        let mut drain = [0; 64];
        while self
            .wake
            .read(&mut drain)
            .is_ok_and(|length| length == drain.len())
        {}
        if self.signals.stop.swap(false, Ordering::Relaxed) {
            self.stop(None);
        }
        if self.signals.reload.swap(false, Ordering::Relaxed) {
            self.listen_again();
            self.reload();
        }
        for message in store::requests(&self.control) {
            self.obey(message);
        }
        let now = self.now().mono;
        let evicted = self.limits.exceeded(now).map(PodEvent::Evicted);
        self.queue.extend(evicted);
        let answers: Vec<Completion> = self.answers.try_iter().collect();
        self.take_answers(answers);
        for container in &mut self.containers {
            if let Some(outlet) = &mut container.outlet {
                outlet.pump();
            }
        }
        self.listen_to_outputs();
        self.stay_connected();
        self.reap();
        self.keep_time();
    }

    fn take_answers(&mut self, answers: Vec<Completion>) {
        let current = |it: &Completion| self.containers[it.place.0].starts == it.start;
        let events = answers.into_iter().filter(current).map(|it| it.event);
        self.queue.extend(events);
    }

    fn obey(&mut self, message: RunnerRequest) {
        match message {
            RunnerRequest::Stop { grace_seconds } => {
                self.stop(grace_seconds.map(Duration::from_secs));
            }
            RunnerRequest::Restart { container } => self.ask_for_restart(container.as_deref()),
            RunnerRequest::Visit {
                container,
                main,
                visitor,
            } => self.note_visit(&container, main, visitor),
            RunnerRequest::Signal {
                container,
                main,
                signal,
            } => self.send_signal(&container, main, signal),
            RunnerRequest::Reload {} => self.reload(),
        }
    }

    pub(super) fn inits(&self) -> usize {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.init_containers.as_ref())
            .map_or(0, Vec::len)
    }

    fn reload(&mut self) {
        if let Ok(pod) = read_pod(&self.pet) {
            self.redefine(pod);
        }
        self.refresh();
        self.distrust_files();
        self.provide_launches();
        self.show_view_again();
        self.queue.push_back(PodEvent::Reload);
        if self.pod.metadata.deletion_timestamp.is_some() {
            self.stop(None);
        }
    }

    fn stop(&mut self, grace: Option<Duration>) {
        if let Ok(pod) = read_pod(&self.pet) {
            self.machine.observe(pod.metadata.generation);
        }
        let spec = self.pod.spec.as_ref();
        let own = self.pod.metadata.deletion_grace_period_seconds;
        let own = own.or(spec.and_then(|spec| spec.termination_grace_period_seconds));
        let own = Duration::from_secs(own.unwrap_or(30).try_into().unwrap_or(0));
        let grace = grace.unwrap_or(own);
        self.machine.refresh(self.now());
        self.publish();
        self.asked_to_stop = true;
        self.queue.push_back(PodEvent::Stop { grace });
    }

    /// Reads the output of probes and hooks, up to the length that is kept.
    fn listen_to_outputs(&mut self) {
        for process in &mut self.processes {
            process.listen();
        }
    }

    /// Kills probes that take too long, and ends the sleep of hooks.
    fn keep_time(&mut self) {
        let now = self.now().mono;
        for process in &mut self.processes {
            if process.deadline.is_some_and(|at| at <= now) {
                process.deadline = None;
                process.timed_out = true;
                let mut doomed = vec![process.pid];
                add_descendants(&mut doomed, supervisor(&self.layout));
                tree::signal_all(&doomed, Signal::KILL);
            }
        }
        self.limits.look(now, &self.waker);
        let due = self.sleeps.extract_if(.., |(at, _)| *at <= now);
        let due: Vec<Completion> = due.map(|(_, answer)| answer).collect();
        self.take_answers(due);
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(PodEvent::Tick);
        }
    }

    /// Leaves nothing behind: no process, then a clean record, and last of all the status that
    /// tells the supervisor that the pet's directory may go.
    fn end(mut self) {
        self.kill_everything();
        self.record.clean = true;
        self.record.containers.clear();
        // If even that fails, the supervisor sees how this process ends.
        let _ = self.record.write_at_any_cost(&self.layout, &self.pet);
        let _ = store::remove(&self.pet.control());
        std::thread::sleep((self.published + SHOWN).saturating_sub(self.now().mono));
        self.machine.close(self.now());
        self.write_last_status();
    }
}

/// Returns the pid of the supervisor. Where a pet's program was the first that needed one, it runs
/// below that pet's runner, and must not go with it: all other pets would go along.
pub(super) fn supervisor(layout: &Layout) -> Option<u32> {
    PidFile::of_supervisor(layout).read()
}

fn containers(pod: &Pod) -> Vec<ContainerState> {
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.unwrap_or_default();
    let all = inits.into_iter().chain(spec.containers);
    let container = |spec| ContainerState {
        spec,
        ..ContainerState::default()
    };
    all.map(container).collect()
}

fn now_since(born: Instant) -> Now {
    Now {
        mono: born.elapsed(),
        wall: Timestamp::now(),
    }
}
