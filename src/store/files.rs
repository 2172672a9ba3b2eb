//! Files that are replaced in one piece: a reader sees the old text or the new, never a mixture.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::damage::{REGULAR_ONLY, is_absent, read_whole, set_aside};
use super::paths::Layout;
use super::userns::{MEASURE, REMOVE, run_inside};
use crate::sys::users::has_subordinates;

/// How many threads wait for the disk at a time.
const AT_ONCE: usize = 16;

/// Whether a file must survive a power loss, or can be observed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Write, sync, rename, sync the directory: for wanted objects.
    Yes,
    /// Write and rename: for status, which can be observed again.
    No,
}

/// Replaces the file at `path` by `bytes` (mode 0600), and creates its directory if it is missing.
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    match write_beside(path, bytes, sync) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(directory_of(path))?;
            write_beside(path, bytes, sync)
        }
        done => done,
    }
}

/// Replaces a file that all users may read (mode 0644), without syncing it.
pub(super) fn replace_open(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path);
    let write = || {
        fill(&new, bytes, Sync::No)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
        put(&new, path)
    };
    let written = match write() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_open_dir(directory_of(path))?;
            write()
        }
        done => done,
    };
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Creates a directory and its parents, which all users may read (mode 0755).
pub(super) fn make_open_dir(path: &Path) -> io::Result<()> {
    refuse_after_removal(path)?;
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// A file that has been written beside the file that it will replace.
///
/// Several of them are synced in parallel, which takes hardly longer than syncing one. Dropping it
/// before [`Staged::put`] removes the file.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    new: PathBuf,
    path: &'a Path,
}

impl<'a> Staged<'a> {
    /// Takes a file that has been written as `new`.
    pub(super) const fn written(new: PathBuf, path: &'a Path) -> Self {
        Self { new, path }
    }

    /// Writes the bytes beside `path` (mode 0600), and creates its directory if it is missing.
    pub(crate) fn write(path: &'a Path, bytes: &[u8]) -> io::Result<Self> {
        let new = beside(path);
        let staged = Self { new, path };
        match fill(&staged.new, bytes, Sync::No) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(directory_of(path))?;
                fill(&staged.new, bytes, Sync::No)?;
            }
            written => written?,
        }
        Ok(staged)
    }

    /// Syncs the contents, so that they survive a power loss.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.new)?.sync_all()
    }

    /// Renames the file to its final name. The directory has to be synced after that.
    pub(crate) fn put(self) -> io::Result<()> {
        put(&self.new, self.path)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After `put` this name is gone, and removing it fails.
        let _ = fs::remove_file(&self.new);
    }
}

/// Syncs a directory, so that the names in it survive a power loss.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Calls a function that waits for the disk on several threads, once for each item; returns the
/// first failure.
pub(crate) fn at_once<T: std::marker::Sync, E: Send>(
    things: &[T],
    act: impl Fn(&T) -> Result<(), E> + std::marker::Sync,
) -> Result<(), E> {
    if let [] | [_] = things {
        return things.iter().try_for_each(act);
    }
    let parts = things.chunks(things.len().div_ceil(AT_ONCE));
    let act = &act;
    thread::scope(|scope| {
        let threads = parts.map(|part| {
            let work = move || part.iter().try_for_each(act);
            // Where the user may have no more threads, it only takes longer.
            let thread = thread::Builder::new().spawn_scoped(scope, work);
            thread.map_err(|_| work())
        });
        let threads: Vec<_> = threads.collect();
        let outcomes = threads.into_iter().map(|it| match it {
            Ok(thread) => thread.join().expect("a panic goes on"),
            Err(outcome) => outcome,
        });
        outcomes.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Returns an unused hidden name in the same directory.
pub(super) fn beside(path: &Path) -> PathBuf {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{serial}.new", std::process::id()))
}

/// Replaces a file by another name of `target`, in one piece.
pub(super) fn replace_link(target: &Path, path: &Path) -> io::Result<()> {
    let new = beside(path);
    fs::hard_link(target, &new)?;
    let done = put(&new, path);
    // Where both were names of one file already, the new one is left.
    let _ = fs::remove_file(&new);
    done
}

fn write_beside(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let new = beside(path);
    let written = fill(&new, bytes, sync).and_then(|()| put(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    match sync {
        Sync::Yes => File::open(directory_of(path))?.sync_all(),
        Sync::No => Ok(()),
    }
}

/// Renames a file to its final name. A directory that somebody put there is kept out of the way.
pub(super) fn put(new: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(new, path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            set_aside(path)?;
            fs::rename(new, path)
        }
        done => done,
    }
}

fn fill(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(REGULAR_ONLY)
        .open(path)?;
    file.write_all(bytes)?;
    match sync {
        Sync::Yes => file.sync_all(),
        Sync::No => Ok(()),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// The state directory that a process in the background works for.
static HOME: OnceLock<Layout> = OnceLock::new();

/// Lets this process make no directory of a state directory that is not there any more: one that
/// its user has removed must not come back.
pub(crate) fn make_nothing_after_removal(layout: &Layout) {
    // A process works for one at most.
    let _ = HOME.set(layout.clone());
}

fn refuse_after_removal(path: &Path) -> io::Result<()> {
    match HOME.get() {
        Some(home) if path.starts_with(home.root()) && !home.format().exists() => {
            let message = "the state directory was removed";
            Err(io::Error::new(io::ErrorKind::NotFound, message))
        }
        Some(_) | None => Ok(()),
    }
}

/// Creates a directory and its parents, all mode 0700; an existing one is a success.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    refuse_after_removal(path)?;
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Returns the text of a file; `None` when there is no file. What is no regular file is not waited
/// for.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Returns the lines of a file, each alone, so that one that is damaged costs no other.
pub(super) fn read_lines(path: &Path) -> io::Result<Vec<String>> {
    let bytes = read_bytes(path)?.unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| String::from_utf8(line.to_vec()).ok());
    Ok(lines.collect())
}

fn read_bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_whole(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the value of a JSON file; `None` when there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let named = |error: &dyn std::fmt::Display| {
        let message = format!("{}: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let text = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(named(&error)),
        read => read?,
    };
    let Some(text) = text else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| named(&error))
}

/// Replaces the file at `path` by `value` as JSON.
pub(crate) fn replace_json<T: Serialize>(path: &Path, value: &T, sync: Sync) -> io::Result<()> {
    replace(path, &serde_json::to_vec(value)?, sync)
}

/// Removes a file; a missing one is a success. A directory that somebody put there is kept out of
/// the way.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => set_aside(path).map(drop),
        removed => succeed_if_absent(removed),
    }
}

/// Removes a directory and everything below it; a missing one is a success.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match succeed_if_absent(crate::sys::tree::remove(path)) {
        // A pet may have changed the owner of a file to one of this user's subordinate ids.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && has_subordinates() => {
            run_inside(None, REMOVE, path.as_os_str())
                .map(drop)
                .map_err(|fault| io::Error::new(error.kind(), format!("{error}: {fault}")))
        }
        other => other,
    }
}

/// Does the same, and tries for as long as `limit`: processes that end with the directory may still
/// write.
pub(crate) fn remove_tree_in_use(path: &Path, limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match remove_tree(path) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            removed => return removed,
        }
    }
}

/// Returns how many bytes a directory and everything below it take on disk, without files that
/// cannot be read.
pub(crate) fn size_of(path: &Path) -> u64 {
    let mut closed = false;
    let size = measure(path, &mut closed);
    if !closed || !has_subordinates() {
        return size;
    }
    let said = run_inside(None, MEASURE, path.as_os_str());
    said.ok().and_then(|said| said.parse().ok()).unwrap_or(size)
}

/// Returns the same without entering a user namespace; sets `closed` when a directory may not be
/// read by this user.
pub(crate) fn measure(path: &Path, closed: &mut bool) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = meta.blocks() * 512;
    if !meta.is_dir() {
        return own;
    }
    let below = fs::read_dir(path);
    *closed |= below.is_err();
    let below = below.into_iter().flatten().flatten();
    own + below
        .map(|entry| measure(&entry.path(), closed))
        .sum::<u64>()
}

fn succeed_if_absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    }
}

/// Lists the names in a directory, sorted, without those that begin with a dot.
pub(crate) fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let visible = name.to_str().filter(|name| !name.starts_with('.'));
        names.extend(visible.map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_in_one_piece_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/web.yaml");
        replace(&path, b"one", Sync::Yes).unwrap();
        replace(&path, b"two", Sync::No).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        let entries = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(entries, 1);
    }

    #[test]
    fn a_staged_file_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/web.yaml");
        drop(Staged::write(&path, b"one").unwrap());
        let entries = || fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(entries(), 0);
        let staged = Staged::write(&path, b"two").unwrap();
        staged.sync().and_then(|()| staged.put()).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(entries(), 1);
    }

    #[test]
    fn everything_is_done_at_once_and_one_failure_is_told() {
        let done = AtomicU32::new(0);
        let things: Vec<u32> = (0..100).collect();
        let act = |thing: &u32| {
            done.fetch_add(1, Ordering::Relaxed);
            if *thing == 99 {
                Err("the last")
            } else {
                Ok(())
            }
        };
        assert_eq!(at_once(&things, act), Err("the last"));
        assert_eq!(done.into_inner(), 100);
        assert_eq!(at_once(&things[..1], |_| Ok::<(), ()>(())), Ok(()));
    }

    #[test]
    fn what_is_absent_reads_as_nothing_and_is_removed_with_success() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nope");
        assert_eq!(read(&path).unwrap(), None);
        remove(&path).unwrap();
        remove_tree(&path).unwrap();
        assert!(names_in(&path).unwrap().is_empty());
    }

    #[test]
    fn closed_directories_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        for (name, mode) in [("cache/mod", 0o555), ("shut", 0o000)] {
            let folder = top.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), "x").unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(top.join("cache"), fs::Permissions::from_mode(0o555)).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }
}
