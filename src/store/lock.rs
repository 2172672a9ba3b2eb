//! Lock files, which the kernel releases when the holding process ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::damage::{REGULAR_ONLY, is_damage, open_regular, refuse_special, set_aside};
use super::files::make_dir;
use crate::problem::Problem;
use crate::sys::with_limit;

/// A file that is locked exclusively until this is dropped, or its process ends in any way.
///
/// The descriptor is closed on exec, so a child never keeps the lock of its parent.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The outcome of trying to take a lock.
#[derive(Debug)]
pub(crate) enum Attempt {
    Locked(Lock),
    /// Another process holds the lock; the text names it.
    Busy(String),
}

impl Lock {
    /// Takes the lock at `path` if it is free, and writes `holder` to the file.
    pub(crate) fn attempt(path: &Path, holder: &str) -> io::Result<Attempt> {
        let file = Self::open(path)?;
        match uninterrupted(|| fs2::FileExt::try_lock_exclusive(&file)) {
            Ok(()) => Self::held(file, holder).map(Attempt::Locked),
            Err(error) if is_contended(&error) => Ok(Attempt::Busy(holder_in(file))),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock at `path`, waiting for it no longer than `timeout`.
    pub(crate) fn wait(path: &Path, holder: &str, timeout: Duration) -> io::Result<Attempt> {
        let attempt = Self::attempt(path, holder)?;
        let Attempt::Busy(_) = attempt else {
            return Ok(attempt);
        };
        let file = Self::open(path)?;
        let (locked, outcome) = mpsc::channel();
        // After a time-out this thread goes on waiting, until the process ends.
        let wait = move || {
            let done = uninterrupted(|| fs2::FileExt::lock_exclusive(&file));
            let _ = locked.send(done.map(|()| file));
        };
        thread::Builder::new().spawn(wait).map_err(with_limit)?;
        match outcome.recv_timeout(timeout) {
            Ok(file) => Self::held(file?, holder).map(Attempt::Locked),
            Err(_) => Ok(Attempt::Busy(holder_in(Self::open(path)?))),
        }
    }

    /// Returns whether a process holds the lock at `path`, without keeping it.
    pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::open(path)?,
            // Nobody holds what is no file.
            Err(error) if is_damage(&error) => return Ok(false),
            opened => opened?,
        };
        match uninterrupted(|| fs2::FileExt::try_lock_shared(&file)) {
            Ok(()) => Ok(false),
            Err(error) if is_contended(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Opens the file of a lock, and makes it (mode 0600) where there is none.
    ///
    /// What is no file is put out of the way. A file that may not be opened is opened to its owner
    /// instead, because a process may hold it.
    pub(crate) fn open(path: &Path) -> io::Result<File> {
        let error = match open_or_make(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(path.parent().unwrap_or(path))?;
                return open_or_make(path);
            }
            Err(error) if is_damage(&error) => error,
            opened => return opened,
        };
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_file() => {
                let open = fs::Permissions::from_mode(0o600);
                fs::set_permissions(path, open).map_err(|_| error)?;
            }
            Ok(_) => drop(set_aside(path)?),
            Err(_) => return Err(error),
        }
        open_or_make(path)
    }

    fn held(mut file: File, holder: &str) -> io::Result<Self> {
        // The name is for error messages only: taking a lock must not fail on a full disk.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Self { _file: file })
    }
}

fn open_or_make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(REGULAR_ONLY)
        .open(path)?;
    refuse_special(&file)?;
    Ok(file)
}

/// Does again what a signal has interrupted.
fn uninterrupted(mut lock: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Returns the error for a file that cannot be locked, whoever holds it.
pub(crate) fn cannot_lock(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::failed(format!("cannot lock {}: {error}", path.display()));
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    match code {
        Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => problem.hint(
            "its file system has no locks: keep the state directory on a local file system, with \
             --state-dir or PETSET_STATE_DIR",
        ),
        Some(_) | None => problem,
    }
}

fn is_contended(error: &io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

fn holder_in(mut file: File) -> String {
    let mut holder = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.read_to_string(&mut holder));
    match read {
        Ok(length) if length > 0 => holder,
        Ok(_) | Err(_) => "another command".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_busy_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/lock");
        let first = Lock::attempt(&path, "`petset scale web` (pid 7)").unwrap();
        assert!(matches!(first, Attempt::Locked(_)));
        let Attempt::Busy(holder) = Lock::wait(&path, "second", Duration::from_millis(20)).unwrap()
        else {
            panic!("two hold one lock")
        };
        assert_eq!(holder, "`petset scale web` (pid 7)");
        assert!(Lock::is_held(&path).unwrap());
        drop(first);
    }

    #[test]
    fn a_lock_is_handed_on_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::attempt(&path, "first").unwrap();
        let waiting = {
            let path = path.clone();
            thread::spawn(move || Lock::wait(&path, "second", Duration::from_secs(20)).unwrap())
        };
        drop(first);
        assert!(matches!(waiting.join().unwrap(), Attempt::Locked(_)));
    }
}
