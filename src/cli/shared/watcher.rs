//! Waiting for changes in directories, without polling.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::session::say_limit;
use crate::problem::Result;
use crate::store::Watch;

/// Watches directories, which need not exist yet.
pub(crate) struct Watcher {
    watch: Watch<()>,
    /// Becomes readable when the supervisor ends.
    lifeline: Option<OwnedFd>,
    supervisor_ended: bool,
    /// Whether to exit when the reader of standard output is gone.
    for_reader: bool,
}

impl Watcher {
    /// Makes a watcher of no directories.
    pub(crate) fn new() -> Result<Self> {
        let watch = Watch::new().context("cannot watch the state directory")?;
        Ok(Self {
            watch,
            lifeline: None,
            supervisor_ended: false,
            for_reader: false,
        })
    }

    /// Makes a watcher that exits the program when the reader of standard output is gone.
    pub(crate) fn for_reader() -> Result<Self> {
        let mut watcher = Self::new()?;
        watcher.for_reader = true;
        Ok(watcher)
    }

    /// Watches these directories from now on. Read them afterwards, so that no change is missed.
    pub(crate) fn watch<'a>(&mut self, dirs: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
        for dir in dirs {
            self.add(dir)
                .with_context(|| format!("cannot watch {}", dir.display()))?;
        }
        say_limit(self.watch.limit());
        Ok(())
    }

    /// Watches a directory, or its nearest ancestor that exists.
    fn add(&mut self, dir: &Path) -> io::Result<()> {
        for existing in dir.ancestors() {
            match self.watch.add_growing(existing, ()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        Ok(())
    }

    /// Also waits for the end of the supervisor that has this lifeline.
    pub(crate) fn guard(&mut self, lifeline: Option<OwnedFd>) {
        self.lifeline = lifeline;
        self.supervisor_ended = false;
    }

    /// Returns whether the supervisor has ended.
    pub(crate) const fn supervisor_ended(&self) -> bool {
        self.supervisor_ended
    }

    /// Waits for a change or until the deadline; returns whether something changed.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Result<bool> {
        self.wait_for(until, &[])
    }

    /// Does the same, and returns when one of the others is readable too.
    pub(crate) fn wait_for(
        &mut self,
        until: Option<Instant>,
        others: &[BorrowedFd<'_>],
    ) -> Result<bool> {
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|timeout| {
            // Rounded up, so that the deadline has passed when the wait times out.
            let timeout = timeout + Duration::from_millis(1);
            Timespec::try_from(timeout).unwrap_or(Timespec {
                tv_sec: 3600,
                tv_nsec: 0,
            })
        });
        let stdout = io::stdout();
        let mut fds = vec![
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        let lifeline = self.lifeline.iter();
        fds.extend(lifeline.map(|end| PollFd::new(end, PollFlags::IN)));
        let own = fds.len();
        fds.extend(
            others
                .iter()
                .map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN)),
        );
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
        if self.for_reader && fds[1].revents().contains(PollFlags::ERR) {
            std::process::exit(0);
        }
        let ended = fds[..own].get(2).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if ended {
            self.lifeline = None;
            self.supervisor_ended = true;
        }
        let noticed = self.watch.noticed();
        Ok(!noticed
            .context("cannot watch the state directory")?
            .is_empty())
    }
}
