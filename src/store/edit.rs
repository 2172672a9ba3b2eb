//! Changing wanted objects.
//!
//! An [`Edit`] collects changes while the lock is held, and [`Store::edit`] writes all of them when
//! the edit succeeds. An edit that fails changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::directory::{FORMAT, Store, check_format};
use super::eviction::Eviction;
use super::files::{self, Staged};
use super::kept::Kept;
use super::paths::Layout;
use super::read::TOGETHER;
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, ObjectRef, json};
use crate::problem::Result;
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

    /// Writes the layout version, if the directory has none yet. The caller holds the lock.
    fn establish(&self, changes: &mut Edit<'_>) -> Result<()> {
        // A newer petset may have migrated the directory since it was opened.
        if !check_format(self.layout())? {
            changes.write(self.layout().format(), format!("{FORMAT}\n").into_bytes());
        }
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
}

#[derive(Debug)]
enum FileChange {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
}

impl FileChange {
    fn written(&self) -> Option<(&Path, &[u8])> {
        match self {
            Self::Write(path, bytes) => Some((path, bytes)),
            Self::Remove(_) => None,
        }
    }
}

impl<'a> Edit<'a> {
    pub(super) const fn new(store: &'a Store) -> Self {
        Self {
            store,
            changes: Vec::new(),
            shown: Vec::new(),
        }
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
        self.write(
            path,
            yaml::to_string(&json::to_value(object)?)?.into_bytes(),
        );
        Ok(())
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

    const fn layout(&self) -> &Layout {
        self.store.layout()
    }

    pub(super) fn write(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.changes.push(FileChange::Write(path, bytes));
    }

    /// Writes the changes, in the order they were made. However many files there are, the disk is
    /// synced in two rounds: file contents, then directories.
    pub(super) fn commit(self) -> Result<()> {
        let wish = |path: &Path| format!("cannot write {}", path.display());
        let mut written = Vec::new();
        for (path, bytes) in self.changes.iter().filter_map(FileChange::written) {
            let staged = Staged::write(path, bytes).with_context(|| wish(path))?;
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
            }
        }
        let paths = self.changes.iter().filter_map(FileChange::written);
        let folders: BTreeSet<&Path> = paths.filter_map(|(path, _)| path.parent()).collect();
        let folders: Vec<&Path> = folders.into_iter().collect();
        files::at_once(&folders, |folder| {
            files::sync_dir(folder).with_context(|| wish(folder))
        })?;
        self.shown.iter().try_for_each(|change| match change {
            FileChange::Write(path, bytes) => {
                files::replace_open(path, bytes).with_context(|| wish(path))
            }
            FileChange::Remove(path) => files::remove(path).with_context(|| wish(path)),
        })
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
