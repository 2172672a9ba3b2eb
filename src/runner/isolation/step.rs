//! One step of building a container's root file system, prepared so that a process that has just
//! been forked can take it: no step allocates.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::sys;

/// A step. Relative paths are those of the staging directory once it has been entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountStep {
    /// Keeps all mounts of this namespace from the host's (`MS_PRIVATE`).
    MakePrivate,
    /// Changes the working directory.
    ChangeDir(CString),
    Dir {
        at: CString,
        mode: u32,
        owner: Option<(u32, u32)>,
    },
    /// Changes the mode of a path.
    Mode {
        at: CString,
        mode: u32,
    },
    File {
        at: CString,
        mode: u32,
        text: Vec<u8>,
    },
    Link {
        at: CString,
        to: CString,
    },
    /// Unmounts and removes what lies at a path, to make room for a file.
    Unmount(CString),
    /// Marks a directory of an overlay's upper layer as opaque: the lower layer's is hidden.
    Opaque {
        at: CString,
        mark: &'static CStr,
    },
    Mount {
        kind: &'static CStr,
        at: CString,
        options: &'static CStr,
        read_only: bool,
    },
    /// Shows a directory of the host under an overlay: changes go to the upper layer.
    Overlay {
        at: CString,
        lower: CString,
        options: CString,
    },
    Bind {
        from: CString,
        at: CString,
        read_only: bool,
    },
    /// Makes the mount at a path read-only, but not the mounts below it.
    RemountReadOnly(CString),
    /// Makes the working directory the root (`pivot_root`), and unmounts the old one.
    PivotRoot,
}

/// Returns a path as the kernel takes it; one with a NUL becomes empty.
pub(super) fn c_path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap_or_default()
}

impl MountStep {
    /// Takes the step; returns the error of one that failed but can be left out.
    pub(super) fn take(&self) -> io::Result<Option<Errno>> {
        if let Self::Overlay { at, lower, options } = self {
            return overlay(at, lower, options);
        }
        self.do_it().map(|()| None)
    }

    fn do_it(&self) -> io::Result<()> {
        match self {
            Self::MakePrivate => {
                let flags = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
                rustix::mount::mount_change(c"/", flags)?;
            }
            Self::ChangeDir(path) => rustix::process::chdir(path.as_c_str())?,
            Self::Dir { at, mode, owner } => make_dir(at, *mode, *owner)?,
            Self::Mode { at, mode } => {
                rustix::fs::chmod(at.as_c_str(), Mode::from_raw_mode(*mode))?;
            }
            Self::File { at, mode, text } => write_file(at, *mode, text)?,
            Self::Link { at, to } => present(rustix::fs::symlink(to.as_c_str(), at.as_c_str()))?,
            Self::Unmount(at) => {
                let _ = rustix::mount::unmount(at.as_c_str(), UnmountFlags::DETACH);
                let _ = rustix::fs::unlink(at.as_c_str());
            }
            Self::Opaque { at, mark } => {
                rustix::fs::setxattr(at.as_c_str(), *mark, b"y", XattrFlags::empty())?;
            }
            Self::Mount {
                kind,
                at,
                options,
                read_only,
            } => {
                let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
                flags.set(MountFlags::RDONLY, *read_only);
                flags.set(MountFlags::NOEXEC, *kind != c"tmpfs");
                // devpts holds nothing but devices.
                flags.set(MountFlags::NODEV, *kind != c"devpts");
                match rustix::mount::mount(*kind, at.as_c_str(), *kind, flags, *options) {
                    // Only the owner of a network has a view of the devices of its own.
                    Err(Errno::PERM) if *kind == c"sysfs" => bind(c"/sys", at, true)?,
                    other => other?,
                }
            }
            Self::Overlay { .. } => {}
            Self::Bind {
                from,
                at,
                read_only,
            } => bind(from, at, *read_only)?,
            Self::RemountReadOnly(at) => sys::make_read_only(at, false)?,
            Self::PivotRoot => {
                rustix::process::pivot_root(c".", c".")?;
                rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
                rustix::process::chdir(c"/")?;
            }
        }
        Ok(())
    }
}

fn present(outcome: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match outcome {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn make_dir(at: &CStr, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    present(rustix::fs::mkdir(at, Mode::from_raw_mode(mode)))?;
    if let Some((user, group)) = owner {
        let (user, group) = (
            rustix::fs::Uid::from_raw(user),
            rustix::fs::Gid::from_raw(group),
        );
        rustix::fs::chown(at, Some(user), Some(group))?;
    }
    Ok(())
}

fn write_file(at: &CStr, mode: u32, text: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(at, flags, Mode::from_raw_mode(mode))?;
    let mut left = text;
    while !left.is_empty() {
        let written = rustix::io::write(&file, left)?;
        left = &left[written..];
    }
    Ok(())
}

/// A file system that cannot lie under an overlay is shown as it is, and cannot be changed.
fn overlay(at: &CStr, lower: &CStr, options: &CStr) -> io::Result<Option<Errno>> {
    let flags = MountFlags::NODEV;
    match rustix::mount::mount(c"overlay", at, c"overlay", flags, options) {
        Ok(()) => Ok(None),
        Err(error) => bind(lower, at, true).map(|()| Some(error)),
    }
}

fn bind(from: &CStr, at: &CStr, read_only: bool) -> io::Result<()> {
    rustix::mount::mount_bind_recursive(from, at)?;
    if read_only {
        sys::make_read_only(at, true)?;
    }
    Ok(())
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakePrivate => f.write_str("making mounts private"),
            Self::ChangeDir(path) => write!(f, "entering {}", path.to_string_lossy()),
            Self::Dir { at, .. } => write!(f, "making {}", at.to_string_lossy()),
            Self::Mode { at, .. } => write!(f, "opening {}", at.to_string_lossy()),
            Self::File { at, .. } => write!(f, "writing {}", at.to_string_lossy()),
            Self::Link { at, .. } => write!(f, "linking {}", at.to_string_lossy()),
            Self::Unmount(at) => write!(f, "clearing {}", at.to_string_lossy()),
            Self::Opaque { at, .. } => write!(f, "hiding what is below {}", at.to_string_lossy()),
            Self::Mount { kind, at, .. } => {
                write!(
                    f,
                    "mounting {} at {}",
                    kind.to_string_lossy(),
                    at.to_string_lossy()
                )
            }
            Self::Overlay { lower, .. } => write!(f, "showing {}", lower.to_string_lossy()),
            Self::Bind { from, at, .. } => {
                write!(
                    f,
                    "mounting {} at {}",
                    from.to_string_lossy(),
                    at.to_string_lossy()
                )
            }
            Self::RemountReadOnly(at) => write!(f, "making {} read-only", at.to_string_lossy()),
            Self::PivotRoot => f.write_str("changing the root"),
        }
    }
}
