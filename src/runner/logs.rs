//! The logs of containers: copied from a pipe into a file that is rotated, with the previous run's
//! kept.
//!
//! A container never waits for its log: output that cannot be written is dropped and counted, and
//! the count is written once there is room again.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::store::damage::{open_regular, open_to_append};
use crate::store::{self, LogIndex, rotated_log};

/// The size at which a log is put aside.
const FULL: u64 = 10 << 20;
/// How many files a log has, the current one included.
const FILES: u32 = 5;
/// How much is copied before others get their turn.
const TURN: usize = 256 << 10;

/// The log of one run of one container.
#[derive(Debug)]
pub(super) struct Outlet {
    pipe: Option<PipeReader>,
    log: Log,
}

impl Outlet {
    pub(super) fn new(pipe: PipeReader, path: PathBuf) -> Self {
        let pipe = Some(pipe);
        let log = Log::new(path, FULL);
        Self { pipe, log }
    }

    /// Returns the pipe to wait for, until the last writer has closed it.
    pub(super) fn pipe(&self) -> Option<&PipeReader> {
        self.pipe.as_ref()
    }

    /// Copies what is in the pipe, up to a limit, so that others get their turn.
    pub(super) fn pump(&mut self) {
        let mut buffer = [0; 16 << 10];
        let mut copied = 0;
        while let Some(pipe) = self.pipe.as_mut().filter(|_| copied < TURN) {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    self.log.write(&buffer[..length]);
                    copied += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal that nobody has open any more.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => self.pipe = None,
                Err(_) => return,
            }
        }
    }
}

/// Returns the end of a log: its last 80 lines, but no more than 2048 bytes (V53).
pub(super) fn tail(log: &Path) -> Option<String> {
    let mut file = open_regular(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(2048)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(2048).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let last = &lines[lines.len().saturating_sub(80)..];
    Some(last.concat()).filter(|text| !text.is_empty())
}

/// Puts the log of the run before aside as the previous one.
pub(super) fn keep_previous(log: &Path, previous: &Path) {
    // A container that never said anything has no log. Without an index only followers suffer.
    let _ = LogIndex::close(log, |_| false);
    if fs::rename(log, previous).is_ok() {
        for number in 1..FILES {
            let _ = store::remove(&rotated_log(log, number));
        }
    }
}

/// A file that is put aside when it is full.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    full: u64,
    /// Opened with the first byte.
    file: Option<File>,
    size: u64,
    dropped: u64,
}

impl Log {
    fn new(path: PathBuf, full: u64) -> Self {
        Self {
            path,
            full,
            file: None,
            size: 0,
            dropped: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.try_write(bytes).is_err() {
            self.dropped += bytes.len() as u64;
            self.file = None;
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size >= self.full {
            self.rotate();
        }
        if self.dropped > 0 {
            let note = format!(
                "[petset: {} bytes of output were dropped here: they could not be written]\n",
                self.dropped
            );
            self.append(note.as_bytes())?;
            self.dropped = 0;
        }
        self.append(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A file that somebody has removed is followed by a new one.
        let there = |file: &File| file.metadata().is_ok_and(|found| found.nlink() > 0);
        let mut file = match self.file.take().filter(there) {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    fn open(&mut self) -> io::Result<File> {
        let file = match open_to_append(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                store::make_dir(self.path.parent().unwrap_or(&self.path))?;
                open_to_append(&self.path)?
            }
            opened => opened?,
        };
        self.size = file.metadata()?.len();
        Ok(file)
    }

    /// Puts the current file aside. Where that cannot be noted in the index, the file grows on.
    fn rotate(&mut self) {
        let aside = |number| rotated_log(&self.path, number);
        let oldest = aside(FILES - 1);
        let removed = fs::symlink_metadata(&oldest).ok().map(|it| it.ino());
        // First of all: on a full disk this makes room for the index.
        let _ = store::remove(&oldest);
        match LogIndex::close(&self.path, |inode| Some(inode) != removed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return,
            Ok(()) | Err(_) => {}
        }
        for number in (1..FILES - 1).rev() {
            let _ = fs::rename(aside(number), aside(number + 1));
        }
        let _ = fs::rename(&self.path, aside(1));
        self.file = None;
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_five_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/c.log");
        let mut log = Log::new(path.clone(), 10);
        for turn in 0..8 {
            log.write(format!("line {turn:05}\n").as_bytes());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 00007\n");
        let last = fs::read_to_string(rotated_log(&path, 4)).unwrap();
        assert_eq!(last, "line 00003\n");
        assert!(!rotated_log(&path, 5).exists());
    }

    #[test]
    fn the_index_says_where_each_file_begins_in_all_that_the_container_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let (path, previous) = (dir.path().join("c.log"), dir.path().join("c.previous.log"));
        let start = |file: &Path| {
            let index = LogIndex::of(&path).unwrap();
            index.start_of(fs::metadata(file).unwrap().ino())
        };
        let mut log = Log::new(path.clone(), 10);
        for turn in 0..8 {
            log.write(format!("line {turn:05}\n").as_bytes());
        }
        assert_eq!(start(&rotated_log(&path, 4)), Some(3 * 11));
        assert_eq!(start(&rotated_log(&path, 1)), Some(6 * 11));
        assert_eq!(LogIndex::of(&path).unwrap().next(), 7 * 11);
        keep_previous(&path, &previous);
        assert_eq!(start(&previous), Some(7 * 11));
        let mut log = Log::new(path.clone(), 10);
        log.write(b"the second run\n");
        log.write(b"more\n");
        assert_eq!(start(&rotated_log(&path, 1)), Some(8 * 11));
        assert_eq!(start(&previous), Some(7 * 11));
        assert_eq!(LogIndex::of(&path).unwrap().next(), 8 * 11 + 15);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_later() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("logs");
        fs::write(&blocked, "a file in the way").unwrap();
        let mut log = Log::new(blocked.join("c.log"), FULL);
        log.write(b"lost\n");
        log.write(b"lost too\n");
        fs::remove_file(&blocked).unwrap();
        log.write(b"kept\n");
        let text = fs::read_to_string(blocked.join("c.log")).unwrap();
        assert!(
            text.starts_with("[petset: 14 bytes of output were dropped"),
            "{text}"
        );
        assert!(text.ends_with("kept\n"));
    }

    #[test]
    fn the_log_of_the_run_before_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let (log, previous) = (dir.path().join("c.log"), dir.path().join("c.previous.log"));
        fs::write(&log, "one").unwrap();
        fs::write(rotated_log(&log, 1), "older").unwrap();
        keep_previous(&log, &previous);
        keep_previous(&log, &previous);
        assert_eq!(fs::read_to_string(&previous).unwrap(), "one");
        assert!(!log.exists() && !rotated_log(&log, 1).exists());
    }

    #[test]
    fn a_log_whose_directory_was_removed_goes_on_in_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/c.log");
        let mut log = Log::new(path.clone(), FULL);
        log.write(b"one\n");
        fs::remove_dir_all(dir.path().join("logs")).unwrap();
        log.write(b"two\n");
        log.write(b"three\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "two\nthree\n");
    }
}
