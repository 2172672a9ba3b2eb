//! Starting main processes, hooks and probes for the state machine.

use std::io::PipeReader;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;

use super::pod::pod_context;
use super::process::{Process, Purpose};
use super::{Completion, ContainerState, Keeper};
use crate::model::lifecycle::{
    ContainerIndex, Failure, HookKind, HookSuccess, PodEvent, ProbeKind, ProbeOutcome, Report,
};
use crate::model::restart::runs_once;
use crate::problem::Problem;
use crate::runner::container::Prepared;
use crate::runner::hooks::{self, HookAction};
use crate::runner::isolation::{self, ContainerSpace, NewContainer};
use crate::runner::listener::{Identity, OwnPorts};
use crate::runner::logs::{self, Outlet};
use crate::runner::probes::{self, Check, Reply};
use crate::runner::streams::{self, Streams};
use crate::runner::{message, spawn, tree};
use crate::store::{self, Launch, MainProcess, PetLayout, RunnerRecord, Sync};
use crate::sys;
use crate::sys::proc::{self, ProcessId};

impl Keeper {
    /// Takes over a changed pod.
    pub(super) fn redefine(&mut self, pod: Pod) {
        self.pod = pod;
        self.machine.observe(self.pod.metadata.generation);
        let spec = self.pod.spec.clone().unwrap_or_default();
        let fresh = super::containers(&self.pod);
        for (container, fresh) in self.containers.iter_mut().zip(fresh) {
            container.spec.image = fresh.spec.image;
        }
        self.queue.push_back(PodEvent::Redefined(Box::new(spec)));
    }

    /// Asks for the restart of a container, or of all main containers.
    pub(super) fn ask_for_restart(&mut self, container: Option<&str>) {
        let named = |it: &ContainerState| container.is_none_or(|name| name == it.spec.name);
        let inits = self.inits();
        for index in 0..self.containers.len() {
            let main = container.is_some() || index >= inits;
            if main && named(&self.containers[index]) {
                let restart = PodEvent::Restart(ContainerIndex(index));
                self.queue.push_back(restart);
            }
        }
    }

    /// Sends a signal that a user asked for to the run of a main process that the user has seen.
    pub(super) fn send_signal(&self, container: &str, main: u32, number: i32) {
        let mut all = self.containers.iter();
        let place = all.position(|it| it.spec.name == container);
        let runs = place.is_some_and(|at| self.main_of(ContainerIndex(at)) == Some(main));
        let Some(signal) = Signal::from_named_raw(number).filter(|_| runs) else {
            return;
        };
        let sent = sys::signal_process(main, signal);
        let name = sys::name_of_signal(signal);
        let message = match &sent {
            Ok(()) => format!("petset kill has sent {name} to container {container}"),
            Err(error) => format!("cannot send {name} to container {container}: {error}"),
        };
        self.report(Report {
            field: None,
            warning: sent.is_err(),
            reason: "Signalled",
            message,
            count: 1,
        });
    }

    pub(super) fn start(&mut self, place: ContainerIndex) {
        let event = match self.try_start(place) {
            Ok(pid) => PodEvent::Started { place, pid },
            Err(failure) => PodEvent::StartFailed { place, failure },
        };
        self.queue.push_back(event);
    }

    /// Makes sure that there is a file of this program, which may have been removed.
    pub(super) fn provide_program(&mut self) -> Result<(), Problem> {
        let provided = self.supplies.provide_program();
        provided.map_err(|error| Problem::failed(format!("providing petset: {error}")))
    }

    pub(super) fn try_start(&mut self, place: ContainerIndex) -> Result<u32, Failure> {
        let fault = |words: Problem| Failure::Launch(words.message);
        self.provide_program().map_err(fault)?;
        if self.supplies.is_stale() {
            self.refresh();
        }
        let container = &self.containers[place.0];
        let name = container.spec.name.clone();
        let Prepared {
            mut launch,
            mut warnings,
        } = self.supplies.launch(&self.pod, &container.spec)?;
        let fault = |words: Problem| Failure::Launch(format!("starting {}: {words}", self.name));
        launch.env.extend(isolation::variables(&self.pod));
        let (own, streams) = Streams::open(&container.spec)
            .map_err(|it| fault(Problem::failed(format!("opening pipes: {it}"))))?;
        let log = self.pet.log(&name);
        logs::keep_previous(&log, &self.pet.previous_log(&name));
        let words = self.pet.message(&name);
        message::begin(&words)
            .map_err(|it| fault(Problem::failed(format!("{}: {it}", words.display()))))?;
        let context = pod_context(&self.pod, &self.ip, &self.pet, &self.supplies);
        let new = self.isolation.plan_container(&launch, &context);
        let new = new.map_err(fault)?;
        let network = self.isolation.warnings();
        record_begin(&self.pod, &self.pet, &mut self.record);
        let (pid, space) = begin(&launch, streams, new).map_err(fault)?;
        let lacks = space.iter().flat_map(|space| space.lacks.clone());
        warnings.extend(lacks);
        launch.pid = pid;
        // Only `exec` and `describe` would miss it.
        let _ = store::replace_json(&self.pet.launch(&name), &launch, Sync::No);
        // From now on whoever makes a state directory finds this container.
        let covered = space
            .as_ref()
            .map(|it| it.cover_newer(&launch, self.layout.root()));
        if let Some(Err(error)) = covered {
            warnings.push(format!("it may see a new state directory: {error}"));
        }
        self.warn(network);
        if self.containers[place.0].launch.is_none() {
            self.warn(warnings);
        }
        let container = &mut self.containers[place.0];
        container.launch = Some(launch);
        container.space = space;
        container.outlet = Some(Outlet::new(own.output, log));
        container.input = own.input;
        container.sessions = vec![pid];
        (container.ending, container.killing) = (false, false);
        container.visited = false;
        container.visitors.clear();
        container.starts += 1;
        container.own_ports = OwnPorts::default();
        self.remember(pid, place, Purpose::Main, None, None);
        self.record_main(name, pid);
        Ok(pid)
    }

    /// Writes how the containers were started again, where somebody has removed or damaged that.
    pub(super) fn provide_launches(&self) {
        for container in &self.containers {
            let path = self.pet.launch(&container.spec.name);
            let is_there = || matches!(store::read_json::<Launch>(&path), Ok(Some(_)));
            if let Some(launch) = container.launch.as_ref().filter(|_| !is_there()) {
                // Only `exec` and `describe` would miss it.
                let _ = store::replace_json(&path, launch, Sync::No);
            }
        }
    }

    /// Shows the containers the view of the state directory again, where somebody has removed it.
    pub(super) fn show_view_again(&self) {
        let state = self.layout.root();
        for container in &self.containers {
            let (Some(space), Some(launch)) = (&container.space, &container.launch) else {
                continue;
            };
            let shown = self.isolation.show_view_again(space, launch.pid, state);
            if let Err(error) = shown {
                let name = &container.spec.name;
                let lost = "names and peers cannot be looked up before it is restarted";
                self.warn(vec![format!("container {name}: {lost}: {error}")]);
            }
        }
    }

    pub(super) fn record_main(&mut self, name: String, pid: u32) {
        let process = ProcessId::of(pid).unwrap_or(ProcessId { pid, start: 0 });
        let pgid = pid;
        self.record.containers.retain(|main| main.name != name);
        self.record.containers.push(MainProcess {
            name,
            process,
            pgid,
        });
        self.recorded = false;
    }

    pub(super) fn remember(
        &mut self,
        pid: u32,
        place: ContainerIndex,
        purpose: Purpose,
        deadline: Option<Duration>,
        output: Option<PipeReader>,
    ) {
        self.processes.push(Process {
            pid,
            place,
            purpose,
            deadline,
            timed_out: false,
            output,
            words: Vec::new(),
        });
    }

    pub(super) fn terminate(&mut self, place: ContainerIndex) {
        let signal = hooks::stop_signal(&self.containers[place.0].spec);
        match self.main_of(place) {
            Some(main) if self.is_deaf(main, signal) => {
                let _ = sys::signal_process(main, Signal::KILL);
            }
            Some(main) => {
                let _ = sys::signal_process(main, signal);
            }
            None => tree::signal_all(&self.tree_of(place), signal),
        }
    }

    /// Returns whether a main process would never learn of a signal: the kernel keeps it from
    /// process 1 of a namespace that has no handler for it. One that ignores it has decided so.
    fn is_deaf(&self, main: u32, signal: Signal) -> bool {
        self.isolation.separates_processes() && proc::is_unprepared(main, signal)
    }

    pub(super) fn begin_hook(&mut self, place: ContainerIndex, hook: HookKind) {
        let spec = &self.containers[place.0].spec;
        let answer = move |outcome| PodEvent::Hooked {
            place,
            hook,
            outcome,
        };
        match hooks::action_of(spec, hook, &self.ip) {
            Err(words) => self.queue.push_back(answer(Err(words))),
            Ok(HookAction::Sleep(pause)) => {
                let at = self.now().mono + pause;
                let start = self.containers[place.0].starts;
                let event = answer(Ok(HookSuccess::Plain));
                self.sleeps.push((
                    at,
                    Completion {
                        place,
                        start,
                        event,
                    },
                ));
            }
            Ok(HookAction::Ask(check)) => {
                let patience = Duration::from_secs(600);
                self.ask(place, check, patience, move |reply| answer(reply.hooked()));
            }
            Ok(HookAction::Exec(argv)) => {
                if let Err(words) = self.execute(place, Purpose::Hook(hook), &argv, None) {
                    self.queue.push_back(answer(Err(words)));
                }
            }
        }
    }

    pub(super) fn begin_probe(&mut self, place: ContainerIndex, kind: ProbeKind, run: u32) {
        let spec = &self.containers[place.0].spec;
        let answer = move |outcome| PodEvent::Probed {
            place,
            kind,
            run,
            outcome,
        };
        let Some(probe) = probes::spec(spec, kind) else {
            return;
        };
        let timeout = probes::timeout(probe);
        match probes::check(probe, spec, &self.ip) {
            Err(problem) => self
                .queue
                .push_back(answer(ProbeOutcome::Error(problem.message))),
            Ok(Check::Exec(_)) if self.holds_back(place, timeout, kind, answer) => {}
            Ok(Check::Exec(argv)) => {
                let until = Some(self.now().mono + timeout);
                let purpose = Purpose::Probe { kind, run };
                if let Err(problem) = self.execute(place, purpose, &argv, until) {
                    self.queue
                        .push_back(answer(ProbeOutcome::Error(problem.message)));
                }
            }
            Ok(check) => self.ask(place, check, timeout, move |reply| answer(reply.probed())),
        }
    }

    /// Executes a command as a process of the container, for a probe or a hook.
    pub(super) fn execute(
        &mut self,
        place: ContainerIndex,
        purpose: Purpose,
        argv: &[String],
        deadline: Option<Duration>,
    ) -> Result<(), Problem> {
        let Some(launch) = &self.containers[place.0].launch else {
            return Err(Problem::failed("the container does not run".to_owned()));
        };
        let (reader, writer) = streams::pipe().map_err(|error| error.to_string())?;
        let space = self.containers[place.0].space.as_ref();
        let entrance = space.map(ContainerSpace::entrance);
        let pid = spawn::spawn(launch, argv, Streams::of(writer), entrance)?;
        match purpose {
            // A probe is found by its environment: there may be millions of them.
            Purpose::Probe { .. } => {}
            Purpose::Hook(_) | Purpose::Main => self.containers[place.0].sessions.push(pid),
        }
        self.remember(pid, place, purpose, deadline, Some(reader));
        Ok(())
    }

    /// Returns what tells answers of this pet from those of others: it is only needed where they
    /// share a network.
    fn identity(&self, place: ContainerIndex) -> Option<Identity> {
        let shares = !isolation::has_network(&self.pod);
        shares.then(|| Identity {
            ip: self.ip.clone(),
            uid: self.pod.metadata.uid.clone().unwrap_or_default(),
            spared: super::supervisor(&self.layout),
            known: self.containers[place.0].own_ports.clone(),
        })
    }

    /// Makes a check over the network in a thread, without keeping the loop waiting.
    pub(super) fn ask(
        &mut self,
        place: ContainerIndex,
        check: Check,
        patience: Duration,
        event: impl Fn(Reply) -> PodEvent + Send + 'static,
    ) {
        let answer = self.answer.clone();
        let waker = Arc::clone(&self.waker);
        let lost = event(Reply::Unchecked("no thread for it"));
        let start = self.containers[place.0].starts;
        let dialer = self.isolation.dialer();
        let identity = self.identity(place);
        let look = move || {
            let reply = probes::look_at_own(&check, patience, dialer.as_ref(), identity.as_ref());
            let event = event(reply);
            let _ = answer.send(Completion {
                place,
                start,
                event,
            });
            let _ = rustix::io::write(&*waker, &[0]);
        };
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        if thread.spawn(look).is_err() {
            self.queue.push_back(lost);
        }
    }
}

/// Starts the main process of a container, which makes the namespaces of its own.
fn begin(
    launch: &Launch,
    streams: Streams,
    new: Option<NewContainer>,
) -> Result<(u32, Option<ContainerSpace>), Problem> {
    let entrance = new.as_ref().map(NewContainer::entrance);
    let spawned = spawn::spawn(launch, &launch.argv, streams, entrance);
    let Some(new) = new else {
        return Ok((spawned?, None));
    };
    match (spawned, new.finish()) {
        (Ok(pid), Ok(space)) => Ok((pid, Some(space))),
        // What it could not build is why it was not started. One that cannot be looked after ends.
        (spawned, Err(problem)) => {
            let _ = spawned.map(|pid| sys::signal_process(pid, Signal::KILL));
            Err(problem)
        }
        (Err(problem), Ok(_)) => Err(problem),
    }
}

/// Notes, before anything of a pod that is to run once is started, that it was: should this runner
/// die now, its successor must not start it a second time.
fn record_begin(pod: &Pod, pet: &PetLayout, record: &mut RunnerRecord) {
    let spec = pod.spec.as_ref();
    if spec.is_some_and(runs_once) && !record.begun {
        record.begun = true;
        // It is written again together with the container that was started.
        let _ = record.write(pet);
    }
}
