//! Covering directories in the mount namespace of a container that runs.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, mkdirat, openat2, statx};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Fork, exit_now, fork, is_ordinary};

const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// What a container's programs may have put in the way leads nowhere.
const WITHOUT_LINKS: ResolveFlags = ResolveFlags::IN_ROOT
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A directory in a container that is to be covered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CoverPlace {
    /// The mount that shows it. What another one shows there covers it already.
    pub(crate) mount: u64,
    pub(crate) path: CString,
    /// The names below that path that lead to it, where the mount is an overlay. They are made: the
    /// kernel may not know yet that the lower layer has them, and these hide what it has.
    pub(crate) made: Vec<CString>,
}

/// Returns whether a process has other mounts than this one.
pub(crate) fn has_own_mounts(pid: u32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt"));
    match (namespace(&pid.to_string()), namespace("self")) {
        (Ok(theirs), Ok(own)) => theirs != own,
        _ => false,
    }
}

/// Mounts an empty directory over each of these places that the process sees, and nobody in its
/// container has the rights to undo that.
pub(crate) fn cover(pid: u32, places: &[CoverPlace]) -> io::Result<()> {
    let open = |kind: &str| File::open(format!("/proc/{pid}/ns/{kind}"));
    let users = is_ordinary().then(|| open("user")).transpose()?;
    let mounts = open("mnt")?;
    let Some(child) = fork(Fork::CHILD)? else {
        let covered = cover_all(users.as_ref(), &mounts, places);
        exit_now(covered.err().map_or(0, Errno::raw_os_error))
    };
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    let ended = rustix::io::retry_on_intr(|| waitpid(child, WaitOptions::empty()))?;
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::Error::other("it was killed")),
    }
}

/// This runs after a fork: it must not allocate.
fn cover_all(users: Option<&File>, mounts: &File, places: &[CoverPlace]) -> rustix::io::Result<()> {
    if let Some(users) = users {
        move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))?;
    }
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let mut outcome = Ok(());
    for place in places {
        outcome = outcome.and(cover_one(place));
    }
    outcome
}

fn cover_one(place: &CoverPlace) -> rustix::io::Result<()> {
    let root = rustix::fs::open(c"/", DIRECTORY, Mode::empty())?;
    let open =
        |at: &OwnedFd, path: &CStr| openat2(at, path, DIRECTORY, Mode::empty(), WITHOUT_LINKS);
    let mut found = match open(&root, &place.path) {
        Ok(found) => found,
        Err(error) => return absent(error),
    };
    for name in &place.made {
        // What is in its place is found out by opening it.
        let _ = mkdirat(&found, name.as_c_str(), Mode::RWXU);
        found = match open(&found, name) {
            Ok(next) => next,
            Err(error) => return absent(error),
        };
    }
    let seen = statx(&found, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    let told = StatxFlags::from_bits_retain(seen.stx_mask).contains(StatxFlags::MNT_ID);
    if told && seen.stx_mnt_id != place.mount {
        return Ok(());
    }
    let empty = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(empty.as_fd(), c"mode", c"555")?;
    fsconfig_set_string(empty.as_fd(), c"size", c"4k")?;
    fsconfig_create(empty.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let empty = fsmount(empty.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&empty, c"", &found, c"", both)
}

/// What is not there is not seen.
fn absent(error: Errno) -> rustix::io::Result<()> {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Ok(()),
        error => Err(error),
    }
}
