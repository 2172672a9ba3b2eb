//! Seeing that the pet's directory was removed: its runner ends then, and all of the pet with it.
//!
//! A runner takes no inotify instance for that, of which a user has 128, so that the number of pets
//! does not depend on them. The kernel's older way, a signal, has no such limit.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, openat};
use signal_hook::consts::SIGIO;

use crate::store::{self, damage};
use crate::sys;

/// What tells that the lock of a pet was removed.
#[derive(Debug, Default)]
pub(super) struct RemovalSignal {
    /// The lock, and the directory that it lies in.
    watched: Option<(File, OwnedFd)>,
    /// Whether anything was removed from there.
    told: Arc<AtomicBool>,
}

impl RemovalSignal {
    /// Returns whether the lock is gone; as long as nothing was removed, this costs nothing.
    pub(super) fn has_come(&self) -> bool {
        let gone = |(lock, _): &(File, OwnedFd)| lock.metadata().is_ok_and(|it| it.nlink() == 0);
        self.told.swap(false, Ordering::Relaxed) && self.watched.as_ref().is_some_and(gone)
    }

    /// Begins to look for the removal of a lock; the loop is woken then.
    pub(super) fn watch(&mut self, lock: &Path, waker: &Arc<OwnedFd>) -> io::Result<()> {
        let folder = lock.parent().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        signal_hook::flag::register(SIGIO, Arc::clone(&self.told))?;
        signal_hook::low_level::pipe::register(SIGIO, waker.try_clone()?)?;
        let signalled = sys::signal_removals(folder.as_fd());
        self.watched = Some((damage::open_regular(lock)?, folder));
        let (told, waker) = (Arc::clone(&self.told), Arc::clone(waker));
        let tell = move || {
            told.store(true, Ordering::Relaxed);
            let _ = rustix::io::write(&waker, &[0]);
        };
        match signalled {
            // It may have been removed before.
            Ok(()) => tell(),
            // A kernel without such signals.
            Err(_) => store::when_removed(lock, tell)?,
        }
        Ok(())
    }
}
