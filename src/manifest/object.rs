//! The kinds of objects that petset keeps.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::model::json;
use crate::problem::Result;

/// The sort of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ObjectKind {
    /// A config map.
    ConfigMap,
    /// A secret.
    Secret,
    /// A claim to a volume.
    PersistentVolumeClaim,
    /// A service.
    Service,
    /// A set.
    StatefulSet,
    /// A single pod.
    Pod,
}

impl ObjectKind {
    /// Returns the name as a manifest has it: `StatefulSet`.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Service => "Service",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
        }
    }

    /// Returns the name as the API server's messages have it: `StatefulSet.apps`.
    #[must_use]
    pub(crate) const fn qualified(self) -> &'static str {
        match self {
            Self::StatefulSet => "StatefulSet.apps",
            Self::ConfigMap
            | Self::Secret
            | Self::PersistentVolumeClaim
            | Self::Service
            | Self::Pod => self.as_str(),
        }
    }
}

/// An object of a manifest: complete, with defaults filled in, in its current API version.
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
    /// A single pod.
    Pod(Box<Pod>),
}

impl Object {
    /// Returns the sort of the object.
    #[must_use]
    pub(crate) const fn kind(&self) -> ObjectKind {
        match self {
            Self::StatefulSet(_) => ObjectKind::StatefulSet,
            Self::Service(_) => ObjectKind::Service,
            Self::ConfigMap(_) => ObjectKind::ConfigMap,
            Self::Secret(_) => ObjectKind::Secret,
            Self::PersistentVolumeClaim(_) => ObjectKind::PersistentVolumeClaim,
            Self::Pod(_) => ObjectKind::Pod,
        }
    }

    /// Returns the object's metadata.
    #[must_use]
    pub(crate) const fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::StatefulSet(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::ConfigMap(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
            Self::PersistentVolumeClaim(object) => &object.metadata,
            Self::Pod(object) => &object.metadata,
        }
    }

    /// Returns the object's metadata, to change it.
    pub(crate) const fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::StatefulSet(object) => &mut object.metadata,
            Self::Service(object) => &mut object.metadata,
            Self::ConfigMap(object) => &mut object.metadata,
            Self::Secret(object) => &mut object.metadata,
            Self::PersistentVolumeClaim(object) => &mut object.metadata,
            Self::Pod(object) => &mut object.metadata,
        }
    }

    /// Returns the name; a loaded object has one.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Returns the namespace; a loaded object has one.
    #[must_use]
    pub(crate) fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or("default")
    }

    /// Returns the object as JSON, with its `apiVersion` and `kind`.
    pub(crate) fn to_json(&self) -> Result<Value> {
        Ok(match self {
            Self::StatefulSet(object) => json::to_value(object)?,
            Self::Service(object) => json::to_value(object)?,
            Self::ConfigMap(object) => json::to_value(object)?,
            Self::Secret(object) => json::to_value(object)?,
            Self::PersistentVolumeClaim(object) => json::to_value(object)?,
            Self::Pod(object) => json::to_value(object)?,
        })
    }
}
