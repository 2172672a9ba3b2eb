//! What the reading verbs show: what is wanted, with what is seen of it put in.
//!
//! This needs no running supervisor, and a file that cannot be read causes a warning, not an error.

use std::io;
use std::path::Path;

use anyhow::Context;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;

use super::session::{Session, say};
use super::{endpoints, pods, stopped};
use crate::model::binder::{bind_to_directory, is_bound};
use crate::model::endpoints::{ServiceRecord, has_selector};
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::pod::set_of;
use crate::model::{Namespace, ObjectName, PetName, Workload};
use crate::problem::{Result, hints_of};
use crate::store::{self, Kept, PetLayout, endpoints as record_files};

impl Session {
    /// Returns the wanted objects of one kind in a namespace, with a warning for each that cannot
    /// be read.
    pub(crate) fn readable<T: Kept>(&self, namespace: &Namespace) -> Result<Vec<T>> {
        self.store.readable(namespace, |name, error| {
            self.left_out(T::OBJECT_KIND, name, &error);
        })
    }

    /// Warns that an object cannot be read, with what to do.
    fn left_out(&self, sort: ObjectKind, name: &ObjectName, error: &anyhow::Error) {
        let sort = sort.singular();
        let mut warning = format!("warning: {sort} {name} is left out: {error:#}");
        let mut hints = hints_of(error).peekable();
        if hints.peek().is_none() {
            warning.push_str("\nhint: ");
            warning.push_str(self.way_to_mend());
        }
        hints.for_each(|hint| warning.push_str(&format!("\nhint: {hint}")));
        say(warning);
    }

    /// Asks the supervisor to write again what is damaged and can be observed; returns what to do.
    pub(crate) fn way_to_mend(&self) -> &'static str {
        match store::ask_to_mend(self.store.layout()) {
            true => "the supervisor writes it again: look again in a moment",
            false => "the supervisor writes it again when it is started: petset start",
        }
    }

    /// Returns every object of a sort in a namespace, in the order of names and ordinals.
    pub(crate) fn items(&self, sort: ObjectKind, namespace: &Namespace) -> Result<Vec<Object>> {
        if sort == ObjectKind::PersistentVolume {
            let all = self.volumes()?.into_iter();
            return Ok(all
                .map(|volume| Object::PersistentVolume(volume.into()))
                .collect());
        }
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
                Err(error) => self.left_out(sort, &name, &error),
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
            ObjectKind::EndpointSlice => {
                let found = store.find(namespace, name)?;
                found.map(|slice: EndpointSlice| Object::EndpointSlice(slice.into()))
            }
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
            ObjectKind::Workload(kind) => self
                .workload(kind, namespace, name)?
                .map(|workload| Object::Workload(workload.into())),
            ObjectKind::PersistentVolume => {
                let found = self.volume(name)?;
                found.map(|volume| Object::PersistentVolume(volume.into()))
            }
            ObjectKind::StorageClass => {
                let found = store.find(namespace, name)?;
                found.map(|class: StorageClass| Object::StorageClass(class.into()))
            }
            // Requests are not shown.
            ObjectKind::Eviction | ObjectKind::Overlay => None,
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
            | ObjectKind::EndpointSlice
            | ObjectKind::Eviction
            | ObjectKind::Overlay
            | ObjectKind::Workload(_)
            | ObjectKind::PersistentVolume
            | ObjectKind::StorageClass => wanted(sort),
            ObjectKind::Pod => {
                let mut names = names_below(&layout.pets_of(namespace), "")?;
                names.extend(wanted(ObjectKind::Pod)?);
                names.sort();
                names.dedup();
                Ok(names)
            }
            ObjectKind::Endpoints => {
                let mut names = names_below(&layout.endpoints(namespace), ".json")?;
                names.extend(wanted(sort)?);
                names.sort();
                names.dedup();
                Ok(names)
            }
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

    /// Returns the workload of this name, with its status as the supervisor last saw it. Where that
    /// is damaged, it is asked to write it again.
    pub(crate) fn workload(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Workload>> {
        let found = self.store.workload(kind, namespace, name)?;
        let Some(mut workload) = found else {
            return Ok(None);
        };
        match self.store.fill_in_status(&mut workload) {
            Err(error) if store::is_damaged_status(&error) => {
                self.way_to_mend();
            }
            filled => filled?,
        }
        Ok(Some(workload))
    }

    /// Returns the workloads of a kind in a namespace, with a warning for each that cannot be read.
    pub(crate) fn workloads(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
    ) -> Result<Vec<Workload>> {
        let items = self.items(ObjectKind::Workload(kind), namespace)?;
        let workload = |item| {
            let Object::Workload(workload) = item else {
                return None;
            };
            Some(*workload)
        };
        Ok(items.into_iter().filter_map(workload).collect())
    }

    /// Returns the pod of this name as its supervisor made it and its runner sees it.
    pub(crate) fn pet(&self, namespace: &Namespace, name: &ObjectName) -> Result<Option<Pod>> {
        pods::find_shown(self, namespace, name.as_str())
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

    /// Returns a claim, as the supervisor last saw it.
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
        // One of an earlier version is bound by the next supervisor.
        let earlier = found.as_ref().filter(|claim| !is_bound(claim));
        let bound = match layout.volume(namespace, name.as_str()).is_dir() {
            true => earlier.and_then(bind_to_directory),
            false => None,
        };
        Ok(bound.or(found))
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
        let service: Option<Service> = self.store.find(namespace, name)?;
        let selects = service.as_ref().is_some_and(has_selector);
        if !selects && let Some(own) = self.store.find::<Endpoints>(namespace, name)? {
            return Ok(Some(Object::Endpoints(own.into())));
        }
        let Some(record) = self.record(namespace, name)? else {
            return Ok(None);
        };
        // A service without a selector has the endpoints that its user wrote, if any.
        if !selects && record.endpoints.is_empty() {
            return Ok(None);
        }
        let made = endpoints::of(&record, service.as_ref());
        Ok(Some(Object::Endpoints(made.into())))
    }

    fn revisions(&self, namespace: &Namespace) -> Result<Vec<ControllerRevision>> {
        let layout = self.store.layout();
        let mut all = Vec::new();
        for any in [
            layout.revisions(namespace, "any"),
            layout.daemon_revisions(namespace, "any"),
        ] {
            let dir = any.parent().unwrap_or(&any);
            for set in names_below(dir, ".json")? {
                let path = dir.join(format!("{set}.json"));
                let found: Option<Vec<ControllerRevision>> = read_json(&path)?;
                all.extend(found.unwrap_or_default());
            }
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
    let Object::Pod(pod) = object else {
        return None;
    };
    Some(*pod)
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
