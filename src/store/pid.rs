//! Pid files. The lock beside the file, or a pidfd, shows whether the process still runs, because
//! the number may have been reused.

use std::io;
use std::path::PathBuf;

use super::files::{self, Sync};
use super::paths::Layout;
use super::reserve;

/// A pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// The pid file of the supervisor, which removes it when it ends by itself.
    pub(crate) fn of_supervisor(layout: &Layout) -> Self {
        Self(layout.supervisor_pid())
    }

    /// The pid file of the network process.
    pub(crate) fn of_network(layout: &Layout) -> Self {
        Self(layout.network_pid())
    }

    /// Writes the pid of this process, on a full disk too.
    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        let text = format!("{}\n", std::process::id());
        reserve::replace(layout, &self.0, text.as_bytes(), Sync::No)
    }

    /// Returns the pid in the file; `None` when there is no file, or it cannot be read.
    pub(crate) fn read(&self) -> Option<u32> {
        let text = files::read(&self.0).ok()??;
        text.trim().parse().ok()
    }

    /// Returns whether there is a file.
    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Removes the file; a missing one is a success.
    pub(crate) fn remove(&self) -> io::Result<()> {
        files::remove(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let file = PidFile::of_supervisor(&layout);
        assert_eq!((file.exists(), file.read()), (false, None));
        file.write(&layout).unwrap();
        assert_eq!(file.read(), Some(std::process::id()));
        file.remove().and_then(|()| file.remove()).unwrap();
        assert!(!file.exists());
    }
}
