//! The programs that a shell such as busybox is under other names: a directory of links, made once
//! for all pods of a state directory, since there are some 150 of them.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::{make_dir, remove_tree};

/// Tells apart what one runner makes.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// Returns the directory below `shared` in which a shell has these names.
///
/// Runners may make it at once: each makes one of its own beside it, and whichever is renamed first
/// stays. One that lacks a name is made anew.
pub(super) fn provide(shared: &Path, shell: &Path, names: &[&String]) -> io::Result<PathBuf> {
    let shell_name = shell.to_string_lossy().replace('/', "-");
    let name = format!("applets{shell_name}-{}", names.len());
    let dir = shared.join(&name);
    if has_all(&dir, names) {
        return Ok(dir);
    }
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let new = shared.join(format!(".{name}.{}.{serial}.new", std::process::id()));
    remove_tree(&new)?;
    make_dir(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))?;
    for name in names {
        symlink(shell, new.join(name))?;
    }
    if fs::rename(&new, &dir).is_err() && !has_all(&dir, names) {
        remove_tree(&dir)?;
        fs::rename(&new, &dir)?;
    }
    remove_tree(&new)?;
    Ok(dir)
}

fn has_all(dir: &Path, names: &[&String]) -> bool {
    let there = fs::read_dir(dir).into_iter().flatten().flatten();
    let there: BTreeSet<_> = there.map(|entry| entry.file_name()).collect();
    names
        .iter()
        .all(|name| there.contains(name.as_str().as_ref() as &std::ffi::OsStr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_of_a_shell_are_made_once_and_again_where_one_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let shell = Path::new("/bin/busybox");
        let names = ["cat".to_owned(), "ls".to_owned()];
        let names: Vec<&String> = names.iter().collect();
        let dir = provide(root.path(), shell, &names).unwrap();
        let own = dir.join("own");
        fs::write(&own, "").unwrap();
        assert_eq!(provide(root.path(), shell, &names).unwrap(), dir);
        assert!(own.exists(), "it is the same directory");
        fs::remove_file(dir.join("ls")).unwrap();
        assert_eq!(provide(root.path(), shell, &names).unwrap(), dir);
        assert_eq!(fs::read_link(dir.join("ls")).unwrap(), shell);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        let more = ["cat".to_owned()];
        let other = provide(root.path(), shell, &more.iter().collect::<Vec<_>>()).unwrap();
        assert_ne!(other, dir);
    }
}
