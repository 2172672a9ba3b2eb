//! The host's directories, shown so that changes go with the container.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{PRIVATE, RootfsPlan, bind, empty_file, inside, is_dir, is_open, mount, plain_dir};
use crate::runner::isolation::step::{MountStep, c_path};

/// The directories below which servers write: an ordinary user gets copies of their own, since the
/// host's belong to users that the user namespace does not map.
const WRITTEN: [&str; 4] = ["/var/log", "/var/lib", "/var/cache", "/var/spool"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// The parts of `/proc` through which root could change the host.
const KERNEL: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
/// What tells of the machine or of other users, and is shown empty.
const MASKED_FILES: [&str; 6] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
];
const MASKED_DIRECTORIES: [&str; 5] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// A directory with more mounts below it is shown as it is, read-only.
const MANY_MOUNTS: usize = 64;

impl RootfsPlan<'_> {
    /// Shows the host's directories, each in its own way.
    pub(super) fn show_host(&mut self) {
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
        if !self.spec.ordinary {
            self.lock_kernel();
            self.mask_kernel();
        }
        for entry in self.entries(Path::new("/")) {
            if !private.contains(&entry) {
                self.show(&entry);
            }
        }
    }

    pub(super) fn lock_kernel(&mut self) {
        for name in KERNEL {
            let path = Path::new("/proc").join(name);
            if path.exists() {
                self.base.push(MountStep::Bind {
                    from: inside(&path),
                    beneath: None,
                    at: inside(&path),
                    read_only: true,
                });
            }
        }
    }

    fn mask_kernel(&mut self) {
        let is_there = |path: &&Path| path.exists();
        for path in MASKED_FILES.map(Path::new).iter().filter(|it| is_there(it)) {
            self.base.push(bind(Path::new("/dev/null"), path, false));
        }
        for path in MASKED_DIRECTORIES
            .iter()
            .filter(|it| is_there(&Path::new(it)))
        {
            self.base
                .push(mount(c"tmpfs", path, c"size=0,mode=555", true));
        }
    }

    /// Shows one entry of the host's root, or of a directory that is taken apart.
    pub(super) fn show(&mut self, path: &Path) {
        let there = self.on_host(path);
        if self.spec.host_mounts.hides(&there) {
            self.made.insert(path.to_owned());
            return self.base.push(plain_dir(inside(path), 0o755));
        }
        let Ok(found) = fs::symlink_metadata(&there) else {
            return;
        };
        if found.is_symlink() {
            if let Ok(to) = fs::read_link(&there) {
                let (at, to) = (inside(path), c_path(to));
                self.base.push(MountStep::Link { at, to });
            }
        } else if found.is_dir() {
            self.show_dir(path, &found);
        } else if found.is_file() {
            self.made.insert(path.to_owned());
            self.base.push(empty_file(inside(path)));
            self.base.push(bind(&there, path, true));
        }
    }

    pub(super) fn show_dir(&mut self, path: &Path, found: &Metadata) {
        let there = self.on_host(path);
        let below = |other: &&PathBuf| other.starts_with(&there) && **other != there;
        let mounts = self.spec.host_mounts.points.iter().filter(below).count();
        // A user who only passes through must not see its owner's files.
        let way = self.spec.other_user && self.spec.state.starts_with(path);
        if !is_open(&there) || (way && found.mode() & 0o001 == 0) {
            self.made.insert(path.to_owned());
            self.base.push(plain_dir(inside(path), 0o755));
        } else if mounts > MANY_MOUNTS {
            self.base.push(plain_dir(inside(path), 0o755));
            self.bound.push(path.to_owned());
            self.shown.push(bind(&there, path, true));
        } else if mounts > 0 {
            self.made.insert(path.to_owned());
            let (at, mode) = (inside(path), found.mode() & 0o7777);
            let owner = self.owner(found);
            self.base.push(MountStep::Dir { at, mode, owner });
            for entry in self.entries(path) {
                self.show(&entry);
            }
        } else {
            self.lay(path, found);
        }
    }

    /// Lays a directory of the host under an overlay.
    pub(super) fn lay(&mut self, path: &Path, found: &Metadata) {
        let number = self.overlays.len();
        self.overlays.push(path.to_owned());
        self.base.push(plain_dir(inside(path), 0o755));
        let upper = format!("u/{number}");
        let mode = found.mode() & 0o7777;
        self.layers.push(MountStep::Dir {
            at: c_path(&upper),
            mode,
            owner: self.owner(found),
        });
        self.layers
            .push(plain_dir(c_path(format!("w/{number}")), 0o755));
        let marks = match self.spec.ordinary {
            true => "userxattr",
            // A directory of the host can be renamed.
            false => "index=off,metacopy=off,redirect_dir=on",
        };
        let there = self.on_host(path);
        let lower = escaped(&there);
        let options = format!("lowerdir={lower},upperdir={upper},workdir=w/{number},{marks}");
        let sockets = self.sockets_below(path).collect();
        self.shown.push(MountStep::Overlay {
            at: inside(path),
            lower: c_path(&there),
            options: c_path(options),
            sockets,
        });
    }

    pub(super) fn make_dev(&mut self) {
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
            self.base.push(MountStep::Link {
                at: inside(&Path::new("/dev").join(name)),
                to: c_path(to),
            });
        }
        for name in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
            self.made.insert(PathBuf::from(name));
            self.base.push(plain_dir(inside(Path::new(name)), 0o755));
        }
        self.base
            .push(mount(c"tmpfs", "/dev/shm", c"mode=1777", false));
        self.base.push(mount(c"mqueue", "/dev/mqueue", c"", false));
        let options = c"newinstance,ptmxmode=0666,mode=620";
        self.base.push(mount(c"devpts", "/dev/pts", options, false));
    }

    /// Gives an ordinary user directories to write to where servers do.
    pub(super) fn open_written(&mut self) {
        for base in WRITTEN.map(Path::new) {
            if self.layer_of(base).is_none() || !is_dir(&self.on_host(base)) {
                continue;
            }
            self.copy_dir(base);
            for entry in self.entries(base) {
                if is_dir(&self.on_host(&entry)) {
                    self.copy_dir(&entry);
                    if base == Path::new("/var/log") {
                        self.hide(&entry);
                    }
                }
            }
        }
        let scratch = Path::new("/var/tmp");
        if self.layer_of(scratch).is_some() && is_dir(&self.on_host(scratch)) {
            self.copy_dir(scratch);
            self.hide(scratch);
        }
    }

    /// Lets an ordinary user write below their home and beside their programs. A file is copied
    /// when it is first written to, with the directories above it, and those belong to users who
    /// do not exist in the namespace, so that they are copied here.
    pub(super) fn open_own(&mut self) {
        let home = crate::sys::home();
        let user = rustix::process::geteuid().as_raw();
        let answering = |path: &&PathBuf| !self.spec.host_mounts.hides(path);
        let own = home.iter().chain(self.spec.needed).filter(answering);
        for path in own {
            let Ok(real) = fs::canonicalize(path) else {
                continue;
            };
            let place = match real.is_dir() {
                true => Some(real.as_path()),
                false => real.parent(),
            };
            let own = |place: &&Path| {
                let of_host = self.on_host(place) == **place;
                of_host && fs::metadata(place).is_ok_and(|it| it.uid() == user)
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_overlay_would_misread_is_escaped() {
        assert_eq!(escaped(Path::new("/a,b:c")), r"/a\,b\:c");
    }
}
