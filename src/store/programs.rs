//! `bin/`: the names of this program for containers, the last directory of their PATH.
//!
//! They are links to the file of the supervisor's program. Where that was removed, which happens
//! when petset is installed anew, the program copies itself from memory.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::Layout;
use super::files::make_dir;
use crate::role;

/// Provides the names of this program.
pub(crate) fn provide(layout: &Layout) -> io::Result<()> {
    let bin = layout.bin();
    make_dir(&bin)?;
    let Some(program) = role::own_file() else {
        copy(&bin.join(role::NAME))?;
        return link(Path::new(role::NAME), &bin.join(role::PEER_FINDER));
    };
    link(&program, &bin.join(role::NAME))?;
    link(&program, &bin.join(role::PEER_FINDER))
}

/// Returns the file of this program, or where that of its successor is to be.
pub(crate) fn program(layout: &Layout) -> PathBuf {
    role::own_file().unwrap_or_else(|| layout.bin().join(role::NAME))
}

/// Returns a file of this program, or of its successor; there may be none until this makes one.
pub(crate) fn provided_program(layout: &Layout) -> io::Result<PathBuf> {
    let names = [role::NAME, role::PEER_FINDER];
    if !names.iter().all(|name| layout.bin().join(name).is_file()) {
        provide(layout)?;
    }
    Ok(program(layout))
}

fn copy(to: &Path) -> io::Result<()> {
    replace(to, |new| {
        let _ = fs::remove_file(new);
        fs::copy(role::SELF, new)?;
        fs::set_permissions(new, Permissions::from_mode(0o755))
    })
}

fn link(to: &Path, at: &Path) -> io::Result<()> {
    if fs::read_link(at).is_ok_and(|target| target == to) {
        return Ok(());
    }
    replace(at, |new| {
        let _ = fs::remove_file(new);
        symlink(to, new)
    })
}

/// Puts what `make` makes beside a file in its place; nothing is left where that fails.
fn replace(at: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let new = beside(at);
    let placed = make(&new).and_then(|()| fs::rename(&new, at));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}
