//! What the reading verbs show: what is wanted, with what is seen of it put in.
//!
//! This needs no running supervisor, and a file that cannot be read causes a warning, not an error.

use std::io;
use std::path::Path;

use anyhow::Context;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod, Secret, Service,
};

use super::session::{Session, say};
use super::{endpoints, pods, stopped};
use crate::model::endpoints::ServiceRecord;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::pod::set_of;
use crate::model::{Namespace, ObjectName, PetName};
use crate::problem::Result;
use crate::store::{self, PetLayout, endpoints as record_files};

impl Session {
    /// Returns every object of a sort in a namespace, in the order of names and ordinals.
    pub(crate) fn items(&self, sort: ObjectKind, namespace: &Namespace) -> Result<Vec<Object>> {
        let names = self.names_of(sort, namespace)?;
        Ok(self.read_all(sort, namespace, names))
    }

    fn read_all(
        &self,
        sort: ObjectKind,
        namespace: &Namespace,
        mut names: Vec<ObjectName>,
    ) -> Vec<Object> {
        names.sort_by_cached_key(|name| place_of(name.as_str()));
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            match self.item(sort, namespace, &name) {
                Ok(item) => items.extend(item),
                Err(error) => say(format!(
                    "warning: {} {name} is left out: {error:#}",
                    sort.singular()
                )),
            }
        }
        items
    }

    /// Returns one object, or nothing where there is none of that name.
    pub(crate) fn item(
        &self,
        sort: ObjectKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Object>> {
        let store = &self.store;
        Ok(match sort {
            ObjectKind::StatefulSet => self
                .set(namespace, name)?
                .map(|set| Object::StatefulSet(set.into())),
            ObjectKind::Pod => self
                .known_pet(namespace, name)?
                .map(|pet| Object::Pod(pet.into())),
            ObjectKind::Service => {
                let found = store.find(namespace, name)?;
                found.map(|service: Service| Object::Service(service.into()))
            }
            ObjectKind::PersistentVolumeClaim => {
                let found = self.claim(namespace, name)?;
                found.map(|claim| Object::PersistentVolumeClaim(claim.into()))
            }
            ObjectKind::Endpoints => self.endpoints(namespace, name)?,
            ObjectKind::ControllerRevision => {
                let mut all = self.revisions(namespace)?.into_iter();
                let found = all.find(|found| found.metadata.name.as_deref() == Some(name.as_str()));
                found.map(|revision| Object::ControllerRevision(revision.into()))
            }
            ObjectKind::ConfigMap => {
                let found = store.find(namespace, name)?;
                found.map(|map: ConfigMap| Object::ConfigMap(map.into()))
            }
            ObjectKind::Secret => {
                let found = store.find(namespace, name)?;
                found.map(|secret: Secret| Object::Secret(secret.into()))
            }
            // Evictions are not shown.
            ObjectKind::Eviction => None,
        })
    }

    /// Returns what a name stands for: an object, or where pets are asked for by the name of
    /// their set, all of them.
    pub(crate) fn named(
        &self,
        sort: ObjectKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Vec<Object>> {
        let item = self.item(sort, namespace, name)?;
        if item.is_some() || sort != ObjectKind::Pod {
            return Ok(item.into_iter().collect());
        }
        let pets = self.known_pets_of(namespace, name.as_str())?;
        Ok(pets
            .into_iter()
            .map(|pet| Object::Pod(pet.into()))
            .collect())
    }

    fn names_of(&self, sort: ObjectKind, namespace: &Namespace) -> Result<Vec<ObjectName>> {
        let layout = self.store.layout();
        let wanted = |kind| self.store.names(namespace, kind);
        match sort {
            ObjectKind::StatefulSet
            | ObjectKind::Service
            | ObjectKind::ConfigMap
            | ObjectKind::Secret
            | ObjectKind::Eviction => wanted(sort),
            ObjectKind::Pod => {
                let mut names = names_below(&layout.pets_of(namespace), "")?;
                names.extend(wanted(ObjectKind::Pod)?);
                names.sort();
                names.dedup();
                Ok(names)
            }
            ObjectKind::Endpoints => names_below(&layout.endpoints(namespace), ".json"),
            ObjectKind::PersistentVolumeClaim => {
                let mut names = names_below(&layout.claims(namespace), ".json")?;
                names.extend(wanted(ObjectKind::PersistentVolumeClaim)?);
                names.sort();
                names.dedup();
                Ok(names)
            }
            ObjectKind::ControllerRevision => {
                let all = self.revisions(namespace)?;
                let names = all.iter().filter_map(|r| r.metadata.name.as_deref());
                Ok(names.filter_map(|name| name.parse().ok()).collect())
            }
        }
    }

    /// Returns the set of this name, with its status as the supervisor last reported it.
    pub(crate) fn set(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<StatefulSet>> {
        let Some(mut set) = self.store.find::<StatefulSet>(namespace, name)? else {
            return Ok(None);
        };
        let report = self.report(namespace, name.as_str())?;
        // A report of a set that had this name before says nothing about this one.
        let own = report.filter(|report| set.metadata.uid.as_deref() == Some(&report.uid));
        set.status = Some(own.map(|report| report.status).unwrap_or_default());
        Ok(Some(set))
    }

    /// Returns the pod of this name as its supervisor made it and its runner sees it.
    pub(crate) fn pet(&self, namespace: &Namespace, name: &ObjectName) -> Result<Option<Pod>> {
        pods::find_in(self, namespace, name.as_str())
    }

    /// Returns the pod of this name, also one that `petset stop` has ended.
    pub(crate) fn known_pet(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Pod>> {
        match self.pet(namespace, name)? {
            Some(pod) => Ok(Some(pod)),
            None => stopped::find(self, namespace, name.as_str()),
        }
    }

    /// Returns every pet of a namespace.
    pub(crate) fn pets(&self, namespace: &Namespace) -> Result<Vec<Pod>> {
        let items = self.items(ObjectKind::Pod, namespace)?;
        Ok(items.into_iter().filter_map(into_pod).collect())
    }

    /// Returns the pets that a set owns, lowest ordinal first.
    pub(crate) fn pets_of(&self, namespace: &Namespace, set: &str) -> Result<Vec<Pod>> {
        let mut pets = self.known_pets_of(namespace, set)?;
        pets.retain(|pet| !stopped::is_stopped(pet));
        Ok(pets)
    }

    /// Returns the pets that a set owns, also those that `petset stop` has ended.
    pub(crate) fn known_pets_of(&self, namespace: &Namespace, set: &str) -> Result<Vec<Pod>> {
        // Only its own files are read, however many other sets there are.
        let mut names = self.names_of(ObjectKind::Pod, namespace)?;
        names.retain(|name| {
            let pet: Result<PetName, _> = name.as_str().parse();
            pet.is_ok_and(|pet| pet.set().as_str() == set)
        });
        let items = self.read_all(ObjectKind::Pod, namespace, names);
        let pets = items.into_iter().filter_map(into_pod);
        Ok(pets
            .filter(|pod| set_of(&pod.metadata) == Some(set))
            .collect())
    }

    /// Returns a claim; it is bound once its directory is there.
    pub(crate) fn claim(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<PersistentVolumeClaim>> {
        let layout = self.store.layout();
        let seen: Option<PersistentVolumeClaim> =
            read_json(&layout.claim(namespace, name.as_str()))?;
        let found = match seen {
            Some(claim) => Some(claim),
            None => self.store.find(namespace, name)?,
        };
        let Some(mut claim) = found else {
            return Ok(None);
        };
        if layout.volume(namespace, name.as_str()).is_dir() {
            bind(&mut claim);
        }
        Ok(Some(claim))
    }

    /// Returns who is behind a service, as last seen.
    pub(crate) fn record(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<ServiceRecord>> {
        let record = record_files::read(self.store.layout(), namespace, name.as_str())?;
        Ok(record.map(super::inside::record))
    }

    fn endpoints(&self, namespace: &Namespace, name: &ObjectName) -> Result<Option<Object>> {
        let Some(record) = self.record(namespace, name)? else {
            return Ok(None);
        };
        let service: Option<Service> = self.store.find(namespace, name)?;
        // A service without a selector has no endpoints of its own.
        let spec = service.as_ref().and_then(|service| service.spec.as_ref());
        let selects = spec.is_some_and(|spec| spec.selector.is_some());
        let endpoints = selects.then(|| endpoints::of(&record, service.as_ref()));
        Ok(endpoints.map(|endpoints| Object::Endpoints(endpoints.into())))
    }

    fn revisions(&self, namespace: &Namespace) -> Result<Vec<ControllerRevision>> {
        let any = self.store.layout().revisions(namespace, "any");
        let dir = any.parent().unwrap_or(&any);
        let mut all = Vec::new();
        for set in names_below(dir, ".json")? {
            let path = self.store.layout().revisions(namespace, set.as_str());
            let found: Option<Vec<ControllerRevision>> = read_json(&path)?;
            all.extend(found.unwrap_or_default());
        }
        Ok(all)
    }

    /// Returns every namespace in which anything is wanted or seen.
    pub(crate) fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all = self.store.namespaces()?;
        let layout = self.store.layout();
        for dir in [layout.pets(), layout.seen()] {
            let names =
                store::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
            let folders = names.iter().filter(|name| dir.join(name).is_dir());
            all.extend(folders.filter_map(|name| name.parse().ok()));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Returns the files of a pet.
    pub(crate) fn files(&self, pod: &Pod) -> PetLayout {
        let namespace = pod.metadata.namespace.as_deref();
        let namespace = namespace.and_then(|name| name.parse().ok());
        let namespace = namespace.unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.store.layout().pet(&namespace, name)
    }
}

fn into_pod(object: Object) -> Option<Pod> {
    match object {
        Object::Pod(pod) => Some(*pod),
        Object::StatefulSet(_)
        | Object::Service(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::ControllerRevision(_)
        | Object::ConfigMap(_)
        | Object::Secret(_) => None,
    }
}

fn bind(claim: &mut PersistentVolumeClaim) {
    let spec = claim.spec.clone().unwrap_or_default();
    let status = claim
        .status
        .get_or_insert_with(PersistentVolumeClaimStatus::default);
    status.phase = Some("Bound".to_owned());
    let requests = spec.resources.and_then(|resources| resources.requests);
    status.capacity = status.capacity.take().or(requests);
    status.access_modes = status.access_modes.take().or(spec.access_modes);
}

/// Returns where an object stands among others: `web-2` comes before `web-10`.
fn place_of(name: &str) -> (String, u32) {
    let pet: Option<PetName> = name.parse().ok();
    match pet {
        Some(pet) => (pet.set().to_string(), pet.ordinal().0),
        None => (name.to_owned(), 0),
    }
}

fn names_below(dir: &Path, ending: &str) -> Result<Vec<ObjectName>> {
    let files = store::names_in(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let names = files.iter().filter_map(|file| file.strip_suffix(ending));
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let read: io::Result<Option<T>> = store::read_json(path);
    // What does not parse names its path already.
    read.map_err(|error| {
        let named = error.kind() == io::ErrorKind::InvalidData;
        let error = anyhow::Error::new(error);
        if named {
            return error;
        }
        error.context(format!("cannot read {}", path.display()))
    })
}
