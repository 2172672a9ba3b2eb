//! The root file system of one run of a container: its main process builds it by taking the steps
//! of the plan in a mount namespace of its own, before it executes its program. So it is
//! process 1 of its process namespace, which no other process can mount the `/proc` of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::message::{Message, WorkOutcome};
use super::step::{MountStep, words};
use crate::problem::Problem;
use crate::store::covers::EnteredStates;
use crate::sys::{self, NamespaceFlags, link};

/// What a process does in its namespaces before it gives up its rights.
pub(in crate::runner) type Preparation = Box<dyn Fn() -> rustix::io::Result<()> + Send + Sync>;

/// A root file system that is to be built.
#[derive(Debug)]
pub(super) struct Rootfs {
    steps: Arc<[MountStep]>,
    /// The user namespace that its mounts are to belong to, if that is not the builder's.
    users: Option<Arc<OwnedFd>>,
    link: OwnedFd,
    theirs: Arc<OwnedFd>,
    states: EnteredStates,
    /// What the container has to do without in any case.
    lacks: Vec<String>,
}

/// A root file system that was built, or that could not be.
#[derive(Debug)]
pub(super) struct BuiltRootfs {
    /// The namespaces of processes and of mounts of the process that built it.
    pub(super) namespaces: Vec<OwnedFd>,
    /// The state directories that it was built to hide.
    pub(super) states: EnteredStates,
    /// What the container has to do without, as warnings.
    pub(super) lacks: Vec<String>,
}

impl Rootfs {
    /// Prepares to take these steps, which hide `states`, and to enter `users` then; `lacks` are
    /// the warnings that there are already.
    pub(super) fn new(
        steps: Vec<MountStep>,
        users: Option<Arc<OwnedFd>>,
        states: EnteredStates,
        lacks: Vec<String>,
    ) -> io::Result<Self> {
        let (link, theirs) = link()?;
        Ok(Self {
            steps: steps.into(),
            users,
            link,
            theirs: Arc::new(theirs),
            states,
            lacks,
        })
    }

    /// Returns what the main process is to do.
    pub(super) fn work(&self) -> impl Fn() -> rustix::io::Result<()> + Send + Sync + 'static {
        let (steps, link) = (Arc::clone(&self.steps), Arc::clone(&self.theirs));
        let users = self.users.clone();
        move || build(&steps, users.as_deref(), link.as_fd())
    }

    /// Waits for the end of the work, which must have been handed out and dropped.
    pub(super) fn finish(self) -> Result<BuiltRootfs, Problem> {
        drop(self.theirs);
        let steps = &self.steps;
        let outcome = WorkOutcome::receive(&self.link);
        let outcome = outcome.map_err(|error| format!("mounting: {}", sys::with_limit(error)))?;
        if let Some((step, error)) = outcome.failed {
            return Err(Problem::failed(match steps.get(step) {
                Some(step) => format!("{}: {error}", words(steps, step)),
                None if step == steps.len() => format!("becoming privileged: {error}"),
                None => format!("entering the sandbox: {error}"),
            }));
        }
        let lack = |(step, error): &(usize, io::Error)| {
            let step = words(steps, steps.get(*step)?);
            Some(lack(&step, error))
        };
        let left_out = outcome.skipped.iter().filter_map(lack);
        Ok(BuiltRootfs {
            lacks: left_out.chain(self.lacks).collect(),
            namespaces: outcome.descriptors,
            states: self.states,
        })
    }
}

/// Takes the steps in a process that was born with new namespaces.
fn build(
    steps: &[MountStep],
    users: Option<&OwnedFd>,
    link: BorrowedFd<'_>,
) -> rustix::io::Result<()> {
    // Opened now: later its `/proc` is another one. Not for reading: until exec it is root's.
    let own = open(c"/proc/self/ns").inspect_err(|error| {
        Message::failed_at_once(&(*error).into()).send(link);
    })?;
    rustix::process::umask(Mode::empty());
    for (number, step) in steps.iter().enumerate() {
        match step.take() {
            Ok(None) => {}
            Ok(Some(error)) => Message::skipped(number, error).send(link),
            Err(error) => {
                let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                Message::failed(number, error).send(link);
                return Err(error);
            }
        }
    }
    let given = users.map_or(Ok(()), give_to);
    let opened = given.and_then(|()| Ok((open_in(&own, c"pid")?, open_in(&own, c"mnt")?)));
    let (processes, mounts) = opened.inspect_err(|error| {
        Message::failed(steps.len(), *error).send(link);
    })?;
    // A container of which the runner knows nothing must not run.
    Message::Done.send_with([processes.as_fd(), mounts.as_fd()], link)
}

/// Enters a user namespace, and gives the mounts to it: all that are there now are locked, so that
/// nothing that they hide or keep from being written can be uncovered there.
fn give_to(users: &OwnedFd) -> rustix::io::Result<()> {
    move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))?;
    sys::unshare(NamespaceFlags::NEWNS)
}

fn open_in(folder: &OwnedFd, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

fn open(path: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Returns the warning about a step that was left out.
fn lack(step: &str, error: &io::Error) -> String {
    format!(
        "{step} under an overlay: {error}; nothing below it can be changed, and no volume be \
         mounted where it has no directory"
    )
}
