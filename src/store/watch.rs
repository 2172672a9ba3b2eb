//! Watching directories with inotify, instead of polling them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

const STACK: usize = 64 << 10;

/// Watched directories, each with a mark that its events carry.
#[derive(Debug)]
pub(crate) struct Watch<M> {
    inotify: OwnedFd,
    marks: HashMap<i32, M>,
}

/// An event of a watched directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noticed<M> {
    /// A file of this name was created, changed or removed in the directory with this mark.
    Entry(M, String),
    /// Events were lost: read everything again.
    Everything,
}

impl<M: Clone> Watch<M> {
    /// Creates a watch of no directory.
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self {
            inotify,
            marks: HashMap::new(),
        })
    }

    /// Watches a directory for files that are created, removed, replaced or closed after writing. A
    /// directory that is watched already gets the new mark.
    pub(crate) fn add(&mut self, dir: &Path, mark: M) -> io::Result<()> {
        self.add_for(dir, mark, WatchFlags::empty())
    }

    /// Watches a directory as [`Watch::add`] does, and for files that grow.
    pub(crate) fn add_growing(&mut self, dir: &Path, mark: M) -> io::Result<()> {
        self.add_for(dir, mark, WatchFlags::MODIFY)
    }

    /// Watches a directory only for files that are replaced in one piece: its sockets, locks and
    /// temporary files cause no wake-up.
    pub(crate) fn add_replaced(&mut self, dir: &Path, mark: M) -> io::Result<()> {
        self.add_flags(dir, mark, WatchFlags::MOVED_TO)
    }

    fn add_for(&mut self, dir: &Path, mark: M, more: WatchFlags) -> io::Result<()> {
        let flags = WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::CLOSE_WRITE
            | more;
        self.add_flags(dir, mark, flags)
    }

    fn add_flags(&mut self, dir: &Path, mark: M, flags: WatchFlags) -> io::Result<()> {
        let watch = inotify::add_watch(&self.inotify, dir, flags | WatchFlags::ONLYDIR)?;
        self.marks.insert(watch, mark);
        Ok(())
    }

    /// Watches a directory as [`add`](Self::add) does; returns whether it was not watched before.
    pub(crate) fn add_new(&mut self, dir: &Path, mark: M) -> io::Result<bool> {
        let before = self.marks.len();
        self.add(dir, mark)?;
        Ok(self.marks.len() > before)
    }

    /// Returns the events since the last call; never waits.
    ///
    /// Files that are being written are left out: their names begin with a dot.
    pub(crate) fn noticed(&mut self) -> io::Result<Vec<Noticed<M>>> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut noticed = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(noticed),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                noticed.push(Noticed::Everything);
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.marks.remove(&event.wd());
                continue;
            }
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let visible = name.filter(|name| !name.starts_with('.'));
            if let (Some(name), Some(mark)) = (visible, self.marks.get(&event.wd())) {
                noticed.push(Noticed::Entry(mark.clone(), name.to_owned()));
            }
        }
    }
}

/// Calls `act` when a file is removed. A process calls this with the lock that it holds while it
/// runs, and ends when a user removes the state directory.
pub(crate) fn when_removed(path: &Path, act: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let file = File::open(path)?;
    let inotify = inotify::init(CreateFlags::CLOEXEC)?;
    // While the file is open, its removal is reported as a change of its link count.
    inotify::add_watch(&inotify, path, WatchFlags::ATTRIB)?;
    let watch = thread::Builder::new().name("removed".to_owned());
    let watch = watch.stack_size(STACK).spawn(move || {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 512];
        let mut reader = Reader::new(&inotify, &mut buffer);
        while file.metadata().is_ok_and(|found| found.nlink() > 0) {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
        act();
    });
    watch.map(drop)
}

impl<M> AsFd for Watch<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Sync, remove, replace};

    #[test]
    fn a_replaced_file_is_noticed_once_and_its_temporary_name_never() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.add(dir.path(), 7).unwrap();
        let path = dir.path().join("web.json");
        replace(&path, b"x", Sync::No).unwrap();
        assert_eq!(
            watch.noticed().unwrap(),
            [Noticed::Entry(7, "web.json".to_owned())]
        );
        remove(&path).unwrap();
        assert_eq!(
            watch.noticed().unwrap(),
            [Noticed::Entry(7, "web.json".to_owned())]
        );
        assert_eq!(watch.noticed().unwrap(), []);
    }

    #[test]
    fn who_waits_for_replaced_files_is_not_woken_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.add_replaced(dir.path(), 7).unwrap();
        std::fs::write(dir.path().join("lock"), "").unwrap();
        assert_eq!(watch.noticed().unwrap(), []);
        replace(&dir.path().join("status.json"), b"x", Sync::No).unwrap();
        let status = Noticed::Entry(7, "status.json".to_owned());
        assert_eq!(watch.noticed().unwrap(), [status]);
    }
}
