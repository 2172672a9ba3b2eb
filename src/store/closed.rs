//! Directories that their owner may not change: Go's module cache makes such, and they are to be
//! removed with their volume all the same.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, chmod, openat};

/// Opens a directory and all below it to their owner. What a pet put in the place of one of them
/// meanwhile is not followed.
pub(super) fn open_to_owner(path: &Path) -> io::Result<()> {
    open_one(&place(CWD, path)?)
}

fn place(above: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(above, name, flags, Mode::empty())?)
}

fn open_one(directory: &OwnedFd) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", directory.as_raw_fd());
    chmod(own, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = openat(directory, c".", flags, Mode::empty())?;
    for entry in Dir::read_from(&readable)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        let below = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if below && name != c"." && name != c".." {
            // One that belongs to another user stays closed: the removal tells of it.
            let _ = place(readable.as_fd(), name).and_then(|next| open_one(&next));
        }
    }
    Ok(())
}
