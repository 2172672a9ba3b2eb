//! Finding, checking and locking a state directory.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, process};

use anyhow::Context;

use super::damage::is_damage;
use super::files::read;
use super::lock::{Attempt, Lock, cannot_lock};
use super::owner::expect_own;
use super::paths::Layout;
use super::settings::Settings;
use crate::model::environment::STATE_DIR_VARIABLE;
use crate::problem::{Kind, Problem, Result};
use crate::sys;

/// The layout version that this program writes; a newer one is refused.
pub(super) const FORMAT: u32 = 1;

/// One state directory, with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    layout: Layout,
    settings: Settings,
}

impl Store {
    /// Opens the state directory at `root`. A missing directory reads as empty; the first edit
    /// creates it.
    pub(crate) fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let layout = Layout::new(root);
        let wish = || format!("cannot use the state directory {}", layout.root().display());
        check_name(&layout).with_context(wish)?;
        check_directory(&layout).with_context(wish)?;
        check_format(&layout).with_context(wish)?;
        let settings = settings_of(&layout).with_context(wish)?;
        Ok(Self { layout, settings })
    }

    /// Refuses a state directory that is not this user's alone to write to.
    pub(crate) fn expect_own(&self) -> Result<()> {
        expect_own(self.layout.root())
    }

    /// Refuses a state directory that a newer petset has taken over meanwhile.
    pub(crate) fn expect_known_layout(&self) -> Result<()> {
        check_format(&self.layout).map(drop)
    }

    /// Its paths.
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The settings in its `petset.toml`.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes the lock of the state directory, and notes `verb` in it as the holder.
    pub(crate) fn lock(&self, verb: &str, timeout: Option<Duration>) -> Result<Lock> {
        self.expect_own()?;
        let path = self.layout.lock();
        let holder = format!("`petset {verb}` (pid {})", process::id());
        let timeout = timeout.unwrap_or(self.settings.lock_timeout);
        let attempt = Lock::wait(&path, &holder, timeout).map_err(|it| cannot_lock(&path, &it))?;
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
}

/// Returns the state directory of the environment:
/// `$PETSET_STATE_DIR`, else `$XDG_STATE_HOME/petset`, else `~/.local/state/petset`.
pub(crate) fn default_root() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let fallback = || sys::home().map(|home| home.join(".local/state"));
    let state_home = || {
        set("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(fallback)
    };
    let root = set(STATE_DIR_VARIABLE).or_else(|| state_home().map(|home| home.join("petset")));
    root.ok_or_else(|| {
        let message = "no state directory is known: neither PETSET_STATE_DIR, XDG_STATE_HOME nor \
                       HOME is set, and /etc/passwd has no home for this user";
        Problem::invalid(message)
            .hint("name one with --state-dir DIR")
            .into()
    })
}

/// Refuses a path that is not UTF-8: it goes into variables and messages, where it would be
/// another one.
fn check_name(layout: &Layout) -> Result<()> {
    if layout.root().to_str().is_some() {
        return Ok(());
    }
    let problem = Problem::invalid("its path is not UTF-8");
    Err(problem.hint("name another one with --state-dir DIR").into())
}

/// Refuses a path that is not a directory, which would otherwise read as an empty one.
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

/// Returns whether the state directory exists; one of a newer layout is an error.
pub(super) fn check_format(layout: &Layout) -> Result<bool> {
    let path = layout.format();
    let text = match read(&path) {
        // It is written again by the next edit.
        Err(error) if is_damage(&error) && layout.wanted().is_dir() => None,
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let Some(text) = text else { return Ok(false) };
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(true),
        Ok(newer) if newer > FORMAT => {
            let message = format!("it has layout {newer}, and this petset knows layout {FORMAT}");
            let hint = "use the newer petset that wrote it, or another directory with --state-dir";
            Err(Problem::new(Kind::Conflict, message).hint(hint).into())
        }
        Err(_) if layout.wanted().is_dir() && is_noise(&text) => Ok(false),
        Ok(_) | Err(_) => {
            let found = text.trim();
            let message = format!("{} says {found:?}, which is no layout", path.display());
            let hint = "name a directory that petset made, or a new one, with --state-dir";
            Err(Problem::new(Kind::Conflict, message).hint(hint).into())
        }
    }
}

/// Returns whether a damaged file says this: no program writes such a layout.
fn is_noise(text: &str) -> bool {
    !text
        .trim_start()
        .starts_with(|it: char| it.is_ascii_digit())
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
    // Joining an empty rest leaves a trailing slash; collecting the components removes it.
    Ok(real.map_or(whole, |real| real.components().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::kind_of;

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
}
