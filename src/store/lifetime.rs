//! The command for whose length a state directory is there (`petset with`): its pid and start time
//! in a file of one line. Without the file, and where that says that the directory is kept, it is
//! there until somebody removes it.

use std::io;
use std::path::PathBuf;

use super::files::{self, Sync};
use super::paths::Layout;
use crate::sys::proc::ProcessId;

/// The file that names the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerFile(PathBuf);

impl OwnerFile {
    /// The file of a state directory.
    pub(crate) fn of(layout: &Layout) -> Self {
        Self(layout.owner())
    }

    /// Makes this process the owner.
    pub(crate) fn write(&self) -> io::Result<()> {
        let own = ProcessId::of(std::process::id())?;
        let text = format!("{} {}\n", own.pid, own.start);
        files::replace(&self.0, text.as_bytes(), Sync::No)
    }

    /// Returns the owner; `None` when there is none, or the file cannot be read.
    pub(crate) fn read(&self) -> Option<ProcessId> {
        let text = files::read(&self.0).ok()??;
        let (pid, start) = text.trim().split_once(' ')?;
        Some(ProcessId {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    /// Lets the directory outlive its owner.
    pub(crate) fn keep(&self) -> io::Result<()> {
        files::replace(&self.0, b"kept\n", Sync::No)
    }

    /// Returns whether the directory was to outlive its owner.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.exists() && self.read().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = OwnerFile::of(&Layout::new(dir.path()));
        assert_eq!(file.read(), None);
        file.write().unwrap();
        let own = ProcessId::of(std::process::id()).unwrap();
        assert_eq!(file.read(), Some(own));
        assert!(!file.is_kept());
        file.keep().unwrap();
        assert_eq!((file.read(), file.is_kept()), (None, true));
    }
}
