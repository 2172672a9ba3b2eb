//! Reading and changing what is wanted.
//!
//! An [`Edit`] lives as long as the lock: it collects changes, and [`Store::edit`] writes them
//! together when the edit succeeded. An edit that fails changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::eviction::Eviction;
use super::files::{self, Staged};
use super::{Layout, Store, view};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, ObjectRef, json};
use crate::problem::Result;
use crate::yaml;

/// On a set that is being deleted: its claims go with it, whatever its retention policy says.
pub(crate) const PURGE_ANNOTATION: &str = "petset.dev/purge";
/// The annotation that says for which set a claim was made, also when that set is gone.
pub(crate) const SET_ANNOTATION: &str = "petset.dev/set";

/// An object that users ask for and the state directory keeps, one file each.
pub(crate) trait Kept:
    Serialize + DeserializeOwned + k8s_openapi::Metadata<Ty = ObjectMeta> + Clone
{
    /// Its kind, which names the folder it is kept in.
    const OBJECT_KIND: ObjectKind;

    /// Returns what pets may see of it, if they may see it at all.
    fn shown(&self) -> Option<Self> {
        None
    }
}

impl Kept for StatefulSet {
    const OBJECT_KIND: ObjectKind = ObjectKind::StatefulSet;

    fn shown(&self) -> Option<Self> {
        Some(view::of_set(self))
    }
}

impl Kept for Service {
    const OBJECT_KIND: ObjectKind = ObjectKind::Service;

    fn shown(&self) -> Option<Self> {
        Some(view::of_service(self))
    }
}

impl Kept for ConfigMap {
    const OBJECT_KIND: ObjectKind = ObjectKind::ConfigMap;
}

impl Kept for Secret {
    const OBJECT_KIND: ObjectKind = ObjectKind::Secret;
}

impl Kept for PersistentVolumeClaim {
    const OBJECT_KIND: ObjectKind = ObjectKind::PersistentVolumeClaim;
}

impl Kept for Pod {
    const OBJECT_KIND: ObjectKind = ObjectKind::Pod;
}

/// Changes to what is wanted, collected under the lock.
#[derive(Debug)]
pub(crate) struct Edit<'a> {
    store: &'a Store,
    changes: Vec<Change>,
    /// What pets see of it. It can be made again, and is not waited for.
    shown: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
}

impl Change {
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

    /// Returns an object as it is kept now; changes of this edit are not seen.
    pub(crate) fn find<T: Kept>(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<T>> {
        self.store.find(namespace, name)
    }

    /// Keeps an object, in place of the one of that name.
    pub(crate) fn put<T: Kept>(&mut self, object: &T) -> Result<()> {
        let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
        let path = self
            .layout()
            .wanted_object(&namespace, T::OBJECT_KIND, &name);
        if let (Some(object), Some(path)) = (object.shown(), self.layout().shown(&path)) {
            let bytes = yaml::to_string(&json::to_value(&object)?)?.into_bytes();
            self.shown.push(Change::Write(path, bytes));
        }
        self.write(
            path,
            yaml::to_string(&json::to_value(object)?)?.into_bytes(),
        );
        Ok(())
    }

    /// Forgets an object; one that is not kept is a success. With a service goes the record of who
    /// is behind it, because there may be no supervisor that would withdraw it.
    pub(crate) fn forget(&mut self, namespace: &Namespace, kind: ObjectKind, name: &ObjectName) {
        let path = self.layout().wanted_object(namespace, kind, name);
        let shown = self.layout().shown(&path);
        self.shown.extend(shown.map(Change::Remove));
        self.changes.push(Change::Remove(path));
        if kind == ObjectKind::Service {
            let record = self.layout().service_record(namespace, name.as_str());
            self.changes.push(Change::Remove(record));
        }
    }

    /// Asks that a pet be replaced, once.
    pub(crate) fn evict(&mut self, namespace: &Namespace, pod: &ObjectName, eviction: &Eviction) {
        let path = self
            .layout()
            .wanted_object(namespace, ObjectKind::Eviction, pod);
        self.write(path, eviction.to_string().into_bytes());
    }

    /// Asks that everything be stopped (`petset stop`), or not any more (`petset start`).
    pub(crate) fn set_stopped(&mut self, stopped: bool) {
        let path = self.layout().stopped();
        if stopped {
            self.write(path, Vec::new());
        } else {
            self.changes.push(Change::Remove(path));
        }
    }

    const fn layout(&self) -> &Layout {
        &self.store.layout
    }

    pub(super) fn write(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.changes.push(Change::Write(path, bytes));
    }

    /// Writes the changes, in the order they were made. The waits for the disk are two, however
    /// many files there are: for what they hold, then for their names.
    pub(super) fn commit(self) -> Result<()> {
        let wish = |path: &Path| format!("cannot write {}", path.display());
        let mut written = Vec::new();
        for (path, bytes) in self.changes.iter().filter_map(Change::written) {
            let staged = Staged::write(path, bytes).with_context(|| wish(path))?;
            written.push((path, staged));
        }
        files::at_once(&written, |(path, staged)| {
            staged.sync().with_context(|| wish(path))
        })?;
        let mut written = written.into_iter();
        for change in &self.changes {
            match change {
                Change::Write(path, _) => {
                    let staged = written.next().map(|(_, staged)| staged);
                    staged
                        .map_or(Ok(()), Staged::put)
                        .with_context(|| wish(path))?;
                }
                Change::Remove(path) => files::remove(path)
                    .with_context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        let paths = self.changes.iter().filter_map(Change::written);
        let folders: BTreeSet<&Path> = paths.filter_map(|(path, _)| path.parent()).collect();
        let folders: Vec<&Path> = folders.into_iter().collect();
        files::at_once(&folders, |folder| {
            files::sync_dir(folder).with_context(|| wish(folder))
        })?;
        self.shown.iter().try_for_each(|change| match change {
            Change::Write(path, bytes) => {
                files::replace_open(path, bytes).with_context(|| wish(path))
            }
            Change::Remove(path) => files::remove(path).with_context(|| wish(path)),
        })
    }
}

impl Store {
    /// Returns an object that is wanted, or nothing where there is none of that name.
    pub(crate) fn find<T: Kept>(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<T>> {
        let path = self.layout.wanted_object(namespace, T::OBJECT_KIND, name);
        let text = files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(text) = text else { return Ok(None) };
        let object = yaml::from_str(&text).and_then(|value| Ok(json::from_value(&value)?));
        let object = object.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(object))
    }

    /// Returns every object of one kind that is wanted in a namespace, by name.
    pub(crate) fn all<T: Kept>(&self, namespace: &Namespace) -> Result<Vec<T>> {
        let names = self.names(namespace, T::OBJECT_KIND)?;
        let found = names.iter().map(|name| self.find(namespace, name));
        found.filter_map(Result::transpose).collect()
    }

    /// Returns the names of the objects of one kind that are wanted in a namespace.
    pub(crate) fn names(&self, namespace: &Namespace, kind: ObjectKind) -> Result<Vec<ObjectName>> {
        let dir = self.layout.wanted_kind(namespace, kind);
        let files =
            files::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let names = files
            .iter()
            .filter_map(|file| file.strip_suffix(".yaml")?.parse().ok());
        Ok(names.collect())
    }

    /// Returns the namespaces in which anything is wanted.
    pub(crate) fn namespaces(&self) -> Result<Vec<Namespace>> {
        let dir = self.layout.wanted();
        let names =
            files::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let folders = names.iter().filter(|name| dir.join(name).is_dir());
        Ok(folders.filter_map(|name| name.parse().ok()).collect())
    }

    /// Tells whether `petset stop` was said last.
    pub(crate) fn is_stopped(&self) -> bool {
        self.layout.stopped().exists()
    }

    /// Returns which pet is to be replaced, if that was asked for `pod`.
    pub(crate) fn eviction(&self, namespace: &Namespace, pod: &ObjectName) -> Option<Eviction> {
        let path = self
            .layout
            .wanted_object(namespace, ObjectKind::Eviction, pod);
        let text = files::read(&path).ok().flatten()?;
        Some(Eviction::read(&text))
    }
}
