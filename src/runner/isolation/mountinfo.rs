//! The mount points of the host, from `/proc/self/mountinfo`, and which of them answer.
//!
//! A file system of the network, or of a process, may hang for ever, and with it whoever looks at
//! it. Such a mount that nobody asked for must hold up no pet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The types of file systems that wait for somebody else; those of FUSE all begin alike.
const REMOTE: [&str; 10] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "lustre", "nfs", "nfs4", "smb3",
];
/// How long a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
const STACK: usize = 64 << 10;

/// The mount points that were looked at and have not answered yet.
static ASKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The mount points of this process's mount namespace.
#[derive(Debug)]
pub(super) struct HostMounts {
    pub(super) points: BTreeSet<PathBuf>,
    /// Those that do not answer.
    silent: BTreeSet<PathBuf>,
}

impl HostMounts {
    /// Lists them, and waits for a moment for those that may hang.
    pub(super) fn read() -> Self {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts: Vec<(PathBuf, bool)> = text.lines().filter_map(mount_of).collect();
        let remote = mounts.iter().filter(|(_, remote)| *remote);
        let remote: BTreeSet<PathBuf> = remote.map(|(point, _)| point.clone()).collect();
        Self {
            silent: silent(remote),
            points: mounts.into_iter().map(|(point, _)| point).collect(),
        }
    }

    /// Returns whether a path lies in a file system that does not answer.
    pub(super) fn hides(&self, path: &Path) -> bool {
        !self.silent.is_empty() && path.ancestors().any(|above| self.silent.contains(above))
    }

    /// Returns a warning for each mount that does not answer.
    pub(super) fn lacks(&self) -> impl Iterator<Item = String> {
        let silent = self.silent.iter().map(|point| point.display());
        silent.map(|point| {
            format!(
                "the file system mounted at {point} does not answer: pets see an empty directory \
                 there; if it is dead: umount -l {point}"
            )
        })
    }
}

/// Looks at each of these in a thread of its own; returns those that do not answer in time.
fn silent(points: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut waiting = points.clone();
    let (sender, answers) = channel();
    for point in points {
        if !asked().insert(point.clone()) {
            continue;
        }
        let (sender, own) = (sender.clone(), point.clone());
        let look = move || {
            let _ = fs::read_dir(&own).map(|mut entries| entries.next());
            asked().remove(&own);
            let _ = sender.send(own);
        };
        if thread::Builder::new()
            .stack_size(STACK)
            .spawn(look)
            .is_err()
        {
            asked().remove(&point);
        }
    }
    drop(sender);
    let deadline = Instant::now() + PATIENCE;
    let left = || deadline.saturating_duration_since(Instant::now());
    while let Ok(point) = answers.recv_timeout(left()) {
        waiting.remove(&point);
    }
    waiting
}

fn asked() -> std::sync::MutexGuard<'static, BTreeSet<PathBuf>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the mount point of a line of mountinfo, and whether its file system may hang.
fn mount_of(line: &str) -> Option<(PathBuf, bool)> {
    let (_, source) = line.split_once(" - ")?;
    let kind = source.split(' ').next().unwrap_or_default();
    let remote = kind.starts_with("fuse") || REMOTE.contains(&kind);
    Some((mount_point(line)?, remote))
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
        let point = PathBuf::from("/mnt/my disk");
        assert_eq!(mount_of(line), Some((point, false)));
    }

    #[test]
    fn what_waits_for_somebody_else_may_hang() {
        let may_hang = |kind: &str| {
            let line = format!("36 35 0:9 / /m rw shared:1 - {kind} x rw");
            mount_of(&line).unwrap().1
        };
        for kind in ["fuse", "fuse.sshfs", "fuseblk", "nfs4", "9p", "cifs"] {
            assert!(may_hang(kind), "{kind}");
        }
        for kind in ["ext4", "overlay", "tmpfs", "proc", "autofs"] {
            assert!(!may_hang(kind), "{kind}");
        }
    }
}
