//! Changing wanted objects.
//!
//! An [`Edit`] collects changes while the lock is held, and [`Store::edit`] writes all of them when
//! the edit succeeds. An edit that fails changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::covers;
use super::damage;
use super::directory::{FORMAT, Store, check_format};
use super::eviction::Eviction;
use super::files::{self, Staged, Sync};
use super::kept::{Kept, to_text};
use super::paths::Layout;
use super::read::TOGETHER;
use super::reserve;
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, ObjectRef, json};
use crate::problem::Result;
use crate::sorted::SortedSet;
use crate::yaml;

impl Store {
    /// Changes wanted objects in one commit: the lock is held for the edit alone.
    ///
    /// `verb` names the holder in the errors of other commands that find the lock held.
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

    /// Has the edit write the layout version, if there is none yet. The caller holds the lock.
    fn establish(&self, changes: &mut Edit<'_>) -> Result<()> {
        // A newer petset may have migrated the directory since it was opened.
        changes.establishes = !check_format(self.layout())?;
        Ok(())
    }
}

/// Changes to wanted objects, collected under the lock.
#[derive(Debug)]
pub(crate) struct Edit<'a> {
    store: &'a Store,
    changes: Vec<FileChange>,
    /// The changes to `view/`. They can be made again, and are not synced.
    shown: Vec<FileChange>,
    /// Whether the disk may be full: the room of the reserve is for this edit too.
    at_any_cost: bool,
    /// Whether this edit makes the state directory.
    establishes: bool,
}

#[derive(Debug)]
enum FileChange {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl FileChange {
    fn written(&self) -> Option<(&Path, &[u8])> {
        match self {
            Self::Write(path, bytes) => Some((path, bytes)),
            Self::Remove(_) | Self::Rename(..) => None,
        }
    }
}

impl<'a> Edit<'a> {
    pub(super) const fn new(store: &'a Store) -> Self {
        Self {
            store,
            changes: Vec::new(),
            shown: Vec::new(),
            at_any_cost: false,
            establishes: false,
        }
    }

    /// Lets the edit be written on a full disk too, because it ends something.
    pub(crate) const fn at_any_cost(&mut self) {
        self.at_any_cost = true;
    }

    /// Returns a stored object; the changes of this edit are not visible.
    pub(crate) fn find<T: Kept>(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<T>> {
        self.store.find(namespace, name)
    }

    /// Stores an object, replacing the one of that name.
    pub(crate) fn put<T: Kept>(&mut self, object: &T) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
        let path = self
            .layout()
            .wanted_object(&namespace, T::OBJECT_KIND, &name);
        if let (Some(object), Some(path)) = (object.shown(), self.layout().shown(&path)) {
            let bytes = yaml::to_string(&json::to_value(&object)?)?.into_bytes();
            self.shown.push(FileChange::Write(path, bytes));
        }
        if self.find::<T>(&namespace, &name).is_err() {
            drop(self.set_aside(&namespace, T::OBJECT_KIND, &name));
        }
        self.write(path, to_text(object)?);
        Ok(())
    }

    /// Keeps what is left of the damaged file of an object under another name, which is returned.
    pub(crate) fn set_aside(
        &mut self,
        namespace: &Namespace,
        kind: ObjectKind,
        name: &ObjectName,
    ) -> PathBuf {
        let path = self.layout().wanted_object(namespace, kind, name);
        let kept = damage::free_name(&path);
        self.shown
            .extend(self.layout().shown(&path).map(FileChange::Remove));
        self.changes.push(FileChange::Rename(path, kept.clone()));
        kept
    }

    /// Removes an object; a missing one is a success. The endpoint record of a service is removed
    /// too, because there may be no supervisor to withdraw it.
    pub(crate) fn forget(&mut self, namespace: &Namespace, kind: ObjectKind, name: &ObjectName) {
        let path = self.layout().wanted_object(namespace, kind, name);
        let shown = self.layout().shown(&path);
        self.shown.extend(shown.map(FileChange::Remove));
        self.changes.push(FileChange::Remove(path));
        if kind == ObjectKind::Service {
            let record = self.layout().service_record(namespace, name.as_str());
            self.changes.push(FileChange::Remove(record));
        }
    }

    /// Requests the replacement of a pet.
    pub(crate) fn evict(&mut self, namespace: &Namespace, pod: &ObjectName, eviction: &Eviction) {
        let path = self
            .layout()
            .wanted_object(namespace, ObjectKind::Eviction, pod);
        self.write(path, eviction.to_string().into_bytes());
    }

    /// Stops all pods (`petset stop`), or lets them run again (`petset start`).
    pub(crate) fn set_stopped(&mut self, stopped: bool) {
        let path = self.layout().stopped();
        if stopped {
            self.write(path, Vec::new());
        } else {
            self.changes.push(FileChange::Remove(path));
        }
    }

    /// Stops all pods, those of ordered sets at the same time too (`petset stop --parallel`).
    pub(crate) fn stop_together(&mut self) {
        self.write(self.layout().stopped(), TOGETHER.to_vec());
    }

    pub(super) const fn layout(&self) -> &Layout {
        self.store.layout()
    }

    pub(super) const fn store(&self) -> &Store {
        self.store
    }

    pub(super) fn write(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.changes.push(FileChange::Write(path, bytes));
    }

    /// Writes the changes, in the order they were made. However many files there are, the disk is
    /// synced in two rounds: file contents, then directories.
    pub(super) fn commit(self) -> Result<()> {
        let wish = |path: &Path| format!("cannot write {}", path.display());
        if self.establishes {
            let format = self.layout().format();
            let version = format!("{FORMAT}\n");
            files::replace(&format, version.as_bytes(), Sync::Yes)
                .with_context(|| wish(&format))?;
            // Before anything is in it that pets must not see.
            covers::announce(self.layout());
        }
        let mut written = Vec::new();
        for (path, bytes) in self.changes.iter().filter_map(FileChange::written) {
            let staged = match self.at_any_cost {
                true => reserve::stage(self.layout(), path, bytes),
                false => Staged::write(path, bytes),
            };
            let staged = staged.with_context(|| wish(path))?;
            written.push((path, staged));
        }
        files::at_once(&written, |(path, staged)| {
            staged.sync().with_context(|| wish(path))
        })?;
        let mut written = written.into_iter();
        for change in &self.changes {
            match change {
                FileChange::Write(path, _) => {
                    let staged = written.next().map(|(_, staged)| staged);
                    staged
                        .map_or(Ok(()), Staged::put)
                        .with_context(|| wish(path))?;
                }
                FileChange::Remove(path) => files::remove(path)
                    .with_context(|| format!("cannot remove {}", path.display()))?,
                FileChange::Rename(path, new) => fs::rename(path, new)
                    .with_context(|| format!("cannot rename {}", path.display()))?,
            }
        }
        let paths = self.changes.iter().filter_map(FileChange::written);
        let folders: SortedSet<&Path> = paths.filter_map(|(path, _)| path.parent()).collect();
        let folders: Vec<&Path> = folders.into_iter().collect();
        files::at_once(&folders, |folder| {
            files::sync_dir(folder).with_context(|| wish(folder))
        })?;
        // What pets see is made again by the supervisor, if it cannot be written now.
        for change in &self.shown {
            let _ = match change {
                FileChange::Write(path, bytes) => files::replace_open(path, bytes),
                FileChange::Remove(path) => files::remove(path),
                FileChange::Rename(path, new) => fs::rename(path, new),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Kind, Problem, kind_of};

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
