//! The main loop of a supervisor: it takes the lock, runs turns, and ends.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::addresses::Addresses;
use super::bare_pods::BarePods;
use super::launch::{GREETING, RunningSupervisor, has_heard};
use super::log::log;
use super::losses::{Losses, PAUSE};
use super::names::ServedNames;
use super::owner::{self, StateOwner};
use super::perform::random_seed;
use super::proxy_process::ProxyProcess;
use super::retry::NamespaceRetries;
use super::signals::Signals;
use super::state::Supervisor;
use super::storage_queue::StorageQueue;
use super::work_queue::WorkQueue;
use super::world::ClusterState;
use super::writer::Writer;
use crate::problem::{Kind, Problem, Result, report};
use crate::role::{self, Role};
use crate::runner::Nursery;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::covers::EnteredStates;
use crate::store::registry::Blocks;
use crate::store::{self, Attempt, Layout, Lock, PidFile, Store, Watch};
use crate::sys;

/// A turn that took more processor time than this is followed by a pause.
const SHORT_TURN: Duration = Duration::from_micros(300);
const LONGEST_REST: Duration = Duration::from_millis(10);

/// How long a starting supervisor waits for the end of another one.
const HANDOVER: Duration = Duration::from_secs(5);
/// How long the other one may take to bind its socket: it may have begun at the same moment.
const BEGINNING: Duration = Duration::from_secs(2);

/// Runs the supervisor of a state directory, the only argument, in the background. It writes
/// [`GREETING`] to its standard output when its socket is bound.
pub(crate) fn run_in_background(arguments: &[OsString]) -> ExitCode {
    let [root] = arguments else {
        return ExitCode::from(2);
    };
    let begun = role::leave_caller()
        .context("cannot leave the working directory")
        .and_then(|()| Store::open(root))
        .and_then(|store| store.expect_own().map(|()| store))
        .and_then(Supervisor::begin);
    let outcome = match begun {
        Ok(begun) => greet().and_then(|()| begun.map_or(Ok(()), Supervisor::run)),
        Err(error) => {
            // The caller shows this to its user.
            let _ = io::stdout().write_all(report(&error).as_bytes());
            Err(error)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&report(&error));
            ExitCode::FAILURE
        }
    }
}

/// Runs the supervisor in the foreground, for a service manager; ends with SIGTERM or SIGINT,
/// and leaves the pets running. Calls `begun` when it is the supervisor.
///
/// It takes over from one that a command has started.
pub(crate) fn run_in_foreground(store: Store, begun: impl FnOnce()) -> Result<()> {
    let lock = take_over_from_background(store.layout())?;
    let mut supervisor = Supervisor::begin_with(store, lock)?;
    begun();
    supervisor.signals.stay();
    supervisor.run()
}

/// Writes the greeting, and closes the pipe to the caller.
fn greet() -> Result<()> {
    let mut out = io::stdout();
    // This fails when the caller was killed meanwhile.
    let _ = out.write_all(GREETING).and_then(|()| out.flush());
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null).context("cannot let go of the standard output")?;
    Ok(())
}

impl Supervisor {
    /// Becomes the supervisor; `None` when there is another one, which has been nudged.
    fn begin(store: Store) -> Result<Option<Self>> {
        match take_over(store.layout())? {
            Some(lock) => Self::begin_with(store, lock).map(Some),
            None => Ok(None),
        }
    }

    /// Becomes the supervisor with its lock.
    fn begin_with(store: Store, lock: Lock) -> Result<Self> {
        let layout = store.layout();
        store::make_nothing_after_removal(layout);
        // The runners watch their own locks.
        let root = layout.root().to_owned();
        let end = move || {
            Blocks::of_this_machine().release(&root);
            if !owner::is_leaving() {
                std::process::exit(0)
            }
        };
        store::when_removed(&layout.supervisor_lock(), end)
            .context("cannot watch the supervisor's lock")?;
        PidFile::of_supervisor(layout)
            .write(layout)
            .context("cannot write the supervisor's pid")?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("cannot become the reaper of orphans")?;
        // Signals are set up before any pet is started, so that no SIGCHLD is lost.
        let signals = Signals::new().context("cannot receive signals")?;
        let socket = bind(layout)?;
        let watch = Watch::new().context("cannot watch the state directory")?;
        let addresses = Addresses::open(&store)?;
        let view = store::refresh_view(&store);
        let owner = StateOwner::find(layout);
        let names = ServedNames::new(store.settings(), addresses.block());
        let mut supervisor = Self {
            store,
            socket,
            watch,
            limit_told: false,
            signals,
            world: ClusterState::default(),
            addresses,
            entered: EnteredStates::default(),
            due: SortedSet::new(),
            alarms: SortedMap::new(),
            bare: BarePods::default(),
            work: WorkQueue::new(random_seed()?),
            storage: StorageQueue::default(),
            reports: SortedMap::new(),
            published: SortedMap::new(),
            failures: SortedMap::new(),
            unwritten: NamespaceRetries::default(),
            losses: Losses::default(),
            look_again: None,
            owner,
            names,
            can_isolate: None,
            hooks: HashMap::new(),
            proxy: ProxyProcess::default(),
            nursery: Nursery::default(),
            refused: SortedMap::new(),
            unserved: SortedSet::new(),
            writer: Writer::start().context("cannot start the thread that writes")?,
            stirred: SortedSet::new(),
            _lock: lock,
        };
        supervisor.serve_names();
        // On a full disk both are tried again: this supervisor may be needed to end something.
        let view = view.context("cannot make what pets may see");
        let programs = store::provide_programs(supervisor.store.layout())
            .context("cannot provide this program to pets");
        if let Err(error) = view.and(programs) {
            log(&format!("{error:#}"));
            supervisor.losses.provisions = true;
            supervisor.losses.due = Some(Instant::now() + PAUSE);
        }
        supervisor.look_at_everything()?;
        supervisor.watch_registry();
        supervisor.relearn_addresses();
        supervisor.collect_marked()?;
        supervisor.bind_earlier_claims()?;
        supervisor.distrust_reports();
        supervisor.leave_foreign_pets();
        supervisor.give_services_addresses();
        supervisor.publish_endpoints();
        supervisor.names.loaded();
        supervisor.writer.sweep(&supervisor.store);
        supervisor.writer.provide_reserve(supervisor.store.layout());
        supervisor.heed_owner();
        Ok(supervisor)
    }

    /// Runs turns until nothing is left to do.
    fn run(mut self) -> Result<()> {
        let mut crowded = false;
        loop {
            let begun = processor_time();
            self.turn();
            if self.signals.quit {
                // A command that comes from now on starts the next one.
                let _ = store::remove(&self.store.layout().supervisor_socket());
                return Ok(());
            }
            if self.ends()? {
                return Ok(());
            }
            if crowded {
                pause_after_work(processor_time().saturating_sub(begun));
            }
            let ended = Instant::now();
            self.wait()?;
            // A single event is handled at once, and so is the event after it.
            crowded = ended.elapsed() < LONGEST_REST;
        }
    }
}

/// Pauses after an expensive turn, so that the events of many pets that start at once are handled
/// in one turn, not in one turn each.
fn pause_after_work(work: Duration) {
    if work > SHORT_TURN {
        std::thread::sleep((work * 2).min(LONGEST_REST));
    }
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    let clock = rustix::time::ClockId::ThreadCPUTime;
    rustix::time::clock_gettime(clock)
        .try_into()
        .unwrap_or_default()
}

/// Takes the supervisor's lock; `None` when another supervisor holds it, which is nudged.
fn take_over(layout: &Layout) -> Result<Option<Lock>> {
    let path = layout.supervisor_lock();
    let holder = format!("{}", std::process::id());
    let begun = Instant::now();
    while begun.elapsed() < HANDOVER {
        let slice = Duration::from_millis(50);
        let attempt =
            Lock::wait(&path, &holder, slice).map_err(|it| store::cannot_lock(&path, &it))?;
        if let Attempt::Locked(lock) = attempt {
            return Ok(Some(lock));
        }
        if has_heard(layout) {
            return Ok(None);
        }
        if begun.elapsed() > BEGINNING && !store::is_socket(&layout.supervisor_socket()) {
            end_deaf(layout);
        }
    }
    bail!(
        "{} is held by a process that does not answer",
        path.display()
    )
}

/// Ends a supervisor whose socket somebody has damaged or removed; its pets run on.
fn end_deaf(layout: &Layout) {
    let deaf = Role::Supervisor.played_by(&[layout.root().as_os_str()]);
    for pid in deaf.filter(|pid| *pid != std::process::id()) {
        // One that has ended meanwhile is as good.
        let _ = sys::signal_process(pid, Signal::TERM);
    }
}

/// Takes the supervisor's lock from a supervisor in the background, which ends and leaves its pets
/// running. One in the foreground keeps it.
fn take_over_from_background(layout: &Layout) -> Result<Lock> {
    let path = layout.supervisor_lock();
    let deadline = Instant::now() + HANDOVER;
    loop {
        let slice = Duration::from_millis(50);
        let attempt = Lock::wait(&path, &std::process::id().to_string(), slice)
            .map_err(|it| store::cannot_lock(&path, &it))?;
        if let Attempt::Locked(lock) = attempt {
            return Ok(lock);
        }
        let found = RunningSupervisor::find(layout);
        if let Some(other) = found.as_ref().filter(|other| other.in_foreground) {
            let message = format!(
                "{} has a supervisor already: {other}",
                layout.root().display()
            );
            let hint = "it runs until it is ended with Ctrl-C or SIGTERM; its pets run on";
            return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
        }
        if Instant::now() >= deadline {
            bail!("{} is held by a process that does not end", path.display());
        }
        if let Some(other) = found {
            other.end();
        }
    }
}

fn bind(layout: &Layout) -> Result<UnixDatagram> {
    let path = layout.supervisor_socket();
    store::bind_supervisor(layout).with_context(|| format!("cannot make {}", path.display()))
}
