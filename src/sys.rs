//! The few calls that rustix and std lack: the only unsafe code.

pub(crate) mod packets;
pub(crate) mod proc;
pub(crate) mod users;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};

/// Distinguishes the stages of a launch in the one number that a failed child can report.
const STAGE: i32 = 10_000;

/// Where a launch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Detaching,
    ChangingDirectory,
    Entering,
    Executing,
}

impl Stage {
    /// Returns the stage that a launch error names, and the error itself.
    pub(crate) fn of(error: io::Error) -> (Self, io::Error) {
        let Some(code) = error.raw_os_error() else {
            return (Self::Executing, error);
        };
        let stage = match code / STAGE {
            0 => Self::Executing,
            1 => Self::Detaching,
            2 => Self::ChangingDirectory,
            _ => Self::Entering,
        };
        (stage, io::Error::from_raw_os_error(code % STAGE))
    }
}

/// Makes the child of `command` lead its own session, die with the thread that starts it, and
/// begin in `directory`. The thread must be the main one: the kernel looks at the thread.
#[expect(
    unsafe_code,
    reason = "std has no session, death signal, or staged chdir"
)]
pub(crate) fn detach(command: &mut Command, directory: std::ffi::CString) {
    let parent = Some(rustix::process::getpid());
    let prepare = move || {
        at(1, rustix::process::setsid().map(|_| ()))?;
        let kill = Some(Signal::KILL);
        at(1, rustix::process::set_parent_process_death_signal(kill))?;
        // The parent may have died before the call above took effect. Seen from a pid namespace
        // of its own it has no number; there, everything ends with it anyway.
        let seen = rustix::process::getppid();
        if seen.is_some() && seen != parent {
            return Err(io::Error::from_raw_os_error(STAGE + libc_esrch()));
        }
        at(2, rustix::process::chdir(directory.as_c_str()))
    };
    // SAFETY: between fork and exec the closure makes four plain system calls and neither
    // allocates nor takes a lock (an `io::Error` made from a number holds no memory).
    unsafe {
        command.pre_exec(prepare);
    }
}

fn libc_esrch() -> i32 {
    rustix::io::Errno::SRCH.raw_os_error()
}

fn at(stage: i32, outcome: rustix::io::Result<()>) -> io::Result<()> {
    outcome.map_err(|errno| io::Error::from_raw_os_error(stage * STAGE + errno.raw_os_error()))
}

/// Closes every descriptor above stderr: nothing of who started this program stays open.
///
/// To be called first in `main`, while nothing else is open.
pub(crate) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<i32>().ok().filter(|&fd| fd > 2)
    });
    #[expect(
        unsafe_code,
        reason = "std and rustix close only descriptors that have an owner"
    )]
    unsafe extern "C" {
        safe fn close(descriptor: i32) -> i32;
    }
    // The listing's own descriptor is among them and closed by now, which is no harm. Nothing in
    // this process owns a descriptor yet, so none is closed under its owner.
    for descriptor in numbers.collect::<Vec<_>>() {
        close(descriptor);
    }
}

/// Gives the signals that a shell or `nohup` may have set to be ignored their usual meaning, for
/// an ignored signal stays ignored in every process started from here.
pub(crate) fn reset_signals() {
    #[expect(unsafe_code, reason = "std and rustix do not offer it")]
    unsafe extern "C" {
        safe fn signal(number: i32, meaning: usize) -> usize;
    }
    const DEFAULT: usize = 0;
    let mostly_ignored = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::CHILD,
    ];
    for number in mostly_ignored {
        signal(number.as_raw(), DEFAULT);
    }
}

/// Sends `signal` to one process; one that is already gone is a success.
pub(crate) fn signal_process(pid: u32, signal: Signal) -> io::Result<()> {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .filter(|&pid| pid > 1)
        .and_then(Pid::from_raw)
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match rustix::process::kill_process(pid, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.map_err(Into::into),
    }
}

/// What a forked process is to be, beside a copy of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fork {
    /// Its own namespaces.
    pub(crate) spaces: Spaces,
    /// Whether it is a child of this process's parent rather than of this process.
    pub(crate) sibling: bool,
}

impl Fork {
    /// An ordinary child.
    pub(crate) const CHILD: Self = Self {
        spaces: Spaces::empty(),
        sibling: false,
    };
}

/// Kinds of namespaces.
pub(crate) type Spaces = rustix::thread::UnshareFlags;

/// Forks: returns the new process's pid, and nothing in the new process itself.
///
/// The new process must neither allocate nor take a lock: another thread may have held one.
#[expect(unsafe_code, reason = "std and rustix do not fork")]
pub(crate) fn fork(how: Fork) -> io::Result<Option<u32>> {
    let parent = if how.sibling { libc::CLONE_PARENT } else { 0 };
    let spaces = i64::from(how.spaces.bits());
    let flags = spaces | i64::from(parent | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no stack given this is fork(2): the child gets a copy of
    // the memory, and no pointer is passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_u64, 0_u64, 0_u64, 0_u64) };
    match u32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Ends a forked process at once: nothing that belongs to its parent is flushed or dropped.
#[expect(unsafe_code, reason = "std ends a process only with its destructors")]
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes all descriptors of a forked process but stdin, stdout, stderr and `kept`.
#[expect(
    unsafe_code,
    reason = "std and rustix close only descriptors that have an owner"
)]
pub(crate) fn close_all_but(kept: std::os::fd::BorrowedFd<'_>) {
    use std::os::fd::AsRawFd;
    let kept = i64::from(kept.as_raw_fd());
    for (first, last) in [(3, kept - 1), (kept + 1, i64::from(u32::MAX))] {
        if first <= last {
            // SAFETY: only numbers are passed; the owners of these descriptors live on in the
            // parent alone, for a forked process ends without running destructors.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_i64) };
        }
    }
}

/// Makes the kernel bury the children of this process by itself.
pub(crate) fn ignore_children() {
    #[expect(unsafe_code, reason = "std and rustix do not offer it")]
    unsafe extern "C" {
        safe fn signal(number: i32, meaning: usize) -> usize;
    }
    const IGNORE: usize = 1;
    signal(Signal::CHILD.as_raw(), IGNORE);
}

/// Gives this process namespaces of its own. It must have one thread only.
#[expect(unsafe_code, reason = "rustix marks it so, for the sake of threads")]
pub(crate) fn unshare(spaces: Spaces) -> rustix::io::Result<()> {
    // SAFETY: descriptors stay shared (no FILES in any of our callers' flags), and who calls this
    // has just been forked, so that no other thread is there to be surprised.
    unsafe { rustix::thread::unshare_unsafe(spaces) }
}

/// Makes the mount at `path` read-only, and those below it if `all` of them are meant.
#[expect(unsafe_code, reason = "rustix lacks mount_setattr")]
pub(crate) fn make_read_only(path: &std::ffi::CStr, all: bool) -> io::Result<()> {
    let below = if all { libc::AT_RECURSIVE } else { 0 };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends with a NUL, and the structure lives longer than the call, which is
    // told its size.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            below,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The way into the namespaces of a pet, for a process that is about to be started.
#[derive(Debug)]
pub(crate) struct Door {
    /// A process in them.
    pub(crate) process: std::os::fd::OwnedFd,
    /// Which of its namespaces are entered, without that of its mounts.
    pub(crate) spaces: rustix::thread::ThreadNameSpaceType,
    /// What it sees mounted.
    pub(crate) mounts: std::os::fd::OwnedFd,
    /// Whether what only the machine's root may do is given up.
    pub(crate) harmless: bool,
    /// Who is to go on, if that is another user.
    pub(crate) ids: Option<Ids>,
    /// Whether no program may give more rights than there were.
    pub(crate) humble: bool,
}

/// The numbers of a user and of their groups.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<rustix::process::Gid>,
}

impl Ids {
    /// Becomes that user, for good.
    fn assume(&self) -> rustix::io::Result<()> {
        use rustix::process::{Gid, Uid};
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&self.groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }
}

/// What files may be by default in a container.
const UMASK: rustix::fs::Mode = rustix::fs::Mode::from_raw_mode(0o022);

impl Door {
    fn pass(&self) -> rustix::io::Result<()> {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        use std::os::fd::AsFd;
        enter(self.process.as_fd(), self.spaces)?;
        move_into_link_name_space(self.mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
        rustix::process::umask(UMASK);
        if self.harmless {
            give_up_powers()?;
        }
        if let Some(ids) = &self.ids {
            ids.assume()?;
        }
        if self.humble {
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }
}

/// Enters namespaces of another process.
pub(crate) fn enter(
    process: std::os::fd::BorrowedFd<'_>,
    spaces: rustix::thread::ThreadNameSpaceType,
) -> rustix::io::Result<()> {
    rustix::thread::move_into_thread_name_spaces(process, spaces)
}

/// What root may do in a container: what does not reach beyond it (as Docker has it, without
/// making device files).
const POWERS: rustix::thread::CapabilitySet = {
    use rustix::thread::CapabilitySet as Powers;
    Powers::CHOWN
        .union(Powers::DAC_OVERRIDE)
        .union(Powers::FOWNER)
        .union(Powers::FSETID)
        .union(Powers::KILL)
        .union(Powers::SETGID)
        .union(Powers::SETUID)
        .union(Powers::SETPCAP)
        .union(Powers::NET_BIND_SERVICE)
        .union(Powers::NET_RAW)
        .union(Powers::SYS_CHROOT)
        .union(Powers::AUDIT_WRITE)
        .union(Powers::SETFCAP)
};

fn give_up_powers() -> rustix::io::Result<()> {
    for power in rustix::thread::CapabilitySet::all()
        .difference(POWERS)
        .iter()
    {
        match rustix::thread::remove_capability_from_bounding_set(power) {
            // A kernel that does not know it does not grant it either.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the child of `command` go through `door`. A process of another pid namespace has to be
/// forked into it: the child forks, writes the pid to `told`, and ends; what is started is then a
/// child of this process too, and the child that std knows is a corpse to be buried.
#[expect(unsafe_code, reason = "std knows no namespaces")]
pub(crate) fn go_through(command: &mut Command, door: Door, told: std::os::fd::OwnedFd) {
    let prepare = move || {
        at(3, door.pass())?;
        let how = Fork {
            sibling: true,
            ..Fork::CHILD
        };
        if let Some(pid) = fork(how)? {
            let _ = rustix::io::write(&told, &pid.to_ne_bytes());
            leave(0);
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes plain system calls and neither allocates
    // nor takes a lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Makes the child of `command` begin in a directory that only it may see.
#[expect(unsafe_code, reason = "std changes the directory before it asks us")]
pub(crate) fn begin_in(command: &mut Command, directory: std::ffi::CString) {
    let prepare = move || {
        let kill = Some(Signal::KILL);
        at(1, rustix::process::set_parent_process_death_signal(kill))?;
        at(2, rustix::process::chdir(directory.as_c_str()))
    };
    // SAFETY: between fork and exec the closure makes two system calls.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Makes the child of `command` lead a session of its own with the terminal that is its stdin.
#[expect(unsafe_code, reason = "std has no sessions")]
pub(crate) fn lead_terminal(command: &mut Command) {
    let prepare = || {
        at(1, rustix::process::setsid().map(|_| ()))?;
        at(1, rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()))
    };
    // SAFETY: between fork and exec the closure makes two system calls.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Leaves what the keys of the terminal mean to others.
pub(crate) fn ignore_keys() {
    #[expect(unsafe_code, reason = "std and rustix do not offer it")]
    unsafe extern "C" {
        safe fn signal(number: i32, meaning: usize) -> usize;
    }
    const IGNORE: usize = 1;
    for number in [Signal::INT, Signal::QUIT] {
        signal(number.as_raw(), IGNORE);
    }
}

/// Reads the memory of another process: what is not there or not allowed is an error.
#[expect(unsafe_code, reason = "std and rustix do not offer it")]
pub(crate) fn memory_of(pid: u32, start: usize, length: usize) -> io::Result<Vec<u8>> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let mut bytes = vec![0_u8; length];
    let own = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: length,
    };
    let theirs = libc::iovec {
        iov_base: start as *mut libc::c_void,
        iov_len: length,
    };
    // SAFETY: at most `length` bytes are written to a buffer of that length.
    let read = unsafe { libc::process_vm_readv(pid, &raw const own, 1, &raw const theirs, 1, 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Tells whether this process needs a user namespace to have namespaces at all.
///
/// So does root of a user namespace that knows nobody else, as `unshare -r` makes one: most of what
/// only root may do with files is refused there.
pub(crate) fn is_ordinary() -> bool {
    let known = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let counts = known
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    if counts.eq(["1"]) {
        return true;
    }
    let powers = rustix::thread::capabilities(None);
    !powers.is_ok_and(|powers| {
        powers
            .effective
            .contains(rustix::thread::CapabilitySet::SYS_ADMIN)
    })
}

/// Returns the user and the group that this process runs as.
pub(crate) fn own_ids() -> (u32, u32) {
    let user = rustix::process::geteuid().as_raw();
    (user, rustix::process::getegid().as_raw())
}

/// A program that is to be started without allocating.
#[derive(Debug)]
pub(crate) struct Program {
    path: std::ffi::CString,
    words: Vec<std::ffi::CString>,
    variables: Vec<std::ffi::CString>,
}

impl Program {
    /// Prepares to start `path` with these words and variables; a word with a NUL is empty.
    pub(crate) fn new(path: &str, words: &[&std::ffi::OsStr], variables: &[String]) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let word = |bytes: &[u8]| std::ffi::CString::new(bytes).unwrap_or_default();
        Self {
            path: word(path.as_bytes()),
            words: words.iter().map(|it| word(it.as_bytes())).collect(),
            variables: variables.iter().map(|it| word(it.as_bytes())).collect(),
        }
    }

    /// Starts it as a child of this process's parent, with its output going to `output`.
    #[expect(unsafe_code, reason = "std starts only children")]
    pub(crate) fn start_beside(&self, output: &std::os::fd::OwnedFd) -> io::Result<u32> {
        let pointers = |list: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
            let all = list.iter().map(|it| it.as_ptr());
            all.chain(std::iter::once(std::ptr::null())).collect()
        };
        let (words, variables) = (pointers(&self.words), pointers(&self.variables));
        let how = Fork {
            sibling: true,
            ..Fork::CHILD
        };
        if let Some(pid) = fork(how)? {
            return Ok(pid);
        }
        let _ = rustix::stdio::dup2_stdout(output);
        // SAFETY: the lists end with a null, and what they point to lives in `self`.
        unsafe { libc::execve(self.path.as_ptr(), words.as_ptr(), variables.as_ptr()) };
        leave(127)
    }
}
