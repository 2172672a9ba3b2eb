//! Watching directories with inotify, instead of polling them.
//!
//! Only where the kernel has no watch left is polled: a clock then says now and then that anything
//! may have changed.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::damage::open_regular;

const STACK: usize = 64 << 10;

/// How often everything is looked at where nothing can be watched.
const NOW_AND_THEN: Duration = Duration::from_millis(500);

/// Watched directories, each with a mark that its events carry.
#[derive(Debug)]
pub(crate) struct Watch<M> {
    source: WatchSource,
    marks: HashMap<i32, M>,
}

/// What tells of changes.
#[derive(Debug)]
enum WatchSource {
    Inotify(OwnedFd),
    /// A timer, where the kernel allows this user no more watches.
    Clock {
        timer: OwnedFd,
        limit: WatchLimit,
    },
}

/// A limit of the kernel that leaves nothing to watch with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchLimit {
    Instances,
    Watches,
}

impl WatchLimit {
    /// Returns the sentence for users: the consequence, and the way out.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Instances => {
                "the kernel has no inotify instance left for this user, so petset looks for \
                 changes now and then; raise the limit: sysctl fs.inotify.max_user_instances=1024"
            }
            Self::Watches => {
                "the kernel has no inotify watch left for this user, so petset looks for changes \
                 now and then; raise the limit: sysctl fs.inotify.max_user_watches=524288"
            }
        }
    }
}

/// An event of a watched directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noticed<M> {
    /// A file of this name was created, changed or removed in the directory with this mark.
    Entry(M, String),
    /// The directory with this mark was removed or renamed; it is not watched any more.
    Lost(M),
    /// Events were lost: read everything again.
    Everything,
}

impl<M: Clone> Watch<M> {
    /// Creates a watch of no directory.
    pub(crate) fn new() -> io::Result<Self> {
        let source = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => WatchSource::Inotify(inotify),
            // Where this process may open no more files, there is no timer either.
            Err(Errno::MFILE) => WatchSource::clock(WatchLimit::Instances)?,
            Err(error) => return Err(error.into()),
        };
        let marks = HashMap::new();
        Ok(Self { source, marks })
    }

    /// Returns why this looks now and then instead of watching, if it does.
    pub(crate) const fn limit(&self) -> Option<WatchLimit> {
        match &self.source {
            WatchSource::Inotify(_) => None,
            WatchSource::Clock { limit, .. } => Some(*limit),
        }
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

    /// Watches a directory only for what is removed from it, and for its own removal.
    pub(crate) fn add_losses(&mut self, dir: &Path, mark: M) -> io::Result<()> {
        self.add_flags(dir, mark, WatchFlags::DELETE | WatchFlags::MOVED_FROM)
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
        let WatchSource::Inotify(inotify) = &self.source else {
            return std::fs::metadata(dir).map(drop);
        };
        let own = WatchFlags::ONLYDIR | WatchFlags::MOVE_SELF;
        match inotify::add_watch(inotify, dir, flags | own) {
            Ok(watch) => drop(self.marks.insert(watch, mark)),
            Err(Errno::NOSPC) => {
                self.source = WatchSource::clock(WatchLimit::Watches)?;
                self.marks.clear();
            }
            Err(error) => return Err(error.into()),
        }
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
        let inotify = match &self.source {
            WatchSource::Inotify(inotify) => inotify,
            WatchSource::Clock { timer, .. } => {
                return Ok(match rustix::io::read(timer, &mut [0; 8]) {
                    Ok(_) => vec![Noticed::Everything],
                    Err(_) => Vec::new(),
                });
            }
        };
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut reader = Reader::new(inotify, &mut buffer);
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
            if event.events().contains(ReadFlags::MOVE_SELF) {
                let _ = inotify::remove_watch(inotify, event.wd());
            }
            if event
                .events()
                .intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF)
            {
                noticed.extend(self.marks.remove(&event.wd()).map(Noticed::Lost));
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

impl WatchSource {
    /// Makes a timer that becomes readable now and then.
    fn clock(limit: WatchLimit) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interval = Timespec::try_from(NOW_AND_THEN).map_err(io::Error::other)?;
        let every = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        Ok(Self::Clock { timer, limit })
    }
}

/// Calls `act` when a file is removed. A process calls this with the lock that it holds while it
/// runs, and ends when a user removes the state directory.
pub(crate) fn when_removed(path: &Path, act: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let file = open_regular(path)?;
    let inotify = inotify::init(CreateFlags::CLOEXEC).and_then(|inotify| {
        // While the file is open, its removal is reported as a change of its link count.
        inotify::add_watch(&inotify, path, WatchFlags::ATTRIB).map(|_| inotify)
    });
    let inotify = match inotify {
        Err(Errno::MFILE | Errno::NOSPC) => None,
        watched => Some(watched?),
    };
    let watch = thread::Builder::new().name("removed".to_owned());
    let watch = watch.stack_size(STACK).spawn(move || {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 512];
        let mut reader = inotify.as_ref().map(|it| Reader::new(it, &mut buffer));
        while file.metadata().is_ok_and(|found| found.nlink() > 0) {
            match reader.as_mut().map(Reader::next) {
                Some(Ok(_) | Err(Errno::INTR)) => {}
                Some(Err(_)) => return,
                None => thread::sleep(NOW_AND_THEN),
            }
        }
        act();
    });
    watch.map(drop)
}

impl<M> AsFd for Watch<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            WatchSource::Inotify(inotify) => inotify.as_fd(),
            WatchSource::Clock { timer, .. } => timer.as_fd(),
        }
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
    fn a_directory_that_is_removed_and_made_again_is_watched_again_when_it_is_added() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, watched) = (Watch::new().unwrap(), dir.path().join("d"));
        for _ in 0..2 {
            std::fs::create_dir(&watched).unwrap();
            assert!(watch.add_new(&watched, 7).unwrap());
            std::fs::remove_dir(&watched).unwrap();
            assert_eq!(watch.noticed().unwrap(), [Noticed::Lost(7)]);
            std::fs::create_dir(&watched).unwrap();
            assert!(watch.add_new(&watched, 7).unwrap());
            std::fs::rename(&watched, dir.path().join("elsewhere")).unwrap();
            assert_eq!(watch.noticed().unwrap(), [Noticed::Lost(7)]);
            std::fs::remove_dir(dir.path().join("elsewhere")).unwrap();
            assert_eq!(watch.noticed().unwrap(), []);
        }
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
