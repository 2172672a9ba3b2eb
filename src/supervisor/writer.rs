//! A thread that writes and syncs files, so that no pet waits for the disk.
//!
//! It is for files that the supervisor can derive again from the wanted objects after a power loss,
//! such as the first revision of a set. Each file is replaced in one piece, and the last request
//! for a file wins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::log::log;
use crate::sorted::SortedMap;
use crate::store::{self, Layout, Store, Sync};

/// The pause before a failed write is tried again, as on a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is tried to remove what killed processes have left.
const SWEEPS: u32 = 60;

/// The new content of a file; `None` removes it.
type FileContent = Option<Vec<u8>>;

#[derive(Debug)]
enum Job {
    Write(PathBuf, FileContent),
    /// Fill up the room that is kept for a full disk.
    Reserve(Layout),
    /// Remove what killed processes have left.
    Sweep(Store),
    /// Send a message when all earlier requests have been tried.
    Tell(Sender<()>),
}

/// The thread, and its queue of requests.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while this is dropped.
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

    /// Requests that the file at `path` be replaced by these bytes.
    pub(super) fn replace(&self, path: PathBuf, bytes: Vec<u8>) {
        self.send(Job::Write(path, Some(bytes)));
    }

    /// Requests that the file at `path` be removed, which overrides earlier requests.
    pub(super) fn remove(&self, path: PathBuf) {
        self.send(Job::Write(path, None));
    }

    /// Requests that the room be filled up that is kept for a full disk; this is not tried again.
    pub(super) fn provide_reserve(&self, layout: &Layout) {
        self.send(Job::Reserve(layout.clone()));
    }

    /// Requests that what killed processes have left be removed.
    pub(super) fn sweep(&self, store: &Store) {
        self.send(Job::Sweep(store.clone()));
    }

    /// Waits until every request has succeeded or failed once.
    pub(super) fn catch_up(&self) {
        let (told, done) = channel();
        self.send(Job::Tell(told));
        // An error means that the thread has ended.
        let _ = done.recv();
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread runs as long as the queue is open.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Writer {
    /// Waits until every request has succeeded, or has failed once more.
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn write_all(heard: &Receiver<Job>) {
    let mut open: SortedMap<PathBuf, FileContent> = SortedMap::new();
    let mut sweep = None;
    loop {
        let next = if open.is_empty() && sweep.is_none() {
            heard.recv().map_err(RecvTimeoutError::from)
        } else {
            heard.recv_timeout(RETRY)
        };
        let over = matches!(next, Err(RecvTimeoutError::Disconnected));
        let (mut waiting, mut reserve) = (Vec::new(), None);
        for job in next.into_iter().chain(heard.try_iter()) {
            match job {
                Job::Write(path, content) => drop(open.insert(path, content)),
                Job::Reserve(layout) => reserve = Some(layout),
                Job::Sweep(store) => sweep = Some((store, SWEEPS)),
                Job::Tell(told) => waiting.push(told),
            }
        }
        open.retain(|path, content| !write(path, content.as_deref()));
        for told in waiting {
            // The receiver may be gone.
            let _ = told.send(());
        }
        // What somebody waits for comes first.
        if let Some(layout) = reserve
            && let Err(error) = store::reserve::provide(&layout)
        {
            log(&format!("cannot keep room for a full disk: {error}"));
        }
        sweep = sweep.and_then(|(store, tries)| {
            let again = tries > 1 && !has_swept(&store, tries == SWEEPS);
            again.then_some((store, tries - 1))
        });
        if over {
            return;
        }
    }
}

/// Removes what killed processes have left, and returns whether that is done.
fn has_swept(store: &Store, is_first: bool) -> bool {
    store::sweep(store).unwrap_or_else(|error| {
        if is_first {
            let what = "cannot remove what killed processes left";
            log(&format!("{what}: {error:#}"));
        }
        false
    })
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
