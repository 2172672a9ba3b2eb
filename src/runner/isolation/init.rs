//! The process that makes the namespaces of a sandbox.
//!
//! It is a fork of the runner that executes no other program, so nothing in here may allocate. It
//! sets up what the namespaces share, and ends once the runner's end of their link is closed. That
//! is at once, for the runner keeps the namespaces open; only where all containers of a pod share
//! one process namespace it stays: there it is process 1, which reaps orphans; and where the pod
//! is in the host's network, as its [`guard`].

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::net::RecvFlags;
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::context::PodContext;
use super::message::{Message, WorkOutcome};
use super::pod::shares_processes;
use super::step::c_path;
use super::{files, guard};
use crate::model::sysctl::sysctls;
use crate::sys::{self, Fork, NamespaceFlags, Namespaces};

/// The settings of the process that makes a sandbox.
pub(super) struct InitProcess {
    namespaces: NamespaceFlags,
    host_name: String,
    network: bool,
    /// Whether it stays as process 1 of the containers' process namespace.
    shared: bool,
    /// Whether it stays to end what a dead runner leaves.
    guard: bool,
    /// The group range that allows pings where only the own group is mapped.
    own_group: String,
    /// The files and the values of the kernel parameters that the pod asks for.
    sysctls: Vec<(CString, Vec<u8>)>,
}

/// A step of setting up a sandbox, with its name in errors.
type NamedCall = (&'static str, fn(&InitProcess) -> rustix::io::Result<()>);

const STEPS: [NamedCall; 4] = [
    ("leaving the session", InitProcess::leave_session),
    ("naming the host", InitProcess::set_host_name),
    ("freeing low ports", InitProcess::free_ports),
    ("setting sysctls", InitProcess::set_sysctls),
];

/// Returns the name of a step of setting up a sandbox.
pub(super) fn step_name(step: usize) -> &'static str {
    STEPS.get(step).map_or("its birth", |(name, _)| name)
}

impl InitProcess {
    /// Prepares the process; `network` says that the sandbox has a network namespace.
    pub(super) fn new(context: &PodContext<'_>, network: bool) -> Self {
        let (_, group) = sys::own_ids();
        let mut namespaces = NamespaceFlags::NEWUTS | NamespaceFlags::NEWIPC;
        namespaces.set(NamespaceFlags::NEWNET, network);
        let shared = shares_processes(context.pod);
        namespaces.set(NamespaceFlags::NEWPID, shared);
        Self {
            namespaces,
            host_name: files::host_name(context.pod, context.cluster_domain),
            network,
            shared,
            guard: !network && !shared,
            own_group: format!("{group} {group}"),
            sysctls: sysctls(context.pod.spec.as_ref())
                .into_iter()
                .map(|asked| {
                    let file = format!("/proc/sys/{}", asked.name.replace('.', "/"));
                    (c_path(file), asked.value.into_bytes())
                })
                .collect(),
        }
    }

    /// Enters the user namespace if there is one, forks the process as a child of the runner, sends
    /// its pid, and ends: this process is itself a fork.
    pub(super) fn fork(&self, userns: Option<BorrowedFd<'_>>, link: BorrowedFd<'_>) -> ! {
        let kind = Some(LinkNameSpaceType::User);
        let entered = userns.map_or(Ok(()), |userns| move_into_link_name_space(userns, kind));
        let how = Fork {
            namespaces: self.namespaces,
            sibling: true,
        };
        match entered.map_err(Into::into).and_then(|()| sys::fork(how)) {
            Ok(None) => self.run(link),
            Ok(Some(pid)) => Message::send_forked(Ok(pid), link),
            Err(error) => Message::send_forked(Err(error), link),
        }
        sys::exit_now(0)
    }

    /// Is that process, to its end.
    fn run(&self, link: BorrowedFd<'_>) -> ! {
        sys::close_all_but(link);
        sys::reset_signals();
        sys::reap_automatically();
        for (number, (_, step)) in STEPS.iter().enumerate() {
            if let Err(error) = step(self) {
                Message::failed(number, error).send(link);
                sys::exit_now(1);
            }
        }
        Message::Done.send(link);
        if self.shared {
            wait_for_word(link);
            match self.give_up_the_host() {
                Ok(()) => Message::Done.send(link),
                Err(error) => Message::failed(STEPS.len(), error).send(link),
            }
        }
        if self.guard {
            while has_word(link) {}
            guard::end_others();
            sys::exit_now(0);
        }
        stay(link)
    }

    /// Leaves the containers that see this process nothing of the host's: its root is empty, and
    /// the kernel shows them no more of it.
    fn give_up_the_host(&self) -> rustix::io::Result<()> {
        sys::unshare(NamespaceFlags::NEWNS)?;
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        mount_change(c"/", private)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(c"tmpfs", c"/proc", c"tmpfs", flags, c"size=4k,mode=555")?;
        rustix::process::chdir(c"/proc")?;
        rustix::process::pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")?;
        sys::close_streams();
        sys::hide()
    }

    fn leave_session(&self) -> rustix::io::Result<()> {
        rustix::process::setsid()?;
        let _ = rustix::thread::set_name(c"petset-init");
        if self.guard {
            return Ok(());
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
    }

    fn set_host_name(&self) -> rustix::io::Result<()> {
        rustix::system::sethostname(self.host_name.as_bytes())
    }

    /// Lets every user bind every port: all ports of this network are the pet's.
    fn free_ports(&self) -> rustix::io::Result<()> {
        if self.network {
            write(c"/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0")?;
            let _ = self.allow_ping();
        }
        Ok(())
    }

    fn set_sysctls(&self) -> rustix::io::Result<()> {
        let mut all = self.sysctls.iter();
        all.try_for_each(|(file, value)| write(file, value))
    }

    /// Lets every group send pings, as container runtimes do; the user namespace of an ordinary
    /// user may map only one group.
    fn allow_ping(&self) -> rustix::io::Result<()> {
        let range = c"/proc/sys/net/ipv4/ping_group_range";
        write(range, b"0 2147483647").or_else(|_| write(range, self.own_group.as_bytes()))
    }
}

/// Stays in the namespaces of an existing sandbox until the runner's end of the link is closed: a
/// network that is new finds its pet by a process.
pub(super) fn hold(namespaces: &Namespaces, link: BorrowedFd<'_>) -> ! {
    if let Err(error) = namespaces.enter() {
        Message::failed(0, error).send(link);
        sys::exit_now(1);
    }
    sys::close_all_but(link);
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    Message::Done.send(link);
    stay(link)
}

/// Has a first process that stays give up what is the host's, when the runner has opened its
/// namespaces: afterwards it could not.
pub(super) fn strip(link: &OwnedFd) -> io::Result<()> {
    Message::Done.send(link.as_fd());
    match WorkOutcome::receive(link)?.failed {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn stay(link: BorrowedFd<'_>) -> ! {
    loop {
        wait_for_word(link);
    }
}

/// Waits for a message of the runner; ends when there is no runner any more.
fn wait_for_word(link: BorrowedFd<'_>) {
    if !has_word(link) {
        sys::exit_now(0);
    }
}

/// Waits for a message of the runner; returns whether one came, as long as there is a runner.
fn has_word(link: BorrowedFd<'_>) -> bool {
    loop {
        match rustix::net::recv(link, &mut [0; 1], RecvFlags::empty()) {
            Ok((length, _)) => return length > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn write(path: &CStr, text: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
