//! How an object of a manifest compares with the one that exists.

use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::manifest;
use crate::model::binder;
use crate::model::object::Object;
use crate::model::{CHANGE_CAUSE_ANNOTATION, ObjectRef};
use crate::problem::{Problem, Result};
use crate::store::{Kept, Store};

/// What became of an object, in kubectl's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Configured,
    Unchanged,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// An object that manifests may contain.
pub(crate) trait Declared: Kept + PartialEq {
    /// Removes the fields of the spec that the state directory assigns.
    fn forget_assigned(&mut self) {}

    /// Refuses what may not change of `old`, as the API server does.
    fn check_update(&self, _old: &Self) -> Result<(), Problem> {
        Ok(())
    }

    /// Takes over from `old` what the supervisor has noted in it.
    fn keep_assigned(&mut self, _old: &Self) {}
}

impl Declared for StatefulSet {
    /// Removes the command line that was noted as the cause of the template.
    fn forget_assigned(&mut self) {
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.remove(CHANGE_CAUSE_ANNOTATION);
        }
        let annotations = self.metadata.annotations.take();
        self.metadata.annotations = annotations.filter(|left| !left.is_empty());
    }
}

impl Declared for ConfigMap {
    fn check_update(&self, old: &Self) -> Result<(), Problem> {
        manifest::check_config_map(old, self)
    }
}

impl Declared for Secret {
    fn check_update(&self, old: &Self) -> Result<(), Problem> {
        manifest::check_secret(old, self)
    }
}

impl Declared for PersistentVolumeClaim {
    fn forget_assigned(&mut self) {
        self.metadata.finalizers = None;
        self.status = None;
    }

    /// One that is to go still is.
    fn keep_assigned(&mut self, old: &Self) {
        let deleted = &old.metadata.deletion_timestamp;
        self.metadata.deletion_timestamp.clone_from(deleted);
    }
}

impl Declared for PersistentVolume {
    fn forget_assigned(&mut self) {
        binder::forget_binding(self);
    }

    fn check_update(&self, old: &Self) -> Result<(), Problem> {
        let mut new = self.clone();
        new.keep_assigned(old);
        manifest::check_volume_update(old, &new)
    }

    fn keep_assigned(&mut self, old: &Self) {
        let deleted = &old.metadata.deletion_timestamp;
        self.metadata.deletion_timestamp.clone_from(deleted);
        binder::keep_binding(old, self);
    }
}

impl Declared for StorageClass {
    fn check_update(&self, old: &Self) -> Result<(), Problem> {
        manifest::check_class_update(old, self)
    }
}

impl Declared for Pod {}
impl Declared for Endpoints {}

impl Declared for EndpointSlice {
    fn check_update(&self, old: &Self) -> Result<(), Problem> {
        manifest::check_slice(old, self)
    }
}

impl Declared for Service {
    /// Removes the virtual address; a headless service has none.
    fn forget_assigned(&mut self) {
        let assigned = |ip: &Option<String>| ip.as_deref() != Some("None");
        if let Some(spec) = self.spec.as_mut().filter(|spec| assigned(&spec.cluster_ip)) {
            spec.cluster_ip = None;
            spec.cluster_ips = None;
        }
    }
}

/// Returns an object without the fields that the state directory assigns.
pub(crate) fn as_given<T: Declared>(object: &T) -> T {
    let mut object = object.clone();
    let ObjectMeta {
        uid,
        creation_timestamp,
        generation,
        owner_references,
        ..
    } = object.metadata_mut();
    (*uid, *generation) = (None, None);
    (*creation_timestamp, *owner_references) = (None, None);
    object.forget_assigned();
    object
}

/// Returns whether two objects ask for the same, apart from what the state directory assigns.
pub(crate) fn is_same<T: Declared>(found: &T, given: &T) -> bool {
    as_given(found) == as_given(given)
}

/// Returns what would become of an object that is neither a set nor a pod.
pub(crate) fn foresee(store: &Store, object: &Object) -> Result<Applied> {
    match object {
        Object::Service(service) => foresee_one(store, service.as_ref()),
        Object::ConfigMap(map) => foresee_one(store, map.as_ref()),
        Object::Secret(secret) => foresee_one(store, secret.as_ref()),
        Object::PersistentVolumeClaim(claim) => foresee_one(store, claim.as_ref()),
        Object::Endpoints(endpoints) => foresee_one(store, endpoints.as_ref()),
        Object::EndpointSlice(slice) => foresee_one(store, slice.as_ref()),
        Object::PersistentVolume(volume) => foresee_one(store, volume.as_ref()),
        Object::StorageClass(class) => foresee_one(store, class.as_ref()),
        Object::StatefulSet(_)
        | Object::Pod(_)
        | Object::Workload(_)
        | Object::ControllerRevision(_) => Ok(Applied::Unchanged),
    }
}

fn foresee_one<T: Declared>(store: &Store, given: &T) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(given.metadata())?;
    let live: Option<T> = store.find(&namespace, &name)?;
    Ok(match live {
        None => Applied::Created,
        Some(live) if is_same(&live, given) => Applied::Unchanged,
        Some(live) => {
            given.check_update(&live)?;
            Applied::Configured
        }
    })
}
