//! Showing a container the view of the state directory again, after somebody has removed it: the
//! mount of a directory that was removed stays empty for ever.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::step::c_path;
use crate::sys::{self, Fork, NamespaceFlags};

/// The parts of the view, each of which is a mount.
const PARTS: [&str; 3] = ["wanted", "seen", "pets"];

/// Returns whether a process sees another directory than the present one of the view.
pub(super) fn is_outdated(pid: u32, state: &Path) -> bool {
    let inner = Path::new("/proc").join(pid.to_string()).join("root");
    let inner = inner.join(state.strip_prefix("/").unwrap_or(state));
    PARTS.iter().any(|part| {
        let seen = fs::metadata(inner.join(part));
        let present = fs::metadata(state.join("view").join(part));
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        matches!((seen.map(identity), present.map(identity)), (Ok(a), Ok(b)) if a != b)
    })
}

/// Mounts the parts of the view again, in the mount namespace of a container. For an ordinary user
/// that takes the rights of their user namespace.
pub(super) fn show_again(
    users: Option<BorrowedFd<'_>>,
    mounts: BorrowedFd<'_>,
    state: &Path,
) -> io::Result<()> {
    let paths = PARTS.map(|part| {
        (
            c_path(state.join("view").join(part)),
            c_path(state.join(part)),
        )
    });
    let Some(pid) = sys::fork(Fork::CHILD)? else {
        let code = mount_all(users, mounts, &paths).err();
        sys::exit_now(code.map_or(0, Errno::raw_os_error))
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let ended = rustix::io::retry_on_intr(|| waitpid(pid, WaitOptions::empty()))?;
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::Error::other("it was killed")),
    }
}

/// Clones the parts in a copy of the host's mounts, and moves the clones to where they are seen.
/// This runs after a fork: it must not allocate.
fn mount_all(
    users: Option<BorrowedFd<'_>>,
    mounts: BorrowedFd<'_>,
    paths: &[(CString, CString); PARTS.len()],
) -> rustix::io::Result<()> {
    if let Some(users) = users {
        move_into_link_name_space(users, Some(LinkNameSpaceType::User))?;
    }
    sys::unshare(NamespaceFlags::NEWNS)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mut trees: [Option<OwnedFd>; PARTS.len()] = [const { None }; PARTS.len()];
    for (tree, (from, _)) in trees.iter_mut().zip(paths) {
        *tree = Some(open_tree(CWD, from.as_c_str(), flags)?);
    }
    move_into_link_name_space(mounts, Some(LinkNameSpaceType::Mount))?;
    for (tree, (_, at)) in trees.iter().zip(paths) {
        let Some(tree) = tree else { continue };
        // It is there already where the container was started just now.
        let _ = unmount(at.as_c_str(), UnmountFlags::DETACH);
        let by_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(tree, c"", CWD, at.as_c_str(), by_descriptor)?;
        sys::make_read_only(at, false).map_err(|_| Errno::PERM)?;
    }
    Ok(())
}
