//! The files of a container's log, and where each begins in all that the container wrote.
//!
//! A log that is full is renamed, and so is that of an earlier run. A reader that follows a log
//! finds its place again by the index: without it, an old file and a new one look alike, and what
//! was removed before it was read leaves no trace.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{Sync, read_json, replace_json};

/// Returns the path of a file of `log` that was put aside when it was full; 1 is the newest.
pub(crate) fn rotated_log(log: &Path, number: u32) -> PathBuf {
    beside(log, &number.to_string())
}

fn beside(log: &Path, extension: &str) -> PathBuf {
    let mut name = log.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    log.with_file_name(name)
}

/// Where the files of a log begin, counted in bytes over all runs of the container.
///
/// There is none as long as the first file is the only one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIndex {
    /// The files that get no more output.
    files: Vec<IndexedFile>,
    /// Where the current file begins.
    next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct IndexedFile {
    inode: u64,
    start: u64,
}

impl LogIndex {
    pub(crate) fn of(log: &Path) -> Option<Self> {
        read_json(&beside(log, "index")).ok().flatten()
    }

    /// Returns where a file begins that gets no more output.
    pub(crate) fn start_of(&self, inode: u64) -> Option<u64> {
        let mut files = self.files.iter();
        files.find(|it| it.inode == inode).map(|it| it.start)
    }

    /// Returns where the current file begins.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Notes that the current file of `log` gets no more output, before it is renamed, and forgets
    /// the files that `kept` does not name by their inode.
    pub(crate) fn close(log: &Path, kept: impl Fn(u64) -> bool) -> io::Result<()> {
        let current = fs::symlink_metadata(log)?;
        let mut index = Self::of(log).unwrap_or_default();
        let inode = current.ino();
        // A runner that was killed may have noted it without renaming it.
        let start = index.start_of(inode).unwrap_or(index.next);
        index.files.retain(|it| it.inode != inode && kept(it.inode));
        index.files.push(IndexedFile { inode, start });
        index.next = start + current.len();
        replace_json(&beside(log, "index"), &index, Sync::No)
    }
}
