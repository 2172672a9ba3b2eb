//! One step of building a container's root file system, prepared so that a process that has just
//! been forked can take it: no step allocates.

use std::ffi::{CStr, CString};
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
    /// Mounts a volume that is in memory.
    Memory {
        at: CString,
        options: CString,
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
            Self::Memory { at, options } => {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                rustix::mount::mount(c"tmpfs", at.as_c_str(), c"tmpfs", flags, options.as_c_str())?;
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

/// Returns what a step does, with the paths that the container sees.
pub(super) fn words(steps: &[MountStep], step: &MountStep) -> String {
    let mut overlays: Vec<&CStr> = Vec::new();
    for step in steps {
        if let MountStep::Overlay { at, .. } = step {
            overlays.push(at);
        }
    }
    let shown = |at: &CStr| shown(&overlays, at);
    let path = |path: &CStr| path.to_string_lossy().into_owned();
    match step {
        MountStep::Memory { at, .. } => format!("mounting the volume {}", path(at)),
        MountStep::MakePrivate => "making mounts private".to_owned(),
        MountStep::ChangeDir(at) => format!("entering {}", shown(at)),
        MountStep::Dir { at, .. } => format!("making {}", shown(at)),
        MountStep::Mode { at, .. } => format!("opening {}", shown(at)),
        MountStep::File { at, .. } => format!("writing {}", shown(at)),
        MountStep::Link { at, .. } => format!("linking {}", shown(at)),
        MountStep::Unmount(at) => format!("clearing {}", shown(at)),
        MountStep::Opaque { at, .. } => format!("hiding what is below {}", shown(at)),
        MountStep::Mount { kind, at, .. } => format!("mounting {} at {}", path(kind), shown(at)),
        MountStep::Overlay { lower, .. } => format!("showing {}", path(lower)),
        MountStep::Bind { from, at, .. } => format!("mounting {} at {}", path(from), shown(at)),
        MountStep::RemountReadOnly(at) => format!("making {} read-only", shown(at)),
        MountStep::PivotRoot => "changing the root".to_owned(),
    }
}

/// Returns the path that the container sees, for one of the staging directory: `r` is the root,
/// and `u/0` the upper layer of the first overlay.
fn shown(overlays: &[&CStr], at: &CStr) -> String {
    let at = at.to_string_lossy();
    if let Some(rest) = at.strip_prefix("u/") {
        let (number, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let overlay = number.parse().ok().and_then(|it: usize| overlays.get(it));
        if let Some(overlay) = overlay {
            return shown(&[], overlay) + rest;
        }
    }
    match at.strip_prefix('r') {
        Some("") => "/".to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => at.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_names_the_path_of_the_manifest() {
        let (read_only, mode, owner) = (false, 0o755, None);
        let bind = MountStep::Bind {
            from: c_path("/srv/x"),
            at: c_path("r/data"),
            read_only,
        };
        let overlay = MountStep::Overlay {
            at: c_path("r/var"),
            lower: c_path("/var"),
            options: c_path(""),
        };
        let at = c_path("u/0/lib/data");
        let dir = MountStep::Dir { at, mode, owner };
        let steps = [overlay, bind, dir];
        let all: Vec<String> = steps.iter().map(|step| words(&steps, step)).collect();
        let wanted = [
            "showing /var",
            "mounting /srv/x at /data",
            "making /var/lib/data",
        ];
        assert_eq!(all, wanted);
    }
}
