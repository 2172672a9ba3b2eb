//! Files that are replaced in one piece: a reader sees the old text or the new, never a mixture.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a file must survive a power loss, or can be observed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Write, sync, rename, sync the directory: for what the user asked for.
    Yes,
    /// Write and rename: for what can be seen again.
    No,
}

/// Replaces the file at `path` by `bytes` (mode 0600), making its directory where it is missing.
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    match write_beside(path, bytes, sync) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(directory_of(path))?;
            write_beside(path, bytes, sync)
        }
        done => done,
    }
}

fn write_beside(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}.{serial}.new", std::process::id()));
    let written = fill(&new, bytes, sync).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    match sync {
        Sync::Yes => File::open(directory_of(path))?.sync_all(),
        Sync::No => Ok(()),
    }
}

fn fill(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
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

/// Makes a directory and those above it, all mode 0700; one that exists is a success.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Returns the text of a file, or nothing where there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns what a JSON file holds, or nothing where there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {error}", path.display()),
        )
    })
}

/// Replaces the file at `path` by `value` as JSON.
pub(crate) fn replace_json<T: Serialize>(path: &Path, value: &T, sync: Sync) -> io::Result<()> {
    replace(path, &serde_json::to_vec(value)?, sync)
}

/// Removes a file; one that is gone already is a success.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    succeed_if_absent(fs::remove_file(path))
}

/// Removes a directory with all that is below it; one that is gone already is a success.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    succeed_if_absent(fs::remove_dir_all(path))
}

fn succeed_if_absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
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
    fn what_is_absent_reads_as_nothing_and_is_removed_with_success() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nope");
        assert_eq!(read(&path).unwrap(), None);
        remove(&path).unwrap();
        remove_tree(&path).unwrap();
        assert!(names_in(&path).unwrap().is_empty());
    }
}
