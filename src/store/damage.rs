//! Damaged files: one that cannot be read costs its own object, and no other.
//!
//! What can be observed again is rebuilt by its writer. What is left of a file that holds more is
//! kept beside it under another name, which no reader takes for a record, and is never removed with
//! a file of its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The end of the names of files that are kept for their owner.
const KEPT: &str = "damaged";

/// How a file is opened that should be a regular one: no link is followed, no pipe waited for, and
/// no terminal taken.
pub(super) const REGULAR_ONLY: i32 = OFlags::NONBLOCK
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .bits()
    .cast_signed();

/// Returns whether reading a file failed because of the file itself, so that it will fail again. A
/// shortage of descriptors or memory is no damage.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let of_file = matches!(
        code,
        Some(
            Errno::IO
                | Errno::ISDIR
                | Errno::LOOP
                | Errno::NXIO
                | Errno::NODEV
                | Errno::ACCESS
                | Errno::PERM
                | Errno::UCLEAN
        )
    );
    of_file || error.kind() == io::ErrorKind::InvalidData
}

/// Opens a regular file to be read; anything else in its place is an error, and is not waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(REGULAR_ONLY)
        .open(path)?;
    refuse_special(&file)?;
    Ok(file)
}

/// Opens a regular file to be appended to, and makes it (mode 0600) where there is none. Anything
/// else in its place is put out of the way.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let open = || {
        let file = OpenOptions::new()
            .read(true)
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(REGULAR_ONLY)
            .open(path)?;
        refuse_special(&file).map(|()| file)
    };
    match open() {
        Err(error) if is_damage(&error) => {
            set_aside(path)?;
            open()
        }
        opened => opened,
    }
}

pub(super) fn refuse_special(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a directory"
    } else {
        "a special file"
    };
    let message = format!("it is {what}, not a file");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Reads a regular file whole.
pub(crate) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns whether an error means that there is no file.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Moves a file out of the way, and returns its new name beside the old one.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let kept = free_name(path);
    fs::rename(path, &kept)?;
    Ok(kept)
}

/// Returns the name under which what is left of a file is kept.
pub(super) fn free_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = (1_u32..).map(|number| match number {
        1 => format!("{name}.{KEPT}"),
        _ => format!("{name}.{KEPT}.{number}"),
    });
    let mut free = names
        .map(|name| path.with_file_name(name))
        .filter(|kept| matches!(fs::symlink_metadata(kept), Err(error) if is_absent(&error)));
    free.next().unwrap_or_default()
}

/// Returns whether a file of this name is one that was put out of the way.
pub(super) fn is_kept_aside(name: &str) -> bool {
    let number = name.rsplit_once('.').map(|(_, end)| end);
    let numbered = number.is_some_and(|end| end.parse::<u32>().is_ok());
    name.ends_with(&format!(".{KEPT}")) || (numbered && name.contains(&format!(".{KEPT}.")))
}

/// Returns why a record cannot be read, without its path.
pub(crate) fn cause(error: &io::Error) -> String {
    let words = error.to_string();
    match words.split_once(": ") {
        Some((path, why)) if path.starts_with('/') => why.to_owned(),
        Some(_) | None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_appended_to_under_its_name_after_it_was_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        open_to_append(&path).unwrap();
        assert!(path.is_file());
    }
}
