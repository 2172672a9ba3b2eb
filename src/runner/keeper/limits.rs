//! The size limits of emptyDirs on disk: a pod that goes over one is evicted (V61).
//!
//! No event tells how large a directory is, so that it is measured now and then, as a kubelet does:
//! only where a volume has a limit, and in a thread of its own.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::model::quantity::Quantity;
use crate::runner::isolation;
use crate::sorted::SortedSet;
use crate::store::PetLayout;

/// The pause between two measurements.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct LimitedVolume {
    name: String,
    path: PathBuf,
    limit: String,
    bytes: i128,
}

/// The volumes of a pod that have a limit.
#[derive(Debug)]
pub(super) struct SizeLimits {
    volumes: Vec<LimitedVolume>,
    /// When they are measured next; `None` while they are.
    next: Option<Duration>,
    verdicts: Receiver<Option<String>>,
    verdict: Sender<Option<String>>,
}

impl SizeLimits {
    pub(super) fn of(pod: &Pod, pet: &PetLayout) -> Self {
        let spec = pod.spec.as_ref();
        let volumes = spec.and_then(|spec| spec.volumes.as_ref());
        let volumes = volumes.into_iter().flatten();
        let full = isolation::is_full(pod);
        let (verdict, verdicts) = channel();
        Self {
            volumes: volumes
                .filter_map(|volume| limited(volume, pet, full))
                .collect(),
            next: Some(PAUSE),
            verdicts,
            verdict,
        }
    }

    /// Returns when the volumes are to be measured.
    pub(super) fn due(&self) -> Option<Duration> {
        self.next.filter(|_| !self.volumes.is_empty())
    }

    /// Measures the volumes if that is due; the end of it wakes the runner.
    pub(super) fn look(&mut self, now: Duration, waker: &Arc<OwnedFd>) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        let (volumes, verdict) = (self.volumes.clone(), self.verdict.clone());
        let waker = Arc::clone(waker);
        let measure = move || {
            let _ = verdict.send(volumes.iter().find_map(excess));
            let _ = rustix::io::write(&*waker, &[0]);
        };
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        self.next = match thread.spawn(measure) {
            Ok(_) => None,
            Err(_) => Some(now + PAUSE),
        };
    }

    /// Returns why the pod is to be evicted, if a measurement has shown that.
    pub(super) fn exceeded(&mut self, now: Duration) -> Option<String> {
        let verdict = self.verdicts.try_recv().ok()?;
        self.next = Some(now + PAUSE);
        verdict
    }
}

fn limited(volume: &Volume, pet: &PetLayout, full: bool) -> Option<LimitedVolume> {
    let source = volume.empty_dir.as_ref()?;
    // A file system in memory keeps its limit by itself.
    let mounted = full && source.medium.as_deref() == Some("Memory");
    let limit = &source.size_limit.as_ref().filter(|_| !mounted)?.0;
    let bytes = limit.parse::<Quantity>().ok()?.units();
    (bytes > 0).then(|| LimitedVolume {
        name: volume.name.clone(),
        path: pet.volumes().join(&volume.name),
        limit: limit.clone(),
        bytes,
    })
}

fn excess(volume: &LimitedVolume) -> Option<String> {
    let LimitedVolume {
        name,
        path,
        limit,
        bytes,
    } = volume;
    let used = used_below(path, &mut SortedSet::new());
    let words = || format!("Usage of EmptyDir volume {name:?} exceeds the limit {limit:?}. ");
    (i128::from(used) > *bytes).then(words)
}

/// Returns how many bytes a directory takes on the disk; a file of several names counts once.
fn used_below(path: &Path, known: &mut SortedSet<u64>) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut used = 0;
    for entry in entries {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.nlink() == 1 || found.is_dir() || known.insert(found.ino()) {
            used += found.blocks() * 512;
        }
        if found.is_dir() {
            used += used_below(&entry.path(), known);
        }
    }
    used
}
