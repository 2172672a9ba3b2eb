//! Reading wanted objects. No lock is needed, because every file is replaced in one piece.

use anyhow::Context;

use super::directory::Store;
use super::eviction::Eviction;
use super::files;
use super::kept::Kept;
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName};
use crate::problem::Result;
use crate::yaml;

/// The content of the file `stopped` when pets stop in parallel.
pub(super) const TOGETHER: &[u8] = b"together\n";

impl Store {
    /// Returns a wanted object; `None` when there is none of that name.
    pub(crate) fn find<T: Kept>(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<T>> {
        let path = self.layout().wanted_object(namespace, T::OBJECT_KIND, name);
        let text = files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(text) = text else { return Ok(None) };
        let object = yaml::to_json(&text).and_then(|json| Ok(serde_json::from_str(&json)?));
        let object = object.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(object))
    }

    /// Returns the wanted objects of one kind in a namespace, sorted by name.
    pub(crate) fn all<T: Kept>(&self, namespace: &Namespace) -> Result<Vec<T>> {
        let names = self.names(namespace, T::OBJECT_KIND)?;
        let found = names.iter().map(|name| self.find(namespace, name));
        found.filter_map(Result::transpose).collect()
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
        std::fs::read(self.layout().stopped()).is_ok_and(|words| words == TOGETHER)
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
