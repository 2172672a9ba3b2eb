//! The builder: a process in the sandbox that takes the steps of a root file system in a mount
//! namespace of its own.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::thread::ThreadNameSpaceType;

use super::message::{Message, WorkOutcome, link};
use super::step::{MountStep, words};
use crate::problem::Problem;
use crate::sys::{self, Fork, NamespaceFlags};

/// The mount namespace of one run of a container, kept open.
#[derive(Debug)]
pub(in crate::runner) struct MountNamespace {
    namespace: OwnedFd,
    /// What the container has to do without, as warnings.
    pub(in crate::runner) lacks: Vec<String>,
}

impl MountNamespace {
    /// Returns another descriptor of the namespace.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        self.namespace.try_clone()
    }
}

/// Takes the steps in a new mount namespace, inside the namespaces of a process.
pub(super) fn build(
    process: BorrowedFd<'_>,
    namespaces: ThreadNameSpaceType,
    steps: &[MountStep],
) -> Result<MountNamespace, Problem> {
    let fault = |error: io::Error| format!("mounting: {}", sys::with_limit(error));
    let (own, theirs) = link().map_err(fault)?;
    let Some(_) = sys::fork(Fork::CHILD).map_err(fault)? else {
        fork_builder(process, namespaces, steps, theirs.as_fd())
    };
    drop(theirs);
    let outcome = WorkOutcome::receive(&own).map_err(fault)?;
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
    Ok(MountNamespace {
        lacks: outcome.skipped.iter().filter_map(lack).collect(),
        // The builder keeps it until `own` is closed.
        namespace: mount_namespace_of(outcome.pid).map_err(fault)?,
    })
}

/// Enters the sandbox, forks the builder as a child of the runner, sends its pid, and ends: only
/// a process that was born in a pid namespace may mount its `/proc`.
fn fork_builder(
    process: BorrowedFd<'_>,
    namespaces: ThreadNameSpaceType,
    steps: &[MountStep],
    link: BorrowedFd<'_>,
) -> ! {
    let how = Fork {
        sibling: true,
        ..Fork::CHILD
    };
    let entered = sys::enter(process, namespaces).map_err(Into::into);
    match entered.and_then(|()| sys::fork(how)) {
        Ok(None) => run(steps, link),
        Ok(Some(pid)) => Message::send_forked(Ok(pid), link),
        Err(error) => Message::send_forked(Err(error), link),
    }
    sys::exit_now(0)
}

/// Takes the steps, and keeps the namespace until the runner has opened it.
fn run(steps: &[MountStep], link: BorrowedFd<'_>) -> ! {
    // Above all the other end of the link, whose closing is waited for below.
    sys::close_all_but(link);
    rustix::process::umask(Mode::empty());
    take(steps, link).send(link);
    let _ = rustix::net::recv(link, &mut [0; 1], RecvFlags::empty());
    sys::exit_now(0)
}

fn take(steps: &[MountStep], link: BorrowedFd<'_>) -> Message {
    if let Err(error) = sys::unshare(NamespaceFlags::NEWNS) {
        return Message::failed_at_once(&error.into());
    }
    for (number, step) in steps.iter().enumerate() {
        match step.take() {
            Ok(None) => {}
            Ok(Some(error)) => Message::skipped(number, error).send(link),
            Err(error) => {
                let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                return Message::failed(number, error);
            }
        }
    }
    Message::Done
}

/// Returns the warning about a step that was left out.
fn lack(step: &str, error: &io::Error) -> String {
    format!(
        "{step} under an overlay: {error}; nothing below it can be changed, and no volume be \
         mounted where it has no directory"
    )
}

fn mount_namespace_of(pid: u32) -> io::Result<OwnedFd> {
    let file = File::open(Path::new("/proc").join(pid.to_string()).join("ns/mnt"))?;
    Ok(file.into())
}
