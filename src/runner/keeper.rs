//! The loop of a runner: wait for something, tell the machine, perform what it says, publish.
//!
//! Nothing in the loop can fail: what goes wrong with a container is an event about it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use super::container::{Launch, Supplies};
use super::control::{self, Control};
use super::hooks::{self, Deed};
use super::logs::{self, Outlet};
use super::probes::{self, Check};
use super::record::{Main, Record};
use super::{spawn, tree};
use crate::model::Namespace;
use crate::model::lifecycle::{
    Action, BackOff, Event, Exit, Failure, Hook, Now, Outcome, Pet, Place, ProbeKind, Report,
};
use crate::store::{self, Layout, PetLayout, Store, Sync, journal};
use crate::sys;

/// The most of a probe's or hook's output that is kept for its message.
const WORDS: usize = 1 << 10;
/// How often a tree that is being killed is looked at, should no signal tell of its end.
const SWEEP: Duration = Duration::from_millis(50);
/// The pause before what could not be written, since the disk is full, is tried again.
const REWRITE: Duration = Duration::from_secs(1);
/// The pauses before a supervisor that did not take a message is told again.
const NUDGE: Duration = Duration::from_millis(10);
const LONGEST_NUDGE: Duration = Duration::from_secs(2);

/// What a process that the runner started is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Main,
    Hook(Hook),
    Probe { kind: ProbeKind, run: u32 },
}

/// A process that the runner started.
#[derive(Debug)]
struct Process {
    pid: u32,
    place: Place,
    purpose: Purpose,
    deadline: Option<Duration>,
    timed_out: bool,
    output: Option<PipeReader>,
    words: Vec<u8>,
}

/// Something that a container's run waits for, and the run that does.
#[derive(Debug)]
struct Answer {
    place: Place,
    start: u32,
    event: Event,
}

/// What the runner keeps about a container.
#[derive(Debug, Default)]
struct Vessel {
    spec: Container,
    launch: Option<Launch>,
    outlet: Option<Outlet>,
    /// The sessions that its processes lead.
    sessions: Vec<u32>,
    /// Counts its starts: an answer that was asked for in an earlier one is thrown away.
    starts: u32,
    /// Whether its main process has ended and the rest of its tree is waited for.
    ending: bool,
    /// Whether its tree is being killed.
    killing: bool,
}

/// Keeps one pet.
pub(super) struct Keeper {
    layout: Layout,
    supplies: Supplies,
    pet: PetLayout,
    namespace: Namespace,
    name: String,
    journal: std::path::PathBuf,
    pod: Pod,
    ip: String,
    vessels: Vec<Vessel>,
    machine: Pet,
    born: Instant,
    processes: Vec<Process>,
    sleeps: Vec<(Duration, Answer)>,
    queue: VecDeque<Event>,
    record: Record,
    recorded: bool,
    written: Option<PodStatus>,
    /// When what could not be written is tried again.
    rewrite: Option<Duration>,
    nudge: Option<(Duration, Duration)>,
    control: UnixDatagram,
    wake: PipeReader,
    waker: Arc<OwnedFd>,
    told_to_stop: Arc<AtomicBool>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    done: bool,
}

impl Keeper {
    /// Reads the pod, ends what a dead predecessor left, and gets ready to be told things.
    pub(super) fn new(store: Store, namespace: Namespace, name: &str) -> crate::Result<Self> {
        let layout = store.layout().clone();
        let pet = layout.pet(&namespace, name);
        let pod = read_pod(&pet)?;
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if let Some(record) = Record::of_predecessor(&pet) {
            tree::kill_leftovers(&record, &uid);
        }
        let record = Record::own()?;
        record.write(&pet)?;
        let (wake, waker) = spawn::pipe()?;
        rustix::io::ioctl_fionbio(&waker, true)?;
        let waker: Arc<OwnedFd> = Arc::new(waker.into());
        let told_to_stop = listen_to_signals(&waker)?;
        let control = control::bind(&pet)?;
        let previous: Option<PodStatus> = store::read_json(&pet.status()).unwrap_or_default();
        let born = Instant::now();
        let now = now_since(born);
        let back_off = store.settings().back_off;
        let back_off = BackOff {
            start: back_off.start,
            cap: back_off.cap,
        };
        let machine = Pet::new(&pod, previous.as_ref(), back_off, now);
        let (answer, answers) = channel();
        let status = pod.status.as_ref();
        let ip = status.and_then(|status| status.pod_ip.clone());
        let journal = layout.journal(&namespace, owner(&pod).unwrap_or(name));
        Ok(Self {
            vessels: vessels(&pod),
            ip: ip.unwrap_or_else(|| "127.0.0.1".to_owned()),
            name: name.to_owned(),
            journal,
            supplies: Supplies::new(store, namespace.clone()),
            layout,
            pet,
            namespace,
            pod,
            machine,
            born,
            processes: Vec::new(),
            sleeps: Vec::new(),
            queue: VecDeque::from([Event::Tick]),
            record,
            recorded: true,
            written: previous,
            rewrite: None,
            nudge: None,
            control,
            wake,
            waker,
            told_to_stop,
            answers,
            answer,
            done: false,
        })
    }

    /// Runs until the pet has ended.
    pub(super) fn run(mut self) {
        loop {
            self.digest();
            self.publish();
            if self.done {
                break;
            }
            self.wait();
            self.collect();
        }
        self.end();
    }

    fn now(&self) -> Now {
        now_since(self.born)
    }

    /// Hands all events to the machine, and performs what it says, until neither has more.
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
    fn note(&mut self, event: &Event) {
        if let Event::Ended { place, .. } = event {
            self.vessels[place.0].ending = true;
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Prepare => {
                let outcome = self.prepare();
                self.queue.push_back(Event::Prepared(outcome));
            }
            Action::Start(place) => self.start(place),
            Action::Terminate(place) => self.terminate(place),
            Action::Kill(place) => {
                self.vessels[place.0].killing = true;
                tree::signal_all(&self.tree_of(place), Signal::KILL);
            }
            Action::Hook { place, hook } => self.begin_hook(place, hook),
            Action::Probe { place, kind, run } => self.begin_probe(place, kind, run),
            Action::Report(report) => self.report(report),
            Action::Finish => self.done = true,
        }
    }

    fn prepare(&mut self) -> Result<(), String> {
        let warnings = self.supplies.prepare(&self.pod)?;
        self.warn(warnings);
        Ok(())
    }

    fn warn(&self, warnings: Vec<String>) {
        for message in warnings {
            let (warning, reason) = (true, "Incomplete");
            self.report(Report {
                warning,
                reason,
                message,
            });
        }
    }

    fn start(&mut self, place: Place) {
        let event = match self.try_start(place) {
            Ok(pid) => Event::Started { place, pid },
            Err(failure) => Event::StartFailed { place, failure },
        };
        self.queue.push_back(event);
    }

    fn try_start(&mut self, place: Place) -> Result<u32, Failure> {
        let vessel = &self.vessels[place.0];
        let name = vessel.spec.name.clone();
        let mut launch = self.supplies.launch(&self.pod, &vessel.spec)?;
        let fault = |words: String| Failure::Launch(format!("starting {}: {words}", self.name));
        let (reader, writer) = spawn::pipe().map_err(|it| fault(format!("opening pipes: {it}")))?;
        let log = self.pet.log(&name);
        logs::keep_previous(&log, &self.pet.previous_log(&name));
        let pid = spawn::spawn(&launch, &launch.argv, writer).map_err(fault)?;
        launch.pid = pid;
        // Only `exec` and `describe` would miss it.
        let _ = store::replace_json(&self.pet.launch(&name), &launch, Sync::No);
        launch.argv = Vec::new();
        let warnings = std::mem::take(&mut launch.warnings);
        if self.vessels[place.0].launch.is_none() {
            self.warn(warnings);
        }
        let vessel = &mut self.vessels[place.0];
        vessel.launch = Some(launch);
        vessel.outlet = Some(Outlet::new(reader, log));
        vessel.sessions = vec![pid];
        (vessel.ending, vessel.killing) = (false, false);
        vessel.starts += 1;
        self.remember(pid, place, Purpose::Main, None, None);
        self.record_main(name, pid);
        Ok(pid)
    }

    fn record_main(&mut self, name: String, pid: u32) {
        let process = tree::identity_of(pid).unwrap_or(tree::Identity { pid, start: 0 });
        let pgid = pid;
        self.record.containers.retain(|main| main.name != name);
        self.record.containers.push(Main {
            name,
            process,
            pgid,
        });
        self.recorded = false;
    }

    fn remember(
        &mut self,
        pid: u32,
        place: Place,
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

    fn terminate(&mut self, place: Place) {
        let signal = hooks::stop_signal(&self.vessels[place.0].spec);
        let is_main = |it: &&Process| it.place == place && it.purpose == Purpose::Main;
        match self.processes.iter().find(is_main) {
            Some(main) => {
                let _ = sys::signal_process(main.pid, signal);
            }
            None => tree::signal_all(&self.tree_of(place), signal),
        }
    }

    fn begin_hook(&mut self, place: Place, hook: Hook) {
        let spec = &self.vessels[place.0].spec;
        let answer = move |outcome| Event::Hooked {
            place,
            hook,
            outcome,
        };
        match hooks::deed(spec, hook, &self.ip) {
            Err(words) => self.queue.push_back(answer(Err(words))),
            Ok(Deed::Sleep(pause)) => {
                let at = self.now().mono + pause;
                let start = self.vessels[place.0].starts;
                let event = answer(Ok(()));
                self.sleeps.push((
                    at,
                    Answer {
                        place,
                        start,
                        event,
                    },
                ));
            }
            Ok(Deed::Ask(check)) => {
                let patience = Duration::from_secs(600);
                self.ask(place, check, patience, move |it| answer(hooks::outcome(it)));
            }
            Ok(Deed::Exec(argv)) => {
                if let Err(words) = self.execute(place, Purpose::Hook(hook), &argv, None) {
                    self.queue.push_back(answer(Err(words)));
                }
            }
        }
    }

    fn begin_probe(&mut self, place: Place, kind: ProbeKind, run: u32) {
        let spec = &self.vessels[place.0].spec;
        let answer = move |outcome| Event::Probed {
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
            Err(words) => self.queue.push_back(answer(Outcome::Error(words))),
            Ok(Check::Exec(argv)) => {
                let until = Some(self.now().mono + timeout);
                let purpose = Purpose::Probe { kind, run };
                if let Err(words) = self.execute(place, purpose, &argv, until) {
                    self.queue.push_back(answer(Outcome::Error(words)));
                }
            }
            Ok(check) => self.ask(place, check, timeout, answer),
        }
    }

    /// Executes a command as a process of the container, for a probe or a hook.
    fn execute(
        &mut self,
        place: Place,
        purpose: Purpose,
        argv: &[String],
        deadline: Option<Duration>,
    ) -> Result<(), String> {
        let Some(launch) = &self.vessels[place.0].launch else {
            return Err("the container does not run".to_owned());
        };
        let (reader, writer) = spawn::pipe().map_err(|error| error.to_string())?;
        let pid = spawn::spawn(launch, argv, writer)?;
        match purpose {
            // A probe tells by its environment: there may be millions of them.
            Purpose::Probe { .. } => {}
            Purpose::Hook(_) | Purpose::Main => self.vessels[place.0].sessions.push(pid),
        }
        self.remember(pid, place, purpose, deadline, Some(reader));
        Ok(())
    }

    /// Looks at something over the network without keeping the loop waiting.
    fn ask(
        &mut self,
        place: Place,
        check: Check,
        patience: Duration,
        event: impl Fn(Outcome) -> Event + Send + 'static,
    ) {
        let answer = self.answer.clone();
        let waker = Arc::clone(&self.waker);
        let lost = event(Outcome::Error("no thread for it".to_owned()));
        let start = self.vessels[place.0].starts;
        let look = move || {
            let event = event(probes::look(&check, patience));
            let _ = answer.send(Answer {
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

    fn report(&self, report: Report) {
        let severity = match report.warning {
            true => journal::Severity::Warning,
            false => journal::Severity::Normal,
        };
        let event = journal::Event {
            time: Timestamp::now(),
            severity,
            reason: report.reason.to_owned(),
            object: format!("pod/{}", self.name),
            message: report.message,
        };
        // A journal that cannot be written must not stop the pet.
        let _ = journal::append(&self.journal, &event);
    }

    /// Writes what changed: once a turn, and tells the supervisor.
    fn publish(&mut self) {
        if !self.recorded {
            self.recorded = self.record.write(&self.pet).is_ok();
        }
        let told = self.written.as_ref() == Some(self.machine.status());
        if !self.done && !told {
            self.write_status();
        }
        let now = self.now().mono;
        let told = self.written.as_ref() == Some(self.machine.status());
        self.rewrite = (!told || !self.recorded).then_some(now + REWRITE);
    }

    fn write_status(&mut self) {
        let status = self.machine.status();
        if store::replace_json(&self.pet.status(), status, Sync::No).is_ok() {
            self.written = Some(status.clone());
        }
        self.nudge_supervisor(NUDGE);
    }

    /// Tells the supervisor to look; one that is too busy to listen is told again later.
    fn nudge_supervisor(&mut self, pause: Duration) {
        let words = format!("pod {}/{}", self.namespace, self.name);
        let sent = control::send(&self.layout.supervisor_socket(), words.as_bytes());
        let busy = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.nudge = sent.is_err_and(busy).then(|| {
            let longer = (pause * 2).min(LONGEST_NUDGE);
            (self.now().mono + pause, longer)
        });
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
            .vessels
            .iter()
            .filter_map(|it| it.outlet.as_ref()?.pipe());
        let outputs = self.processes.iter().filter_map(|it| it.output.as_ref());
        let own = [self.wake.as_fd(), self.control.as_fd()];
        let all = own.into_iter();
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
        let killing = self.vessels.iter().any(|it| it.ending && it.killing);
        let sweep = killing.then(|| self.now().mono + SWEEP);
        let deadlines = self.processes.iter().filter_map(|it| it.deadline);
        let sleeps = self.sleeps.iter().map(|(at, _)| *at);
        let nudge = self.nudge.map(|(at, _)| at);
        let own = sweep.into_iter().chain(self.rewrite);
        let all = deadlines.chain(sleeps).chain(nudge).chain(own);
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
        if self.told_to_stop.swap(false, Ordering::Relaxed) {
            self.stop(None);
        }
        for message in control::received(&self.control) {
            self.obey(message);
        }
        let answers: Vec<Answer> = self.answers.try_iter().collect();
        self.take_answers(answers);
        for vessel in &mut self.vessels {
            if let Some(outlet) = &mut vessel.outlet {
                outlet.pump();
            }
        }
        self.listen_to_outputs();
        self.reap();
        self.keep_time();
    }

    fn take_answers(&mut self, answers: Vec<Answer>) {
        let current = |it: &Answer| self.vessels[it.place.0].starts == it.start;
        let events = answers.into_iter().filter(current).map(|it| it.event);
        self.queue.extend(events);
    }

    fn obey(&mut self, message: Control) {
        match message {
            Control::Stop { grace_seconds } => self.stop(grace_seconds.map(Duration::from_secs)),
            Control::Restart { container } => {
                let named =
                    |it: &Vessel| container.as_ref().is_none_or(|name| *name == it.spec.name);
                let inits = self.inits();
                for index in 0..self.vessels.len() {
                    let main = container.is_some() || index >= inits;
                    if main && named(&self.vessels[index]) {
                        self.queue.push_back(Event::Restart(Place(index)));
                    }
                }
            }
            Control::Reload {} => self.reload(),
        }
    }

    fn inits(&self) -> usize {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.init_containers.as_ref())
            .map_or(0, Vec::len)
    }

    fn reload(&mut self) {
        if let Ok(pod) = read_pod(&self.pet) {
            self.pod = pod;
        }
        // What changed in config maps is in their files now; what is missing says so at the
        // next start of a container.
        let _ = self.prepare();
        self.queue.push_back(Event::Reload);
        if self.pod.metadata.deletion_timestamp.is_some() {
            self.stop(None);
        }
    }

    fn stop(&mut self, grace: Option<Duration>) {
        let spec = self.pod.spec.as_ref();
        let own = self.pod.metadata.deletion_grace_period_seconds;
        let own = own.or(spec.and_then(|spec| spec.termination_grace_period_seconds));
        let own = Duration::from_secs(own.unwrap_or(30).try_into().unwrap_or(0));
        let grace = grace.unwrap_or(own);
        self.queue.push_back(Event::Stop { grace });
    }

    /// Reads what probes and hooks say, as far as it is wanted.
    fn listen_to_outputs(&mut self) {
        for process in &mut self.processes {
            process.listen();
        }
    }

    /// Takes the exit codes of all children that have ended, known or not.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            let Some(at) = self.processes.iter().position(|it| it.pid == pid) else {
                continue;
            };
            let process = self.processes.swap_remove(at);
            let event = self.explain_end(process, exit_of(status));
            self.queue.push_back(event);
        }
    }

    fn explain_end(&mut self, mut process: Process, exit: Exit) -> Event {
        let place = process.place;
        process.listen();
        match process.purpose {
            Purpose::Main => Event::Ended {
                place,
                exit,
                message: self.last_words(place, exit),
            },
            Purpose::Hook(hook) => Event::Hooked {
                place,
                hook,
                outcome: match exit {
                    Exit::Code(0) => Ok(()),
                    Exit::Code(_) | Exit::Signal(_) => Err(process.complaint(exit)),
                },
            },
            Purpose::Probe { kind, run } => Event::Probed {
                place,
                kind,
                run,
                outcome: match exit {
                    _ if process.timed_out => Outcome::Failure("command timed out".to_owned()),
                    Exit::Code(0) => Outcome::Success,
                    Exit::Code(_) | Exit::Signal(_) => Outcome::Failure(process.complaint(exit)),
                },
            },
        }
    }

    /// Returns the end of a failed container's log, where its spec wants that (V53).
    fn last_words(&mut self, place: Place, exit: Exit) -> Option<String> {
        let vessel = &mut self.vessels[place.0];
        let policy = vessel.spec.termination_message_policy.as_deref();
        if exit.code() == 0 || policy != Some("FallbackToLogsOnError") {
            return None;
        }
        vessel.outlet.as_mut()?.pump();
        logs::tail(&self.pet.log(&vessel.spec.name))
    }

    /// Does what is due: ends probes that take too long, wakes sleeping hooks.
    fn keep_time(&mut self) {
        let now = self.now().mono;
        for process in &mut self.processes {
            if process.deadline.is_some_and(|at| at <= now) {
                process.deadline = None;
                process.timed_out = true;
                let mut doomed = vec![process.pid];
                tree::add_descendants(&mut doomed);
                tree::signal_all(&doomed, Signal::KILL);
            }
        }
        let due = self.sleeps.extract_if(.., |(at, _)| *at <= now);
        let due: Vec<Answer> = due.map(|(_, answer)| answer).collect();
        self.take_answers(due);
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.queue.push_back(Event::Tick);
        }
        if let Some((at, pause)) = self.nudge
            && at <= now
        {
            self.nudge_supervisor(pause);
        }
    }

    /// Looks after the trees whose main process has ended, and tells when one is gone.
    fn sweep(&mut self) {
        for index in 0..self.vessels.len() {
            let place = Place(index);
            if !self.vessels[index].ending {
                continue;
            }
            let tree = self.tree_of(place);
            if self.vessels[index].killing {
                tree::signal_all(&tree, Signal::KILL);
            }
            if !tree.is_empty() {
                continue;
            }
            let vessel = &mut self.vessels[index];
            (vessel.ending, vessel.killing) = (false, false);
            if let Some(mut outlet) = vessel.outlet.take() {
                outlet.pump();
            }
            self.queue.push_back(Event::Gone(place));
        }
    }

    /// Lists the processes of a container, whoever their parents are.
    fn tree_of(&self, place: Place) -> Vec<u32> {
        let own = tree::children(std::process::id());
        let mut tree: Vec<u32> = own
            .into_iter()
            .filter(|&pid| self.place_of(pid) == Some(place))
            .collect();
        tree::add_descendants(&mut tree);
        tree
    }

    /// Returns the container that a child of the runner belongs to. An orphan tells by its
    /// session or environment; one that hides belongs to the only container there is.
    fn place_of(&self, pid: u32) -> Option<Place> {
        if let Some(process) = self.processes.iter().find(|it| it.pid == pid) {
            return Some(process.place);
        }
        let session = tree::session_of(pid)?;
        let by_session = self
            .vessels
            .iter()
            .position(|it| it.sessions.contains(&session));
        let by_name = || {
            let name = tree::container_of(pid)?;
            self.vessels.iter().position(|it| it.spec.name == name)
        };
        let only = || {
            let mut started = (0..self.vessels.len()).filter(|&it| self.has_processes(it));
            started.next().filter(|_| started.next().is_none())
        };
        by_session.or_else(by_name).or_else(only).map(Place)
    }

    fn has_processes(&self, index: usize) -> bool {
        self.vessels[index].ending || self.processes.iter().any(|it| it.place.0 == index)
    }

    /// Leaves nothing behind: no process, then a clean record, and last of all the status that
    /// tells the supervisor that the pet's directory may go.
    fn end(mut self) {
        self.kill_everything();
        self.record.clean = true;
        self.record.containers.clear();
        let _ = self.record.write(&self.pet);
        let _ = store::remove(&self.pet.control());
        self.write_status();
    }

    fn kill_everything(&self) {
        let own = std::process::id();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Err(rustix::io::Errno::CHILD) => return,
                Ok(Some(_)) | Err(_) => continue,
                Ok(None) => {}
            }
            let mut doomed = tree::children(own);
            tree::add_descendants(&mut doomed);
            tree::signal_all(&doomed, Signal::KILL);
            let mut wake = [PollFd::new(&self.wake, PollFlags::IN)];
            let pause = Timespec {
                tv_sec: 0,
                tv_nsec: SWEEP.subsec_nanos().into(),
            };
            let _ = poll(&mut wake, Some(&pause));
            let _ = (&self.wake).read(&mut [0; 64]);
        }
    }
}

impl Process {
    fn listen(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    let room = WORDS.saturating_sub(self.words.len()).min(length);
                    self.words.extend_from_slice(&buffer[..room]);
                }
                Err(_) => return,
            }
        }
    }

    /// Returns what a failed command said, or else how it ended.
    fn complaint(&self, exit: Exit) -> String {
        let words = String::from_utf8_lossy(&self.words);
        match (words.trim(), exit) {
            ("", Exit::Code(code)) => format!("command exited with {code}"),
            ("", Exit::Signal(signal)) => format!("command was ended by signal {signal}"),
            (words, _) => words.to_owned(),
        }
    }
}

fn read_pod(pet: &PetLayout) -> std::io::Result<Pod> {
    let pod = store::read_json(&pet.pod())?;
    pod.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn vessels(pod: &Pod) -> Vec<Vessel> {
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.unwrap_or_default();
    let all = inits.into_iter().chain(spec.containers);
    let vessel = |spec| Vessel {
        spec,
        ..Vessel::default()
    };
    all.map(vessel).collect()
}

/// Returns the name of the set that the pod belongs to.
fn owner(pod: &Pod) -> Option<&str> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    Some(&owner.name)
}

fn now_since(born: Instant) -> Now {
    Now {
        mono: born.elapsed(),
        wall: Timestamp::now(),
    }
}

/// Makes signals wake the loop; the flag tells that one of them asked for an end.
fn listen_to_signals(waker: &Arc<OwnedFd>) -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    for signal in [SIGTERM, SIGINT, SIGCHLD] {
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    Ok(stop)
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }
}
