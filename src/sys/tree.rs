//! Everything below a directory, visited by descriptors: no link is followed, nothing is reached by
//! a name twice, and a tree may be as deep as it likes, for few files are open at a time.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, chmod, openat, statat, unlinkat};
use rustix::io::Errno;

use super::beneath::DescriptorPath;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Something in a tree: its directory, its name there, and what it is.
pub(crate) struct TreeEntry<'a> {
    pub(crate) parent: BorrowedFd<'a>,
    pub(crate) name: &'a CStr,
    stat: Stat,
    /// Whether all that is in it was visited already.
    pub(crate) is_done: bool,
}

impl TreeEntry<'_> {
    /// Returns whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }
}

/// A directory that is being visited.
struct Level {
    name: CString,
    stat: Stat,
    /// The directory that it was found in.
    above: (u64, u64),
    left: Vec<CString>,
}

/// Visits what is at a path and below it: directories before what is in them, and once more
/// afterwards.
pub(crate) fn walk(
    path: &Path,
    visit: &mut dyn FnMut(&TreeEntry<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let (above, name) = (path.parent(), path.file_name().unwrap_or_default());
    let above = above.unwrap_or(Path::new("/"));
    let mut here = rustix::fs::open(above, DIRECTORY - OFlags::NOFOLLOW, Mode::empty())?;
    let mut levels: Vec<Level> = Vec::new();
    let mut next = Some(CString::new(name.as_bytes())?);
    let mut first = true;
    loop {
        if let Some(name) = next {
            let level = enter(&mut here, name, visit);
            match level {
                Ok(level) => levels.extend(level),
                // Somebody else has removed or replaced it.
                Err(error) if !first && is_gone(&error) => {}
                Err(error) => return Err(error),
            }
            first = false;
        }
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        next = level.left.pop();
        if next.is_none()
            && let Some(level) = levels.pop()
        {
            here = leave(&here, &level)?;
            visit(&TreeEntry {
                parent: here.as_fd(),
                name: &level.name,
                stat: level.stat,
                is_done: true,
            })?;
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(error).is_some_and(|error| gone.contains(&error))
}

/// Visits an entry of the directory `here`; goes down if it is a directory.
fn enter(
    here: &mut OwnedFd,
    name: CString,
    visit: &mut dyn FnMut(&TreeEntry<'_>) -> io::Result<()>,
) -> io::Result<Option<Level>> {
    let stat = statat(&*here, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    let found = TreeEntry {
        parent: here.as_fd(),
        name: &name,
        stat,
        is_done: false,
    };
    visit(&found)?;
    if !found.is_dir() {
        return Ok(None);
    }
    let below = openat(&*here, &name, DIRECTORY, Mode::empty())?;
    let mut left = Vec::new();
    for entry in Dir::read_from(&below)? {
        let entry = entry?.file_name().to_owned();
        if entry.as_c_str() != c"." && entry.as_c_str() != c".." {
            left.push(entry);
        }
    }
    let above = identity(here)?;
    *here = below;
    Ok(Some(Level {
        name,
        stat,
        above,
        left,
    }))
}

fn leave(here: &OwnedFd, level: &Level) -> io::Result<OwnedFd> {
    let above = openat(here, c"..", DIRECTORY, Mode::empty())?;
    match identity(&above)? == level.above {
        true => Ok(above),
        false => Err(io::Error::other("a directory was moved meanwhile")),
    }
}

fn identity(directory: &OwnedFd) -> io::Result<(u64, u64)> {
    let found = rustix::fs::fstat(directory)?;
    Ok((found.st_dev, found.st_ino))
}

/// Removes what is at a path and everything below it. A directory that its owner may not change is
/// opened to them first.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    walk(path, &mut |found| {
        if !found.is_dir() {
            return Ok(unlinkat(found.parent, found.name, AtFlags::empty())?);
        }
        if found.is_done {
            return Ok(unlinkat(found.parent, found.name, AtFlags::REMOVEDIR)?);
        }
        if !Mode::from_raw_mode(found.stat.st_mode).contains(Mode::RWXU) {
            // One that belongs to another user stays closed: the removal tells of it.
            let _ = open_to_owner(found);
        }
        Ok(())
    })
}

/// Go's module cache makes directories that their owner may not change.
fn open_to_owner(found: &TreeEntry<'_>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(found.parent, found.name, flags, Mode::empty())?;
    let path = DescriptorPath::of(&directory);
    Ok(chmod(path.as_c_str(), Mode::RWXU)?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_deep_tree_with_closed_directories_is_removed_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        symlink(outside.path(), top.join("link")).unwrap();
        fs::create_dir(top.join("closed")).unwrap();
        fs::write(top.join("closed/file"), "").unwrap();
        fs::set_permissions(top.join("closed"), Permissions::from_mode(0o0)).unwrap();
        let mut here = rustix::fs::open(&top, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, c"d", Mode::RWXU).unwrap();
            here = openat(&here, c"d", DIRECTORY, Mode::empty()).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists() && outside.path().join("kept").exists());
        assert_eq!(remove(&top).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
