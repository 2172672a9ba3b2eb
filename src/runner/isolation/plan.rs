//! What a container sees as its root: planned here, with the host at hand, as a list of steps
//! that a freshly forked process takes in a mount namespace of its own.
//!
//! The root is a file system in memory. Each top directory of the host lies in it under an
//! overlay, so that it can be changed and the change goes with the container; `/tmp`, `/run` and
//! `/dev` are its own; volumes are mounted where the manifest says, and their mount points made
//! in the overlay's upper layer. A directory with other file systems below it is taken apart, for
//! an overlay does not see them. The state directory is covered: all that is left of it is what
//! `petset discover` and `petset dns` read.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use super::step::{Step, c_path};
use crate::runner::volumes::Mount;

/// What is never the host's.
const PRIVATE: [&str; 5] = ["/tmp", "/run", "/dev", "/proc", "/sys"];
/// Below them, servers keep what they write: an ordinary user gets directories of their own
/// there, for they belong to users who do not exist in the namespace.
const WRITTEN: [&str; 4] = ["/var/log", "/var/lib", "/var/cache", "/var/spool"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// What root could reach the host by.
const KERNEL: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
/// What pets may read of the state directory.
const READABLE: [&str; 5] = ["format", "petset.toml", "images.toml", "seen", "pets"];
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
/// A directory with more mounts below it is shown as it is, read-only.
const MANY_MOUNTS: usize = 64;
const MOST_LINKS: u32 = 40;

/// What a root is made for.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// A directory to build it in; nothing of it is seen outside.
    pub(super) staging: &'a Path,
    /// The state directory.
    pub(super) state: &'a Path,
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
    plan.write_etc();
    if site.ordinary {
        plan.open_written();
        plan.open_own();
    }
    plan.share()?;
    plan.cover_state();
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
            host_mounts: host_mounts(),
            overlays: Vec::new(),
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
        let last = [Step::Enter(c_path("r")), Step::Settle];
        let all = first.into_iter().chain(self.base).chain(self.layers);
        all.chain(self.shown).chain(self.top).chain(last).collect()
    }

    /// Shows the host's directories, each in its own way.
    fn show_host(&mut self) {
        let private = PRIVATE.map(PathBuf::from);
        for (path, mode) in private.iter().zip([0o1777, 0o755, 0o755, 0o555, 0o555]) {
            self.made.insert(path.clone());
            self.base.push(plain_dir(inside(path), mode));
        }
        self.make_dir(Path::new("/run/lock"));
        for (kind, at) in [(c"proc", "/proc"), (c"sysfs", "/sys")] {
            let read_only = kind == c"sysfs";
            self.base.push(mount(kind, at, c"", read_only));
        }
        if !self.site.ordinary {
            self.lock_kernel();
        }
        for entry in entries(Path::new("/")) {
            if !private.contains(&entry) {
                self.show(&entry);
            }
        }
    }

    fn lock_kernel(&mut self) {
        for name in KERNEL {
            let path = Path::new("/proc").join(name);
            if path.exists() {
                self.base.push(Step::Bind {
                    from: inside(&path),
                    at: inside(&path),
                    read_only: true,
                });
            }
        }
    }

    /// Shows one entry of the host's root, or of a directory that is taken apart.
    fn show(&mut self, path: &Path) {
        let Ok(found) = fs::symlink_metadata(path) else {
            return;
        };
        if found.is_symlink() {
            if let Ok(to) = fs::read_link(path) {
                let (at, to) = (inside(path), c_path(to));
                self.base.push(Step::Link { at, to });
            }
        } else if found.is_dir() {
            self.show_dir(path, &found);
        } else if found.is_file() {
            self.made.insert(path.to_owned());
            self.base.push(empty_file(inside(path)));
            self.base.push(bind(path, path, true));
        }
    }

    fn show_dir(&mut self, path: &Path, found: &Metadata) {
        let below = |other: &&PathBuf| other.starts_with(path) && *other != path;
        let mounts = self.host_mounts.iter().filter(below).count();
        if !is_open(path) {
            self.made.insert(path.to_owned());
            self.base.push(plain_dir(inside(path), 0o755));
        } else if mounts > MANY_MOUNTS {
            self.base.push(plain_dir(inside(path), 0o755));
            self.shown.push(bind(path, path, true));
        } else if mounts > 0 {
            self.made.insert(path.to_owned());
            let (at, mode) = (inside(path), found.mode() & 0o7777);
            let owner = self.owner(found);
            self.base.push(Step::Dir { at, mode, owner });
            for entry in entries(path) {
                self.show(&entry);
            }
        } else {
            self.lay(path, found);
        }
    }

    /// Lays a directory of the host under an overlay.
    fn lay(&mut self, path: &Path, found: &Metadata) {
        let number = self.overlays.len();
        self.overlays.push(path.to_owned());
        self.base.push(plain_dir(inside(path), 0o755));
        let upper = format!("u/{number}");
        let mode = found.mode() & 0o7777;
        self.layers.push(Step::Dir {
            at: c_path(&upper),
            mode,
            owner: self.owner(found),
        });
        self.layers
            .push(plain_dir(c_path(format!("w/{number}")), 0o755));
        let marks = match self.site.ordinary {
            true => "userxattr",
            false => "index=off,metacopy=off",
        };
        let lower = escaped(path);
        let options = format!("lowerdir={lower},upperdir={upper},workdir=w/{number},{marks}");
        self.shown.push(Step::Overlay {
            at: inside(path),
            lower: c_path(path),
            options: c_path(options),
        });
    }

    /// Returns whose a copy of something is to be: only root can give things away.
    fn owner(&self, found: &Metadata) -> Option<(u32, u32)> {
        (!self.site.ordinary).then(|| (found.uid(), found.gid()))
    }

    fn furnish_dev(&mut self) {
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            if path.exists() {
                self.base.push(empty_file(inside(&path)));
                self.base.push(bind(&path, &path, false));
            }
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ];
        for (name, to) in links {
            self.base.push(Step::Link {
                at: inside(&Path::new("/dev").join(name)),
                to: c_path(to),
            });
        }
        for (name, mode) in [("/dev/pts", 0o755), ("/dev/shm", 0o1777)] {
            self.made.insert(PathBuf::from(name));
            self.base.push(plain_dir(inside(Path::new(name)), mode));
        }
        let options = c"newinstance,ptmxmode=0666,mode=620";
        self.base.push(mount(c"devpts", "/dev/pts", options, false));
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

    /// Gives an ordinary user directories to write to where servers do.
    fn open_written(&mut self) {
        for base in WRITTEN.map(Path::new) {
            if self.layer_of(base).is_none() || !is_dir(base) {
                continue;
            }
            self.copy_dir(base);
            for entry in entries(base) {
                if fs::symlink_metadata(&entry).is_ok_and(|found| found.is_dir()) {
                    self.copy_dir(&entry);
                    if base == Path::new("/var/log") {
                        self.hide(&entry);
                    }
                }
            }
        }
        let scratch = Path::new("/var/tmp");
        if self.layer_of(scratch).is_some() && is_dir(scratch) {
            self.copy_dir(scratch);
            self.hide(scratch);
        }
    }

    /// Lets an ordinary user write below their home and beside their programs. A file is copied
    /// when it is first written to, with the directories above it, and those belong to users who
    /// do not exist in the namespace, so that they are copied here.
    fn open_own(&mut self) {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let user = rustix::process::geteuid().as_raw();
        for path in home.iter().chain(self.site.needed) {
            let Ok(real) = fs::canonicalize(path) else {
                continue;
            };
            let place = match real.is_dir() {
                true => Some(real.as_path()),
                false => real.parent(),
            };
            let own = |place: &&Path| fs::metadata(place).is_ok_and(|it| it.uid() == user);
            let Some(place) = place.filter(own) else {
                continue;
            };
            let mut above: Vec<&Path> = place.ancestors().collect();
            above.retain(|above| {
                self.layer_of(above)
                    .is_some_and(|at| self.overlays[at] != **above)
            });
            for above in above.into_iter().rev() {
                self.copy_dir(above);
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

    /// Covers the state directory with a directory of the pet's own.
    fn cover_state(&mut self) {
        let state = self.site.state;
        if self.layer_of(state).is_some() {
            self.layers.push(plain_dir(c_path("s"), 0o755));
            self.top.push(Step::Bind {
                from: c_path("s"),
                at: inside(state),
                read_only: false,
            });
        } else {
            self.make_dir(state);
        }
        for name in READABLE {
            let path = state.join(name);
            let Ok(found) = fs::metadata(&path) else {
                continue;
            };
            let at = inside(&path);
            self.top.push(match found.is_dir() {
                true => plain_dir(at, 0o755),
                false => empty_file(at),
            });
            self.top.push(bind(&path, &path, true));
        }
        self.show_wanted();
        self.show_programs();
    }

    /// Shows what is wanted, but no secrets.
    fn show_wanted(&mut self) {
        let wanted = self.site.state.join("wanted");
        self.top.push(plain_dir(inside(&wanted), 0o755));
        for namespace in entries(&wanted).into_iter().filter(|path| path.is_dir()) {
            self.top.push(plain_dir(inside(&namespace), 0o755));
            for kind in ["statefulset", "service"] {
                let path = namespace.join(kind);
                if path.is_dir() {
                    self.top.push(plain_dir(inside(&path), 0o755));
                    self.top.push(bind(&path, &path, true));
                }
            }
        }
    }

    /// Puts this program where the state directory has links to it.
    fn show_programs(&mut self) {
        let bin = self.site.state.join("bin");
        let program = bin.join("petset");
        self.top.push(plain_dir(inside(&bin), 0o755));
        self.top.push(empty_file(inside(&program)));
        self.top.push(bind(self.site.program, &program, true));
        for link in entries(&bin).into_iter().filter(|link| *link != program) {
            let (at, to) = (inside(&link), c_path("petset"));
            self.top.push(Step::Link { at, to });
        }
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
                    let made = make_point_in_volume(&point, is_dir);
                    made.map_err(|error| format!("{}: {error}", point.display()))?;
                }
                None => self.make_mount_point(&at, is_dir),
            }
            self.top.push(bind(&mount.path, &at, mount.read_only));
            mounted.push((at, mount));
        }
        Ok(())
    }

    /// Makes something to mount on, unless it is there.
    fn make_mount_point(&mut self, path: &Path, is_dir: bool) {
        let there = self.visible(path);
        if is_dir && there.as_ref().is_none_or(Metadata::is_dir) {
            return self.make_dir(path);
        }
        if there.is_some_and(|there| there.is_dir() == is_dir) || self.made.contains(path) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.make_layers(parent);
        }
        let at = self.place(path);
        let step = match is_dir {
            true => plain_dir(at, 0o755),
            false => empty_file(at),
        };
        self.made.insert(path.to_owned());
        self.hidden.insert(path.to_owned());
        match self.layer_of(path) {
            Some(_) => self.layers.push(step),
            None => self.base.push(step),
        }
    }

    /// Makes a directory and those above it, as far as they are missing. The path has no links.
    fn make_dir(&mut self, path: &Path) {
        if self.made.contains(path) || self.visible(path).is_some_and(|found| found.is_dir()) {
            return;
        }
        self.make_layers(path);
    }

    /// Makes a directory and those above it where the pet's own files lie: in the upper layer too
    /// if the host has them.
    fn make_layers(&mut self, path: &Path) {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for path in above {
            match self.layer_of(path) {
                Some(number) if self.overlays[number] == path => {}
                Some(_) => self.copy_dir(path),
                None if self.made.contains(path) => {}
                None => {
                    self.made.insert(path.to_owned());
                    self.base.push(plain_dir(inside(path), 0o755));
                }
            }
        }
    }

    /// Makes a directory in the upper layer, as the host has it; one that the user may not look
    /// into is empty.
    fn copy_dir(&mut self, path: &Path) {
        if !self.made.insert(path.to_owned()) {
            return;
        }
        let there = self.visible(path).filter(Metadata::is_dir);
        let (mut mode, mut owner) = (0o755, None);
        if let Some(found) = &there {
            mode = found.mode() & 0o7777 | 0o700;
            owner = self.owner(found);
        }
        let at = self.place(path);
        self.layers.push(Step::Dir { at, mode, owner });
        if there.is_some() && !is_open(path) {
            self.hide(path);
        }
    }

    fn hide(&mut self, path: &Path) {
        if self.hidden.insert(path.to_owned()) {
            let mark: &CStr = match self.site.ordinary {
                true => c"user.overlay.opaque",
                false => c"trusted.overlay.opaque",
            };
            let at = self.place(path);
            self.layers.push(Step::Hide { at, mark });
        }
    }

    /// Returns what the host shows at a path, if the pet sees it too.
    fn visible(&self, path: &Path) -> Option<Metadata> {
        self.layer_of(path)?;
        let hidden = path.ancestors().any(|above| self.hidden.contains(above));
        fs::symlink_metadata(path).ok().filter(|_| !hidden)
    }

    /// Returns the number of the overlay that a path lies in.
    fn layer_of(&self, path: &Path) -> Option<usize> {
        self.overlays.iter().position(|top| path.starts_with(top))
    }

    /// Returns where something has to be made so that the pet sees it at `path`.
    fn place(&self, path: &Path) -> std::ffi::CString {
        match self.layer_of(path) {
            Some(number) => {
                let rest = path.strip_prefix(&self.overlays[number]);
                c_path(
                    Path::new("u")
                        .join(number.to_string())
                        .join(rest.unwrap_or(path)),
                )
            }
            None => inside(path),
        }
    }

    /// Follows the links in a path as the pet will see them.
    fn resolve(&self, path: &Path) -> PathBuf {
        let mut left: Vec<OsString> = reversed(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(part);
            let private = PRIVATE.iter().any(|private| next.starts_with(private));
            match fs::read_link(&next) {
                Ok(to) if !private && links < MOST_LINKS => {
                    links += 1;
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(reversed(&to));
                }
                Ok(_) | Err(_) => at = next,
            }
        }
        at
    }
}

fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    let named = parts.filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.map(|part| part.as_os_str().to_owned()).collect()
}

/// Returns where in the staging directory something of the root is.
fn inside(path: &Path) -> std::ffi::CString {
    c_path(Path::new("r").join(path.strip_prefix("/").unwrap_or(path)))
}

fn plain_dir(at: std::ffi::CString, mode: u32) -> Step {
    let owner = None;
    Step::Dir { at, mode, owner }
}

fn empty_file(at: std::ffi::CString) -> Step {
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

/// A comma or a colon in a path would mean something to the overlay.
fn escaped(path: &Path) -> String {
    let text = path.to_string_lossy();
    let escape = |letter: char| match letter {
        '\\' | ',' | ':' => format!("\\{letter}"),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
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

/// Lists where something is mounted on the host.
fn host_mounts() -> BTreeSet<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(mount_point).collect()
}

/// Takes the mount point out of a line of mountinfo, in which blanks are written as `\040`.
fn mount_point(line: &str) -> Option<PathBuf> {
    let point = line.split(' ').nth(4)?;
    let mut path = String::new();
    let mut rest = point;
    while let Some(at) = rest.find('\\') {
        path.push_str(&rest[..at]);
        let code = u8::from_str_radix(rest.get(at + 1..at + 4)?, 8).ok()?;
        path.push(char::from(code));
        rest = &rest[at + 4..];
    }
    path.push_str(rest);
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_may_hold_blanks() {
        let line = r"36 35 98:0 / /mnt/my\040disk rw,noatime - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/my disk")));
    }

    #[test]
    fn what_an_overlay_would_misread_is_escaped() {
        assert_eq!(escaped(Path::new("/a,b:c")), r"/a\,b\:c");
    }
}
