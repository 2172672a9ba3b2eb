//! The root file system of a container, planned while the host's files can be read: a list of
//! steps that a forked process takes in a mount namespace of its own.
//!
//! The root is a file system in memory. Each top directory of the host lies in it under an
//! overlay, so that it can be changed and the change goes with the container; `/tmp`, `/run` and
//! `/dev` are its own; volumes are mounted where the manifest says, and their mount points made
//! in the overlay's upper layer. A directory with other file systems below it is taken apart, for
//! an overlay does not see them. The state directory is covered: all that is left of it is what
//! `petset discover` and `petset dns` read.

mod host;
mod points;
mod run;
mod state;

use std::ffi::{CStr, CString};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::mountinfo::HostMounts;
use super::step::{MountStep, c_path};
use crate::problem::Problem;
use crate::runner::volumes::open_mounted;
use crate::sorted::SortedSet;
use crate::store::Mount;
use crate::sys::beneath::{make_dirs_beneath, make_file_beneath};
use crate::sys::proc;
use crate::sys::users::IdMap;

/// The directories that are never the host's.
const PRIVATE: [&str; 5] = ["/tmp", "/run", "/dev", "/proc", "/sys"];
/// The names that petset itself uses in the state directory.
const PETSETS: [&str; 7] = [
    "bin",
    "network",
    "pets",
    "seen",
    "supervisor",
    "volumes",
    "wanted",
];

/// The settings of a root file system.
#[derive(Debug)]
pub(super) struct RootfsSpec<'a> {
    /// A directory to build it in; nothing of it is seen outside.
    pub(super) staging: &'a Path,
    /// The state directory.
    pub(super) state: &'a Path,
    /// The directory that is shown as the root: the host's `/`, or that of an image.
    pub(super) root: &'a Path,
    /// Other state directories, by paths without links.
    pub(super) others: &'a [PathBuf],
    /// Whether only the volumes in it can be changed (`readOnlyRootFilesystem`).
    pub(super) read_only_root: bool,
    /// Whether the container runs as another user, without the caller's rights to files.
    pub(super) other_user: bool,
    /// The ids that exist in the container, where files are given to other users; `None` where all
    /// do, or none are given.
    pub(super) id_map: Option<&'a IdMap>,
    /// Whether it is built in the user namespace of an ordinary user.
    pub(super) ordinary: bool,
    /// Files of `/etc`, by name.
    pub(super) etc: &'a [(&'static str, String)],
    pub(super) mounts: &'a [Mount],
    /// The directories of the volumes that are in memory: the runner does not see into them.
    pub(super) memory: &'a [PathBuf],
    /// Paths of the host that are shown in the same place, and may be written to.
    pub(super) shared: &'a [PathBuf],
    pub(super) cwd: &'a Path,
    /// Paths that must be seen although they may lie where nothing of the host is shown.
    pub(super) needed: &'a [PathBuf],
    /// This program, and the names it has in the state directory.
    pub(super) program: &'a Path,
    pub(super) host_mounts: &'a HostMounts,
}

/// Plans a root file system.
pub(super) fn plan(spec: &RootfsSpec<'_>) -> Result<Vec<MountStep>, Problem> {
    let mut plan = RootfsPlan::new(spec);
    plan.show_host();
    plan.cover_sockets();
    plan.make_dev();
    plan.make_run_dirs();
    plan.write_etc();
    if spec.ordinary {
        plan.open_written();
        plan.open_own();
    }
    plan.share()?;
    plan.cover_state();
    plan.cover_others();
    plan.show_needed();
    plan.mount_volumes()?;
    plan.make_cwd();
    Ok(plan.steps())
}

struct RootfsPlan<'a> {
    spec: &'a RootfsSpec<'a>,
    /// Directories of the host that lie under an overlay; their place names their layers.
    overlays: Vec<PathBuf>,
    /// Directories of the host that are shown as they are.
    bound: Vec<PathBuf>,
    /// The paths made so far, in the root or in a layer.
    made: SortedSet<PathBuf>,
    /// The paths of the host that a layer hides.
    hidden: SortedSet<PathBuf>,
    /// The paths by which the host sees state directories, without those within this one.
    states: Vec<PathBuf>,
    /// The host's sockets, by the paths that the pet would see.
    sockets: Vec<PathBuf>,
    /// The steps in the order in which they are taken: in the root itself, in the layers, the
    /// overlays, and what is mounted on top.
    base: Vec<MountStep>,
    layers: Vec<MountStep>,
    shown: Vec<MountStep>,
    top: Vec<MountStep>,
}

impl<'a> RootfsPlan<'a> {
    fn new(spec: &'a RootfsSpec<'a>) -> Self {
        let all = spec.others.iter().map(PathBuf::as_path);
        let all = all.chain([spec.state]);
        let states = all.flat_map(|state| spec.host_mounts.paths_of(state));
        let sockets = proc::named_sockets().into_iter().filter_map(|path| {
            let path = Path::new("/").join(path.strip_prefix(spec.root).ok()?);
            let private = PRIVATE.iter().any(|private| path.starts_with(private));
            (!private).then_some(path)
        });
        Self {
            spec,
            states: states.collect(),
            sockets: sockets.collect(),
            overlays: Vec::new(),
            bound: Vec::new(),
            made: SortedSet::from([PathBuf::from("/")]),
            hidden: SortedSet::new(),
            base: Vec::new(),
            layers: Vec::new(),
            shown: Vec::new(),
            top: Vec::new(),
        }
    }

    fn steps(self) -> Vec<MountStep> {
        let tmpfs = |at: &str| MountStep::Mount {
            kind: c"tmpfs",
            at: c_path(at),
            options: c"mode=755",
            read_only: false,
        };
        let dir = |at: &str| plain_dir(c_path(at), 0o755);
        let staging = self.spec.staging;
        let first = [
            MountStep::MakePrivate,
            MountStep::Mount {
                kind: c"tmpfs",
                at: c_path(staging),
                options: c"mode=755",
                read_only: false,
            },
            MountStep::ChangeDir(c_path(staging)),
            dir("u"),
            dir("w"),
            dir("r"),
            tmpfs("r"),
        ];
        let sealed = self
            .overlays
            .iter()
            .map(|top| MountStep::RemountReadOnly(inside(top)));
        let sealed = sealed.chain([MountStep::RemountReadOnly(c_path("r"))]);
        let sealed: Vec<MountStep> = sealed.filter(|_| self.spec.read_only_root).collect();
        let last = [MountStep::ChangeDir(c_path("r")), MountStep::PivotRoot];
        let all = first.into_iter().chain(self.base).chain(self.layers);
        all.chain(self.shown)
            .chain(self.top)
            .chain(sealed)
            .chain(last)
            .collect()
    }

    /// Returns the owner of a copy, where it is not the builder.
    fn owner(&self, found: &Metadata) -> Option<(u32, u32)> {
        Some((found.uid(), found.gid())).filter(|owner| self.can_own(*owner))
    }

    /// Returns whether files are given to this owner: to any by root, else to ids that are mapped.
    fn can_own(&self, (uid, gid): (u32, u32)) -> bool {
        match self.spec.id_map {
            Some(map) => map.has_user(uid) && map.has_group(gid),
            None => !self.spec.ordinary,
        }
    }

    fn write_etc(&mut self) {
        let spec = self.spec;
        for (name, text) in spec.etc {
            let path = self.resolve(Path::new("/etc")).join(name);
            let (mode, text) = (0o644, text.clone().into_bytes());
            let at = self.place(&path);
            self.made.insert(path.clone());
            let step = MountStep::File { at, mode, text };
            match self.layer_of(&path) {
                Some(_) => self.layers.push(step),
                // It may have been shown as it is on the host: what comes later lies on top.
                None => self.base.extend([MountStep::Unmount(inside(&path)), step]),
            }
        }
    }

    /// Mounts the paths that are shared with the host, but not the state directory below them.
    fn share(&mut self) -> Result<(), Problem> {
        for path in self.spec.shared {
            let fault = |error| format!("shared-paths: {}: {error}", path.display());
            let found = fs::metadata(path).map_err(fault)?;
            let at = self.resolve(path);
            if self.spec.state.starts_with(&at) {
                return Err(Problem::failed(format!(
                    "shared-paths: {} holds the state directory",
                    path.display()
                )));
            }
            self.make_mount_point(&at, found.is_dir());
            self.top.push(bind(path, &at, false));
            self.cover_within(path, &at);
        }
        Ok(())
    }

    /// Shows programs that lie where nothing of the host is seen, such as below `/tmp`.
    fn show_needed(&mut self) {
        let spec = self.spec;
        let answering = |path: &&PathBuf| !spec.host_mounts.hides(path);
        for path in spec.needed.iter().filter(answering) {
            let Ok(real) = fs::canonicalize(path) else {
                continue;
            };
            let unseen = PRIVATE[..2].iter().any(|private| real.starts_with(private));
            if real.starts_with(spec.state) {
                self.show_covered(&real);
            } else if unseen && !self.made.contains(&real) {
                self.make_mount_point(&real, real.is_dir());
                self.top.push(bind(&real, &real, true));
                self.cover_within(&real, &real);
            }
        }
    }

    /// Shows a path that the user put into the state directory, such as a program.
    fn show_covered(&mut self, path: &Path) {
        let state = self.spec.state;
        let rest = path.strip_prefix(state).unwrap_or(path);
        let first = rest.components().next();
        if first.is_none_or(|first| PETSETS.iter().any(|own| first.as_os_str() == *own)) {
            return;
        }
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.retain(|above| above.starts_with(state) && *above != state);
        for above in above.into_iter().rev() {
            self.top.push(plain_dir(inside(above), 0o755));
        }
        self.top.push(match path.is_dir() {
            true => plain_dir(inside(path), 0o755),
            false => empty_file(inside(path)),
        });
        self.top.push(bind(path, path, true));
    }

    /// Returns the volume in memory that a path is in.
    fn memory_of(&self, path: &Path) -> Option<&'a PathBuf> {
        let mut all = self.spec.memory.iter();
        all.find(|volume| path.starts_with(volume))
    }

    /// Makes a part of a volume in memory.
    fn make_in_memory(&mut self, path: &Path) {
        let Some(volume) = self.memory_of(path) else {
            return;
        };
        let mut missing: Vec<&Path> = path.ancestors().collect();
        missing.retain(|path| path.starts_with(volume) && *path != volume);
        let dirs = missing.into_iter().rev();
        let beneath = dirs.filter_map(|dir| dir.strip_prefix(volume).ok());
        self.top.extend(beneath.map(|dir| MountStep::DirBeneath {
            volume: c_path(volume),
            path: c_path(dir),
            mode: 0o777,
        }));
    }

    /// Makes the working directory, as a container runtime does: in a volume too.
    fn make_cwd(&mut self) {
        let cwd = self.resolve(self.spec.cwd);
        let mounts = self.spec.mounts.iter();
        let points = mounts.map(|mount| self.resolve(Path::new(&mount.mount_path)));
        let around = points.filter(|point| cwd.starts_with(point));
        let Some(volume) = around.max_by_key(|point| point.components().count()) else {
            return self.make_dir(&cwd);
        };
        let mut missing: Vec<&Path> = cwd.ancestors().collect();
        missing.retain(|path| path.starts_with(&volume) && **path != *volume);
        let dirs = missing.into_iter().rev();
        self.top
            .extend(dirs.map(|dir| plain_dir(inside(dir), 0o755)));
    }

    fn mount_volumes(&mut self) -> Result<(), Problem> {
        let spec = self.spec;
        let mut mounted: Vec<(PathBuf, &Mount)> = Vec::new();
        for mount in spec.mounts {
            let at = self.resolve(Path::new(&mount.mount_path));
            if at == Path::new("/") {
                return Err(Problem::failed(format!(
                    "volume {} cannot be the root",
                    mount.volume
                )));
            }
            let is_dir = mount.path.is_dir();
            let outer = mounted
                .iter()
                .rev()
                .find(|(outer, _)| at.starts_with(outer));
            match outer {
                Some((outer, around)) if self.memory_of(&around.path).is_some() => {
                    let above = at.ancestors().skip(1);
                    let above: Vec<&Path> = above.take_while(|path| *path != outer).collect();
                    let dirs = above.into_iter().rev();
                    self.top
                        .extend(dirs.map(|dir| plain_dir(inside(dir), 0o755)));
                    self.top.push(match is_dir {
                        true => plain_dir(inside(&at), 0o755),
                        false => empty_file(inside(&at)),
                    });
                }
                Some((outer, around)) => {
                    let rest = at.strip_prefix(outer).unwrap_or(Path::new(""));
                    let point = around.path.join(rest);
                    match make_point_in_volume(around, rest, is_dir) {
                        // The builder has rights in there that the runner lacks.
                        Err(error) if is_dir && error.kind() == ErrorKind::PermissionDenied => {
                            let above = at.ancestors().take(rest.components().count());
                            let above: Vec<&Path> = above.collect();
                            let dirs = above.into_iter().rev();
                            self.top
                                .extend(dirs.map(|dir| plain_dir(inside(dir), 0o755)));
                        }
                        made => made.map_err(|error| format!("{}: {error}", point.display()))?,
                    }
                }
                None => self.make_mount_point(&at, is_dir),
            }
            self.make_in_memory(&mount.path);
            self.top.push(bind_volume(mount, &at));
            self.cover_within(&mount.path, &at);
            mounted.push((at, mount));
        }
        Ok(())
    }
}

/// Returns where in the staging directory something of the root is.
fn inside(path: &Path) -> CString {
    c_path(Path::new("r").join(path.strip_prefix("/").unwrap_or(path)))
}

fn plain_dir(at: CString, mode: u32) -> MountStep {
    let owner = None;
    MountStep::Dir { at, mode, owner }
}

fn empty_file(at: CString) -> MountStep {
    let (mode, text) = (0o644, Vec::new());
    MountStep::File { at, mode, text }
}

fn bind(from: &Path, at: &Path, read_only: bool) -> MountStep {
    MountStep::Bind {
        from: c_path(from),
        beneath: None,
        at: inside(at),
        read_only,
    }
}

fn bind_volume(mount: &Mount, at: &Path) -> MountStep {
    let (from, beneath) = mount.source();
    MountStep::Bind {
        from: c_path(from),
        beneath: beneath.map(c_path),
        at: inside(at),
        read_only: mount.read_only,
    }
}

fn mount(kind: &'static CStr, at: &str, options: &'static CStr, read_only: bool) -> MountStep {
    MountStep::Mount {
        kind,
        at: inside(Path::new(at)),
        options,
        read_only,
    }
}

/// Makes something to mount on in a volume; a link in there leads nowhere out of it.
fn make_point_in_volume(around: &Mount, rest: &Path, is_dir: bool) -> io::Result<()> {
    let volume = open_mounted(around)?;
    match is_dir {
        true => make_dirs_beneath(volume.as_fd(), rest, 0o755).map(drop)?,
        false => make_file_beneath(volume.as_fd(), rest)?,
    }
    Ok(())
}

/// Lists a directory; one that cannot be read is empty.
fn entries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Returns whether this user may read a directory.
fn is_open(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::EXEC_OK).is_ok()
}
