//! The mounts of the host, and which of them answer.
//!
//! A file system of the network, or of a process, may hang for ever, and with it whoever looks at
//! it. Such a mount that nobody asked for must hold up no pet.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sorted::SortedSet;
use crate::sys::mounts::{DirectoryOnDevice, MountEntry, mounts_of};

/// How long a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
const STACK: usize = 64 << 10;

/// The mount points that were looked at and have not answered yet.
static ASKED: Mutex<SortedSet<PathBuf>> = Mutex::new(SortedSet::new());

/// The mounts of this process's mount namespace.
#[derive(Debug)]
pub(super) struct HostMounts {
    all: Vec<MountEntry>,
    pub(super) points: SortedSet<PathBuf>,
    /// Those that do not answer.
    silent: SortedSet<PathBuf>,
}

impl HostMounts {
    /// Lists them, and waits for a moment for those that may hang.
    pub(super) fn read() -> Self {
        let all = mounts_of(std::process::id());
        let points = all.iter().map(|mount| mount.point.clone());
        let points = points.collect();
        let remote = all.iter().filter(|mount| mount.may_hang());
        let remote: SortedSet<PathBuf> = remote.map(|mount| mount.point.clone()).collect();
        Self {
            silent: silent(remote),
            points,
            all,
        }
    }

    /// Lists the paths by which the host sees a directory: several where its file system, or a part
    /// of it, is mounted in several places.
    pub(super) fn paths_of(&self, directory: &Path) -> Vec<PathBuf> {
        let identity = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
        let place = DirectoryOnDevice::find(directory, &self.all);
        let places = place.iter().flat_map(|place| {
            let others = self.all.iter().filter_map(|mount| place.below(mount));
            others.filter(|other| {
                other != directory
                    && identity(other).is_some_and(|it| Some(it) == identity(directory))
            })
        });
        std::iter::once(directory.to_owned())
            .chain(places)
            .collect()
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
fn silent(points: SortedSet<PathBuf>) -> SortedSet<PathBuf> {
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

fn asked() -> std::sync::MutexGuard<'static, SortedSet<PathBuf>> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner)
}
