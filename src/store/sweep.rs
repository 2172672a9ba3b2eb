//! Sweeping what processes left that were killed: temporary files and folders, and volumes of which
//! the removal had begun.

use std::fs;
use std::io;
use std::path::Path;

use super::damage::is_absent;
use super::directory::Store;
use super::files;
use super::lock::{Attempt, Lock};
use crate::problem::Result;
use crate::sys::proc;

/// What belongs to pets, and may be large.
const OF_PETS: [&str; 5] = ["volumes", "image", "root", "sandbox", "messages"];
/// The end of the name of a temporary file.
const NEW: &str = ".new";
/// The end of the name of a volume that is being removed.
const REMOVED: &str = ".removed";

/// Returns the name of a volume while it is being removed: it does not count as one then, however
/// long that takes.
pub(crate) fn name_while_removed(volume: &Path) -> std::path::PathBuf {
    let name = volume.file_name().unwrap_or_default().to_string_lossy();
    volume.with_file_name(format!(".{name}{REMOVED}"))
}

/// Removes what killed processes have left; returns whether that is all, or a command may still be
/// at it.
pub(crate) fn sweep(store: &Store) -> Result<bool> {
    sweep_files(store.layout().root())?;
    sweep_volumes(store)
}

fn sweep_files(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_dir = entry.file_type()?.is_dir();
        if is_left_over(&name) {
            match is_dir {
                true => files::remove_tree(&entry.path())?,
                false => files::remove(&entry.path())?,
            }
        } else if is_dir && !OF_PETS.contains(&&*name) {
            sweep_files(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns whether this is the name of a temporary file or folder of a process that has ended:
/// `.NAME.PID.NUMBER.new`, or without the number.
fn is_left_over(name: &str) -> bool {
    let Some(stem) = name.strip_prefix('.').and_then(|it| it.strip_suffix(NEW)) else {
        return false;
    };
    let numbers = stem.rsplit('.').take(2);
    let numbers = numbers.map_while(|part| part.parse::<u32>().ok());
    numbers
        .last()
        .is_some_and(|pid| proc::started(pid).is_none())
}

/// Ends the removal of volumes that a killed command has begun. The command, if it still runs,
/// holds the lock of the state directory.
fn sweep_volumes(store: &Store) -> Result<bool> {
    let layout = store.layout();
    for namespace in store.namespaces()? {
        let Ok(entries) = fs::read_dir(layout.volumes(&namespace)) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let volume = name
                .strip_prefix('.')
                .and_then(|it| it.strip_suffix(REMOVED));
            let Some(volume) = volume else { continue };
            let attempt = Lock::attempt(&layout.lock(), "the supervisor, which sweeps")?;
            let Attempt::Locked(_lock) = attempt else {
                // The command that has begun it may go on.
                return Ok(false);
            };
            if !layout.volume(&namespace, volume).exists() {
                files::remove(&layout.claim(&namespace, volume))?;
            }
            files::remove_tree(&entry.path())?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_that_a_killed_process_was_making_are_removed_but_none_of_a_volume() {
        let root = tempfile::tempdir().unwrap();
        let left = format!(".applets-2.{}.0.new", 1 << 23);
        for folder in ["bin", "volumes/default/data"] {
            let folder = root.path().join(folder);
            fs::create_dir_all(folder.join(&left)).unwrap();
            fs::write(folder.join(&left).join("ls"), "").unwrap();
            fs::write(folder.join(format!("{left}.{left}")), "").unwrap();
        }
        sweep_files(root.path()).unwrap();
        let count = |folder| fs::read_dir(root.path().join(folder)).unwrap().count();
        assert_eq!((count("bin"), count("volumes/default/data")), (0, 2));
    }

    #[test]
    fn only_files_of_processes_that_have_ended_are_left_over() {
        let own = std::process::id();
        // No process has this number: it is above the kernel's limit.
        let dead = 1 << 23;
        assert!(is_left_over(&format!(".web.yaml.{dead}.1.new")));
        assert!(is_left_over(&format!(".petset.{dead}.new")));
        assert!(!is_left_over(&format!(".web.yaml.{own}.{dead}.new")));
        assert!(!is_left_over(&format!(".petset.{own}.new")));
        for other in ["web.yaml", ".web.new", "web.5.new", ".web.5"] {
            assert!(!is_left_over(other), "{other}");
        }
    }
}
