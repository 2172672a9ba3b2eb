//! Files that become durable a little later, so that no pet waits for the disk.
//!
//! It is for what the supervisor could work out again from the wanted objects, should the power
//! fail just then: the first revision of a set, above all. Each file is written in one piece, and
//! the last word about a file wins.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log::log;
use crate::store::{self, Sync};

/// The pause before what could not be written, since the disk is full, is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a file is to hold; nothing: it is to be gone.
type FileContent = Option<Vec<u8>>;

#[derive(Debug)]
enum Job {
    Write(PathBuf, FileContent),
    /// Tell when everything that was asked for before has been tried.
    Tell(Sender<()>),
}

/// A thread that writes files durably, in the order they came.
#[derive(Debug)]
pub(super) struct Writer {
    /// Taken at the end only.
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, heard) = channel();
        let writer = thread::Builder::new().stack_size(256 << 10);
        let writer = writer.spawn(move || write_all(&heard))?;
        Ok(Self {
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    /// Lets the file at `path` hold these bytes, soon.
    pub(super) fn replace(&self, path: PathBuf, bytes: Vec<u8>) {
        self.send(Job::Write(path, Some(bytes)));
    }

    /// Lets the file at `path` be gone, soon, whatever was asked for before.
    pub(super) fn remove(&self, path: PathBuf) {
        self.send(Job::Write(path, None));
    }

    /// Waits until everything that was asked for is written, or has failed for now.
    pub(super) fn catch_up(&self) {
        let (told, done) = channel();
        self.send(Job::Tell(told));
        // An end without a word would be as good.
        let _ = done.recv();
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only with this.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Writer {
    /// Waits until everything is written, or has failed once more.
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn write_all(heard: &Receiver<Job>) {
    let mut open: BTreeMap<PathBuf, FileContent> = BTreeMap::new();
    loop {
        let next = if open.is_empty() {
            heard.recv().map_err(RecvTimeoutError::from)
        } else {
            heard.recv_timeout(RETRY)
        };
        let over = matches!(next, Err(RecvTimeoutError::Disconnected));
        let mut waiting = Vec::new();
        for job in next.into_iter().chain(heard.try_iter()) {
            match job {
                Job::Write(path, content) => drop(open.insert(path, content)),
                Job::Tell(told) => waiting.push(told),
            }
        }
        open.retain(|path, content| !write(path, content.as_deref()));
        for told in waiting {
            // Whoever waits no more need not hear it.
            let _ = told.send(());
        }
        if over {
            return;
        }
    }
}

fn write(path: &Path, content: Option<&[u8]>) -> bool {
    let done = match content {
        Some(bytes) => store::replace(path, bytes, Sync::Yes),
        None => store::remove(path),
    };
    if let Err(error) = &done {
        log(&format!("cannot write {}: {error}", path.display()));
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_file_wins_and_the_end_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let writer = Writer::start().unwrap();
        writer.replace(path("web.json"), b"one".to_vec());
        writer.replace(path("web.json"), b"two".to_vec());
        writer.replace(path("gone.json"), b"one".to_vec());
        writer.catch_up();
        assert!(path("gone.json").exists());
        writer.remove(path("gone.json"));
        drop(writer);
        let read = |name| store::read(&path(name)).unwrap();
        assert_eq!(read("web.json").as_deref(), Some("two"));
        assert_eq!(read("gone.json"), None);
    }

    #[test]
    fn what_cannot_be_written_keeps_nothing_else_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "in the way").unwrap();
        let writer = Writer::start().unwrap();
        writer.replace(file.join("web.json"), b"one".to_vec());
        writer.replace(dir.path().join("db.json"), b"two".to_vec());
        drop(writer);
        assert!(dir.path().join("db.json").exists());
    }
}
