//! The state directory: its paths, its lock, and files that are replaced in one piece.
//!
//! Whoever reads takes no lock. Whoever changes what is wanted does it through [`Store::edit`],
//! which holds the lock for the edit and never for a wait.

mod addresses;
pub(crate) mod detours;
mod edit;
pub(crate) mod endpoints;
mod eviction;
mod files;
mod images;
pub(crate) mod journal;
mod launch;
mod lock;
pub(crate) mod network;
mod paths;
mod pods;
mod record;
pub(crate) mod registry;
mod report;
mod settings;
mod socket;
pub(crate) mod userns;
pub(crate) mod view;
mod watch;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, process};

use anyhow::Context;

pub(crate) use addresses::{Given, addresses_given, give_addresses};
pub(crate) use edit::{Edit, Kept, PURGE_ANNOTATION, SET_ANNOTATION};
pub(crate) use eviction::Eviction;
pub(crate) use files::{
    Sync, make_dir, measure, names_in, read, read_json, remove, remove_tree, replace, replace_json,
    size_of,
};
pub(crate) use images::{catalogue, image_files, with_disk};
pub(crate) use launch::{Launch, Mount, User};
pub(crate) use lock::{Attempt, Lock};
pub(crate) use paths::{Layout, PetLayout, REGISTRY_OVERRIDE, registry};
pub(crate) use pods::merge_status;
pub(crate) use record::{MainProcess, RunnerRecord};
pub(crate) use report::{SetReport, Waiting};
pub(crate) use settings::{DnsForward, Settings};
pub(crate) use socket::{WhenBusy, connect_to, listen_at, send_to, wait_at};
pub(crate) use watch::{Noticed, Watch, when_removed};
pub(crate) use words::last_words;

use crate::model::environment::STATE_DIR_VARIABLE;
use crate::problem::{Kind, Problem, Result};

/// The layout that this program writes; a newer one is refused.
const FORMAT: u32 = 1;

/// One state directory, with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    layout: Layout,
    settings: Settings,
}

impl Store {
    /// Opens the state directory at `root`. One that does not exist yet reads as empty; it is
    /// made by the first edit.
    pub(crate) fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let layout = Layout::new(root);
        let wish = || format!("cannot use the state directory {}", layout.root().display());
        check_directory(&layout).with_context(wish)?;
        check_format(&layout).with_context(wish)?;
        let settings = settings_of(&layout).with_context(wish)?;
        Ok(Self { layout, settings })
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes what is wanted, in one piece: the lock is held for the edit alone.
    ///
    /// `verb` is what others are told who find the lock held.
    pub(crate) fn edit<T>(
        &self,
        verb: &str,
        timeout: Option<Duration>,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T>,
    ) -> Result<T> {
        let _lock = self.lock(verb, timeout)?;
        let mut changes = Edit::new(self);
        self.establish(&mut changes)?;
        let outcome = edit(&mut changes)?;
        changes.commit()?;
        Ok(outcome)
    }

    /// Takes the lock of the state directory, for the verb that is named.
    pub(crate) fn lock(&self, verb: &str, timeout: Option<Duration>) -> Result<Lock> {
        let path = self.layout.lock();
        let holder = format!("`petset {verb}` (pid {})", process::id());
        let timeout = timeout.unwrap_or(self.settings.lock_timeout);
        let attempt = Lock::wait(&path, &holder, timeout)
            .with_context(|| format!("cannot lock {}", path.display()))?;
        match attempt {
            Attempt::Locked(lock) => Ok(lock),
            Attempt::Busy(holder) => {
                let root = self.layout.root().display();
                let message = format!("state directory {root} is locked by {holder}");
                let hint = "try again when it ends, or allow more time with --lock-timeout 30s";
                Err(Problem::new(Kind::Locked, message).hint(hint).into())
            }
        }
    }

    /// Makes the directory a state directory, if it is not one yet. Call it under the lock.
    fn establish(&self, changes: &mut Edit<'_>) -> Result<()> {
        // Somebody may have moved it to a newer layout since it was opened.
        if !check_format(&self.layout)? {
            changes.write(self.layout.format(), format!("{FORMAT}\n").into_bytes());
        }
        Ok(())
    }
}

/// Returns the state directory that the environment names:
/// `$PETSET_STATE_DIR`, else `$XDG_STATE_HOME/petset`, else `~/.local/state/petset`.
pub(crate) fn default_root() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let fallback = || set("HOME").map(|home| home.join(".local/state"));
    let state_home = || {
        set("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(fallback)
    };
    let root = set(STATE_DIR_VARIABLE).or_else(|| state_home().map(|home| home.join("petset")));
    root.ok_or_else(|| {
        let message = "no state directory is known: neither PETSET_STATE_DIR, XDG_STATE_HOME nor \
                       HOME is set";
        Problem::invalid(message)
            .hint("name one with --state-dir DIR")
            .into()
    })
}

/// Refuses what is no directory: read as one, it would look like an empty one.
fn check_directory(layout: &Layout) -> Result<()> {
    match std::fs::metadata(layout.root()) {
        Ok(found) if !found.is_dir() => {
            Err(Problem::new(Kind::Failed, "it is not a directory").into())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether the state directory exists; one of a newer layout is an error.
fn check_format(layout: &Layout) -> Result<bool> {
    let path = layout.format();
    let text = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(text) = text else { return Ok(false) };
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(true),
        Ok(newer) if newer > FORMAT => {
            let message = format!("it has layout {newer}, and this petset knows layout {FORMAT}");
            let hint = "use the newer petset that wrote it, or another directory with --state-dir";
            Err(Problem::new(Kind::Conflict, message).hint(hint).into())
        }
        Ok(_) | Err(_) => {
            let found = text.trim();
            let message = format!("{} says {found:?}, which is no layout", path.display());
            let hint = "name a directory that petset made, or a new one, with --state-dir";
            Err(Problem::new(Kind::Conflict, message).hint(hint).into())
        }
    }
}

fn settings_of(layout: &Layout) -> Result<Settings> {
    let path = layout.settings();
    let wish = || format!("cannot read {}", path.display());
    let text = read(&path).with_context(wish)?.unwrap_or_default();
    Settings::parse(&text).with_context(wish)
}

/// Returns `path` made absolute, with every link resolved as far as it exists.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let whole =
        std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()))?;
    let real = whole.ancestors().find_map(|there| {
        let rest = whole.strip_prefix(there).ok()?;
        Some(there.canonicalize().ok()?.join(rest))
    });
    // Joining nothing leaves a slash at the end, which components do not have.
    Ok(real.map_or(whole, |real| real.components().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::kind_of;

    #[test]
    fn an_edit_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("state")).unwrap();
        let failed: Result<()> = store.edit("test", None, |edit| {
            edit.set_stopped(true);
            Err(Problem::invalid("no").into())
        });
        assert!(failed.is_err());
        assert!(!store.is_stopped());
        store
            .edit("test", None, |edit| {
                edit.set_stopped(true);
                Ok(())
            })
            .unwrap();
        assert!(store.is_stopped());
    }

    #[test]
    fn a_directory_that_does_not_exist_yet_has_one_path_whatever_links_lead_there() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        let link = dir.path().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let state = absolute(&link.join("a/state")).unwrap();
        assert_eq!(state, real.join("a/state"));
        assert_eq!(absolute(&link).unwrap().to_str(), real.to_str());
    }

    #[test]
    fn a_newer_layout_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("format"), "99\n").unwrap();
        let refused = Store::open(dir.path()).unwrap_err();
        assert_eq!(kind_of(&refused), Kind::Conflict);
        assert!(format!("{refused:#}").contains("layout 99"));
    }

    #[test]
    fn a_locked_directory_names_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let held = store.lock("scale web", None).unwrap();
        let short = Some(Duration::from_millis(10));
        let refused = store.edit("create", short, |_| Ok(())).unwrap_err();
        assert_eq!(kind_of(&refused), Kind::Locked);
        assert!(
            refused
                .to_string()
                .contains("locked by `petset scale web` (pid ")
        );
        drop(held);
    }
}
