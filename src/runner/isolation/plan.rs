//! What a container sees as its root: planned here, with the host at hand, as a list of steps
//! that a freshly forked process takes in a mount namespace of its own.
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

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::step::{Step, c_path};
use crate::store::Mount;
use crate::sys::users::Known;

/// What is never the host's.
const PRIVATE: [&str; 5] = ["/tmp", "/run", "/dev", "/proc", "/sys"];
/// What petset itself keeps in the state directory.
const PETSETS: [&str; 7] = [
    "bin",
    "network",
    "pets",
    "seen",
    "supervisor",
    "volumes",
    "wanted",
];

/// What a root is made for.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// A directory to build it in; nothing of it is seen outside.
    pub(super) staging: &'a Path,
    /// The state directory.
    pub(super) state: &'a Path,
    /// What is shown as the root: the host's, or a directory.
    pub(super) root: &'a Path,
    /// Other state directories.
    pub(super) others: &'a [PathBuf],
    /// Whether nothing of it can be changed but what is mounted in it.
    pub(super) closed: bool,
    /// Whether who runs in it has no rights of their own in the host's directories.
    pub(super) stranger: bool,
    /// Who is somebody in there, where things are to belong to others than who builds it and not
    /// everybody is.
    pub(super) known: Option<&'a Known>,
    /// Whether an ordinary user's namespace is all there is.
    pub(super) ordinary: bool,
    /// Files of `/etc`, by name.
    pub(super) etc: &'a [(&'static str, String)],
    pub(super) mounts: &'a [Mount],
    /// What of the host is seen at the same path and may be written to.
    pub(super) shared: &'a [PathBuf],
    pub(super) cwd: &'a Path,
    /// What has to be seen although it may lie where nothing of the host is seen.
    pub(super) needed: &'a [PathBuf],
    /// This program, and the names it has in the state directory.
    pub(super) program: &'a Path,
}

/// Plans a root.
pub(super) fn plan(site: &Site<'_>) -> Result<Vec<Step>, String> {
    let mut plan = Plan::new(site);
    plan.show_host();
    plan.furnish_dev();
    plan.furnish_run();
    plan.write_etc();
    if site.ordinary {
        plan.open_written();
        plan.open_own();
    }
    plan.share()?;
    plan.cover_state();
    plan.cover_others();
    plan.show_needed();
    plan.mount_volumes()?;
    let cwd = plan.resolve(site.cwd);
    plan.make_dir(&cwd);
    Ok(plan.steps())
}

struct Plan<'a> {
    site: &'a Site<'a>,
    host_mounts: BTreeSet<PathBuf>,
    /// Directories of the host that lie under an overlay; their place names their layers.
    overlays: Vec<PathBuf>,
    /// Directories of the host that are shown as they are.
    bound: Vec<PathBuf>,
    /// What has been made, in the root or in a layer.
    made: BTreeSet<PathBuf>,
    /// What is hidden by a layer although the host has it.
    hidden: BTreeSet<PathBuf>,
    /// In the order in which they are taken: what lies in the root itself, the layers, the
    /// overlays, and what comes on top.
    base: Vec<Step>,
    layers: Vec<Step>,
    shown: Vec<Step>,
    top: Vec<Step>,
}

impl<'a> Plan<'a> {
    fn new(site: &'a Site<'a>) -> Self {
        Self {
            site,
            host_mounts: host::mounts(),
            overlays: Vec::new(),
            bound: Vec::new(),
            made: BTreeSet::from([PathBuf::from("/")]),
            hidden: BTreeSet::new(),
            base: Vec::new(),
            layers: Vec::new(),
            shown: Vec::new(),
            top: Vec::new(),
        }
    }

    fn steps(self) -> Vec<Step> {
        let tmpfs = |at: &str| Step::Mount {
            kind: c"tmpfs",
            at: c_path(at),
            options: c"mode=755",
            read_only: false,
        };
        let dir = |at: &str| plain_dir(c_path(at), 0o755);
        let staging = self.site.staging;
        let first = [
            Step::Part,
            Step::Mount {
                kind: c"tmpfs",
                at: c_path(staging),
                options: c"mode=755",
                read_only: false,
            },
            Step::Enter(c_path(staging)),
            dir("u"),
            dir("w"),
            dir("r"),
            tmpfs("r"),
        ];
        let sealed = self.overlays.iter().map(|top| Step::Seal(inside(top)));
        let sealed = sealed.chain([Step::Seal(c_path("r"))]);
        let sealed: Vec<Step> = sealed.filter(|_| self.site.closed).collect();
        let last = [Step::Enter(c_path("r")), Step::Settle];
        let all = first.into_iter().chain(self.base).chain(self.layers);
        all.chain(self.shown)
            .chain(self.top)
            .chain(sealed)
            .chain(last)
            .collect()
    }

    /// Returns whose a copy of something is to be.
    fn owner(&self, found: &Metadata) -> Option<(u32, u32)> {
        Some((found.uid(), found.gid())).filter(|owner| self.can_own(*owner))
    }

    /// Tells whether things can be given to somebody, and are to be: root knows everybody.
    fn can_own(&self, (uid, gid): (u32, u32)) -> bool {
        match self.site.known {
            Some(known) => known.has_user(uid) && known.has_group(gid),
            None => !self.site.ordinary,
        }
    }

    fn write_etc(&mut self) {
        let site = self.site;
        for (name, text) in site.etc {
            let path = Path::new("/etc").join(name);
            let (mode, text) = (0o644, text.clone().into_bytes());
            let at = self.place(&path);
            self.made.insert(path.clone());
            let step = Step::File { at, mode, text };
            match self.layer_of(&path) {
                Some(_) => self.layers.push(step),
                // It may have been shown as it is on the host: what comes later lies on top.
                None => self.base.extend([Step::Forget(inside(&path)), step]),
            }
        }
    }

    /// Shows what is shared with the host. The state directory stays covered, also below it.
    fn share(&mut self) -> Result<(), String> {
        for path in self.site.shared {
            let fault = |error| format!("shared-paths: {}: {error}", path.display());
            let found = fs::metadata(path).map_err(fault)?;
            let at = self.resolve(path);
            if self.site.state.starts_with(&at) {
                return Err(format!(
                    "shared-paths: {} holds the state directory",
                    path.display()
                ));
            }
            self.make_mount_point(&at, found.is_dir());
            self.top.push(bind(path, &at, false));
        }
        Ok(())
    }

    /// Shows programs that lie where nothing of the host is seen, such as below `/tmp`.
    fn show_needed(&mut self) {
        let site = self.site;
        for path in site.needed {
            let Ok(real) = fs::canonicalize(path) else {
                continue;
            };
            let unseen = PRIVATE[..2].iter().any(|private| real.starts_with(private));
            if real.starts_with(site.state) {
                self.show_covered(&real);
            } else if unseen && !self.made.contains(&real) {
                self.make_mount_point(&real, real.is_dir());
                self.top.push(bind(&real, &real, true));
            }
        }
    }

    /// Shows what the user put into the state directory, such as programs beside `images.toml`.
    fn show_covered(&mut self, path: &Path) {
        let state = self.site.state;
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

    fn mount_volumes(&mut self) -> Result<(), String> {
        let site = self.site;
        let mut mounted: Vec<(PathBuf, &Mount)> = Vec::new();
        for mount in site.mounts {
            let at = self.resolve(Path::new(&mount.mount_path));
            if at == Path::new("/") {
                return Err(format!("volume {} cannot be the root", mount.volume));
            }
            let is_dir = mount.path.is_dir();
            let outer = mounted
                .iter()
                .rev()
                .find(|(outer, _)| at.starts_with(outer));
            match outer {
                Some((outer, around)) => {
                    let rest = at.strip_prefix(outer).unwrap_or(Path::new(""));
                    let point = around.path.join(rest);
                    match make_point_in_volume(&point, is_dir) {
                        // Who builds has rights in there that its user lacks outside.
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
            self.top.push(bind(&mount.path, &at, mount.read_only));
            mounted.push((at, mount));
        }
        Ok(())
    }
}

/// Returns where in the staging directory something of the root is.
fn inside(path: &Path) -> CString {
    c_path(Path::new("r").join(path.strip_prefix("/").unwrap_or(path)))
}

fn plain_dir(at: CString, mode: u32) -> Step {
    let owner = None;
    Step::Dir { at, mode, owner }
}

fn empty_file(at: CString) -> Step {
    let (mode, text) = (0o644, Vec::new());
    Step::File { at, mode, text }
}

fn bind(from: &Path, at: &Path, read_only: bool) -> Step {
    Step::Bind {
        from: c_path(from),
        at: inside(at),
        read_only,
    }
}

fn mount(kind: &'static CStr, at: &str, options: &'static CStr, read_only: bool) -> Step {
    Step::Mount {
        kind,
        at: inside(Path::new(at)),
        options,
        read_only,
    }
}

fn make_point_in_volume(point: &Path, is_dir: bool) -> std::io::Result<()> {
    if is_dir {
        return fs::create_dir_all(point);
    }
    if let Some(parent) = point.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true).open(point).map(drop)
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

/// Tells whether this user may look into a directory.
fn is_open(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::EXEC_OK).is_ok()
}
