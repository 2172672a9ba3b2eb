//! Entering the namespaces of a container, and what a process gives up on the way.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{
    DumpableBehavior, Gid, Pid, Signal, Uid, WaitOptions, WaitStatus, set_dumpable_behavior,
    waitpid,
};
use rustix::thread::{CapabilitySet, move_into_link_name_space};

use super::{
    Fork, LaunchStage, NamespaceFlags, SeccompFilter, close_all_but, exit_now, fork,
    keep_only_streams, signal_process,
};

/// The namespaces of a process that is about to be started, and its rights there.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces {
    /// Those that exist, in the order in which they are entered: that of the users comes first,
    /// for it gives the right to enter the others.
    pub(crate) entered: Vec<Arc<OwnedFd>>,
    /// The kinds of which the process gets new ones: with one of processes it is process 1 there.
    pub(crate) new: NamespaceFlags,
    /// The capabilities that are kept, a bit each, where the container asks for other ones.
    pub(crate) capabilities: Option<u64>,
    /// The filter of system calls.
    pub(crate) seccomp: Option<SeccompFilter>,
    /// The user and groups to switch to, if they differ from this process's.
    pub(crate) ids: Option<Ids>,
    /// Whether no program can add privileges (`PR_SET_NO_NEW_PRIVS`).
    pub(crate) no_new_privs: bool,
}

/// A user id, a group id and supplementary groups.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<Gid>,
}

impl Ids {
    /// Switches to that user for good.
    fn assume(&self) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&self.groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }
}

/// How long a process may take from its birth to executing its program.
const PATIENCE: Duration = Duration::from_secs(20);
/// The umask of a container's processes.
const UMASK: Mode = Mode::from_raw_mode(0o022);

impl Namespaces {
    /// Enters those that exist; this process must have one thread only. As to processes, only its
    /// children are in the one that was entered.
    pub(crate) fn enter(&self) -> rustix::io::Result<()> {
        let mut all = self.entered.iter();
        all.try_for_each(|one| move_into_link_name_space(one.as_fd(), None))
    }

    /// Forks a process that is in all of them; `sibling` says that it is a child of this one's
    /// parent.
    pub(crate) fn fork(&self, sibling: bool) -> io::Result<Option<u32>> {
        let namespaces = self.new;
        fork(Fork {
            namespaces,
            sibling,
        })
    }

    /// Gives up what a process of the container must not have.
    fn confine(&self) -> rustix::io::Result<()> {
        keep_only_streams();
        rustix::process::umask(UMASK);
        let asked = self.capabilities.map(CapabilitySet::from_bits_retain);
        keep_only(asked.unwrap_or(KEPT_CAPABILITIES))?;
        // Before the rights to do so are gone.
        if let Some(filter) = self.seccomp.as_ref().filter(|_| !self.no_new_privs) {
            filter.install()?;
        }
        if let Some(ids) = &self.ids {
            ids.assume()?;
        }
        if self.no_new_privs {
            rustix::thread::set_no_new_privs(true)?;
            // No rights are needed for it now, and the filter need not allow the calls above.
            self.seccomp
                .as_ref()
                .map_or(Ok(()), SeccompFilter::install)?;
        }
        Ok(())
    }
}

/// The capabilities of root in a container: Docker's list, without `CAP_MKNOD`.
const KEPT_CAPABILITIES: CapabilitySet = {
    use CapabilitySet as Kept;
    Kept::CHOWN
        .union(Kept::DAC_OVERRIDE)
        .union(Kept::FOWNER)
        .union(Kept::FSETID)
        .union(Kept::KILL)
        .union(Kept::SETGID)
        .union(Kept::SETUID)
        .union(Kept::SETPCAP)
        .union(Kept::NET_BIND_SERVICE)
        .union(Kept::NET_RAW)
        .union(Kept::SYS_CHROOT)
        .union(Kept::AUDIT_WRITE)
        .union(Kept::SETFCAP)
};

fn keep_only(kept: CapabilitySet) -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel that does not know a capability does not grant it either.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the child of `command` enter `namespaces` before exec, and take the steps of `prepare` in
/// them while it still has all rights. A process of another pid namespace has to be forked into
/// it: the child forks, writes the pid to `pid_pipe`, and ends when the program is executed. The
/// program is then a child of this process too, and the child that std knows is a zombie to be
/// reaped.
///
/// `prepare` must neither allocate nor take a lock.
#[expect(unsafe_code, reason = "std knows no namespaces")]
pub(crate) fn enter_before_exec(
    command: &mut Command,
    namespaces: Namespaces,
    pid_pipe: OwnedFd,
    prepare: impl Fn() -> rustix::io::Result<()> + Send + Sync + 'static,
) {
    let enter = move || {
        LaunchStage::Entering.mark(hide().and_then(|()| namespaces.enter()))?;
        let (executed, until_exec) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        if let Some(pid) = namespaces.fork(true).map_err(entering)? {
            let _ = rustix::io::write(&pid_pipe, &pid.to_ne_bytes());
            drop(until_exec);
            watch(pid, &executed);
        }
        // It is closed by exec, or by the end of this process.
        std::mem::forget(until_exec);
        LaunchStage::Entering.mark(prepare().and_then(|()| namespaces.confine()))
    };
    // SAFETY: between fork and exec the closure makes plain system calls and neither allocates
    // nor takes a lock.
    unsafe {
        command.pre_exec(enter);
    }
}

/// Kills a process that takes too long to execute its program, for this process's parent waits:
/// a file system that does not answer can hold it for ever. Then ends.
fn watch(pid: u32, executed: &OwnedFd) -> ! {
    let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
    let mut over = [PollFd::new(executed, PollFlags::IN)];
    if poll(&mut over, Some(&patience)) == Ok(0) {
        let _ = signal_process(pid, Signal::KILL);
    }
    exit_now(0)
}

/// Makes the child of `command` enter `namespaces` before exec, and stay as the parent of the
/// program, which it forks into them, and whose pid it writes to `pid_pipe`: it ends as the program
/// does, with a shell's code where that was a signal.
///
/// When process 1 of a container ends, the kernel waits until all others are reaped. This process
/// may be stopped, by a terminal for one, and reap nothing then; the child cannot.
#[expect(unsafe_code, reason = "std knows no namespaces")]
pub(crate) fn attend_before_exec(command: &mut Command, namespaces: Namespaces, pid_pipe: OwnedFd) {
    let parent = Some(rustix::process::getpid());
    let enter = move || {
        LaunchStage::Entering.mark(hide().and_then(|()| namespaces.enter()))?;
        if let Some(pid) = namespaces.fork(false).map_err(entering)? {
            let _ = rustix::io::write(&pid_pipe, &pid.to_ne_bytes());
            attend(pid, parent);
        }
        LaunchStage::Entering.mark(namespaces.confine())
    };
    // SAFETY: as above.
    unsafe {
        command.pre_exec(enter);
    }
}

/// Keeps the processes of a pet from the memory, the descriptors and the root directory of this
/// one until it executes its program: the kernel wants rights outside of the pet for that.
pub(crate) fn hide() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Waits for the end of a child, out of the terminal's reach, and ends with it or with `parent`.
fn attend(child: u32, parent: Option<Pid>) -> ! {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    let _ = rustix::process::setsid();
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if rustix::process::getppid() != parent {
        if let Some(child) = child {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        exit_now(1);
    }
    // Among them the pipe by which std learns that the program was executed.
    close_all_but(rustix::stdio::stderr());
    loop {
        match waitpid(child, WaitOptions::empty()) {
            Ok(Some((_, status))) => exit_now(code_of(status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => exit_now(1),
        }
    }
}

fn code_of(status: WaitStatus) -> i32 {
    let signal = || status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or_else(signal).unwrap_or(1)
}

fn entering(error: io::Error) -> io::Error {
    let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let marked = LaunchStage::Entering.mark(Err(error));
    marked.err().unwrap_or_else(|| error.into())
}
