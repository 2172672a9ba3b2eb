//! `reserve/`: room that is kept for what ends something, since a pet whose log has filled the disk
//! can only be stopped by writing that it is to stop.
//!
//! A write that finds the disk full goes to a file of the reserve instead, whose blocks and inode
//! are there already, and which is then renamed: nobody can take the room in between. Where a file
//! system needs new room even so, and for what is no file, one of them is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::damage::REGULAR_ONLY;
use super::files::{self, Staged, Sync, beside, make_dir, names_in, sync_dir};
use super::paths::Layout;

/// How many writes the reserve is good for, and how long each may be.
const FILES: u32 = 16;
const SIZE: usize = 16 << 10;

/// Fills the reserve up; what of it is there already is left alone.
pub(crate) fn provide(layout: &Layout) -> io::Result<()> {
    let dir = layout.reserve();
    make_dir(&dir)?;
    for number in 0..FILES {
        let path = dir.join(number.to_string());
        let is_whole = |found: fs::Metadata| found.is_file() && room_in(&found) >= SIZE as u64;
        if !fs::symlink_metadata(&path).is_ok_and(is_whole) {
            files::replace(&path, &[0; SIZE], Sync::No)?;
        }
    }
    Ok(())
}

fn room_in(file: &fs::Metadata) -> u64 {
    file.blocks() * 512
}

/// Returns whether an error means that the disk is full, or the user's share of it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::NOSPC | Errno::DQUOT))
}

/// Replaces a file as [`files::replace`] does, on a full disk too. It is for what ends something.
pub(crate) fn replace(layout: &Layout, path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let error = match files::replace(path, bytes, sync) {
        Err(error) if is_full(&error) => error,
        done => return done,
    };
    let new = beside(path);
    if fill(layout, &new, bytes, sync).is_err() {
        return with_room(layout, || files::replace(path, bytes, sync)).map_err(|_| error);
    }
    files::put(&new, path)?;
    match sync {
        Sync::Yes => sync_dir(path.parent().unwrap_or(path)),
        Sync::No => Ok(()),
    }
}

/// Does the same as [`Staged::write`], at the cost of the reserve where the disk is full.
pub(super) fn stage<'a>(layout: &Layout, path: &'a Path, bytes: &[u8]) -> io::Result<Staged<'a>> {
    match Staged::write(path, bytes) {
        Err(error) if is_full(&error) => {}
        done => return done,
    }
    let staged = beside(path);
    match fill(layout, &staged, bytes, Sync::No) {
        Ok(()) => Ok(Staged::written(staged, path)),
        Err(_) => with_room(layout, || Staged::write(path, bytes)),
    }
}

/// Writes a new file with the room of the smallest file of the reserve that is large enough.
fn fill(layout: &Layout, new: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let full = || io::Error::from(Errno::NOSPC);
    let mut left = reserved(layout);
    left.retain(|(room, _)| *room >= bytes.len() as u64);
    let (_, path) = left.into_iter().min().ok_or_else(full)?;
    fs::rename(&path, new)?;
    let written = overwrite(new, bytes, sync);
    if written.is_err() {
        let _ = fs::remove_file(new);
    }
    written
}

fn overwrite(path: &Path, bytes: &[u8], sync: Sync) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .custom_flags(REGULAR_ONLY)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    match sync {
        Sync::Yes => file.sync_all(),
        Sync::No => Ok(()),
    }
}

fn reserved(layout: &Layout) -> Vec<(u64, PathBuf)> {
    let dir = layout.reserve();
    let names = names_in(&dir).unwrap_or_default().into_iter();
    let files = names.filter_map(|name| {
        let path = dir.join(name);
        let found = fs::symlink_metadata(&path).ok()?;
        found.is_file().then(|| (room_in(&found), path))
    });
    files.collect()
}

/// Does what needs room, at the cost of the reserve where the disk is full.
pub(crate) fn with_room<T>(layout: &Layout, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        let error = match act() {
            Err(error) if is_full(&error) => error,
            done => return done,
        };
        let Some((_, path)) = reserved(layout).pop() else {
            return Err(error);
        };
        fs::remove_file(path)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_the_reserve_becomes_the_file_that_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        provide(&layout).unwrap();
        assert_eq!(reserved(&layout).len(), FILES as usize);
        let new = dir.path().join("new");
        fill(&layout, &new, b"text", Sync::Yes).unwrap();
        assert_eq!(files::read(&new).unwrap().as_deref(), Some("text"));
        assert_eq!(reserved(&layout).len(), FILES as usize - 1);
        let long = vec![b'x'; SIZE + 1];
        let error = fill(&layout, &new, &long, Sync::No).unwrap_err();
        assert!(is_full(&error));
        provide(&layout).unwrap();
        assert_eq!(reserved(&layout).len(), FILES as usize);
    }

    #[test]
    fn what_finds_no_room_is_tried_until_the_reserve_is_spent() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        provide(&layout).unwrap();
        let full = || -> io::Result<()> { Err(Errno::NOSPC.into()) };
        assert!(is_full(&with_room(&layout, full).unwrap_err()));
        assert!(reserved(&layout).is_empty());
    }
}
