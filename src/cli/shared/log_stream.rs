//! The files of a log as one stream: reading backwards from the end, and following across rotation.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::shared::render;
use crate::problem::Result;
use crate::sorted::sort_by_key;
use crate::store::damage::open_regular;
use crate::store::{LogIndex, rotated_log};

/// The number of bytes read at once.
const CHUNK: usize = 64 << 10;
/// The maximum number of files of a log; runners keep fewer.
const MOST_PARTS: u32 = 10;

/// The log of one container, and the position up to which it was printed.
pub(crate) struct LogStream {
    log: PathBuf,
    /// The log of the run before, which the current one becomes.
    previous: Option<PathBuf>,
    /// The current file, at its current position.
    file: Option<File>,
    /// Where the current file begins in all that the container wrote, or where the first will.
    start: u64,
    prefix: Option<String>,
    /// An incomplete last line, if lines have a prefix.
    pending: Vec<u8>,
    /// Whether the last line is incomplete.
    within_line: bool,
}

impl LogStream {
    pub(crate) const fn new(log: PathBuf, prefix: Option<String>) -> Self {
        Self {
            log,
            previous: None,
            file: None,
            start: 0,
            prefix,
            pending: Vec::new(),
            within_line: false,
        }
    }

    /// Makes the stream one that follows the container over its restarts.
    pub(crate) fn across_restarts(mut self, previous: PathBuf) -> Self {
        self.previous = Some(previous);
        self
    }

    /// Prints the current log, or its last lines; returns whether there is one.
    ///
    /// Output that is written meanwhile is left for later, so that a fast writer does not keep this
    /// from returning.
    pub(crate) fn begin(&mut self, tail: Option<usize>) -> Result<bool> {
        let mut parts = self.parts(None)?;
        self.start = parts.iter().map(LogFile::end).max().unwrap_or_default();
        parts.retain(|part| part.place != Place::Previous);
        if let Some(lines) = tail {
            let (part, offset) = self.named(start_of_tail(&parts, lines))?;
            parts.drain(..part);
            if let Some(first) = parts.first_mut() {
                self.named(first.file.seek(SeekFrom::Start(offset)))?;
            }
        }
        let found = !parts.is_empty();
        for part in parts {
            (self.file, self.start) = (Some(part.file), part.start);
            self.drain(part.length)?;
        }
        Ok(found)
    }

    /// Prints the output since the last call.
    pub(crate) fn print_new(&mut self) -> Result<()> {
        loop {
            self.drain(u64::MAX)?;
            let Some(next) = self.next_part()? else {
                return Ok(());
            };
            // It may have grown until it was rotated.
            self.drain(u64::MAX)?;
            let missed = next.start.saturating_sub(self.position()?);
            if missed > 0 {
                self.say_missed(missed)?;
            }
            (self.file, self.start) = (Some(next.file), next.start);
        }
    }

    /// Completes the last line, if lines have a prefix.
    pub(crate) fn end(mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending.push(b'\n');
        self.print(&[])
    }

    /// Prints the rest of the file, up to an offset in it.
    fn drain(&mut self, end: u64) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        while let Some(file) = &mut self.file {
            let left = file.stream_position().map(|at| end.saturating_sub(at));
            let left = usize::try_from(left.unwrap_or(u64::MAX)).unwrap_or(CHUNK);
            match file.read(&mut buffer[..left.min(CHUNK)]) {
                Ok(0) => break,
                Ok(length) => self.print(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.named(Err(error)),
            }
        }
        Ok(())
    }

    fn say_missed(&mut self, bytes: u64) -> Result<()> {
        let lead = if self.within_line { "\n" } else { "" };
        let reason = "they were rotated away before they could be printed";
        let note = format!("{lead}[petset: {bytes} bytes of output were dropped here: {reason}]\n");
        self.print(note.as_bytes())
    }

    fn print(&mut self, bytes: &[u8]) -> Result<()> {
        self.within_line = bytes.last().map_or(self.within_line, |&last| last != b'\n');
        let Some(prefix) = &self.prefix else {
            return render::bytes(bytes);
        };
        self.pending.extend_from_slice(bytes);
        let Some(end) = self.pending.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(());
        };
        let mut text = Vec::with_capacity(self.pending.len() * 2);
        for line in self.pending[..=end].split_inclusive(|&byte| byte == b'\n') {
            text.extend_from_slice(prefix.as_bytes());
            text.extend_from_slice(line);
        }
        self.pending.drain(..=end);
        render::bytes(&text)
    }

    /// Returns the file after the current one, if there is one.
    ///
    /// That is the oldest of those that begin where the output printed so far ends, or later. While
    /// a pet is deleted its older files may outlive the current one: they begin earlier.
    fn next_part(&mut self) -> Result<Option<LogFile>> {
        let reached = match &self.file {
            Some(file) => Some(self.named(file.metadata())?.ino()),
            None => None,
        };
        let mut parts = self.parts(reached)?;
        if let Some(current) = parts.iter().find(|part| Some(part.inode) == reached) {
            self.start = current.start;
        }
        let position = self.position()?;
        parts.retain(|part| {
            Some(part.inode) != reached && part.start >= position && part.length > 0
        });
        Ok(parts.into_iter().min_by_key(|part| part.start))
    }

    /// Returns where the output printed so far ends in all that the container wrote.
    fn position(&mut self) -> Result<u64> {
        let read = self.file.as_mut().map_or(Ok(0), Seek::stream_position);
        Ok(self.start + self.named(read)?)
    }

    fn parts(&self, reached: Option<u64>) -> Result<Vec<LogFile>> {
        let parts = open_parts(&self.log, self.previous.as_deref(), reached);
        self.named(parts)
    }

    fn named<T>(&self, outcome: io::Result<T>) -> Result<T> {
        outcome.with_context(|| format!("cannot read {}", self.log.display()))
    }
}

/// A file of a log, with its length when it was opened.
struct LogFile {
    file: File,
    inode: u64,
    length: u64,
    /// Where it begins in all that the container wrote.
    start: u64,
    place: Place,
}

/// What a file of a log is, in the order of their output within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Rotated,
    /// That of the run before.
    Previous,
    Current,
}

impl LogFile {
    const fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Opens the files of a log, oldest first; `reached` is the file that is being read.
fn open_parts(
    log: &Path,
    previous: Option<&Path>,
    reached: Option<u64>,
) -> io::Result<Vec<LogFile>> {
    let mut index = LogIndex::of(log);
    loop {
        let mut parts = open_all(log, previous)?;
        let before = std::mem::replace(&mut index, LogIndex::of(log));
        // Else the log was rotated meanwhile.
        if before == index {
            match &index {
                Some(index) => place_by_index(&mut parts, index),
                None => place_by_name(&mut parts, reached),
            }
            return Ok(parts);
        }
    }
}

/// Notes where each file begins. Those that the index does not have are about to be removed.
fn place_by_index(parts: &mut Vec<LogFile>, index: &LogIndex) {
    parts.retain_mut(|part| {
        let current = (part.place == Place::Current).then(|| index.next());
        let start = index.start_of(part.inode).or(current);
        part.start = start.unwrap_or_default();
        start.is_some()
    });
    sort_by_key(parts, |part| part.start);
}

/// Does the same for a log without an index: the log of the run before belongs to it only if a
/// reader is still there.
fn place_by_name(parts: &mut Vec<LogFile>, reached: Option<u64>) {
    parts.retain(|part| part.place != Place::Previous || Some(part.inode) == reached);
    sort_by_key(parts, |part| part.place);
    let mut start = 0;
    for part in parts {
        part.start = start;
        start = part.end();
    }
}

/// Opens the files of a log, oldest first.
///
/// They are opened from the newest to the oldest, the direction in which rotation renames them, so
/// that none is missed; one that is met twice is left out.
fn open_all(log: &Path, previous: Option<&Path>) -> io::Result<Vec<LogFile>> {
    let current = (Place::Current, log.to_owned());
    let rotated = (1..MOST_PARTS).map(|number| (Place::Rotated, rotated_log(log, number)));
    let previous = previous.map(|path| (Place::Previous, path.to_owned()));
    let mut parts: Vec<LogFile> = Vec::new();
    for (place, path) in std::iter::once(current).chain(rotated).chain(previous) {
        let file = match open_regular(&path) {
            Ok(file) => file,
            // This also happens between two renames, while older files exist.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let (inode, length) = (metadata.ino(), metadata.len());
        if parts.iter().all(|part| part.inode != inode) {
            parts.push(LogFile {
                file,
                inode,
                length,
                start: 0,
                place,
            });
        }
    }
    parts.reverse();
    Ok(parts)
}

/// Returns the file, and the offset in it, where the last `lines` lines begin. Reads backwards, no
/// further than necessary.
fn start_of_tail(parts: &[LogFile], lines: usize) -> io::Result<(usize, u64)> {
    let Some(last) = parts.last().filter(|_| lines == 0) else {
        return start_of_lines(parts, lines);
    };
    Ok((parts.len() - 1, last.length))
}

fn start_of_lines(parts: &[LogFile], lines: usize) -> io::Result<(usize, u64)> {
    let mut left = lines;
    // A newline at the very end does not begin another line.
    let mut at_end = true;
    let mut buffer = vec![0; CHUNK];
    for (number, part) in parts.iter().enumerate().rev() {
        let mut end = part.length;
        while end > 0 {
            let length = end.min(CHUNK as u64);
            let start = end - length;
            let chunk = &mut buffer[..usize::try_from(length).unwrap_or(CHUNK)];
            part.file.read_exact_at(chunk, start)?;
            let newlines = chunk.iter().enumerate().rev();
            for (at, _) in newlines.filter(|(_, byte)| **byte == b'\n') {
                let after = start + at as u64 + 1;
                if std::mem::take(&mut at_end) && after == part.length {
                    continue;
                }
                left -= 1;
                if left == 0 {
                    return Ok((number, after));
                }
            }
            at_end = false;
            end = start;
        }
    }
    Ok((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tail(parts: &[&str], lines: usize) -> String {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("c.log");
        for (age, text) in parts.iter().rev().enumerate() {
            let name = if age == 0 {
                "c.log".to_owned()
            } else {
                format!("c.log.{age}")
            };
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut files = open_parts(&log, None, None).unwrap();
        let (part, offset) = start_of_tail(&files, lines).unwrap();
        let mut text = String::new();
        let files = files.iter_mut().map(|part| &mut part.file);
        for (number, file) in files.enumerate().skip(part) {
            let start = if number == part { offset } else { 0 };
            file.seek(SeekFrom::Start(start)).unwrap();
            file.read_to_string(&mut text).unwrap();
        }
        text
    }

    #[test]
    fn the_last_lines_are_found_from_the_end_across_all_parts() {
        assert_eq!(tail(&["a\nb\nc\n"], 0), "");
        assert_eq!(tail(&["a\nb\nc\n"], 2), "b\nc\n");
        assert_eq!(tail(&["a\nb\nc"], 2), "b\nc");
        assert_eq!(tail(&["a\nb\n"], 9), "a\nb\n");
        assert_eq!(tail(&["a\nb\n", "c\nd\n"], 3), "b\nc\nd\n");
        assert_eq!(tail(&["a\nb\nc", "c\nd\n"], 2), "cc\nd\n");
        assert_eq!(tail(&["a\n", "", "b\n"], 2), "a\nb\n");
        assert_eq!(tail(&[], 2), "");
        let long = "x".repeat(3 * CHUNK);
        let text = format!("a\n{long}\nb\n");
        assert_eq!(tail(&[&text], 2), format!("{long}\nb\n"));
    }
}
