//! The few calls that rustix and std lack: the only unsafe code.

pub(crate) mod beneath;
mod console;
mod copies;
pub(crate) mod cover;
mod handover;
mod home;
mod limits;
pub(crate) mod mounts;
mod namespaces;
mod nested;
pub(crate) mod packets;
pub(crate) mod proc;
mod sealed;
mod seccomp;
mod signals;
mod stack;
mod terminal;
pub(crate) mod tree;
pub(crate) mod users;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::Signal;

pub(crate) use console::take_console;
pub(crate) use copies::{CommandLine, copy_beside};
pub(crate) use handover::{link, receive_descriptor, send_descriptor};
pub(crate) use home::home;
pub(crate) use limits::with_limit;
pub(crate) use namespaces::{Ids, Namespaces, attend_before_exec, enter_before_exec, hide};
pub(crate) use sealed::{SealedProgram, is_sealed};
pub(crate) use seccomp::SeccompFilter;
pub(crate) use seccomp::profile::compile as compile_seccomp;
pub(crate) use signals::{
    ignore_terminal_signals, name_of_signal, reap_automatically, reset_signals, signal_named,
    signal_process, signal_removals,
};
pub(crate) use stack::give_back_stack;
pub(crate) use terminal::{RawTerminal, is_in_foreground};

/// The factor by which a failed child adds its stage to the one error number that it can report.
const STAGE: i32 = 10_000;

/// The part of a launch that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaunchStage {
    Executing,
    /// Starting a session, or asking for death with the parent.
    Detaching,
    ChangingDirectory,
    /// Entering the namespaces of a pet.
    Entering,
}

impl LaunchStage {
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

    /// Adds the stage to the error of a call in the child.
    fn mark(self, outcome: rustix::io::Result<()>) -> io::Result<()> {
        let stage = match self {
            Self::Executing => 0,
            Self::Detaching => 1,
            Self::ChangingDirectory => 2,
            Self::Entering => 3,
        };
        outcome.map_err(|errno| io::Error::from_raw_os_error(stage * STAGE + errno.raw_os_error()))
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
        LaunchStage::Detaching.mark(rustix::process::setsid().map(|_| ()))?;
        let kill = Some(Signal::KILL);
        LaunchStage::Detaching.mark(rustix::process::set_parent_process_death_signal(kill))?;
        // The parent may have died before the call above took effect. Seen from a pid namespace
        // of its own it has no number; there, everything ends with it anyway.
        let seen = rustix::process::getppid();
        if seen.is_some() && seen != parent {
            return LaunchStage::Detaching.mark(Err(Errno::SRCH));
        }
        LaunchStage::ChangingDirectory.mark(rustix::process::chdir(directory.as_c_str()))
    };
    // SAFETY: between fork and exec the closure makes four plain system calls and neither
    // allocates nor takes a lock (an `io::Error` made from a number holds no memory).
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Makes the child of `command` get a signal when the thread that starts it ends. The thread must
/// be the main one.
#[expect(unsafe_code, reason = "std has no death signal")]
pub(crate) fn end_with_parent(command: &mut Command, signal: Signal) {
    let parent = Some(rustix::process::getpid());
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have died before.
        match rustix::process::getppid() == parent {
            true => Ok(()),
            false => Err(Errno::SRCH.into()),
        }
    };
    // SAFETY: between fork and exec the closure makes two plain system calls and neither allocates
    // nor takes a lock (an `io::Error` made from a number holds no memory).
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Closes every descriptor above stderr: nothing that the parent left open stays open.
///
/// To be called first in `main`, while nothing else is open.
pub(crate) fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?
            .parse::<i32>()
            .ok()
            .filter(|&fd| fd > libc::STDERR_FILENO)
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

/// How a forked process differs from a copy of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fork {
    /// The kinds of namespaces that are new for it.
    pub(crate) namespaces: NamespaceFlags,
    /// Whether it is a child of this process's parent rather than of this process.
    pub(crate) sibling: bool,
}

impl Fork {
    /// An ordinary child.
    pub(crate) const CHILD: Self = Self {
        namespaces: NamespaceFlags::empty(),
        sibling: false,
    };
}

/// Kinds of namespaces.
pub(crate) type NamespaceFlags = rustix::thread::UnshareFlags;

/// Forks: returns the new process's pid, and nothing in the new process itself.
///
/// The new process must neither allocate nor take a lock: another thread may have held one.
#[expect(unsafe_code, reason = "std and rustix do not fork")]
pub(crate) fn fork(how: Fork) -> io::Result<Option<u32>> {
    let parent = if how.sibling { libc::CLONE_PARENT } else { 0 };
    let namespaces = i64::from(how.namespaces.bits());
    let flags = namespaces | i64::from(parent | libc::SIGCHLD);
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
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes all descriptors of a forked process but stdin, stdout, stderr and `kept`.
pub(crate) fn close_all_but(kept: std::os::fd::BorrowedFd<'_>) {
    use std::os::fd::AsRawFd;
    let kept = i64::from(kept.as_raw_fd());
    close_range(3, kept - 1, 0);
    close_range(kept + 1, i64::from(u32::MAX), 0);
}

/// Closes the streams of a forked process too.
pub(crate) fn close_streams() {
    close_range(0, 2, 0);
}

/// Lets the program that this process executes have no descriptor but stdin, stdout and stderr.
fn keep_only_streams() {
    close_range(3, i64::from(u32::MAX), libc::CLOSE_RANGE_CLOEXEC);
}

#[expect(
    unsafe_code,
    reason = "std and rustix close only descriptors that have an owner"
)]
fn close_range(first: i64, last: i64, flags: libc::c_uint) {
    if first <= last {
        // SAFETY: only numbers are passed; the owners of these descriptors live on in the parent
        // alone, for a forked process ends or executes a program without running destructors.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    }
}

/// Gives this process namespaces of its own. It must have one thread only.
#[expect(unsafe_code, reason = "rustix marks it so, for the sake of threads")]
pub(crate) fn unshare(namespaces: NamespaceFlags) -> rustix::io::Result<()> {
    // SAFETY: descriptors stay shared (no FILES in any of our callers' flags), and the calling
    // process has just been forked, so that it has no other thread.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Makes the mount at `path` read-only, with `all` also those below it.
pub(crate) fn make_read_only(path: &std::ffi::CStr, all: bool) -> io::Result<()> {
    let below = if all { libc::AT_RECURSIVE } else { 0 };
    set_mount(libc::AT_FDCWD, path, below, libc::MOUNT_ATTR_RDONLY)
}

/// Makes the mount that a descriptor is the root of read-only, with `all` also those below it.
pub(crate) fn make_tree_read_only(mount: std::os::fd::BorrowedFd<'_>, all: bool) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let below = if all { libc::AT_RECURSIVE } else { 0 };
    let flags = libc::AT_EMPTY_PATH | below;
    set_mount(mount.as_raw_fd(), c"", flags, libc::MOUNT_ATTR_RDONLY)
}

/// Makes a mount that lies in no directory read-only, and lets no program in it gain rights.
pub(crate) fn close_to_changes(mount: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;
    set_mount(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, attributes)
}

#[expect(unsafe_code, reason = "rustix lacks mount_setattr")]
fn set_mount(at: i32, path: &std::ffi::CStr, flags: i32, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends with a NUL, and the structure lives longer than the call, which is
    // told its size.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the child of `command` lead its own session, and begin in a directory that may exist only
/// in its namespaces.
#[expect(unsafe_code, reason = "std changes the directory before it asks us")]
pub(crate) fn begin_in(command: &mut Command, directory: std::ffi::CString) {
    let prepare = move || {
        LaunchStage::Detaching.mark(rustix::process::setsid().map(|_| ()))?;
        let kill = Some(Signal::KILL);
        LaunchStage::Detaching.mark(rustix::process::set_parent_process_death_signal(kill))?;
        LaunchStage::ChangingDirectory.mark(rustix::process::chdir(directory.as_c_str()))
    };
    // SAFETY: between fork and exec the closure makes three system calls.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Reads the memory of another process: an address that is unmapped or forbidden is an error.
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

/// Returns whether this process needs a user namespace to make other namespaces.
///
/// So does root of a user namespace with a single uid, as `unshare -r` makes one: most of what only
/// root may do with files is refused there.
pub(crate) fn is_ordinary() -> bool {
    let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let counts = uid_map
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    if counts.eq(["1"]) {
        return true;
    }
    let capabilities = rustix::thread::capabilities(None);
    !capabilities.is_ok_and(|capabilities| {
        capabilities
            .effective
            .contains(rustix::thread::CapabilitySet::SYS_ADMIN)
    })
}

/// Returns the user and the group that this process runs as.
pub(crate) fn own_ids() -> (u32, u32) {
    let user = rustix::process::geteuid().as_raw();
    (user, rustix::process::getegid().as_raw())
}

/// The arguments of an `execve`, prepared so that a forked process need not allocate.
#[derive(Debug)]
pub(crate) struct ExecProgram {
    path: std::ffi::CString,
    words: Vec<std::ffi::CString>,
    variables: Vec<std::ffi::CString>,
}

impl ExecProgram {
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
        exit_now(127)
    }
}
