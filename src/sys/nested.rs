//! A user namespace within another one, in which nobody can make a namespace of control groups.
//!
//! Root of a user namespace could mount the control groups with one, and end or stop what else is
//! in its own: the number of its user is that of the machine's. The kernel's limit of such
//! namespaces holds for all namespaces within the one that it is set in, and those inside have no
//! rights over it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::path::DecInt;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::{Fork, NamespaceFlags, exit_now, fork, receive_descriptor, send_descriptor};

const LIMIT: &CStr = c"/proc/sys/user/max_cgroup_namespaces";
const MAPS: [&CStr; 2] = [c"uid_map", c"gid_map"];
/// The longest map that the kernel takes.
const LONGEST: usize = 4096;

/// Asks the process at the other end of a link, which [`serve`]s, for a namespace within its own
/// with these maps of users and groups; `None` where it could not make one.
pub(super) fn ask(link: &OwnedFd, maps: &[String; 2]) -> io::Result<Option<OwnedFd>> {
    for map in maps {
        send(link, map.as_bytes(), SendFlags::NOSIGNAL)?;
    }
    receive_descriptor(link)
}

/// Is the first process of a user namespace: makes the one within when it is asked, and lives until
/// the next message, or the end of the link.
pub(super) fn serve(link: BorrowedFd<'_>) -> ! {
    let mut maps = [[0; LONGEST]; 2];
    let mut inner = None;
    if let Ok(maps) = receive(link, &mut maps) {
        match limit().and_then(|()| nest(&maps, &mut inner)) {
            Ok(space) => send_descriptor(space.as_fd(), link),
            Err(_) => drop(send(link, b".", SendFlags::NOSIGNAL)),
        }
        let _ = retry_on_intr(|| recv(link, &mut [0; 1], RecvFlags::empty()));
    }
    if let Some(inner) = inner {
        let _ = kill_process(inner, Signal::KILL);
        let _ = retry_on_intr(|| waitpid(Some(inner), WaitOptions::empty()));
    }
    exit_now(0)
}

/// Receives both maps; an error where the other end has something else to say.
fn receive<'a>(
    link: BorrowedFd<'_>,
    rooms: &'a mut [[u8; LONGEST]; 2],
) -> rustix::io::Result<[&'a [u8]; 2]> {
    let [users, groups] = rooms;
    Ok([receive_map(link, users)?, receive_map(link, groups)?])
}

fn receive_map<'a>(
    link: BorrowedFd<'_>,
    room: &'a mut [u8; LONGEST],
) -> rustix::io::Result<&'a [u8]> {
    let (length, _) = retry_on_intr(|| recv(link, &mut room[..], RecvFlags::empty()))?;
    match length {
        0 | 1 => Err(Errno::PIPE),
        _ => Ok(&room[..length]),
    }
}

fn limit() -> rustix::io::Result<()> {
    write(CWD, LIMIT, b"0")
}

/// Makes a namespace within this process's, and notes its only process in `inner`.
fn nest(maps: &[&[u8]; 2], inner: &mut Option<Pid>) -> rustix::io::Result<OwnedFd> {
    let how = Fork {
        namespaces: NamespaceFlags::NEWUSER,
        sibling: false,
    };
    let forked = fork(how).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let Some(pid) = forked else {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        sleep()
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(Errno::SRCH)?;
    *inner = Some(pid);
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, c"/proc", folder, Mode::empty())?;
    let of = DecInt::new(pid.as_raw_nonzero().get());
    let of = openat(&proc, of.as_c_str(), folder, Mode::empty())?;
    for (name, map) in MAPS.into_iter().zip(maps) {
        write(&of, name, map)?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(&of, c"ns/user", flags, Mode::empty())
}

fn sleep() -> ! {
    let patience = rustix::event::Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    let _ = rustix::event::poll(&mut [], Some(&patience));
    exit_now(0)
}

fn write(folder: impl AsFd, name: &CStr, text: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    rustix::io::write(&file, text).map(drop)
}
