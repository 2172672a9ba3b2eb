//! Reading wanted objects. No lock is needed, because every file is replaced in one piece.

use std::path::Path;

use anyhow::Context;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;

use super::damage::{is_damage, read_whole};
use super::directory::Store;
use super::eviction::Eviction;
use super::files;
use super::kept::{Kept, of_text};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName};
use crate::problem::{Problem, Result};

/// The content of the file `stopped` when pets stop in parallel.
pub(super) const TOGETHER: &[u8] = b"together\n";

impl Store {
    /// Returns a wanted object; `None` when there is none of that name.
    pub(crate) fn find<T: Kept>(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<T>> {
        self.read_object(T::OBJECT_KIND, namespace, name, |text| {
            of_text(text, name.as_str())
        })
    }

    /// Reads the file of a wanted object.
    pub(super) fn read_object<T>(
        &self,
        kind: ObjectKind,
        namespace: &Namespace,
        name: &ObjectName,
        of_text: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let path = self.layout().wanted_object(namespace, kind, name);
        let damaged = |why: &str| damaged(&path, kind, namespace, name, why);
        let text = match files::read(&path) {
            Err(error) if is_damage(&error) => return Err(damaged(&error.to_string()).into()),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let Some(text) = text else { return Ok(None) };
        of_text(&text)
            .map(Some)
            .map_err(|error| damaged(&format!("{error:#}")).into())
    }

    /// Returns the wanted objects of one kind in a namespace, sorted by name.
    pub(crate) fn all<T: Kept>(&self, namespace: &Namespace) -> Result<Vec<T>> {
        let names = self.names(namespace, T::OBJECT_KIND)?;
        let found = names.iter().map(|name| self.find(namespace, name));
        found.filter_map(Result::transpose).collect()
    }

    /// Returns the same without those that cannot be read, each of which `left_out` is told of.
    pub(crate) fn readable<T: Kept>(
        &self,
        namespace: &Namespace,
        mut left_out: impl FnMut(&ObjectName, anyhow::Error),
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for name in self.names(namespace, T::OBJECT_KIND)? {
            match self.find(namespace, &name) {
                Ok(found) => all.extend(found),
                Err(error) => left_out(&name, error),
            }
        }
        Ok(all)
    }

    /// Returns why a wanted object cannot be read; `None` when it can be, or is not there.
    pub(crate) fn fault_of(
        &self,
        kind: ObjectKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Option<anyhow::Error> {
        match kind {
            ObjectKind::StatefulSet => self.find::<StatefulSet>(namespace, name).err(),
            ObjectKind::Service => self.find::<Service>(namespace, name).err(),
            ObjectKind::ConfigMap => self.find::<ConfigMap>(namespace, name).err(),
            ObjectKind::Secret => self.find::<Secret>(namespace, name).err(),
            ObjectKind::Pod => self.find::<Pod>(namespace, name).err(),
            ObjectKind::PersistentVolumeClaim => {
                self.find::<PersistentVolumeClaim>(namespace, name).err()
            }
            ObjectKind::Endpoints => self.find::<Endpoints>(namespace, name).err(),
            ObjectKind::EndpointSlice => self.find::<EndpointSlice>(namespace, name).err(),
            ObjectKind::Workload(kind) => self.workload(kind, namespace, name).err(),
            ObjectKind::PersistentVolume => self.find::<PersistentVolume>(namespace, name).err(),
            ObjectKind::StorageClass => self.find::<StorageClass>(namespace, name).err(),
            ObjectKind::Overlay => self.overlay(namespace, name).err(),
            ObjectKind::ControllerRevision | ObjectKind::Eviction => None,
        }
    }

    /// Returns the names of the wanted objects of one kind in a namespace.
    pub(crate) fn names(&self, namespace: &Namespace, kind: ObjectKind) -> Result<Vec<ObjectName>> {
        let dir = self.layout().wanted_kind(namespace, kind);
        let files =
            files::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let names = files
            .iter()
            .filter_map(|file| file.strip_suffix(".yaml")?.parse().ok());
        Ok(names.collect())
    }

    /// Returns the namespaces with wanted objects.
    pub(crate) fn namespaces(&self) -> Result<Vec<Namespace>> {
        let dir = self.layout().wanted();
        let names =
            files::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let folders = names.iter().filter(|name| dir.join(name).is_dir());
        Ok(folders.filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns whether `petset stop` is in force.
    pub(crate) fn is_stopped(&self) -> bool {
        self.layout().stopped().exists()
    }

    /// Returns whether `petset stop --parallel` is in force.
    pub(crate) fn stops_together(&self) -> bool {
        read_whole(&self.layout().stopped()).is_ok_and(|words| words == TOGETHER)
    }

    /// Returns the request to replace `pod`, if there is one.
    pub(crate) fn eviction(&self, namespace: &Namespace, pod: &ObjectName) -> Option<Eviction> {
        let path = self
            .layout()
            .wanted_object(namespace, ObjectKind::Eviction, pod);
        let text = files::read(&path).ok().flatten()?;
        Some(Eviction::read(&text))
    }
}

/// Returns the error for a wanted object whose file is damaged.
fn damaged(
    path: &Path,
    kind: ObjectKind,
    namespace: &Namespace,
    name: &ObjectName,
    why: &str,
) -> Problem {
    let place = match namespace == &Namespace::default() {
        true => String::new(),
        false => format!("-n {namespace} "),
    };
    let kind = kind.singular();
    let message = format!("{} is damaged: {why}", path.display());
    Problem::failed(message).hint(format!(
        "mend the file, or put it aside and keep what is left: petset {place}delete {kind}/{name}"
    ))
}
