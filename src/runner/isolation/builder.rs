//! The root file system of one run of a container: its main process builds it by taking the steps
//! of the plan in a mount namespace of its own, before it executes its program. So it is
//! process 1 of its process namespace, which no other process can mount the `/proc` of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::message::{Message, WorkOutcome, link};
use super::step::{MountStep, words};
use crate::problem::Problem;
use crate::sys;

/// What a process does in its namespaces before it gives up its rights.
pub(in crate::runner) type Preparation = Box<dyn Fn() -> rustix::io::Result<()> + Send + Sync>;

/// A root file system that is to be built.
#[derive(Debug)]
pub(super) struct Rootfs {
    steps: Arc<[MountStep]>,
    link: OwnedFd,
    theirs: Arc<OwnedFd>,
    /// What the container has to do without in any case.
    lacks: Vec<String>,
}

/// A root file system that was built, or that could not be.
#[derive(Debug)]
pub(super) struct BuiltRootfs {
    /// The namespaces of processes and of mounts of the process that built it.
    pub(super) namespaces: Vec<OwnedFd>,
    /// What the container has to do without, as warnings.
    pub(super) lacks: Vec<String>,
}

impl Rootfs {
    /// Prepares to take these steps; `lacks` are the warnings that there are already.
    pub(super) fn new(steps: Vec<MountStep>, lacks: Vec<String>) -> io::Result<Self> {
        let (link, theirs) = link()?;
        Ok(Self {
            steps: steps.into(),
            link,
            theirs: Arc::new(theirs),
            lacks,
        })
    }

    /// Returns what the main process is to do.
    pub(super) fn work(&self) -> impl Fn() -> rustix::io::Result<()> + Send + Sync + 'static {
        let (steps, link) = (Arc::clone(&self.steps), Arc::clone(&self.theirs));
        move || build(&steps, link.as_fd())
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
        })
    }
}

/// Takes the steps in a process that was born with new namespaces.
fn build(steps: &[MountStep], link: BorrowedFd<'_>) -> rustix::io::Result<()> {
    // Opened now: later it may be another user's, and its `/proc` another one.
    let opened = open(c"/proc/self/ns/pid").and_then(|own| Ok((own, open(c"/proc/self/ns/mnt")?)));
    let (processes, mounts) = opened.inspect_err(|error| {
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
    Message::Done.send_with([processes.as_fd(), mounts.as_fd()], link);
    Ok(())
}

fn open(path: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Returns the warning about a step that was left out.
fn lack(step: &str, error: &io::Error) -> String {
    format!(
        "{step} under an overlay: {error}; nothing below it can be changed, and no volume be \
         mounted where it has no directory"
    )
}
