//! The kinds of object that users create, each stored in a file of its own below `wanted/`.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::redact;
use crate::model::kind::ObjectKind;

/// The annotation of a claim that names the set it was made for, which may be gone.
pub(crate) const SET_ANNOTATION: &str = "petset.dev/set";

/// An object that users create, stored in one file.
pub(crate) trait Kept:
    Serialize + DeserializeOwned + k8s_openapi::Metadata<Ty = ObjectMeta> + Clone
{
    /// Its kind, which names its folder.
    const OBJECT_KIND: ObjectKind;

    /// Returns the redacted copy for pets; `None` when pets do not see the object.
    fn shown(&self) -> Option<Self> {
        None
    }
}

impl Kept for StatefulSet {
    const OBJECT_KIND: ObjectKind = ObjectKind::StatefulSet;

    fn shown(&self) -> Option<Self> {
        Some(redact::of_set(self))
    }
}

impl Kept for Service {
    const OBJECT_KIND: ObjectKind = ObjectKind::Service;

    fn shown(&self) -> Option<Self> {
        Some(redact::of_service(self))
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
