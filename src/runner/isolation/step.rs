//! One step of building a container's root file system, prepared so that a process that has just
//! been forked can take it: no step allocates.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, XattrFlags, chownat, mkdirat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount,
    open_tree,
};

use crate::sys;
use crate::sys::beneath::{DescriptorPath, NEW_FILE, open_beneath, open_by_name, open_in_root};

/// A step. Relative paths are those of the staging directory once it has been entered; those below
/// `r`, the root that is being built, are resolved as the container will.
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
    /// Makes a directory in a volume, which a pet may have filled with links.
    DirBeneath {
        volume: CString,
        path: CString,
        mode: u32,
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
        /// The sockets in it, which are covered where there is no overlay.
        sockets: Vec<CString>,
    },
    Bind {
        from: CString,
        /// A path below `from`, which a pet may have filled with links.
        beneath: Option<CString>,
        at: CString,
        read_only: bool,
    },
    /// Shows something else, which cannot be changed, in the place of what is at a path, if that is
    /// still there.
    Cover {
        by: CString,
        at: CString,
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
        if let Self::Overlay {
            at,
            lower,
            options,
            sockets,
        } = self
        {
            let fault = overlay(at, lower, options)?;
            if fault.is_some() {
                let mut sockets = sockets.iter();
                sockets.try_for_each(|socket| cover(c"/dev/null", socket))?;
            }
            return Ok(fault);
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
            Self::DirBeneath { volume, path, mode } => {
                let volume = open_by_name(volume)?;
                let mut room = [0; ROOM];
                let (above, name) = split(path, &mut room)?;
                let above = open_beneath(volume.as_fd(), above)?;
                present(mkdirat(above, name, Mode::from_raw_mode(*mode)))?;
            }
            Self::Mode { at, mode } => {
                rustix::fs::chmod(at.as_c_str(), Mode::from_raw_mode(*mode))?;
            }
            Self::File { at, mode, text } => write_file(at, *mode, text)?,
            Self::Link { at, to } => {
                let mut room = [0; ROOM];
                let (above, name) = place(at, &mut room)?;
                present(symlinkat(to.as_c_str(), above, name))?;
            }
            Self::Unmount(at) => {
                if let Ok(there) = open(at) {
                    let there = DescriptorPath::of(&there);
                    let _ = rustix::mount::unmount(there.as_c_str(), UnmountFlags::DETACH);
                }
                let mut room = [0; ROOM];
                if let Ok((above, name)) = place(at, &mut room) {
                    let _ = unlinkat(above, name, AtFlags::empty());
                }
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
                let there = open(at)?;
                let path = DescriptorPath::of(&there);
                match rustix::mount::mount(*kind, path.as_c_str(), *kind, flags, *options) {
                    // Only the owner of a network has a view of the devices of its own.
                    Err(Errno::PERM) if *kind == c"sysfs" => bind(c"/sys", None, at, true)?,
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
                beneath,
                at,
                read_only,
            } => bind(from, beneath.as_deref(), at, *read_only)?,
            Self::Cover { by, at } => cover(by, at)?,
            Self::RemountReadOnly(at) => sys::make_tree_read_only(open(at)?.as_fd(), false)?,
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

/// The longest path that the kernel takes.
const ROOM: usize = 4096;

/// Opens a path. What the root holds already may be another's, so that a link in it is followed as
/// the container would follow it.
fn open(at: &CStr) -> rustix::io::Result<OwnedFd> {
    match below_root(at) {
        Some(path) => open_in_root(open_by_name(c"r")?.as_fd(), path),
        None => open_by_name(at),
    }
}

/// Opens the directory in which a path is to be made, and returns the name that it has there.
fn place<'a>(at: &'a CStr, room: &mut [u8; ROOM]) -> rustix::io::Result<(OwnedFd, &'a CStr)> {
    let below = below_root(at);
    let (above, name) = split(below.unwrap_or(at), room)?;
    let above = match below {
        Some(_) => open_in_root(open_by_name(c"r")?.as_fd(), above),
        None => open_by_name(above),
    };
    Ok((above?, name))
}

/// Takes the last name off a path.
fn split<'a, 'b>(
    path: &'a CStr,
    room: &'b mut [u8; ROOM],
) -> rustix::io::Result<(&'b CStr, &'a CStr)> {
    let bytes = path.to_bytes_with_nul();
    let (above, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (&b"/"[..], &bytes[1..]),
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None => (&b"."[..], bytes),
    };
    let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno::INVAL)?;
    let copy = room.get_mut(..=above.len()).ok_or(Errno::NAMETOOLONG)?;
    let (text, end) = copy.split_at_mut(above.len());
    text.copy_from_slice(above);
    end.fill(0);
    let above = CStr::from_bytes_until_nul(copy).map_err(|_| Errno::INVAL)?;
    Ok((above, name))
}

/// Returns the path that the container sees, without its first slash.
fn below_root(at: &CStr) -> Option<&CStr> {
    let path = at.to_bytes_with_nul().strip_prefix(b"r/")?;
    CStr::from_bytes_with_nul(path).ok()
}

fn make_dir(at: &CStr, mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut room = [0; ROOM];
    let (above, name) = place(at, &mut room)?;
    present(mkdirat(&above, name, Mode::from_raw_mode(mode)))?;
    if let Some((user, group)) = owner {
        let (user, group) = (
            rustix::fs::Uid::from_raw(user),
            rustix::fs::Gid::from_raw(group),
        );
        chownat(
            &above,
            name,
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
    }
    Ok(())
}

/// Writes a file, in the place of one that is there; without a text it is something to mount on,
/// and what is there serves.
fn write_file(at: &CStr, mode: u32, text: &[u8]) -> io::Result<()> {
    let mut room = [0; ROOM];
    let (above, name) = place(at, &mut room)?;
    if !text.is_empty() {
        let _ = unlinkat(&above, name, AtFlags::empty());
    }
    let file = match openat(&above, name, NEW_FILE, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) if text.is_empty() => return Ok(()),
        other => other?,
    };
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
    let there = open(at)?;
    let path = DescriptorPath::of(&there);
    match rustix::mount::mount(c"overlay", path.as_c_str(), c"overlay", flags, options) {
        Ok(()) => Ok(None),
        Err(error) => bind(lower, None, at, true).map(|()| Some(error)),
    }
}

/// Shows a directory or file, and all that is mounted in it, in another place. Once it is opened
/// no name counts any more: somebody else may be renaming what is there.
fn bind(from: &CStr, beneath: Option<&CStr>, at: &CStr, read_only: bool) -> io::Result<()> {
    let from = match beneath {
        Some(path) => open_beneath(open_by_name(from)?.as_fd(), path)?,
        None => open_by_name(from)?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(&from, c"", flags)?;
    if read_only {
        sys::make_tree_read_only(tree.as_fd(), true)?;
    }
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, c"", open(at)?, c"", both)?;
    Ok(())
}

fn cover(by: &CStr, at: &CStr) -> io::Result<()> {
    match bind(by, None, at, true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
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
        MountStep::DirBeneath {
            volume,
            path: below,
            ..
        } => {
            format!("making {} in {}", path(below), path(volume))
        }
        MountStep::Mode { at, .. } => format!("opening {}", shown(at)),
        MountStep::File { at, .. } => format!("writing {}", shown(at)),
        MountStep::Link { at, .. } => format!("linking {}", shown(at)),
        MountStep::Unmount(at) => format!("clearing {}", shown(at)),
        MountStep::Opaque { at, .. } => format!("hiding what is below {}", shown(at)),
        MountStep::Mount { kind, at, .. } => format!("mounting {} at {}", path(kind), shown(at)),
        MountStep::Overlay { lower, .. } => format!("showing {}", path(lower)),
        MountStep::Bind { from, at, .. } => format!("mounting {} at {}", path(from), shown(at)),
        MountStep::Cover { at, .. } => format!("covering {}", shown(at)),
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
            beneath: None,
            at: c_path("r/data"),
            read_only,
        };
        let overlay = MountStep::Overlay {
            at: c_path("r/var"),
            lower: c_path("/var"),
            options: c_path(""),
            sockets: Vec::new(),
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
