//! Paths in places that others can write to, resolved so that no link leads out of them
//! (`openat2`). What is opened here is only a handle (`O_PATH`): no pipe or device is touched.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::process::umask;

const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// How often a path is resolved anew that is being renamed meanwhile.
const TRIES: u32 = 100;

/// Opens a directory by its path; a link is followed.
pub(crate) fn open_base(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, HANDLE | OFlags::DIRECTORY, Mode::empty())
}

/// Opens a path below a directory; that a link leads out of the directory is an error (`EXDEV`).
pub(crate) fn open_beneath(
    base: BorrowedFd<'_>,
    path: impl rustix::path::Arg + Copy,
) -> rustix::io::Result<OwnedFd> {
    resolve(base, path, HANDLE, ResolveFlags::BENEATH)
}

/// Opens a path as a process would whose root directory is `root`. It does not allocate.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<OwnedFd> {
    resolve(root, path, HANDLE, ResolveFlags::IN_ROOT)
}

/// Reads a small file as a process would whose root directory is `root`; one that is none is empty.
pub(crate) fn read_in_root(root: &Path, path: &str) -> io::Result<String> {
    let root = open_base(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = resolve(root.as_fd(), path, flags, ResolveFlags::IN_ROOT)?;
    let file = std::fs::File::from(file);
    match file.metadata()?.is_file() {
        true => io::read_to_string(file),
        false => Ok(String::new()),
    }
}

fn resolve(
    base: BorrowedFd<'_>,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
    within: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let within = within | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match openat2(base, path, flags, Mode::empty(), within) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Makes the directories of a path below `base`, as far as they are missing, with exactly this
/// mode; returns the last one, and whether it was made.
pub(crate) fn make_dirs_beneath(
    base: BorrowedFd<'_>,
    path: &Path,
    mode: u32,
) -> rustix::io::Result<(OwnedFd, bool)> {
    let mut at = open_beneath(base, ".")?;
    let mut made = false;
    let mut so_far = std::path::PathBuf::new();
    for part in path.components() {
        let Component::Normal(name) = part else {
            continue;
        };
        so_far.push(name);
        at = match open_beneath(base, so_far.as_path()) {
            Err(Errno::NOENT) => {
                // A change of the mode afterwards would lose the bit that keeps the group.
                let before = umask(Mode::empty());
                let outcome = mkdirat(&at, name, Mode::from_raw_mode(mode));
                umask(before);
                outcome?;
                made = true;
                let flags = HANDLE | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                openat(&at, name, flags, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok((at, made))
}

/// Makes an empty file below `base`, and the directories above it, unless something is there.
pub(crate) fn make_file_beneath(base: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    let (above, name) = (path.parent(), path.file_name().unwrap_or_default());
    let (above, _) = make_dirs_beneath(base, above.unwrap_or(Path::new("")), 0o755)?;
    match openat(above, name, NEW_FILE, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How a file is made that must not be there: nothing that lies in its place is opened.
pub(crate) const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// The path by which this process reaches what it has opened, made without allocating.
pub(crate) struct DescriptorPath([u8; 32]);

impl DescriptorPath {
    /// Returns the path of a descriptor.
    pub(crate) fn of(descriptor: impl AsFd) -> Self {
        const PREFIX: &[u8] = b"/proc/self/fd/";
        let mut text = [0; 32];
        text[..PREFIX.len()].copy_from_slice(PREFIX);
        let number = descriptor.as_fd().as_raw_fd().unsigned_abs();
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let mut left = number;
        for digit in text[PREFIX.len()..PREFIX.len() + digits].iter_mut().rev() {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
        }
        Self(text)
    }

    /// Returns it as the kernel takes it.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Opens a path by its name, wherever links lead. It does not allocate.
pub(crate) fn open_by_name(path: &CStr) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, HANDLE, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_nowhere_out_of_the_base() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink("inner", dir.path().join("in")).unwrap();
        let base = open_base(dir.path()).unwrap();
        let make = |path: &str| make_dirs_beneath(base.as_fd(), Path::new(path), 0o700);
        assert_eq!(make("out/x").unwrap_err(), Errno::XDEV);
        // It has no place yet.
        assert_eq!(make("in/x").unwrap_err(), Errno::EXIST);
        assert!(make("inner/x").unwrap().1 && !make("in/x").unwrap().1);
        assert!(make_file_beneath(base.as_fd(), Path::new("out/f")).is_err());
        make_file_beneath(base.as_fd(), Path::new("in/f")).unwrap();
        assert!(dir.path().join("inner/f").is_file());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_path_of_a_descriptor_leads_to_it() {
        let file = tempfile::tempfile().unwrap();
        let path = DescriptorPath::of(&file);
        let shown = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert_eq!(path.as_c_str().to_str(), Ok(shown.as_str()));
    }
}
