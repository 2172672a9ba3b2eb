//! The runner: one process a pet, which is the kubelet of that pet.
//!
//! It drives [`crate::model::lifecycle`]: one thread polls the pipes, the control socket and the
//! signals, hands events to the state machine, and performs the actions that it returns. Only
//! probes over the network get threads, and those live as long as one probe. It leaves to the
//! supervisor what a pod is made of (`pod.json`), and to the machine every decision.

mod applets;
mod connection;
mod container;
mod grpc;
mod hooks;
mod http;
mod image;
pub(crate) mod isolation;
mod keeper;
mod listener;
mod logs;
mod message;
mod nursery;
mod probes;
mod rlimit_mark;
mod spawn;
mod startable;
mod streams;
mod tls;
mod tree;
mod url;
mod user;
mod userns_helper;
pub(crate) mod volumes;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::FlockOperation;

use crate::model::Namespace;
use crate::model::environment::STATE_DIR_VARIABLE;
use crate::model::pod::journal_owner;
use crate::role::{self, Role};
use crate::store::{self, Layout, Lock, PetLayout, Store, journal};
use crate::sys::proc;

pub(crate) use nursery::{Nursery, run as run_nursery};
pub(crate) use startable::Foresight;
pub(crate) use userns_helper::run as run_inside;

/// The exit code of a runner whose pet has a runner already.
pub(crate) const BUSY: u8 = 75;

/// How long a lock may outlive a runner that was killed while it started a process: the new
/// process holds it too until it executes its program, or finds that its parent is gone.
const HANDOVER: Duration = Duration::from_millis(300);

/// Returns the pid of the runner of a pod, by the words that it shows.
pub(crate) fn find(layout: &Layout, namespace: &Namespace, pod: &str) -> Option<u32> {
    let words = [
        layout.root().as_os_str(),
        namespace.as_str().as_ref(),
        pod.as_ref(),
    ];
    Role::Runner.played_by(&words).next()
}

/// Returns whether a process was started by a runner of the state directory at `root`: it says so,
/// or has a runner's mark.
pub(crate) fn is_of_pet(pid: u32, root: &Path) -> bool {
    let says = proc::variable_of(pid, STATE_DIR_VARIABLE);
    match says.is_some_and(|says| Path::new(&says) == root) {
        true => true,
        false => rlimit_mark::is_marked(pid),
    }
}

/// Keeps one pet until its end; `args` are the state directory, the namespace and the pod.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let [root, namespace, pod] = args else {
        return ExitCode::from(2);
    };
    let (Some(namespace), Some(pod)) = (namespace.to_str(), pod.to_str()) else {
        return ExitCode::from(2);
    };
    match keep(Path::new(root), namespace, pod) {
        Ok(code) => code,
        Err(error) => {
            // The output is visible only when a user has started the runner by hand.
            let _ = io::stderr().write_all(crate::problem::report(&error).as_bytes());
            tell_failure(Path::new(root), namespace, pod, &error);
            ExitCode::FAILURE
        }
    }
}

/// Writes the event that a runner could not begin: nobody else sees why.
fn tell_failure(root: &Path, namespace: &str, pod: &str, error: &anyhow::Error) {
    let Ok(namespace) = namespace.parse() else {
        return;
    };
    let layout = Layout::new(root);
    let record = store::pod_record(&layout.pet(&namespace, pod))
        .ok()
        .flatten();
    let owner = record
        .as_ref()
        .map(|record| journal_owner(&record.metadata, pod));
    let event = journal::Event {
        time: Timestamp::now(),
        severity: journal::Severity::Warning,
        reason: "FailedRunner".to_owned(),
        field: None,
        object: format!("pod/{pod}"),
        uid: record.as_ref().and_then(|pod| pod.metadata.uid.clone()),
        message: format!("its runner could not begin: {error:#}"),
        count: 1,
    };
    // On a full disk there is no journal either.
    let _ = journal::append(&layout.journal(&namespace, owner.unwrap_or(pod)), &event);
}

fn keep(root: &Path, namespace: &str, pod: &str) -> crate::problem::Result<ExitCode> {
    // A root that a person gave may be relative.
    let root = root.canonicalize()?;
    role::leave_caller()?;
    let store = Store::open(root)?;
    store.expect_own()?;
    store::make_nothing_after_removal(store.layout());
    let namespace: Namespace = namespace.parse()?;
    if let Some(fault) = crate::model::subdomain_fault(pod) {
        return Err(crate::problem::Problem::invalid(fault).into());
    }
    let pet = store.layout().pet(&namespace, pod);
    let Ok(_lock) = take_lock(&pet) else {
        return Ok(ExitCode::from(BUSY));
    };
    // Orphans of what it starts become its children.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut keeper = keeper::Keeper::new(store, namespace, pod)?;
    keeper.heed_removal()?;
    keeper.run();
    Ok(ExitCode::SUCCESS)
}

/// Takes the lock that makes this the only runner of the pet.
fn take_lock(pet: &PetLayout) -> io::Result<File> {
    let file = Lock::open(&pet.lock())?;
    let until = Instant::now() + HANDOVER;
    while let Err(busy) = lock(&file) {
        if Instant::now() > until {
            return Err(busy);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(file)
}

fn lock(file: &File) -> io::Result<()> {
    let outcome = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    outcome.map_err(Into::into)
}
