//! What the volumes of a pod are made from.

use k8s_openapi::api::core::v1::Pod;

use crate::model::Namespace;
use crate::model::environment::Sources;
use crate::model::fields::Capacity;
use crate::store::Layout;

/// A pod, and the objects that its volumes refer to.
pub(super) struct VolumeContext<'a> {
    pub(super) layout: &'a Layout,
    pub(super) namespace: &'a Namespace,
    pub(super) pod: &'a Pod,
    pub(super) sources: &'a Sources,
    pub(super) capacity: Capacity,
    /// Whether the files that petset writes are given to a group afterwards.
    pub(super) grouped: bool,
}

impl VolumeContext<'_> {
    pub(super) fn pod_name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }
}
