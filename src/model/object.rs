//! Objects of all kinds.

mod workload;

use anyhow::Context;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::json;
use super::kind::ObjectKind;
use crate::problem::Result;

pub use workload::Workload;

/// An object in its current API version, with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    /// A set.
    StatefulSet(Box<StatefulSet>),
    /// A service.
    Service(Box<Service>),
    /// A config map.
    ConfigMap(Box<ConfigMap>),
    /// A secret.
    Secret(Box<Secret>),
    /// A claim to a volume.
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    /// A pod.
    Pod(Box<Pod>),
    /// The pods that a service leads to, or what a user wrote instead.
    Endpoints(Box<Endpoints>),
    /// Where a service without a selector leads, as a user wrote it.
    EndpointSlice(Box<EndpointSlice>),
    /// A template that a set has had; never in a manifest.
    ControllerRevision(Box<ControllerRevision>),
    /// What makes pods that are not pets.
    Workload(Box<Workload>),
    /// A volume that a claim can be bound to.
    PersistentVolume(Box<PersistentVolume>),
    /// A class of volumes.
    StorageClass(Box<StorageClass>),
}

/// Does the same with an object of whatever kind, and what is told of workloads.
macro_rules! each {
    ($object:expr, $inner:ident => $result:expr, $workload:ident => $other:expr) => {
        match $object {
            Object::StatefulSet($inner) => $result,
            Object::Service($inner) => $result,
            Object::ConfigMap($inner) => $result,
            Object::Secret($inner) => $result,
            Object::PersistentVolumeClaim($inner) => $result,
            Object::Pod($inner) => $result,
            Object::Endpoints($inner) => $result,
            Object::EndpointSlice($inner) => $result,
            Object::ControllerRevision($inner) => $result,
            Object::PersistentVolume($inner) => $result,
            Object::StorageClass($inner) => $result,
            Object::Workload($workload) => $other,
        }
    };
}

impl Object {
    /// Returns the kind of the object.
    pub(crate) const fn kind(&self) -> ObjectKind {
        match self {
            Self::StatefulSet(_) => ObjectKind::StatefulSet,
            Self::Service(_) => ObjectKind::Service,
            Self::ConfigMap(_) => ObjectKind::ConfigMap,
            Self::Secret(_) => ObjectKind::Secret,
            Self::PersistentVolumeClaim(_) => ObjectKind::PersistentVolumeClaim,
            Self::Pod(_) => ObjectKind::Pod,
            Self::Endpoints(_) => ObjectKind::Endpoints,
            Self::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Self::ControllerRevision(_) => ObjectKind::ControllerRevision,
            Self::Workload(workload) => ObjectKind::Workload(workload.kind()),
            Self::PersistentVolume(_) => ObjectKind::PersistentVolume,
            Self::StorageClass(_) => ObjectKind::StorageClass,
        }
    }

    /// Returns the object's metadata.
    pub(crate) const fn metadata(&self) -> &ObjectMeta {
        each!(self, object => &object.metadata, workload => workload.metadata())
    }

    /// Returns the object's metadata, to change it.
    pub(crate) const fn metadata_mut(&mut self) -> &mut ObjectMeta {
        each!(self, object => &mut object.metadata, workload => workload.metadata_mut())
    }

    /// Returns the name; an object that has been checked has one.
    pub(crate) fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Returns the namespace; an object that has been checked has one.
    pub(crate) fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or("default")
    }

    /// Returns the spec of the pods that the object makes, or of the pod that it is.
    pub(crate) fn pod_spec(&self) -> Option<&PodSpec> {
        match self {
            Self::StatefulSet(set) => set.spec.as_ref()?.template.spec.as_ref(),
            Self::Workload(workload) => workload.template()?.spec.as_ref(),
            Self::Pod(pod) => pod.spec.as_ref(),
            Self::Service(_)
            | Self::ConfigMap(_)
            | Self::Secret(_)
            | Self::PersistentVolumeClaim(_)
            | Self::Endpoints(_)
            | Self::EndpointSlice(_)
            | Self::ControllerRevision(_)
            | Self::PersistentVolume(_)
            | Self::StorageClass(_) => None,
        }
    }

    /// Returns the name with its kind before it: `pod/web-0`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.kind().singular(), self.name())
    }

    /// Returns the object as JSON, with its `apiVersion` and `kind`.
    pub(crate) fn to_json(&self) -> Result<Value> {
        let value =
            each!(self, object => json::to_value(object.as_ref()), workload => workload.to_json());
        value.with_context(|| format!("cannot write {} as JSON", self.full_name()))
    }
}
